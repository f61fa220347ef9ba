"""Latent distributions mined by auxiliary branches that never saw the face's own class (DMUE, section 3.2).

Branch j is a classifier of the C - 1 classes other than j. Its logits come as C columns, column j being -inf, so that
class numbers mean the same everywhere and no shape depends on the labels in a batch. Faces without a label (UNLABELLED)
take no part.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED
from fercore.losses.labelled import labelled_cross_entropy


def auxiliary_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Branch j learns from the faces that are not labelled j (DMUE, equations 1 and 2).

    :param logits: (C, N, C), of each branch, column j of branch j -inf.
    :param label: (N,).
    :return: (), the mean over branches of their mean cross-entropy; a branch without faces adds 0.
    """
    classes = len(logits)
    log_p = logits.float().log_softmax(2)
    known = label.clamp(min=0)
    of_label = log_p.gather(2, known.expand(classes, -1)[..., None])[..., 0]  # (C, N); -inf where branch = label
    learns = (label != torch.arange(classes, device=label.device)[:, None]) & (label != UNLABELLED)
    total = torch.where(learns, -of_label, 0).sum(1)
    return (total / learns.sum(1).clamp(min=1)).mean()


def latent_distribution(logits: Tensor, label: Tensor, temperature: float = 1.0) -> Tensor:
    """What the branch of a face's own class thinks the face is, sharpened (DMUE, equation 3). Without gradient.

    Sharpening p^(1/T) / sum p^(1/T) is the softmax of logits / T; T > 1 flattens.

    :param logits: (C, N, C), column j of branch j -inf.
    :return: (N, C), 0 at the own class; rows of UNLABELLED faces mean nothing.
    """
    own = label.clamp(min=0)
    rows = torch.arange(len(label), device=label.device)
    return (logits.detach().float()[own, rows] / temperature).softmax(1)


def averaged_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """LD-A: every branch learns every class from every face (DMUE, section 4.7). logits: (C, N, C). -> ()."""
    return labelled_cross_entropy(logits.float().flatten(0, 1), label.repeat(len(logits)))


def averaged_distribution(logits: Tensor, label: Tensor, temperature: float = 1.0) -> Tensor:
    """LD-A: the mean prediction of all branches, own class taken out and sharpened (DMUE, section 4.7). No gradient.

    :param logits: (C, N, C). :return: (N, C), 0 at the own class.
    """
    p = logits.detach().float().softmax(2).mean(0)
    others = 1 - F.one_hot(label.clamp(min=0), p.shape[1])
    powers = (p * others) ** (1 / temperature)
    return powers / powers.sum(1, keepdim=True).clamp(min=1e-12)


def latent_l2(probabilities: Tensor, latent: Tensor, label: Tensor) -> Tensor:
    """Mean square difference between prediction and latent distribution, own class left out (DMUE, equation 4).

    :param probabilities: (N, C) of the target branch, over all classes.
    :return: (); N is the number of labelled faces.
    """
    known = label != UNLABELLED
    others = 1 - F.one_hot(label.clamp(min=0), latent.shape[1])
    squared = ((latent - probabilities) ** 2 * others).sum(1)
    return torch.where(known, squared, 0).sum() / (known.sum().clamp(min=1) * (latent.shape[1] - 1))
