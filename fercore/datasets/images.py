"""Any photograph as uint8 RGB, or one clear sentence that says why not."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 64_000_000
"""Larger images are refused from their header, before anything is decoded (64 million pixels are 192 MB as RGB)."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is opened. Pillow knows more, some of which call outside programs; photographs need no more."""


class BadImage(ValueError):
    """An image that cannot be used; the message is one sentence that names it."""


def read_image(source: str | os.PathLike | bytes, name: str | None = None) -> np.ndarray:
    """Decode one image to RGB: (H, W, 3) uint8, upright.

    EXIF rotation is applied; CMYK, grey, palette and 16-bit images are converted; transparent parts are laid over
    white; of an animation the first frame is taken; float images must lie in [0, 1] or [0, 255].

    :param source: a path, or the encoded bytes.
    :param name: what error messages call the image; the path by default.
    :raises BadImage: empty, truncated, not an image, not finite, or more than ``MAX_PIXELS``.
    :raises FileNotFoundError: no file at that path.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), name or "image"
    else:
        name = name or str(source)
        if Path(source).is_dir():
            raise BadImage(f"{name} is a folder, not an image.")
        if Path(source).exists() and not Path(source).is_file():  # to read a pipe may never end
            raise BadImage(f"{name} is a pipe or a device, not an image file.")
        data = Path(source).read_bytes()
    if not data:
        raise BadImage(f"{name} is empty (0 bytes).")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(f"{name} claims more than {MAX_PIXELS // 10**6} million pixels; shrink it first.") from None
    except Exception as error:  # a decoder fed with foreign bytes may raise anything
        raise BadImage(f"{name} is cut short, damaged, or no image of a known kind ({', '.join(FORMATS)}).") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(
            f"{name} claims {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million; shrink it first."
        )
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
    except Exception as error:
        raise BadImage(f"{name} is cut short or damaged ({error}).") from error
    return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> np.ndarray:
    """A decoded picture as (H, W, 3) uint8; see ``read_image``. Raises BadImage for NaN or pixels out of range."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _grey_to_uint8(np.asarray(image), name)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _grey_to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """One channel of more than 8 bits: integers are taken as 16-bit, floats as [0, 1] or else [0, 255]."""
    if not np.isfinite(values).all():
        raise BadImage(f"{name} holds NaN or infinite pixels.")
    low, high = values.min(), values.max()
    full = 65535.0 if np.issubdtype(values.dtype, np.integer) else (1.0 if high <= 1 else 255.0)
    if low < 0 or high > full:
        raise BadImage(f"{name} holds pixels from {low:g} to {high:g}; rescale them to 8 or 16 bits.")
    return np.rint(values * (255.0 / full)).astype(np.uint8)
