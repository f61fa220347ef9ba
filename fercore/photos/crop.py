"""Cut a face out of a photograph as BlendFER's faces are cut: upright, eyes and mouth in their places."""

from __future__ import annotations

import numpy as np

from fercore.datasets.blendfer.geometry import BLENDFER
from fercore.datasets.frame import Frame
from fercore.photos.faces import Face
from fercore.photos.warp import similarity, warp

CROP_SIZE = 64
"""BlendFER's size; a network that sees a smaller one resizes by itself, for a larger one the crops should be larger."""


def crop_like_blendfer(image: np.ndarray, face: Face, size: int = CROP_SIZE) -> np.ndarray:
    """(H, W, 3) uint8 photograph -> (size, size, 3) uint8 crop, framed as the renderer frames its heads.

    Raises ValueError if the eyes lie in the same place.
    """
    return warp(image, *frame_like_blendfer(face, size), size)


def frame_like_blendfer(face: Face, size: int, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What such a crop shows, ``frame_face`` with BlendFER's frame."""
    return frame_face(face, size, BLENDFER, margin)


def frame_face(face: Face, size: int, frame: Frame, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What a crop shows: its place p is the photograph's ``p @ turn.T + origin``; turn (2, 2), origin (2,).

    The eyes are level; the middle between eyes and mouth lies where ``frame`` has it; and the scale is the mean of what
    the distance of the eyes and that from eyes to mouth ask for, so that a long face is neither cut nor blown up.
    margin: the crop is ``1 + margin`` times as wide.
    """
    eye_distance, mouth_distance = frame.eyes[1][0] - frame.eyes[0][0], frame.mouth[1] - frame.eyes[0][1]
    middle = face.eyes.mean(0)
    across, down = face.eyes[1] - face.eyes[0], face.mouth - middle
    side = (np.linalg.norm(across) / eye_distance + np.linalg.norm(down) / mouth_distance) / 2
    # The eyes of a face of the frame's proportions in the place of this one.
    level = across / max(np.linalg.norm(across), 1e-9) * side * eye_distance / 2
    lowered = np.array([-level[1], level[0]]) * mouth_distance / eye_distance
    centre = (middle + face.mouth) / 2 - lowered
    return eye_frame(np.stack([centre - level, centre + level]), size, margin, frame)


def eye_frame(
    eyes: np.ndarray, size: int, margin: float = 0.0, frame: Frame = BLENDFER
) -> tuple[np.ndarray, np.ndarray]:
    """What brings both eyes (2, 2) to where ``frame`` has them, in a crop ``1 + margin`` times as wide."""
    places = 0.5 + (np.asarray(frame.eyes) - 0.5) / (1 + margin)
    return similarity(places * size, eyes)
