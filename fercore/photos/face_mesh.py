"""MediaPipe's face mesh: 468 points of a face, of which 68 are ours.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", CVPR Workshop 2019
(arXiv:1907.06724). The weights beside this file are described in ``face_mesh.md``; ``python -m data_prep.face_mesh``
makes them again. ``fercore.photos.mesh_landmarks`` asks the network about crops.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from fercore.photos.blaze_block import BlazeBlock

WEIGHTS = Path(__file__).with_name("face_mesh.safetensors")
CANVAS = 192
"""Side in pixels of what the network sees."""
POINTS = 468

# (channels, stride) of each block of the trunk.
_PLAN = [(16, 1)] * 2 + [(32, 2)] + [(32, 1)] * 2 + [(64, 2)] + [(64, 1)] * 2 + 2 * ([(128, 2)] + [(128, 1)] * 2)


def _block(channels_in: int, channels: int, stride: int = 1) -> BlazeBlock:
    return BlazeBlock(channels_in, channels, stride, activation=nn.PReLU(channels))


class _Head(nn.Sequential):
    """(B, 128, 6, 6) -> (B, numbers, 1, 1)."""

    def __init__(self, numbers: int, blocks: int):
        wide = [_block(128, 128, 2)] + [_block(128, 128) for _ in range(blocks - 1)]
        super().__init__(*wide, nn.Conv2d(128, 32, 1), nn.PReLU(32), _block(32, 32), nn.Conv2d(32, numbers, 3))


class FaceMesh(nn.Module):
    """(B, 3, 192, 192) RGB in [0, 1] -> points (B, 468, 3) and score (B,) in [0, 1].

    Points are (x, y, depth) in pixels of the canvas, whose corner is (0, 0): the centre of the first pixel is
    (0.5, 0.5). The score says how sure the network is that it sees a face.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.stem_activation = nn.PReLU(16)
        channels = [16] + [c for c, _ in _PLAN]
        self.blocks = nn.Sequential(*[_block(channels[i], c, s) for i, (c, s) in enumerate(_PLAN)])
        self.point = _Head(3 * POINTS, blocks=3)
        self.score = _Head(1, blocks=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = self.blocks(self.stem_activation(self.stem(F.pad(image, (0, 1, 0, 1)))))
        return self.point(x).reshape(-1, POINTS, 3), self.score(x).flatten().sigmoid()


@cache
def load_face_mesh() -> FaceMesh:
    """The shipped network on the CPU, in evaluation mode; loaded once."""
    model = FaceMesh().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    model.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return model
