"""Cut a face out of a photograph as BlendFER's faces are cut: upright, eyes always in the same places."""

from __future__ import annotations

import numpy as np

from fercore.datasets.blendfer.geometry import EYES
from fercore.photos.faces import Face
from fercore.photos.warp import similarity, warp

CROP_SIZE = 64
"""BlendFER's size; a network that sees a smaller one resizes by itself, for a larger one the crops should be larger."""


def crop_like_blendfer(image: np.ndarray, face: Face, size: int = CROP_SIZE) -> np.ndarray:
    """(H, W, 3) uint8 photograph -> (size, size, 3) uint8 crop whose eyes lie where BlendFER's average face has them.

    One similarity (turn, scale, shift) does so; a mirrored face gives the mirrored crop.
    """
    return warp(image, *similarity(np.asarray(EYES) * size, face.eyes), size)
