"""Relations between the faces of a batch: kept alike by all branches, and read as a measure of confidence (DMUE)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED
from fercore.losses.labelled import labelled_cross_entropy, membership


def relations(features: Tensor) -> Tensor:
    """Rows of the Gram matrix, each of length 1 (DMUE, equations 14 and 15). (..., N, d) -> (..., N, N)."""
    features = features.float()
    with torch.autocast(features.device.type, enabled=False):  # the loss squares small differences of these
        return F.normalize(features @ features.transpose(-1, -2), dim=-1)


def similarity_preserving(target: Tensor, auxiliary: Tensor, label: Tensor) -> Tensor:
    """How far the branches differ in which faces they find alike (DMUE, equations 16 and 17).

    Branch i is compared on pairs of faces neither of which is labelled i. Equation 16's sum runs over the branches.

    :param target: A_tar, (N, N). auxiliary: A_aux, (C, N, N). label: (N,).
    :return: (), the mean over branches of the squared Frobenius norm over N_i squared; a branch without faces adds 0.
    """
    classes = len(auxiliary)
    takes_part = (label != torch.arange(classes, device=label.device)[:, None]) & (label != UNLABELLED)  # (C, N)
    pairs = takes_part[:, :, None] & takes_part[:, None, :]
    squared = torch.where(pairs, (target - auxiliary) ** 2, 0).sum((1, 2))
    return (squared / takes_part.sum(1).clamp(min=1) ** 2).mean()


def similarity_vector(
    features: Tensor, label: Tensor, classes: int, stretched: bool = False, own: bool = True
) -> Tensor:
    """SV: mean cosine of each face with the faces of each class, then its own label one-hot (DMUE, equations 6 and 7).

    A class without faces in the batch has similarity 0.

    :param features: (N, d) of the target branch. label: (N,).
    :param stretched: each face's similarities to the classes of the batch are stretched to [0, 1], as in the released
        code. Features that passed a ReLU have cosines near 1 with all classes.
    :param own: whether a face is one of the images of its own class, as equation 7 has it, if read by the letter. Its
        cosine with itself, 1, then speaks for its label, however wrong; without it only the others do.
    :return: (N, 2 C).
    """
    unit = F.normalize(features.float(), dim=1)
    member = membership(label, classes)
    centres = (member / member.sum(0).clamp(min=1)).T @ unit  # a mean of cosines is the cosine with the mean direction
    similarity = unit @ centres.T
    count = member.sum(0)
    if not own:
        others = count - member
        itself = unit.square().sum(1, keepdim=True)
        similarity = torch.where(others > 0, (similarity * count - member * itself) / others.clamp(min=1), 0)
        count = others
    if stretched:
        absent = count == 0
        low = similarity.masked_fill(absent, 1).amin(1, keepdim=True)  # cosines lie between -1 and 1
        high = similarity.masked_fill(absent, -1).amax(1, keepdim=True)
        similarity = torch.where(absent, 0, (similarity - low) / (high - low).clamp(min=1e-6))
    return torch.cat([similarity, member], 1)


def relative_confidence(confidence: Tensor, label: Tensor, classes: int) -> Tensor:
    """Confidence (N,) over its mean among the batch's faces of the same label; labels (N,). UNLABELLED: unchanged."""
    member = membership(label, classes)
    mean = (member.T @ confidence) / member.sum(0).clamp(min=1)
    return confidence / (member @ mean + (1 - member.sum(1))).clamp(min=1e-6)


def weighted_cross_entropy(logits: Tensor, confidence: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of logits times each face's confidence (DMUE, equation 9). (N, C), (N,), (N,) -> ()."""
    return labelled_cross_entropy(logits.float() * confidence[:, None], label)
