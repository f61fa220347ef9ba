"""BlendFER: rendered faces whose true distribution of emotions is known (``fercore.renderer`` draws more)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fercore.datasets.blendfer.annotators import confusion, majority, sample_votes, vote_probabilities
from fercore.datasets.blendfer.geometry import BLENDFER, EYES, MOUTH
from fercore.datasets.face_dataset import FaceDataset

FOLDER = Path(__file__).parent / "v1"
"""The folder that holds version 1: ``faces.parquet``, its checksum and its data card."""


def open(classes: int = 7, split: str | None = None) -> FaceDataset:
    """BlendFER version 1: ``FaceDataset.open(FOLDER, classes, split)``, with the frame that its renderer keeps to."""
    return replace(FaceDataset.open(FOLDER, classes=classes, split=split), frame=BLENDFER)


__all__ = ["EYES", "FOLDER", "MOUTH", "confusion", "majority", "open", "sample_votes", "vote_probabilities"]
