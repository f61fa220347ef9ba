"""The eight emotions: their one order, one colour and one marker each.

The order is RAF-DB's, counted from zero, with contempt last; any other order is mapped to it in ``data_prep``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Emotion:
    """One class: its number in the canonical order, and how every figure draws it."""

    index: int
    name: str
    colour: str
    marker: str


# Okabe and Ito's palette, told apart with every common colour vision; the markers say it without colour.
EMOTIONS: tuple[Emotion, ...] = (
    Emotion(0, "surprise", "#E69F00", "^"),
    Emotion(1, "fear", "#CC79A7", "v"),
    Emotion(2, "disgust", "#009E73", "X"),
    Emotion(3, "happiness", "#C7B400", "o"),
    Emotion(4, "sadness", "#0072B2", "s"),
    Emotion(5, "anger", "#D55E00", "P"),
    Emotion(6, "neutral", "#7F7F7F", "D"),
    Emotion(7, "contempt", "#56B4E9", "*"),
)
NAMES: tuple[str, ...] = tuple(emotion.name for emotion in EMOTIONS)
COLOURS: dict[str, str] = {emotion.name: emotion.colour for emotion in EMOTIONS}
MARKERS: dict[str, str] = {emotion.name: emotion.marker for emotion in EMOTIONS}


def class_names(classes: int = 7) -> tuple[str, ...]:
    """Names of the first ``classes`` emotions: 7 (without contempt) or 8. Raises ValueError otherwise."""
    if classes not in (7, 8):
        raise ValueError(f"classes must be 7 or 8 (8 adds contempt), not {classes!r}")
    return NAMES[:classes]


def index_of(name: str) -> int:
    """Number of an emotion in the canonical order; raises ValueError naming the known ones."""
    try:
        return NAMES.index(name)
    except ValueError:
        raise ValueError(f"unknown emotion {name!r}; known are {', '.join(NAMES)}") from None
