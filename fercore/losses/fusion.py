"""Label and class distributions fused by attention weights (Ada-DF, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED


def trusted_classes(sums: Tensor, counts: Tensor, threshold: float, relative: bool = False) -> Tensor:
    """Whether the mean label distribution of each class gives its own emotion t or more (Ada-DF, equation 5).

    :param relative: t is meant as a share of what the surest class gives its own emotion (ours): the more is learnt,
        the more is asked. With t = .7 as it stands no class is ever trusted in a short training.
    :return: (C,), bool; False for a class without a face.
    """
    own = sums.diagonal() / counts.clamp(min=1)
    level = threshold * own.max() if relative else threshold
    return (counts > 0) & (own >= level)


def class_distributions(sums: Tensor, counts: Tensor, threshold: float, relative: bool = False) -> Tensor:
    """The mean label distribution of each class, where it is trusted (Ada-DF, equations 4 to 7).

    A class whose mean gives its own emotion less than t, or that had no face, gets the threshold distribution: t for
    itself, (1 - t) / (C - 1) for each other class. Rows sum to 1.

    :param sums: (C, C), row c: sum of the label distributions of the faces labelled c. counts: (C,), how many.
    :param threshold, relative: see ``trusted_classes``.
    :return: (C, C).
    """
    classes = len(counts)
    mean = sums / counts.clamp(min=1)[:, None]
    own = torch.eye(classes, device=sums.device)
    standby = own * threshold + (1 - own) * (1 - threshold) / (classes - 1)
    return torch.where(trusted_classes(sums, counts, threshold, relative)[:, None], mean, standby)


def normalise_weights(weight: Tensor, smallest: float) -> Tensor:
    """Attention weights (N,) stretched to [w_min, 1] within the batch (Ada-DF, equation 11).

    Equal weights say nothing about who is clear: all become 1 and the class distributions are used.
    """
    low, high = weight.min(), weight.max()
    spread = high - low
    stretched = (weight - low) / spread.clamp(min=1e-8) * (1 - smallest) + smallest
    return torch.where(spread > 1e-8, stretched, torch.ones_like(weight))


def fuse(class_distribution: Tensor, label_distribution: Tensor, weight: Tensor) -> Tensor:
    """W d_class + (1 - w) d_label (Ada-DF, equation 12). (N, C), (N, C), (N,) -> (N, C)."""
    return weight[:, None] * class_distribution + (1 - weight[:, None]) * label_distribution


def kl_to_prediction(target: Tensor, logits: Tensor, label: Tensor) -> Tensor:
    """KL(d || p), the mean over labelled faces (Ada-DF, equation 13; LA-Net, equation 7; both print a minus by slip).

    :param target: d, (N, C). logits: of p, (N, C). label: (N,), which faces count.
    """
    target = target.clamp(min=torch.finfo(target.dtype).tiny)  # 0 log 0 is 0, but its gradient NaN
    each = F.kl_div(logits.float().log_softmax(1), target, reduction="none").sum(1)
    known = label != UNLABELLED
    return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)
