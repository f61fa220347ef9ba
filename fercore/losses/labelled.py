"""Cross-entropy over the faces whose label is known."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED


def labelled_cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of -log p(label) over the labelled faces. (N, C), (N,) -> ().

    A batch may hold no label at all (condition ``labels:k``): then it is 0, where a mean would be 0/0.
    """
    total = F.cross_entropy(logits, label, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="sum")
    return total / (label != UNLABELLED).sum().clamp(min=1)


def membership(label: Tensor, classes: int) -> Tensor:
    """One-hot labels (N,) -> (N, C) float; rows of UNLABELLED faces are 0."""
    return F.one_hot(label.clamp(min=0), classes).float() * (label != UNLABELLED)[:, None]
