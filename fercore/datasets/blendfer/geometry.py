"""How BlendFER frames a face: one similarity transform, from the neutral head, so that no emotion leaks into it."""

from __future__ import annotations

from fercore.datasets.frame import Frame

EYES: tuple[tuple[float, float], tuple[float, float]] = ((0.33, 0.37), (0.67, 0.37))
"""Centres of the image-left and image-right eye of the average frontal face, as fractions of the crop (x, y)."""

MOUTH: tuple[float, float] = (0.5, 0.735)
"""Middle of the mouth corners of the average frontal face, as fractions of the crop (x, y)."""

BLENDFER = Frame(EYES, MOUTH)
"""Both, as the frame that models trained on BlendFER know."""
