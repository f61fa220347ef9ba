"""Where the 68 landmarks of the faces in a photograph are, and the photograph with them drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import nn

from fercore.photos.ask import ask
from fercore.photos.cut import Crop

POINT, EDGE = (255, 214, 0), (30, 30, 30)
"""Yellow with a dark edge: seen on skin of every colour, and by colour-blind eyes."""


def find_landmarks(method: nn.Module, crops: Sequence[Crop]) -> list[np.ndarray]:
    """The landmarks of each face, (68, 2) places (x, y) in the photograph, whose first pixel's centre is (0.5, 0.5).

    crops: of ``cut_faces``. Raises ValueError if the method predicts no landmarks.
    """
    if not crops:
        return []
    points = ask(method, crops, method.landmarks).numpy()
    return [crop.in_photo(p) for crop, p in zip(crops, points, strict=True)]


def draw_landmarks(image: np.ndarray, faces: Iterable[np.ndarray]) -> Image.Image:
    """A copy of the photograph (H, W, 3) uint8 with a dot at each place (68, 2) of each face, sized by the face."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for points in map(np.asarray, faces):
        radius = max(1.0, np.ptp(points[:, 0]) / 90)
        for x, y in points - 0.5:  # Pillow counts from the first pixel's centre
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, fill=POINT, outline=EDGE if radius >= 2 else None)
    return drawn
