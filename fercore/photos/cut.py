"""A photograph's faces are cut out once; whatever is asked about them is asked of these crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from fercore.datasets.blendfer.geometry import BLENDFER
from fercore.datasets.frame import Frame
from fercore.photos.crop import CROP_SIZE, frame_face
from fercore.photos.faces import Face
from fercore.photos.warp import warp


@dataclass(frozen=True, eq=False)
class Crop:
    """A face cut out of a photograph, and the way back.

    pixels: (size, size, 3) uint8, whose place p shows the photograph's ``p @ turn.T + origin``; turn (2, 2), origin
    (2,). Places are (x, y), the first pixel's centre being (0.5, 0.5).
    """

    face: Face
    pixels: np.ndarray
    turn: np.ndarray
    origin: np.ndarray

    def in_photo(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the crop, the first one's centre being (0, 0) -> places (..., 2) in the photograph."""
        return (points + 0.5) @ self.turn.T + self.origin


def cut_faces(method: nn.Module, image: np.ndarray, faces: Sequence[Face], size: int | None = None) -> list[Crop]:
    """The faces of a photograph (H, W, 3) uint8 as ``method`` was trained to see faces; one crop each.

    size: of the crops in pixels; by default ``crop_size``. Raises ValueError if a face's eyes lie in the same place.
    """
    size = crop_size(method) if size is None else size
    crops = []
    for face in faces:
        turn, origin = choose_frame(method, face, size)
        crops.append(Crop(face, warp(image, turn, origin, size), turn, origin))
    return crops


def choose_frame(method: nn.Module, face: Face, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What a crop of ``size`` pixels shows of the photograph, see ``Crop``. The one place where that is decided.

    Faces are framed as in the method's training set; as BlendFER's where the method does not say.
    """
    return frame_face(face, size, frame_of(method))


def frame_of(method: nn.Module) -> Frame:
    """The frame of the faces that a method has learnt from."""
    return getattr(method, "frame", None) or BLENDFER


def crop_size(method: nn.Module) -> int:
    """Pixels of a crop: as many as the network sees, but BlendFER's at least. A bare network says nothing of them."""
    config = getattr(method, "config", None)
    return CROP_SIZE if config is None else max(CROP_SIZE, config.size)
