"""Where the 68 landmarks of a face are: a branch beside the trunk, and the units it reckons in.

Inside, coordinates are shares of the image's sides, counted from its centre: of an image W pixels wide, x is from -0.5
to 0.5. So they mean the same in images of all sizes, and mirroring a face changes the sign of x.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercore.datasets.mirror import mirror_landmarks
from fercore.losses.landmark_error import landmark_error
from fercore.models.backbones import Backbone
from fercore.models.branches import copy_stages

GRID = 4
"""The last feature map is averaged to so many places a side, for places to mean the same with every backbone."""


def to_shares(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels (..., 2) of an image of ``size`` (H, W), the first pixel's centre being (0, 0) -> shares."""
    (x, y), (height, width) = points.unbind(-1), size
    return torch.stack([(x - (width - 1) / 2) / width, (y - (height - 1) / 2) / height], dim=-1)


def to_pixels(shares: Tensor, size: tuple[int, int]) -> Tensor:
    """The reverse of ``to_shares``."""
    (x, y), (height, width) = shares.unbind(-1), size
    return torch.stack([x * width + (width - 1) / 2, y * height + (height - 1) / 2], dim=-1)


def seen_from_both_sides(see: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Landmarks (B, 68, 2), in pixels of the images (B, 3, H, W), the first one's centre being (0, 0).

    The mean of what is seen in the image and in its mirror image.

    :param see: from images to landmarks in shares.
    """
    mirrored = mirror_landmarks(see(image.flip(3))) * image.new_tensor([-1, 1])  # in shares x changes its sign
    return to_pixels((see(image) + mirrored) / 2, image.shape[2:])


class LandmarkHead(nn.Module):
    """From a feature map (B, c, h, w) to v (B, dim) and landmarks (B, 68, 2) in shares.

    spread: (), the standard deviation of a landmark's place over the training faces, in shares: the unit of errors.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("spread", torch.ones(()))

    def measure(self, landmarks: Tensor, size: tuple[int, int]) -> int:
        """Learn what landmarks (N, 68, 2), in pixels of images of ``size``, are like; faces with a NaN are left out.

        :return: how many faces are not; of fewer than two nothing is learnt.
        """
        shares = to_shares(landmarks, size)
        shares = shares[~shares.isnan().flatten(1).any(1)]
        if len(shares) > 1:
            self.expect(shares)
        return len(shares)

    def error(self, points: Tensor, landmarks: Tensor, size: tuple[int, int]) -> Tensor:
        """L_lm in units of the landmarks' variance over the training faces: 1 for guessing the mean shape. -> ()

        :param points: (N, 68, 2) in shares. landmarks: (N, 68, 2), the true ones in pixels of images of ``size``.
        """
        return landmark_error(points / self.spread, to_shares(landmarks, size) / self.spread)

    def expect(self, shares: Tensor) -> None:
        """Learn from known landmarks (N, 68, 2), N at least 2, what is to be expected."""
        self.spread.copy_(shares.var(0).mean().sqrt().clamp(min=1e-3))


class PatternHead(LandmarkHead):
    """Two linear layers: from the feature map v, and from v the landmarks.

    What moves, turns or enlarges the whole face is predicted apart, by four numbers, so that v need not tell of it and
    faces alike in v are alike in the pattern of their landmarks. (The split is clean: turning, enlarging and shifting
    the mean shape adds multiples of four directions, and what v adds is kept orthogonal to them.)

    mean: (136,), the mean shape of the training faces, in shares. frame: (136, 4), the four directions, orthonormal.
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.v = nn.Linear(channels * GRID**2, dim)
        self.pose = nn.Linear(channels * GRID**2, 4)
        self.points = nn.Linear(dim, 136)
        self.register_buffer("mean", torch.zeros(136))
        self.register_buffer("frame", torch.zeros(136, 4))

    def expect(self, shares: Tensor) -> None:
        """Take mean and frame from them, too."""
        super().expect(shares)
        middle = shares.mean(0)
        x, y = (middle - middle.mean(0)).unbind(1)
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        directions = torch.stack([torch.stack(d, 1).flatten() for d in ((one, zero), (zero, one), (x, y), (-y, x))], 1)
        self.mean.copy_(middle.flatten())
        self.frame.copy_(F.normalize(directions, dim=0))

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, h, w) -> v (B, dim) and landmarks (B, 68, 2) in shares."""
        places = F.adaptive_avg_pool2d(feature_map, GRID).flatten(1)
        v, pose = self.v(places), self.pose(places)
        pattern = self.points(v)
        pattern = pattern + (pose - pattern @ self.frame) @ self.frame.T
        return v, (self.mean + self.spread * pattern).view(-1, 68, 2)


class HeatmapHead(LandmarkHead):
    """A heatmap for each landmark, which lies at the mean place of its heat (Sun et al., "Integral pose", ECCV 2018).

    v is what the maps are made of, averaged over places, as in LA-Net's released code; it tells little about where.
    """

    SIDE = 16

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, dim, 1)
        self.heat = nn.Conv2d(dim, 68, 1)
        at = (torch.arange(self.SIDE) + 0.5) / self.SIDE - 0.5
        self.register_buffer("places", torch.cartesian_prod(at, at).flip(1), persistent=False)  # (SIDE^2, 2), (x, y)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, h, w) -> v (B, dim) and landmarks (B, 68, 2) in shares."""
        large = F.interpolate(F.relu(self.reduce(feature_map)), (self.SIDE, self.SIDE), mode="bilinear")
        heat = self.heat(large).flatten(2).softmax(2)
        return large.mean((2, 3)), heat @ self.places


HEADS = {"pattern": PatternHead, "heatmap": HeatmapHead}


class LandmarkBranch(nn.Module):
    """Copies of the trunk's stages from ``split`` on, and a head (a name in HEADS) for v, (B, dim), and landmarks."""

    def __init__(self, backbone: Backbone, split: str, head: str, dim: int):
        super().__init__()
        self.stages = copy_stages(backbone, split)
        self.head = HEADS[head](backbone.dim, dim)

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """What the shared stages gave (B, c, h, w) -> v (B, dim) and landmarks (B, 68, 2) in shares."""
        feature_map = self.stages(shared).float()
        with torch.autocast(shared.device.type, enabled=False):
            return self.head(feature_map)
