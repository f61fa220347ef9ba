"""The expression-landmark contrastive loss: both features of like faces are drawn together (LA-Net, section 3.2).

Where the paper's equations 11 and 12 print I(i) in the denominator, its complement is meant: the text introduces the
negative pairs, and they would appear nowhere else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AMBIGUOUS = -1
"""The pseudo-label of a face whose distribution is not confident (LA-Net, equation 8)."""
LEFT_OUT = -1e4
"""Logit of what is no negative: its exponential is 0, and where nothing else is left, no gradient turns into NaN."""


def pseudo_labels(distribution: Tensor, delta: float) -> Tensor:
    """The likeliest class where it is more likely than delta, else AMBIGUOUS (LA-Net, equation 8). (N, C) -> (N,)."""
    most, label = distribution.max(1)
    return torch.where(most > delta, label, AMBIGUOUS)


def positive_pairs(label: Tensor, index: Tensor, other_label: Tensor, other_index: Tensor) -> Tensor:
    """Which pairs belong together: the sets I(i) (LA-Net, equation 9).

    Confident faces of the same pseudo-label do, and views of the same face. (The released code marks an ambiguous face
    by its negated index, which for face 0 is class 0.)

    :param label, index: (N,), pseudo-labels and which face each is. other_label, other_index: (M,).
    :return: (N, M) bool.
    """
    alike = (label[:, None] == other_label) & (label != AMBIGUOUS)[:, None]
    return alike | (index[:, None] == other_index)


def landmark_contrast(
    query: Tensor, key: Tensor, bank: Tensor, positive: Tensor, left_out: Tensor, tau: float
) -> Tensor:
    """Queries of one space drawn to the positive keys of the other, away from the negatives (LA-Net, eqs. 11 and 12).

    With S_i the log-sum-exp of face i's negatives, -log(exp s / (exp s + exp S_i)) is softplus(S_i - s): each face
    needs one pass over the bank, however many positives it has.

    :param query: q, (N, p). key: k of the same faces, (N, p). bank: remembered keys, those of this batch among them,
        (M, p). Cosines are taken.
    :param positive: (N, N) bool, I(i), never empty. left_out: (N, M) bool, what in the bank is no negative of a face.
    :return: (), the mean over faces of the mean over their positives; without negatives 0.
    """
    with torch.autocast(query.device.type, enabled=False):  # bf16 cosines over tau would be off by 0.04
        query, key = F.normalize(query.float(), dim=1) / tau, F.normalize(key.float(), dim=1)
        negatives = (query @ bank.T).masked_fill_(left_out, LEFT_OUT).logsumexp(1)
        each = F.softplus(negatives[:, None] - query @ key.T)
    return (torch.where(positive, each, 0).sum(1) / positive.sum(1)).mean()
