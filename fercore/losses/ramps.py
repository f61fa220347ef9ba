"""Weights of loss terms that change while training goes on."""

from __future__ import annotations

import torch
from torch import Tensor


def rise(progress: float, ramp: float) -> float:
    """From 0 in a straight line to 1 over the share ``ramp`` of the training; 0: at once."""
    return 1.0 if ramp == 0 else min(1.0, progress / ramp)


def ramps(progress: float, beta: float, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Two weights that pass the lead from an auxiliary task to the main one (DMUE, eqs. 11, 12; Ada-DF, eqs. 15, 16).

    (rising, falling), each (), when the share ``progress`` of the training is done. (Tensors, for torch.compile makes a
    new graph of each number that ``math.exp`` gives.)

    With e the epoch and beta the epoch at which the lead changes, both as shares of the training:
    rising = exp(-factor (1 - e / beta)^2) up to beta, then 1; falling = 1 up to beta, then exp(-(1 - beta / e)^2).
    """
    if progress <= beta:
        return _exp(-factor * (1 - progress / beta) ** 2), _exp(0.0)
    return _exp(0.0), _exp(-((1 - beta / progress) ** 2))


def _exp(power: float) -> Tensor:
    return torch.full((), power, dtype=torch.float64, device="cpu").exp()  # a number: it goes with every device
