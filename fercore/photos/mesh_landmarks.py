"""The 68 landmarks of face crops, by MediaPipe's face mesh: no training, no detector.

Two looks: the first at the whole picture, the second at the frame that the points of the first give, upright.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.photos.face_mesh import CANVAS, load_face_mesh
from fercore.photos.warp import one_thread

WIDENED = 1.25
"""First look: a square so many times as wide as the picture, its border repeated. Crops cut foreheads and chins off,
and the network knows faces with some room around them."""
ROOM = 1.5
"""Second look: a square so many times as wide as the points reach; MediaPipe's value for following a face."""
MIN_SCORE = 0.5
"""What scores less is no face, or one whose points cannot be trusted."""
BATCH = 16

IBUG = (
    *(234, 93, 132, 172, 136, 149, 176, 148, 152, 377, 400, 378, 365, 397, 361, 323, 454),  # jaw, image-left to right
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows, upper edges
    *(6, 197, 5, 4, 102, 60, 94, 290, 331),  # bridge of the nose, then its base
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes, corners and lids
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),  # lips, outside
    *(78, 81, 13, 311, 308, 317, 14, 87),  # and inside
)
"""Which of the mesh's 468 points is each of the 68, in iBUG's order.

Eyes, brows and lips by anatomy; of jaw, nose and lips, where the mesh has several points side by side, the one nearest
to BlendFER's on training faces. BlendFER's brow points lie below the brows, towards the nose; the mesh's lie on them.
"""
_EYES = (33, 263)
"""Outer corners, by which MediaPipe turns a face upright."""


@torch.inference_mode()
def mesh_landmarks(images: Tensor) -> tuple[Tensor, Tensor]:
    """Where the landmarks of crops lie, each filled by one face: (B, 3, H, W) -> points (B, 68, 2) and score (B,).

    images: uint8, or floating point in [0, 1]; on the CPU. Points are in pixels of the image, the centre of the first
    one at (0, 0), also where the score is low: below MIN_SCORE do not use them. About 10 ms a face on one core.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (B, 3, H, W), not {tuple(images.shape)}")
    with one_thread():
        looks = [_look_twice(some) for some in images.split(BATCH)]
    if not looks:
        return torch.zeros(0, len(IBUG), 2), torch.zeros(0)
    points, scores = (torch.cat(parts) for parts in zip(*looks, strict=True))
    return points - 0.5, scores


def _look_twice(images: Tensor) -> tuple[Tensor, Tensor]:
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    points, _ = _look(images, *_whole(images))
    points, score = _look(images, *_around(points))
    return points[:, IBUG], score


def _whole(images: Tensor) -> tuple[Tensor, Tensor]:
    """The frame of the first look: turn (B, 2, 2) and origin (B, 2), as in ``fercore.photos.warp``."""
    count, height, width = len(images), *images.shape[2:]
    side = WIDENED * max(height, width)
    centre = torch.tensor([width / 2, height / 2]).expand(count, 2)
    return torch.eye(2).expand(count, 2, 2) * side / CANVAS, centre - side / 2


def _around(points: Tensor) -> tuple[Tensor, Tensor]:
    """The upright square around the points (B, 468, 2) of each face, as a frame: turn (B, 2, 2) and origin (B, 2)."""
    across = points[:, _EYES[1]] - points[:, _EYES[0]]
    along = F.normalize(across, dim=1)
    axes = torch.stack([along, torch.stack([-along[:, 1], along[:, 0]], 1)], 2)  # columns: right and down of the face
    turned = points @ axes
    low, high = turned.amin(1), turned.amax(1)
    side = ROOM * (high - low).amax(1)
    corner = (low + high) / 2 - side[:, None] / 2
    return axes * (side / CANVAS)[:, None, None], (axes @ corner[:, :, None])[:, :, 0]


def _look(images: Tensor, turn: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
    """All 468 points (B, 468, 2), corner of the image at (0, 0), and scores (B,), seen in these frames."""
    height, width = images.shape[2:]
    step = torch.arange(CANVAS) + 0.5
    places = torch.stack(torch.meshgrid(step, step, indexing="xy"), 2).reshape(1, -1, 2) @ turn.mT + origin[:, None]
    relative = (places / torch.tensor([width, height]) * 2 - 1).reshape(len(images), CANVAS, CANVAS, 2)
    view = F.grid_sample(images, relative, mode="bilinear", padding_mode="border", align_corners=False)
    points, score = load_face_mesh()(view.contiguous(memory_format=torch.channels_last))
    return points[..., :2] @ turn.mT + origin[:, None], score
