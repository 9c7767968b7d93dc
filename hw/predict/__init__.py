"""Gateware of the predictors. Each component generates what `sw.predict` says, bit for bit."""
