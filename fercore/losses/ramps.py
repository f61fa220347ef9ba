"""Weights of loss terms that change while training goes on."""

from __future__ import annotations

import math


def rise(progress: float, ramp: float) -> float:
    """From 0 in a straight line to 1 over the share ``ramp`` of the training; 0: at once."""
    return 1.0 if ramp == 0 else min(1.0, progress / ramp)


def ramps(progress: float, beta: float, factor: float = 1.0) -> tuple[float, float]:
    """Two weights that pass the lead from an auxiliary task to the main one (DMUE, eqs. 11, 12; Ada-DF, eqs. 15, 16).

    (rising, falling) when the share ``progress`` of the training is done.

    With e the epoch and beta the epoch at which the lead changes, both as shares of the training:
    rising = exp(-factor (1 - e / beta)^2) up to beta, then 1; falling = 1 up to beta, then exp(-(1 - beta / e)^2).
    """
    if progress <= beta:
        return math.exp(-factor * (1 - progress / beta) ** 2), 1.0
    return 1.0, math.exp(-((1 - beta / progress) ** 2))
