"""The moving average of a network's weights: a teacher, or the network that is deployed (Tarvainen & Valpola, 2017)."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move ``average`` a step towards ``network``, the norms' running statistics included.

    Until ``decay`` is the smaller, the average is the plain mean over the steps so far (from 0): it forgets where it
    started.
    """
    mine, theirs = average.state_dict(), network.state_dict()
    floating = [key for key, value in mine.items() if value.is_floating_point()]
    weight = 1 - min(decay, step / (step + 1))
    torch._foreach_lerp_([mine[key] for key in floating], [theirs[key] for key in floating], weight)
    for key in mine.keys() - set(floating):  # the norms' counters
        mine[key].copy_(theirs[key])
