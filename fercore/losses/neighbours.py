"""What a face's neighbours say about it: the label distributions of LA-Net (section 3.1).

The same functions serve both spaces: features are u, of the expression, or v, of the landmarks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def neighbours(features: Tensor, index: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k faces of the batch that are most alike by cosine (LA-Net, equations 1 and 2). Without gradient.

    A face is no neighbour of itself, nor of another view of itself in the same batch.

    :param features: (N, d). index: (N,), which face each row shows.
    :return: near (N, K), rows of the batch, K = min(k, N), nearest first; and whether they are neighbours at all (N, K)
        bool: in a small batch the last ones may not be.
    """
    unit = F.normalize(features.detach().float(), dim=1)
    with torch.autocast(features.device.type, enabled=False):
        cosine = (unit @ unit.T).masked_fill(index[:, None] == index, -torch.inf)
    most, near = cosine.topk(min(k, len(features)), dim=1)
    return near, most > -torch.inf


def aggregate(probabilities: Tensor, near: Tensor, contribution: Tensor) -> Tensor:
    """sum_k c_ik p_k / sum_k c_ik, one space's part of d_i (LA-Net, equation 4).

    :param probabilities: p, (N, C). near: (N, K), rows. contribution: c, (N, K), 0 for what is no neighbour.
    :return: (N, C); a face without neighbours keeps its own p.
    """
    total = contribution.sum(1, keepdim=True)
    pooled = (contribution[:, :, None] * probabilities[near]).sum(1)
    return torch.where(total > 0, pooled / total.clamp(min=torch.finfo(total.dtype).tiny), probabilities)


def mean_of_views(values: Tensor, index: Tensor) -> Tensor:
    """Rows (N, C) that show the same face become their mean: a face has one distribution, however often it comes."""
    same = (index[:, None] == index).to(values.dtype)
    with torch.autocast(values.device.type, enabled=False):  # in bf16 the rows would no longer sum to 1
        return same @ values / same.sum(1, keepdim=True)


def average_over_epochs(before: Tensor, now: Tensor, omega: float) -> Tensor:
    """d^[e] = omega d^[e-1] + (1 - omega) d, the targets (LA-Net, equation 5). (N, C), (N, C) -> (N, C)."""
    return omega * before + (1 - omega) * now
