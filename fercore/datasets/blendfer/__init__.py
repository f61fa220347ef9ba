"""BlendFER: rendered faces whose true distribution of emotions is known, and the renderer that makes more of them."""

from __future__ import annotations

from pathlib import Path

from fercore.datasets.blendfer.annotators import confusion, majority, sample_votes, vote_probabilities
from fercore.datasets.blendfer.geometry import EYES, MOUTH
from fercore.datasets.blendfer.live import Face, render
from fercore.datasets.blendfer.people import Identity, sample_identity
from fercore.datasets.blendfer.scenes import COVERS, GLASSES, Scene, sample_scene
from fercore.datasets.face_dataset import FaceDataset

FOLDER = Path(__file__).parent / "v1"
"""The folder that holds version 1: ``faces.parquet``, its checksum and its data card."""


def open(classes: int = 7, split: str | None = None) -> FaceDataset:
    """BlendFER version 1: ``FaceDataset.open(FOLDER, classes, split)``."""
    return FaceDataset.open(FOLDER, classes=classes, split=split)


__all__ = [
    "COVERS", "EYES", "FOLDER", "GLASSES", "MOUTH", "Face", "Identity", "Scene", "confusion", "majority", "open",
    "render", "sample_identity", "sample_scene", "sample_votes", "vote_probabilities",
]  # fmt: skip
