"""Thresholds that follow the network's own confidence, and predictions kept diverse (FreeMatch, Wang et al., 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def adaptive_thresholds(confidence: Tensor, mean: Tensor) -> Tensor:
    """tau_t(c) = p_t(c) / max p_t * tau_t: classes that are given less get a lower one (FreeMatch, section 4.1).

    :param confidence: tau_t, (), running mean of the largest probability. mean: p_t, (C,), running mean prediction.
    :return: (C,).
    """
    return mean / mean.max() * confidence


def class_shares(probabilities: Tensor) -> Tensor:
    """Share of the faces whose likeliest class is c: Hist (FreeMatch, section 4.2). (N, C) -> (C,), no gradient."""
    return F.one_hot(probabilities.detach().argmax(1), probabilities.shape[1]).float().mean(0)


def fairness(logits: Tensor, mask: Tensor, mean: Tensor, share: Tensor) -> Tensor:
    """Self-adaptive fairness: -H(SumNorm(p_t / h_t), SumNorm(p / h)), H cross-entropy (FreeMatch, section 4.2).

    p and h are the mean prediction and the shares of the likeliest classes among the mask's strong views,
    p_t and h_t running ones over all weak views. A class that nothing was given to counts 0 on its side (released
    code; the equation divides by 0). The minus is the paper's and the released code's.

    :param logits: of the strong views, (N, C). mask: (N,), bool, the faces that are learnt from.
    :param mean: p_t, (C,). share: h_t, (C,). Neither gets a gradient.
    :return: (); 0 where the mask is empty.
    """
    probabilities = logits.softmax(1)
    kept = mask.float()[:, None]
    count = kept.sum().clamp(min=1)
    ours = (probabilities * kept).sum(0) / count
    hist = (F.one_hot(probabilities.detach().argmax(1), logits.shape[1]) * kept).sum(0) / count
    wanted, found = _sum_norm(mean.detach(), share.detach()), _sum_norm(ours, hist)
    return torch.where(mask.any(), (wanted * (found + 1e-12).log()).sum(), 0)


def _sum_norm(values: Tensor, by: Tensor) -> Tensor:
    quotient = torch.where(by > 0, values / by.clamp(min=1e-12), 0)
    return quotient / quotient.sum().clamp(min=1e-12)
