"""From a row of the table back to its face: all parameters are columns, so any face can be rendered again, changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from fercore.renderer.live import render_units
from fercore.renderer.people import sample_identity
from fercore.renderer.scenes import Scene

SIZE = 64
"""Side of BlendFER's images in pixels."""


def scene_of(row: Mapping) -> Scene:
    """The scene that a row's columns describe."""
    values = {}
    for field in fields(Scene):
        value = row[field.name]
        values[field.name] = type(field.default)(value)
    return Scene(**values)


def rerender(row: Mapping, size: int = SIZE, **changes) -> tuple[np.ndarray, np.ndarray]:
    """Image (size, size, 3) uint8 and landmarks (68, 2) of a row, with fields of its scene changed if asked.

    ``rerender(row)`` gives the row's image as it was before WebP; ``rerender(row, 256, yaw=0, cover="none")`` the same
    face, large, from the front and uncovered.
    """
    scene = replace(scene_of(row), **changes)
    units = np.asarray(row["units"], np.float32)
    return render_units(units, sample_identity(int(row["subject"])), scene, size)
