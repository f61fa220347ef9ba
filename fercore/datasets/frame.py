"""How a dataset frames its faces: where, in its pictures, the eyes and the mouth of the average face lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

LEAST_FACES = 10
"""Of fewer faces with landmarks the average says little."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Places (x, y) as fractions of the picture: of the image-left and image-right eye, and of the mouth's middle.

    A model knows faces in the frame of its training set; a photograph's faces are cut out for it alike.
    """

    eyes: tuple[Place, Place]
    mouth: Place

    @classmethod
    def measured(cls, landmarks: np.ndarray, size: tuple[int, int]) -> Self | None:
        """The median over faces with all their landmarks (N, 68, 2), in pixels of pictures of ``size`` (H, W).

        Made symmetric, as half of a training set's faces are mirrored. None if fewer than LEAST_FACES have them all.
        """
        complete = landmarks[np.isfinite(landmarks).all((1, 2))]
        if len(complete) < LEAST_FACES:
            return None
        places = (complete + 0.5) / np.array([size[1], size[0]])
        parts = (places[:, 36:42].mean(1), places[:, 42:48].mean(1), places[:, [48, 54]].mean(1))
        left, right, mouth = (np.median(part, axis=0) for part in parts)
        half, height = float(right[0] - left[0]) / 2, float(left[1] + right[1]) / 2
        return cls(((0.5 - half, height), (0.5 + half, height)), (0.5, float(mouth[1])))

    @classmethod
    def from_numbers(cls, numbers: list[list[float]]) -> Self:
        """The reverse of ``numbers``. Raises ValueError if they are no three places."""
        left, right, mouth = ((float(x), float(y)) for x, y in numbers)
        return cls((left, right), mouth)

    @property
    def numbers(self) -> list[list[float]]:
        """Eyes and mouth as lists, rounded, for a file."""
        return [[round(value, 4) for value in place] for place in (*self.eyes, self.mouth)]

    def __str__(self) -> str:
        (left, right), mouth = self.eyes, self.mouth
        level = f"{left[1]:.2f} of the height, mouth at {mouth[1]:.2f}"
        return f"eyes at {left[0]:.2f} and {right[0]:.2f} of the width, {level}"
