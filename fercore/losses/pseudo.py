"""Pseudo-labels: what is confident enough to be learnt from, and how two views of a face are kept consistent."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED

LABELLED = UNLABELLED - 1
"""In FlexMatch's memory: a face that has a label and is never served as an unlabelled one."""


def sharpen(logits: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / sum p^(1/T), which is the softmax of logits / T (UDA, equation 4). (N, C) -> (N, C)."""
    return (logits / temperature).softmax(1)


def confident(probabilities: Tensor, threshold: Tensor | float) -> tuple[Tensor, Tensor]:
    """The likeliest class of each face, and whether it reaches its threshold (FixMatch, equation 4).

    :param probabilities: (N, C). threshold: one for all classes, or (C,).
    :return: label (N,) and mask (N,), bool.
    """
    most, label = probabilities.max(1)
    return label, most >= (threshold[label] if isinstance(threshold, Tensor) else threshold)


def masked_cross_entropy(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy with pseudo-labels, the mean over all faces: those outside the mask add 0 (FixMatch, equation 4).

    :param logits: (N, C). target: (N,) classes. mask: (N,), bool.
    """
    return torch.where(mask, F.cross_entropy(logits, target, reduction="none"), 0).mean()


def masked_divergence(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """KL(target || prediction), the mean over all faces: those outside the mask add 0 (UDA, equation 2).

    :param logits: (N, C). target: (N, C), probabilities. mask: (N,), bool.
    """
    each = F.kl_div(logits.log_softmax(1), target, reduction="none").sum(1)
    return torch.where(mask, each, 0).mean()


def flexible_thresholds(assigned: Tensor, classes: int, tau: float, warm_up: bool = True) -> Tensor:
    """Thresholds that are lower for classes with fewer confident faces (FlexMatch, equations 5, 7, 11 and 12).

    sigma_c counts the faces last given to c with confidence tau; beta_c = sigma_c / max sigma, with warm-up over at
    least the number of faces given to no class yet; the threshold is tau M(beta_c), M(x) = x / (2 - x).

    :param assigned: (N,), each training face's class, UNLABELLED if none yet, LABELLED if not asked for.
    :return: (C,), from 0 to tau.
    """
    sigma = (assigned[:, None] == torch.arange(classes, device=assigned.device)).sum(0).float()
    most = sigma.max().clamp(min=1)
    if warm_up:
        most = torch.maximum(most, (assigned == UNLABELLED).sum())
    beta = sigma / most
    return tau * beta / (2 - beta)


def adaptive_margins(sums: Tensor, counts: Tensor, epoch: int, beta: float, gamma: float, start: float) -> Tensor:
    """AdaCM's margins: beta / (1 + gamma^-epoch) of the mean confidence in each class (Li et al., 2022, section 3).

    :param sums: (C,), summed confidence in the labelled faces that were recognised, by class. counts: (C,), how many.
    :param start: margin of a class of which no face was recognised.
    :return: (C,).
    """
    learnt = beta / (1 + math.pow(gamma, -epoch)) * sums / counts.clamp(min=1)
    return torch.where(counts > 0, learnt, start)


def contrast(first: Tensor, second: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Two views of a face must be alike in features, and unlike those of the others (AdaCM's loss of doubtful faces).

    InfoNCE on cosines (Chen et al., "SimCLR", 2020, equation 1), among the faces of the mask only.

    :param first, second: features (N, d) of two views. mask: (N,), bool, which faces take part.
    :return: (), the mean over the views that take part; 0 if none does, or only one face.
    """
    n = len(first)
    views = F.normalize(torch.cat([first, second]), dim=1)
    takes_part = mask.repeat(2)
    itself = torch.eye(2 * n, dtype=torch.bool, device=views.device)
    compared = (takes_part | itself.roll(n, 0)) & ~itself  # a row's own partner stays, so that no row is empty
    with torch.autocast(first.device.type, enabled=False):  # bf16 cosines over T = 0.07 would be off by 0.05
        cosines = (views @ views.T / temperature).masked_fill(~compared, -torch.inf)
    each = cosines.logsumexp(1) - (views * views.roll(n, 0)).sum(1) / temperature
    return torch.where(takes_part, each, 0).sum() / takes_part.sum().clamp(min=1)
