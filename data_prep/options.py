"""What every dataset's conversion can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How faces are cut out, how many are held out, and whether an incomplete dataset is taken.

    align: turn and cut each face so that its eyes lie in the same places; without it, images stay as published, byte
        for byte, but for whole photographs with a published box, which are cut out by it.
    size: side of what is cut out, in pixels.
    margin: how much more than BlendFER's crop is shown, as a share of its side; without alignment, of the box.
    val: share of each class of the training faces that becomes the val split, if the owner defines none.
    accept: go on where counts differ from the published ones or images are missing; the report tells.
    """

    align: bool = False
    size: Literal[112, 224] = 112
    margin: float = 0.0
    val: float = 0.1
    accept: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 2:
            raise ValueError(f"--margin must lie between 0 and 2, not be {self.margin:g}.")
        if not 0 <= self.val <= 0.5:
            raise ValueError(f"--val must lie between 0 and 0.5, not be {self.val:g}.")
