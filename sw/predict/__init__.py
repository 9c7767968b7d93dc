"""Predictors: what generates weights from a few parameters, and the search for these."""

from .decoders import predict
from .fitting import OTHERS_BITS, PREDICTORS, Fitted, Task, Unsuited, fit, fit_integers


__all__ = ["OTHERS_BITS", "PREDICTORS", "Fitted", "Task", "Unsuited", "fit", "fit_integers",
           "predict"]
