"""Weights that make up for rare classes, and what they are used for (RAC + RSL, equations 4 and 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED

RULES = ("effective", "raw", "inverse")


def class_weights(counts: Tensor, beta: float = 0.9999, rule: str = "effective") -> Tensor:
    """B (L,): the rarer a class, the larger its weight (RAC + RSL, equation 4). A class without any face gets 0.

    effective: equation 4, ``(1 - beta) / (1 - beta^n_l)`` (one over the effective number of samples, Cui et al., 2019),
    scaled so that B sums to the number of classes L, as Cui et al. do. Only then are the rows of equation 8
    distributions, and B has the same meaning whatever the size of the dataset: the default.
    raw: equation 4 as printed. With beta = 0.9999 it is near ``1 / n_l``: equation 8 adds almost nothing.
    inverse: ``n / (L n_l)``, a mean of 1 over the n training *faces*. The released code's constants are 0.7 times that.

    :param counts: n_l, (L,), faces of each class in the training set.
    :raises ValueError: an unknown rule, or beta outside [0, 1).
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r} for class weights; known are {', '.join(RULES)}")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1), not {beta}")
    n = counts.double()
    there = n > 0
    n = n.clamp(min=1)
    if rule == "inverse":
        weight = there * counts.sum() / (there.sum() * n)
    else:
        # expm1 and log1p: 1 - beta^n loses digits where beta is close to 1.
        weight = there * (1 - beta) / -torch.expm1(n * torch.log1p(torch.tensor(beta - 1.0, dtype=torch.float64)))
        if rule == "effective":
            weight = weight * len(n) / weight.sum().clamp(min=1e-12)
    return weight.float()


def smooth_labels(label: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """Re-balanced smooth labels (RAC + RSL, equation 8): ``(1 - alpha) y + alpha B / L``.

    :param label: (N,); rows of UNLABELLED faces are 0.
    :param weight: B, (L,). Rows sum to 1 if B sums to L.
    :return: (N, L).
    """
    known = (label != UNLABELLED)[:, None]
    certain = F.one_hot(label.clamp(min=0), len(weight)).float()
    return known * ((1 - alpha) * certain + alpha * weight / len(weight))


def class_balanced_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """Each face's cross-entropy counts by its class's weight B_y (Cui et al., 2019, equation 12).

    :param logits: (N, L). label: (N,); UNLABELLED faces count nothing. weight: B, (L,).
    :return: (), the sum over the number of labelled faces.
    """
    each = F.cross_entropy(logits.float(), label, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="none")
    return (each * weight[label.clamp(min=0)]).sum() / (label != UNLABELLED).sum().clamp(min=1)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy (N,) of each row with a target that need not be certain (RAC + RSL, equation 7)."""
    return -(target * logits.float().log_softmax(1)).sum(1)
