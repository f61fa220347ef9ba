"""Where the 68 landmarks of a face are: a branch beside the trunk, and the units it reckons in.

Inside, coordinates are shares of the image's sides, counted from its centre: of an image W pixels wide, x is from -0.5
to 0.5. So they mean the same in images of all sizes, and mirroring a face changes the sign of x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercore.models.backbones import Backbone
from fercore.models.branches import copy_stages

GRID = 4
"""The last feature map is averaged to so many places a side, for places to mean the same with every backbone."""


def to_shares(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels (..., 2) of an image of ``size`` (H, W), the first pixel's centre being (0, 0) -> shares."""
    height, width = size
    sides = points.new_tensor([width, height])
    return (points - (sides - 1) / 2) / sides


def to_pixels(shares: Tensor, size: tuple[int, int]) -> Tensor:
    """The reverse of ``to_shares``."""
    height, width = size
    sides = shares.new_tensor([width, height])
    return shares * sides + (sides - 1) / 2


class LandmarkBranch(nn.Module):
    """Copies of the trunk's stages from ``split`` on, then two linear layers: v, and from v the landmarks.

    What moves, turns or enlarges the whole face is predicted apart, by four numbers, so that v need not tell of it and
    faces alike in v are alike in the pattern of their landmarks. (That split is exact: turning, enlarging and shifting
    the mean shape adds multiples of four directions, and what v adds is kept orthogonal to them.)

    mean: (136,), the mean shape of the training faces, and spread: (), the standard deviation about it, in shares;
    frame: (136, 4), the four directions, orthonormal. All from ``measure``.
    """

    def __init__(self, backbone: Backbone, split: str, dim: int):
        super().__init__()
        self.stages = copy_stages(backbone, split)
        self.v = nn.Linear(backbone.dim * GRID**2, dim)
        self.pose = nn.Linear(backbone.dim * GRID**2, 4)
        self.points = nn.Linear(dim, 136)
        self.register_buffer("mean", torch.zeros(136))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("frame", torch.zeros(136, 4))

    def measure(self, landmarks: Tensor, size: tuple[int, int]) -> None:
        """Take mean, spread and frame from landmarks (N, 68, 2) in pixels; faces with NaN are left out."""
        shares = to_shares(landmarks, size).flatten(1)
        shares = shares[~shares.isnan().any(1)]
        if len(shares) > 1:
            self.mean.copy_(shares.mean(0))
            self.spread.copy_(shares.var(0).mean().sqrt())
            x, y = (self.mean.view(68, 2) - self.mean.view(68, 2).mean(0)).unbind(1)
            one, zero = torch.ones_like(x), torch.zeros_like(x)
            directions = [(one, zero), (zero, one), (x, y), (-y, x)]
            self.frame.copy_(F.normalize(torch.stack([torch.stack(d, 1).flatten() for d in directions], 1), dim=0))

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """What the shared stages gave (B, c, h, w) -> v (B, dim) and landmarks (B, 68, 2) in shares."""
        places = F.adaptive_avg_pool2d(self.stages(shared), GRID).flatten(1).float()
        with torch.autocast(shared.device.type, enabled=False):
            v, pose = self.v(places), self.pose(places)
            pattern = self.points(v)
            moved = (pose - pattern @ self.frame) @ self.frame.T
            points = self.mean + self.spread * (pattern + moved)
        return v, points.view(-1, 68, 2)
