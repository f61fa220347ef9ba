"""A method for the faces at hand: what follows from the dataset and not from the method."""

from __future__ import annotations

import sys
from typing import Any

from fercore.datasets import FaceDataset
from fercore.datasets.identity import noted_name
from fercore.methods import Method, build, method_class
from fercore.methods.base import PAPER_DATASETS

SMALLEST = 48
"""Smaller faces are enlarged to this side: below it the last feature maps have next to no places."""


def build_for(
    data: FaceDataset, method: str | type[Method], preset: str, seed: int, settings: dict[str, Any]
) -> Method:
    """``build`` with the dataset's classes, size of faces and paper settings; ``settings`` come before these.

    Presets fast and quick see faces at their own size, but never larger than the preset says: FER+ at 48 pixels,
    BlendFER at 64, RAF-DB's 100 at 64. Preset paper has the papers' size, and their settings for this dataset.
    """
    if preset == "paper":
        return build(method, len(data.classes), preset, seed, dataset=_paper_dataset(data), **settings)
    largest = getattr(method_class(method).config_class, preset)().size
    size = min(largest, max(SMALLEST, *data.size))
    return build(method, len(data.classes), preset, seed, **{"size": size, **settings})


def _paper_dataset(data: FaceDataset) -> str:
    """Whose settings preset paper takes: the dataset's, if the papers used it, else RAF-DB's."""
    noted = None if data.source is None else noted_name(data.source)
    name = "".join(letter for letter in (noted or "").lower() if letter.isalpha())  # RAF-DB is rafdb
    if name in PAPER_DATASETS:
        return name
    print(f"preset paper: no paper's settings are for {noted or 'this dataset'}; these are RAF-DB's", file=sys.stderr)
    return "rafdb"
