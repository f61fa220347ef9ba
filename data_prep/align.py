"""Cutting faces out. A frame (turn, origin) says what a crop shows: its place p is the image's ``p @ turn.T + origin``.

Places are (x, y) in pixels with the first pixel's centre at (0.5, 0.5), as in ``fercore.photos.warp``.
"""

from __future__ import annotations

import numpy as np

from data_prep.options import Options
from fercore.photos import eye_frame, find_faces, frame_like_blendfer

Frame = tuple[np.ndarray, np.ndarray]
OWNER_EYES, FOUND, CENTRE, BOX, AS_PUBLISHED = (
    "owner's eyes",
    "face found",
    "centre crop",
    "owner's box",
    "as published",
)


def choose_frame(
    image: np.ndarray, options: Options, eyes: np.ndarray | None = None, box: np.ndarray | None = None
) -> tuple[Frame | None, str]:
    """What to cut out of an image (H, W, 3) uint8, and why so; None to leave the image as it is.

    With alignment: by the owner's eyes (2, 2), else as photographs are framed, if a face is found, else the centre.
    Without: by the owner's box (x, y, width, height), else nothing is cut.
    """
    if not options.align:
        if box is None or not np.isfinite(box).all() or min(box[2:]) <= 0:
            return None, AS_PUBLISHED
        return box_frame(box, options.size, options.margin), BOX
    if eyes is not None and np.isfinite(eyes).all() and np.ptp(eyes, axis=0).max() >= 1:
        return eye_frame(eyes, options.size, options.margin), OWNER_EYES
    if faces := find_faces(image)[:1]:
        return frame_like_blendfer(faces[0], options.size, options.margin), FOUND
    height, width = image.shape[:2]
    side = min(height, width)
    return box_frame(((width - side) / 2, (height - side) / 2, side, side), options.size), CENTRE


def box_frame(box: np.ndarray | tuple, size: int, margin: float = 0.0) -> Frame:
    """The square around the middle of a box, ``1 + margin`` times as wide as its longer side, upright."""
    x, y, width, height = (float(value) for value in box)
    side = max(width, height) * (1 + margin)
    return np.eye(2) * side / size, np.array([x + width / 2, y + height / 2]) - side / 2


def landmarks_in(frame: Frame, landmarks: np.ndarray) -> np.ndarray:
    """(68, 2) landmarks of the image, in the crop's pixels; both count from the first pixel's centre."""
    turn, origin = frame
    return (landmarks + 0.5 - origin) @ np.linalg.inv(turn).T - 0.5
