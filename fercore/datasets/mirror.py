"""The 68 landmarks of iBUG (300-W): which point of a mirrored face is which."""

from __future__ import annotations

import torch
from torch import Tensor

# Consecutive points, in the order in which a mirrored face names them: (first, past the last, backwards?).
_MIRRORED_RUNS = (
    (0, 17, True),  # jaw
    (17, 27, True),  # both brows
    (27, 31, False),  # bridge of the nose
    (31, 36, True),  # nostrils
    (42, 46, True),  # upper lids: the right eye's become the left eye's
    (46, 48, True),
    (36, 40, True),
    (40, 42, True),
    (48, 55, True),  # outer upper lip
    (55, 60, True),  # outer lower lip
    (60, 65, True),  # inner upper lip
    (65, 68, True),  # inner lower lip
)


def mirror_landmarks(points: Tensor) -> Tensor:
    """Swap left and right indices of (B, 68, ...); the coordinates themselves are not touched."""
    if points.shape[1] != 68:
        raise ValueError(f"landmarks must have 68 points in iBUG order, not {points.shape[1]}.")
    runs = (points[:, first:last] for first, last, _ in _MIRRORED_RUNS)
    parts = [run.flip(1) if backwards else run for run, (_, _, backwards) in zip(runs, _MIRRORED_RUNS, strict=True)]
    return torch.cat(parts, dim=1)


MIRROR_68: tuple[int, ...] = tuple(mirror_landmarks(torch.arange(68)[None])[0].tolist())
"""Point i of a mirrored face is point MIRROR_68[i] of the face."""
