"""Whatever a photograph comes as becomes one kind of array."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

from fercore.datasets.images import BadImage, read_image, to_rgb

Photo = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray
"""One photograph: a path, the bytes of an image file, a PIL image, or an array (see ``read_photo``)."""


def read_photo(photo: Photo, name: str | None = None) -> np.ndarray:
    """One photograph as (H, W, 3) uint8 RGB, upright.

    An array is (H, W, 3), (H, W, 4) with alpha, or grey (H, W) or (H, W, 1); uint8, or floating-point in [0, 1]. Its
    colours are red, green, blue; OpenCV's frames are blue, green, red: hand over ``frame[..., ::-1]``.

    name: what errors call it. Raises BadImage (a ValueError) for what cannot be used, FileNotFoundError for no file,
    TypeError for another kind of thing.
    """
    if isinstance(photo, np.ndarray):
        return _from_array(photo, name or "the array")
    if isinstance(photo, Image.Image):
        return to_rgb(ImageOps.exif_transpose(photo), name or "the picture")
    if isinstance(photo, Photo):
        return read_image(photo, name)
    raise TypeError(
        f"a photo is a path, bytes, a PIL image or a numpy array (H, W, 3) in RGB, not {type(photo).__name__}"
    )


def listed(photos: Photo | Iterable[Photo]) -> list[Photo]:
    """One photograph becomes a list of one: the letters of a path are no paths, the rows of an array no photographs."""
    return [photos] if isinstance(photos, Photo) else list(photos)


def _from_array(values: np.ndarray, name: str) -> np.ndarray:
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))) or not values.size:
        raise BadImage(f"{name} has shape {values.shape}; a photo is (H, W, 3) in RGB, or grey (H, W).")
    if np.issubdtype(values.dtype, np.floating):
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise BadImage(f"{name} is floating-point and must lie in [0, 1]; divide 8-bit pixels by 255.")
        values = np.rint(values * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise BadImage(f"{name} is {values.dtype}; a photo is uint8, or floating-point in [0, 1].")
    if values.ndim == 3 and values.shape[2] == 3:
        return np.ascontiguousarray(values)
    return to_rgb(Image.fromarray(values[..., 0] if values.shape[2:] == (1,) else values), name)
