"""Cut a face out of a photograph as BlendFER's faces are cut: upright, eyes and mouth in their places."""

from __future__ import annotations

import numpy as np

from fercore.datasets.blendfer.geometry import EYES, MOUTH
from fercore.photos.faces import Face
from fercore.photos.warp import similarity, warp

CROP_SIZE = 64
"""BlendFER's size; a network that sees a smaller one resizes by itself, for a larger one the crops should be larger."""
EYE_DISTANCE, MOUTH_DISTANCE = EYES[1][0] - EYES[0][0], MOUTH[1] - EYES[0][1]
"""Between the eyes, and from their middle to the mouth's, as fractions of the crop."""


def crop_like_blendfer(image: np.ndarray, face: Face, size: int = CROP_SIZE) -> np.ndarray:
    """(H, W, 3) uint8 photograph -> (size, size, 3) uint8 crop, framed as the renderer frames its heads.

    Raises ValueError if the eyes lie in the same place.
    """
    return warp(image, *frame_like_blendfer(face, size), size)


def frame_like_blendfer(face: Face, size: int, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What such a crop shows: its place p is the photograph's ``p @ turn.T + origin``; turn (2, 2), origin (2,).

    The eyes are level; the middle between eyes and mouth lies where BlendFER has it; and the scale is the mean of what
    the distance of the eyes and that from eyes to mouth ask for, so that a long face is neither cut nor blown up.
    margin: the crop is ``1 + margin`` times as wide.
    """
    middle = face.eyes.mean(0)
    across, down = face.eyes[1] - face.eyes[0], face.mouth - middle
    side = (np.linalg.norm(across) / EYE_DISTANCE + np.linalg.norm(down) / MOUTH_DISTANCE) / 2
    # The eyes of a face of BlendFER's proportions in the place of this one.
    level = across / max(np.linalg.norm(across), 1e-9) * side * EYE_DISTANCE / 2
    lowered = np.array([-level[1], level[0]]) * MOUTH_DISTANCE / EYE_DISTANCE
    centre = (middle + face.mouth) / 2 - lowered
    return eye_frame(np.stack([centre - level, centre + level]), size, margin)


def eye_frame(eyes: np.ndarray, size: int, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The frame that brings both eyes (2, 2) to where BlendFER has them, in a crop ``1 + margin`` times as wide."""
    places = 0.5 + (np.asarray(EYES) - 0.5) / (1 + margin)
    return similarity(places * size, eyes)
