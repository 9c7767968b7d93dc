"""Estimate of the power that an accelerator draws."""

from .coefficients import FLIP_FLOP_TOGGLE, IDLE_BOARD, NOT_COUNTED, UNCERTAINTY


__all__ = ["estimate_power"]


def estimate_power(*, toggles, cycles, clock_hz):
    """Estimate the power while one inference follows the other.

    Parameters
    ----------
    toggles : int
        Toggles of all flip-flops during one inference.
    cycles : int
        Clock cycles of it.
    clock_hz : int
        The clock.

    Returns
    -------
    dict
        The report's section ``power``.
    """
    seconds = cycles / clock_hz
    static = IDLE_BOARD.value
    dynamic = toggles * FLIP_FLOP_TOGGLE.value * 1e-12 / seconds
    return {
        "static_mw": static * 1e3,
        "dynamic_mw": dynamic * 1e3,
        "total_mw": (static + dynamic) * 1e3,
        "energy_uj_per_inference": (static + dynamic) * seconds * 1e6,
        "uncertainty": UNCERTAINTY,
        "not_counted": list(NOT_COUNTED),
    }
