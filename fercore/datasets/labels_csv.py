"""Any folder of photographs with a ``labels.csv``."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from fercore.datasets.paths import inside
from fercore.emotions import NAMES

FILE = "labels.csv"
EYES = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
"""The pupils' centres in pixels of the photograph, its left edge being 0; left is left in the picture."""


def read_labels_csv(folder: str | Path) -> pd.DataFrame:
    """The photographs that ``folder/labels.csv`` lists, for ``evaluate --data FOLDER``.

    The file has a header with ``path`` (relative to the folder) and ``label`` (an emotion's name, or its number in the
    canonical order), and may have ``subject`` and EYES, which may be blank.

    :return: columns ``path`` (the full path as text), ``label`` (int), and ``subject`` and EYES (NaN where blank) if
        given; rows as in the file.
    :raises FileNotFoundError: no folder, no labels.csv, or no such photograph.
    :raises ValueError: a missing column, no rows, an unknown label, impossible eyes, or a path out of the folder; the
        message names the row.
    """
    folder = Path(folder)
    file = folder / FILE
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder.")
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no {FILE} (a header 'path,label', then one photograph a line).")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a readable table with the header 'path,label' ({error}).") from error
    for name in ("path", "label"):
        if name not in table.columns:
            raise ValueError(f"{file} has no column {name!r}; it has {', '.join(table.columns)}.")
    if not len(table):
        raise ValueError(f"{file} lists no photograph.")
    places = [f"{file} row {row}" for row in range(1, len(table) + 1)]
    found = {
        "path": [str(inside(folder, path, place)) for path, place in zip(table["path"], places, strict=True)],
        "label": [_label(text, place) for text, place in zip(table["label"], places, strict=True)],
    }
    if "subject" in table.columns:
        found["subject"] = table["subject"]
    if set(EYES) <= set(table.columns):
        found |= {name: [_place(text, place) for text, place in zip(table[name], places, strict=True)] for name in EYES}
        for left, right, place in zip(found[EYES[0]], found[EYES[2]], places, strict=True):
            if left >= right:
                raise ValueError(f"{place}: the left eye, at {left:g}, must lie left of the right one, at {right:g}.")
    return pd.DataFrame(found)


def _label(text: str, place: str) -> int:
    word = text.strip().lower()
    if word in NAMES:
        return NAMES.index(word)
    if word.isdecimal() and int(word) < len(NAMES):
        return int(word)
    raise ValueError(
        f"{place}: label {text!r} is neither one of {', '.join(NAMES)} nor a number in 0..{len(NAMES) - 1}."
    )


def _place(text: str, place: str) -> float:
    try:
        return float(text) if text.strip() else math.nan
    except ValueError as error:
        raise ValueError(f"{place}: {text!r} is no place of an eye in pixels; write a number or nothing.") from error
