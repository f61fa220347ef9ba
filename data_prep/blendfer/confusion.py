"""How people confuse emotions, estimated from the FER+ vote table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fercore.emotions import NAMES

CLEAR = 5
"""A photograph counts as clear if at least this many of its ten annotators, half of them, agree."""


def annotator_confusion(votes: np.ndarray) -> np.ndarray:
    """(N, 8) votes -> (8, 8) row-stochastic confusion.

    On clear photographs, each vote is compared with the majority of the *other* annotators: that majority is the row,
    the vote the column. Leaving the vote itself out keeps it from agreeing with itself.
    """
    clear = (votes.max(1) >= CLEAR * votes.sum(1) / 10) & (votes.sum(1) >= 5)
    counts = np.zeros((len(NAMES), len(NAMES)))
    for row in votes[clear]:
        for vote in np.flatnonzero(row):
            others = row.copy()
            others[vote] -= 1
            counts[int(others.argmax()), vote] += row[vote]
    return counts / counts.sum(1, keepdims=True)


def write_confusion(source: Path, out: Path) -> None:
    """Write the 8 x 8 matrix (canonical order) of ``fer2013new.csv``."""
    table = pd.read_csv(source)
    missing = [name for name in NAMES if name not in table.columns]
    if missing:
        raise ValueError(f"{source} has no column {', '.join(missing)}: give FER+'s fer2013new.csv")
    matrix = annotator_confusion(table[list(NAMES)].to_numpy(int))
    pd.DataFrame(matrix, index=list(NAMES), columns=list(NAMES)).round(5).to_csv(out)
