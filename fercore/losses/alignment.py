"""Distribution alignment: guesses about unlabelled faces, drawn towards wanted shares (Berthelot et al., ICLR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

MEMORY = 0.99
"""Share of the running mean that a step keeps: about the last hundred steps count, ReMixMatch's 128."""


def align(logits: Tensor, mean: Tensor, wanted: Tensor) -> Tensor:
    """Logits whose softmax is p * wanted / mean, normalised (ReMixMatch, section 3.1; SoftMatch draws to alike ones).

    A class that the network gives too often loses, one that it gives too seldom gains, so that no class can swallow
    the others by its own pseudo-labels.

    :param logits: (N, C). mean: (C,), what the network gives each class on average of late. wanted: (C,).
    :return: (N, C).
    """
    return logits + (wanted / mean.clamp(min=1e-6)).log()


def shares(label_counts: Tensor) -> Tensor:
    """(C,) counts -> (C,) that sum to 1; a class without a face counts as having one, so that none is ruled out."""
    counts = label_counts.float().clamp(min=1)
    return counts / counts.sum()


def uniform(classes: int) -> Tensor:
    """(C,), all alike."""
    return torch.full((classes,), 1 / classes)
