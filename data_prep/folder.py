"""Any folder: class-named folders, with or without split folders above them, or a table of paths and labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from data_prep.source import Source, check_files, check_once, emotion_number, images_below, need_folder, read_table
from data_prep.splits import hold_out
from fercore.emotions import NAMES, index_of

TABLE = "labels.csv"
DROP = "drop"
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TEST_SHARE = 0.2
"""Held out for the test if the dataset has no test split."""


def read_folder(
    folder: str | Path, classes: Iterable[str] = (), subject: str | None = None, accept: bool = False
) -> Source:
    """Faces of a dataset of your own.

    Either ``folder/[SPLIT/]CLASS/...`` with images at any depth, or ``folder/labels.csv`` with a header: path (below
    the folder), label, and if you like split and subject. Classes are emotions in any case (also happy, sad, angry),
    in a table also canonical numbers. Without a test split a fifth is held out, the same in every run.

    :param classes: what other names mean, e.g. ``("joy=happiness", "1=surprise", "other=drop")``.
    :param subject: a regular expression whose first group, searched in the path, names the person; without it the
        table's column subject, or nothing.
    :param accept: leave out missing images.
    :raises FileNotFoundError, ValueError: one sentence with file, row and mend.
    """
    folder = Path(folder)
    need_folder(folder, f"class-named folders or {TABLE}")
    meaning = _meanings(classes)
    table = folder / TABLE
    rows, notes = _from_table(table, meaning) if table.is_file() else (_from_folders(folder, meaning), ())
    if rows.empty:
        raise ValueError(f"{folder} lists no face.")
    if subject is not None:
        rows["subject"] = [_person(subject, name) for name in rows["name"]]
    source = Source(folder.resolve().name, folder, rows).noting(*notes)
    source = check_files(source, accept, str(table if table.is_file() else folder))
    source = source.without(f"class mapped to {DROP}", source.rows["label"].isna().to_numpy())
    if source.rows.empty:
        raise ValueError(f"{folder}: every face is mapped to {DROP}.")
    source.rows["label"] = source.rows["label"].astype(int)
    if not (source.rows["split"] == "test").any():
        held = hold_out(source.rows, TEST_SHARE, "test")
        source.rows["split"] = held["split"]
        source = source.noting(f"There was no test split: about {TEST_SHARE:.0%} of each class was held out as test.")
    return source


def _meanings(classes: Iterable[str]) -> dict[str, int | None]:
    """``name=emotion`` pairs as a mapping from the lower-case name to a canonical number, None for drop."""
    meaning = {}
    for text in classes:
        name, equals, emotion = (part.strip().lower() for part in text.rpartition("="))
        if not name or not equals:
            raise ValueError(f"--classes {text!r}: write NAME=EMOTION, e.g. joy=happiness, or NAME={DROP}.")
        if emotion != DROP and emotion not in NAMES:
            raise ValueError(f"--classes {text!r}: {emotion!r} is not {DROP} or one of {', '.join(NAMES)}.")
        meaning[name] = None if emotion == DROP else index_of(emotion)
    return meaning


def _from_folders(folder: Path, meaning: dict[str, int | None]) -> pd.DataFrame:
    tops = _folders(folder)
    if not tops:
        raise FileNotFoundError(f"{folder} holds neither {TABLE} nor a folder for each class.")
    with_splits = all(top.name.lower() in SPLITS for top in tops)
    kinds = [(SPLITS[top.name.lower()], kind) for top in tops for kind in _folders(top)] if with_splits else []
    rows = []
    for split, kind in kinds or [("train", top) for top in tops]:
        label = emotion_number(kind.name, str(kind), meaning)
        rows += [(file.relative_to(folder).as_posix(), label, split) for file in images_below(kind)]
    return pd.DataFrame(rows, columns=["name", "label", "split"])


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _from_table(file: Path, meaning: dict[str, int | None]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table, notes = read_table(file, "path,label")
    for name in ("path", "label"):
        if name not in table:
            raise ValueError(f"{file} has no column {name!r}; it has {', '.join(table.columns)}.")
    check_once(table["path"], str(file))
    numbers = {str(number): number for number in range(len(NAMES))} | meaning
    places = [f"{file} row {row}" for row in range(1, len(table) + 1)]
    for text, place in zip(table["label"], places, strict=True):
        if re.fullmatch(r"[0-9]+[.,][0-9]*", text.strip()) and text.strip() not in meaning:
            raise ValueError(
                f"{place}: label {text!r} is no whole number, and the order of the classes is unknown; write the "
                f"emotions' names, or say what it means, e.g. --classes {text.strip()}=happiness."
            )
    rows = pd.DataFrame({"name": table["path"]})
    rows["label"] = [emotion_number(text, place, numbers) for text, place in zip(table["label"], places, strict=True)]
    given = table["split"] if "split" in table else ["train"] * len(table)
    rows["split"] = [_split(text, place) for text, place in zip(given, places, strict=True)]
    rows = rows.assign(subject=table["subject"].replace("", None)) if "subject" in table else rows
    return rows, notes


def _split(text: str, where: str) -> str:
    word = text.strip().lower()
    if word not in SPLITS:
        raise ValueError(f"{where}: split {text!r} is not one of {', '.join(sorted(SPLITS))}.")
    return SPLITS[word]


def _person(pattern: str, name: str) -> str | None:
    try:
        found = re.search(pattern, name)
        return found and found[1]
    except (re.error, IndexError):
        raise ValueError(f"--subject {pattern!r} is no regular expression with one group, e.g. '(S[0-9]+)_'.") from None
