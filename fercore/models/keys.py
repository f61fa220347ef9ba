"""Queries and keys of a contrastive loss between two spaces, the keys from slowly moving networks (MoCo, 2020)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from fercore.models.average import follow
from fercore.models.landmark_branch import LandmarkBranch


class Projectors(nn.Module):
    """A two-layer perceptron g for each space, as wide inside as its features (LA-Net, equation 10)."""

    def __init__(self, dims: dict[str, int], projected: int):
        super().__init__()
        self.g = nn.ModuleDict(
            {
                space: nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, projected))
                for space, dim in dims.items()
            }
        )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """By space (N, d) -> (spaces, N, projected), in full precision."""
        with torch.autocast(next(iter(features.values())).device.type, enabled=False):
            return torch.stack([self.g[space](x) for space, x in features.items()])


class KeyNetworks(nn.Module):
    """Moving averages of the expression trunk, the landmark branch and the projectors, which they start as copies of.

    They begin where the two spaces part: what is shared is not averaged, and not run twice. They take no gradient, and
    always work as deployed networks do: their norms do not look at the batch.
    """

    def __init__(self, trunk: nn.Sequential, branch: LandmarkBranch, projectors: Projectors):
        super().__init__()
        self.trunk, self.branch, self.projectors = trunk, branch, projectors
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """In evaluation mode, whatever the mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, shared: Tensor) -> Tensor:
        """What the shared stages gave (N, c, h, w) -> keys (2, N, projected): of expression and of landmarks."""
        u = self.trunk(shared).float().mean((2, 3))
        v, _ = self.branch(shared)
        return self.projectors({"expression": u, "landmarks": v})

    def follow(
        self, trunk: nn.Sequential, branch: LandmarkBranch, projectors: Projectors, decay: float, step: int
    ) -> None:
        """Move a step towards the networks that are trained, see ``fercore.models.average.follow``."""
        for average, network in ((self.trunk, trunk), (self.branch, branch), (self.projectors, projectors)):
            follow(average, network, decay, step)
