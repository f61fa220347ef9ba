"""BlazeFace: a face detector of 0.14 million weights that also points at the eyes.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", CVPR Workshop 2019
(arXiv:1907.05047), the "back camera" model of MediaPipe. The weights beside this file are described in
``blazeface.md``; ``python -m data_prep.face_detector`` makes them again. Being convolutional throughout, the network
takes any canvas: on a larger one it finds smaller faces.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from fercore.photos.blaze_block import BlazeBlock

WEIGHTS = Path(__file__).with_name("blazeface.safetensors")
CANVAS = 256
"""Side in pixels of the square the network was trained on: there a face is about 30 to 250 px wide."""
CANVAS_STEP = 32
"""Both sides of a canvas must be multiples of this, the stride of the coarsest map."""

# (channels, stride) of each block, then the anchors per cell of the two maps that the heads read.
_PLAN = [(24, 1)] * 7 + [(24, 2)] + [(24, 1)] * 7 + [(48, 2)] + [(48, 1)] * 7 + [(96, 2)] + [(96, 1)] * 7
_ANCHORS = {16: 2, 32: 6}
_NUMBERS = 16  # per anchor: box centre, box size, then six points: two eyes, nose, mouth, two ears


class BlazeFace(nn.Module):
    """(B, 3, H, W) RGB in [0, 1], H and W multiples of 32 -> scores (B, A) in [0, 1] and points (B, A, 8, 2).

    ``points[..., 0, :]`` is the box's centre and ``[..., 1, :]`` its width and height; then follow image-left eye,
    image-right eye, nose, mouth, image-left ear, image-right ear; all (x, y) in pixels of the canvas, where the
    centre of the first pixel is (0.5, 0.5). ``A = HW/16^2 * 2 + HW/32^2 * 6`` anchors.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 5, 2)
        channels = [24] + [c for c, _ in _PLAN]
        self.blocks = nn.Sequential(*[BlazeBlock(channels[i], c, s) for i, (c, s) in enumerate(_PLAN)])
        self.coarse = BlazeBlock(96, 96, 2, shortcut=False)
        self.score = nn.ModuleDict({str(s): nn.Conv2d(96, n, 1) for s, n in _ANCHORS.items()})
        self.point = nn.ModuleDict({str(s): nn.Conv2d(96, n * _NUMBERS, 1) for s, n in _ANCHORS.items()})

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = F.relu(self.stem(F.pad(image * 2 - 1, (1, 2, 1, 2))))
        fine = self.blocks(x)
        scores, points = [], []
        for stride, features in ((16, fine), (32, self.coarse(fine))):
            scores.append(self.score[str(stride)](features).permute(0, 2, 3, 1).flatten(1))
            points.append(self._decode(self.point[str(stride)](features), stride))
        return torch.cat(scores, 1).sigmoid(), torch.cat(points, 1)

    @staticmethod
    def _decode(raw: Tensor, stride: int) -> Tensor:
        """(B, anchors*16, h, w) offsets from the cell's centre -> (B, h*w*anchors, 8, 2) pixels of the canvas."""
        b, _, h, w = raw.shape
        points = raw.permute(0, 2, 3, 1).reshape(b, h, w, -1, 8, 2)
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        centre = (torch.stack([x, y], -1) * stride).to(raw)[:, :, None, None]
        is_place = torch.ones(8, 1).to(raw)
        is_place[1] = 0  # width and height are no places
        return (points + centre * is_place).reshape(b, -1, 8, 2)


@cache
def load_blazeface() -> BlazeFace:
    """The shipped detector on the CPU, in evaluation mode; loaded once."""
    model = BlazeFace().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    model.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return model
