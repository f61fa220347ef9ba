"""Ten simulated annotators: what they see, what they confuse, and their majority.

Their confusion is people's own: it is estimated from the FER+ votes (Barsoum et al. 2016, MIT licence), where ten
annotators labelled each of 35,887 photographs. Only the 8 x 8 matrix ships.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from fercore.emotions import NAMES

ANNOTATORS = 10
CONFUSION_FILE = Path(__file__).with_name("confusion.csv")


@cache
def confusion() -> np.ndarray:
    """(8, 8): row = what the face shows, column = probability that an annotator says it; rows sum to 1."""
    table = pd.read_csv(CONFUSION_FILE, index_col=0)
    return table.loc[list(NAMES), list(NAMES)].to_numpy(float)


def vote_probabilities(distribution: np.ndarray) -> np.ndarray:
    """p(vote) = sum over emotions of p(emotion | face) p(vote | emotion); (..., 8) -> (..., 8)."""
    p = np.asarray(distribution, float) @ confusion()
    return p / p.sum(-1, keepdims=True)


def sample_votes(distribution: np.ndarray, rng: np.random.Generator, annotators: int = ANNOTATORS) -> np.ndarray:
    """Votes (8,) of independent annotators for one face with p(emotion | face) (8,)."""
    return rng.multinomial(annotators, vote_probabilities(distribution)).astype(np.int16)


def majority(votes: np.ndarray, rng: np.random.Generator) -> int:
    """The emotion with the most votes; ties are broken by lot."""
    return int(rng.choice(np.flatnonzero(votes == votes.max())))
