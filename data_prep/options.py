"""What every dataset's conversion can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How faces are cut out, how many are held out, and whether an incomplete dataset is taken."""

    align: bool = False
    """Turn and cut each face so that its eyes lie in the same places. Without it, images stay as published, byte for
    byte, but for whole photographs with a published box of the face, which are cut out by it."""
    size: Literal[112, 224] = 112
    """Side of what is cut out, in pixels."""
    landmarks: bool = False
    """Place 68 landmarks on each face by MediaPipe's face mesh; NaN where it is unsure (see landmark_score)."""
    margin: float = 0.0
    """How much wider than BlendFER's crop, as a share of it; without alignment, than the box."""
    val: float = 0.1
    """Share of each class of the training faces that becomes the val split, if the owner defines none."""
    labels: tuple[str, ...] = ()
    """What others called the faces: CSV files with name,label (emotions' names). FILE or NAME_labels.csv fills the
    column label_FILE or label_NAME, which ``--condition annotators:NAME`` trains on; NAME=FILE says the name."""
    accept: bool = False
    """Go on where counts differ from the published ones or images are missing; the report tells."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 2:
            raise ValueError(f"--margin must lie between 0 and 2, not be {self.margin:g}.")
        if not 0 <= self.val <= 0.5:
            raise ValueError(f"--val must lie between 0 and 0.5, not be {self.val:g}.")
