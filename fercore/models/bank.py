"""A memory bank: keys of the faces served last, as more negatives for a contrastive loss (He et al., MoCo, 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMPTY = -1


class MemoryBank(nn.Module):
    """The last ``size`` keys of each of several spaces, with the face that each shows; the oldest make room.

    keys: (spaces, size, dim), of length 1. index: (size,), the faces, EMPTY where nothing was stored yet.
    """

    def __init__(self, spaces: int, size: int, dim: int):
        super().__init__()
        self.register_buffer("keys", torch.zeros(spaces, size, dim))
        self.register_buffer("index", torch.full((size,), EMPTY))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor, index: Tensor) -> None:
        """Store the keys (spaces, N, dim) of N faces. Raises ValueError if they are more than the bank holds."""
        size, count = len(self.index), len(index)
        if count > size:
            raise ValueError(f"a memory bank of {size} keys cannot hold a batch of {count}; make the bank larger")
        place = (self.next + torch.arange(count, device=index.device)) % size
        self.keys[:, place] = F.normalize(keys.float(), dim=2)
        self.index[place] = index
        self.next.copy_((self.next + count) % size)
