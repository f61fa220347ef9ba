"""How much one face says about another: a score for each pair."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HIDDEN = 64


class PairScorer(nn.Module):
    """c_ij = sigmoid(f([g1(x_i), g2(x_j)])), with perceptrons f, g1 and g2 (LA-Net, equation 3).

    Only the pairs that are asked for are scored. The paper gives no sizes: HIDDEN units in each are ours.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.g1 = nn.Sequential(nn.Linear(dim, HIDDEN), nn.ReLU())
        self.g2 = nn.Sequential(nn.Linear(dim, HIDDEN), nn.ReLU())
        self.f = nn.Sequential(nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, features: Tensor, near: Tensor) -> Tensor:
        """Features (N, d) and the rows of each face's neighbours (N, K) -> contributions (N, K) in (0, 1)."""
        with torch.autocast(features.device.type, enabled=False):
            own, others = self.g1(features), self.g2(features)[near]
            pair = torch.cat([own[:, None].expand_as(others), others], dim=2)
            return self.f(pair)[:, :, 0].sigmoid()
