"""What others called the faces of a dataset: further columns ``label_NAME``, -1 where they said nothing.

FER2013's own labels beside the ten people's of FER+ are such a column; ``--condition annotators:NAME`` trains on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from data_prep.source import ALIASES, Source, check_once
from fercore.datasets.corruptions import OTHER
from fercore.emotions import NAMES

UNKNOWN = -1


def add_labels(source: Source, files: Iterable[str]) -> Source:
    """The same faces with a column for each of ``files`` (FILE or NAME=FILE), and a sentence on each for the report.

    A file has a header with name and label; names are those of ``source``, or their last part; labels are emotions by
    name, blank where unknown. Faces that it does not list get ``UNKNOWN``.

    :raises FileNotFoundError, ValueError: no such file, no such columns, an unknown emotion, a number instead of a name
        (its order would be a guess), a name listed twice, or no face of the source in it.
    """
    rows = source.rows
    for text in files:
        name, file = _named(text)
        if OTHER + name in rows:
            raise ValueError(f"{file}: the faces have labels called {name} already; write --labels OTHERNAME={file}.")
        rows = rows.assign(**{OTHER + name: _listed(source, file)})
    further = [column for column in rows if column.startswith(OTHER)]
    return replace(source, rows=rows).noting(*(_note(rows, column) for column in further))


def _note(rows: pd.DataFrame, column: str) -> str:
    told = rows[column] != UNKNOWN
    agree = (rows[column] == rows["label"])[told].mean()
    return (
        f"{column}: {int(told.sum()):,} of {len(rows):,} faces have such a label, for {agree:.1%} of them it is the "
        "dataset's own."
    )


def _named(text: str) -> tuple[str, Path]:
    """NAME and FILE of ``--labels``; without NAME, the file's own name without its ending and ``_labels``."""
    given, equals, path = text.partition("=")
    file = Path(path if equals else text)
    name = given.strip() if equals else re.sub(r"\W+", "_", file.stem.lower()).removesuffix("_labels")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"--labels {text}: {name!r} is no name in small letters; write --labels NAME=FILE.")
    if not file.is_file():
        raise FileNotFoundError(f"--labels {text}: there is no file {file}.")
    return name, file


def _listed(source: Source, file: Path) -> np.ndarray:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no readable table ({' '.join(str(error).split())}).") from error
    for column in ("name", "label"):
        if column not in table:
            raise ValueError(f"{file} has no column {column!r}; its header must be name,label.")
    check_once(table["name"], str(file))
    says = {
        name: _emotion(text, f"{file} row {row}")
        for row, (name, text) in enumerate(zip(table["name"], table["label"], strict=True), 1)
    }
    names = [name if name in says else PurePosixPath(name).name for name in source.rows["name"]]
    label = np.array([says.get(name, UNKNOWN) for name in names])
    if (label == UNKNOWN).all():
        raise ValueError(f"{file} labels none of the {len(source):,} faces, e.g. {names[0]}; check its column name.")
    return label


def _emotion(text: str, place: str) -> int:
    word = text.strip().lower()
    word = ALIASES.get(word, word)
    if word and word not in NAMES:  # a number, too: there are several orders of emotions
        raise ValueError(f"{place}: label {text!r} must be an emotion's name ({', '.join(NAMES)}) or blank.")
    return NAMES.index(word) if word else UNKNOWN
