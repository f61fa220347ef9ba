"""A backbone by name, from the start that was asked for."""

from __future__ import annotations

from fercore.models.backbones import BACKBONES, LARGEST_IMAGE, SMALLEST_IMAGE, Backbone
from fercore.models.weights import load_weights


def build_backbone(name: str, weights: str | None = None, size: int = 64) -> Backbone:
    """A backbone by name, for images of ``size`` x ``size`` pixels.

    weights: None (random), "face" (shipped, light only), "imagenet" (torchvision's, needs a network once), or a file.
    Raises ValueError for an unknown name, an impossible size or weights that do not fit.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known are {', '.join(BACKBONES)}")
    if size < SMALLEST_IMAGE:
        raise ValueError(f"size is {size} pixels; a backbone needs at least {SMALLEST_IMAGE}")
    if size > LARGEST_IMAGE:
        raise ValueError(f"size is {size} pixels; there is no use in more than {LARGEST_IMAGE}")
    backbone = BACKBONES[name](size)
    if weights is not None:
        load_weights(backbone, weights)
    return backbone
