"""FERPlus: the pixels of FER2013 with ten people's votes (Barsoum et al., 2016, https://github.com/microsoft/FERPlus).

``fer2013.csv`` (emotion, pixels, Usage) and ``fer2013new.csv`` (Usage, Image name, ten columns of votes) have the same
rows in the same order. The folder layout of the owner's tool is read too: ``FER2013Train``, ``FER2013Valid`` and
``FER2013Test``, each with PNG files and a ``label.csv`` without header (name, box, ten votes). Training is our train,
PublicTest (Valid) our val, PrivateTest (Test) our test, as in all five papers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from data_prep.source import Source, check_files, check_once, first_present, need_folder
from fercore.emotions import NAMES

COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
"""The owner's order of votes; the last two are 'unknown' and 'not a face'."""
CANONICAL = np.array([COLUMNS.index(name) for name in NAMES])
USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
FOLDERS = {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"}
CHALLENGE = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv", "fer2013/icml_face_data.csv")
"""Under these names the challenge's own file is handed out."""
FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The challenge's order of classes, its column emotion."""
SIDE = 48
UNUSABLE = -1

Rule = Literal["majority", "most"]
Unknown = Literal["vote", "ignore"]
Ties = Literal["first", "drop"]


def label_votes(
    votes: np.ndarray, rule: Rule = "majority", unknown: Unknown = "vote", ties: Ties = "first"
) -> np.ndarray:
    """The label that votes make.

    :param votes: (N, 10) in the owner's order (``COLUMNS``).
    :param rule: majority: as the owner's tool, single votes are dropped and the winner needs more than half of the
        rest; most: whoever has the most votes wins (LA-Net).
    :param unknown: vote: 'unknown' and 'not a face' take part, and a face that they win has no label; ignore: their
        votes are set aside first.
    :param ties: who wins where several have the most: the first in the owner's order, or nobody (drop).
    :return: (N,) canonical numbers, ``UNUSABLE`` where there is no label.
    """
    counted = np.array(votes)
    if unknown == "ignore":
        counted[:, 8:] = 0
    if rule == "majority":
        counted[counted == 1] = 0
    best, winner = counted.max(axis=1), counted.argmax(axis=1)
    valid = (best > 0) & (winner < 8)
    if rule == "majority":
        valid &= 2 * best > counted.sum(axis=1)
    if ties == "drop":
        valid &= (counted == best[:, None]).sum(axis=1) == 1
    canonical = np.argsort(CANONICAL)
    return np.where(valid, canonical[np.minimum(winner, 7)], UNUSABLE)


def read_votes(file: str | Path) -> pd.DataFrame:
    """The owner's ``fer2013new.csv``: ``split``, ``image`` (empty for rows that the owner left nameless) and the votes.

    :raises ValueError: missing columns, an unknown usage, or votes that are no whole numbers of at least 0.
    """
    file = Path(file)
    try:
        table = pd.read_csv(file, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no readable table ({' '.join(str(error).split())}).") from error
    for name in ("Usage", "Image name", *COLUMNS):
        if name not in table:
            raise ValueError(f"{file} has no column {name!r}; take fer2013new.csv from github.com/microsoft/FERPlus.")
    unknown = ~table["Usage"].isin(USAGES)
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(f"{file} row {row + 1}: usage {table['Usage'][row]!r} is not one of {', '.join(USAGES)}.")
    votes = _whole_numbers(table[list(COLUMNS)], str(file))
    return votes.assign(split=table["Usage"].map(USAGES), image=table["Image name"])


def read_ferplus(
    folder: str | Path,
    classes: Literal[7, 8] = 8,
    rule: Rule = "majority",
    unknown: Unknown = "vote",
    ties: Ties = "first",
    accept: bool = False,
) -> Source:
    """FERPlus from its two tables, or from the folders of the owner's tool; see ``label_votes`` for the rules.

    ``votes`` of the result are the raw votes for the eight emotions, its rows also hold ``votes_unknown`` and
    ``votes_not_a_face``; the true distribution is taken to be the share of the eight emotions among their votes.

    :param classes: 7 leaves out faces whose label is contempt.
    :raises FileNotFoundError, ValueError: one sentence with file, row and mend.
    """
    folder = Path(folder)
    need_folder(folder, "fer2013.csv and fer2013new.csv, or FER2013Train/, FER2013Valid/ and FER2013Test/")
    source = _from_tables(folder) if first_present(folder, *FOLDERS) is None else _from_folders(folder, accept)
    label = label_votes(source.votes, rule, unknown, ties)
    source.rows["label"] = label
    source = source.without(f"no label by rule {rule}, unknown {unknown}, ties {ties}", label == UNUSABLE)
    if classes == 7:
        source = source.without("contempt, with 7 classes", (source.rows["label"] == 7).to_numpy())
    return replace(source, votes=source.votes[:, CANONICAL])


def ferplus_counts(file: str | Path) -> pd.DataFrame:
    """How many faces each choice of options leaves: columns rule, unknown, ties, classes, train, val, test."""
    table = read_votes(file)
    votes, split = table[list(COLUMNS)].to_numpy(), table["split"].to_numpy()
    found = []
    for rule, unknown, ties in (
        ("majority", "vote", "first"),
        ("majority", "ignore", "first"),
        ("most", "vote", "first"),
        ("most", "vote", "drop"),
        ("most", "ignore", "first"),
        ("most", "ignore", "drop"),
    ):
        label = label_votes(votes, rule, unknown, ties)
        for classes in (8, 7):
            kept = (label != UNUSABLE) & (label < classes)
            counts = {name: int((kept & (split == name)).sum()) for name in USAGES.values()}
            found.append({"rule": rule, "unknown": unknown, "ties": ties, "classes": classes, **counts})
    return pd.DataFrame(found)


def _from_tables(folder: Path) -> Source:
    pixel_file, vote_file = first_present(folder, *CHALLENGE), folder / "fer2013new.csv"
    if pixel_file is None:
        part = first_present(folder, "train.csv", "test.csv")
        only = f", only {part.name}, which has not all faces in their order" if part is not None else ""
        raise FileNotFoundError(
            f"{folder} holds neither fer2013.csv nor icml_face_data.csv{only}; get the whole file (35,887 rows with "
            "emotion, pixels and Usage) from the FER2013 challenge on Kaggle."
        )
    if not vote_file.is_file():
        raise FileNotFoundError(f"{folder} holds no fer2013new.csv; get it from github.com/microsoft/FERPlus.")
    table = read_votes(vote_file)
    pixels = np.empty((len(table), SIDE, SIDE), np.uint8)
    count, theirs = 0, np.full(len(table), UNUSABLE)
    for place, usage, text, emotion in tqdm(
        _pixel_rows(pixel_file), total=len(table), desc=pixel_file.name, unit="row"
    ):
        if count == len(table):
            raise ValueError(
                f"{pixel_file} has more rows than the {len(table):,} of {vote_file.name}; both must match."
            )
        if USAGES.get(usage) != table["split"].iat[count]:
            raise ValueError(
                f"{place}: usage {usage!r} differs from row {count + 1} of {vote_file.name}; the rows are out of step, "
                "so take both files as published."
            )
        pixels[count] = _pixels(text, place)
        theirs[count] = _challenge_label(emotion, place)
        count += 1
    if count < len(table):
        raise ValueError(f"{pixel_file} has {count:,} rows, but {vote_file.name} has {len(table):,}; take both whole.")
    names = [f"fer{row:07d}.png" for row in range(count)]
    source = _make(folder, names, table, pixels)
    return replace(source, rows=source.rows.assign(label_fer2013=theirs))


def _challenge_label(text: str, place: str) -> int:
    """FER2013's own label in canonical order, -1 if the file has none."""
    word = text.strip()
    if word and word not in map(str, range(len(FER2013))):
        raise ValueError(f"{place}: emotion {text!r} is not one of the challenge's 0..6; take the file as published.")
    return NAMES.index(FER2013[int(word)]) if word else UNUSABLE


def _pixel_rows(file: Path) -> Iterator[tuple[str, str, str, str]]:
    """Place, usage, pixels and emotion of each row, without holding the 300 MB of text."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        for name in ("pixels", "Usage"):
            if name not in reader.fieldnames:
                raise ValueError(f"{file} has no column {name!r}; its header must be emotion,pixels,Usage.")
        for row, line in enumerate(reader, 1):
            yield f"{file} row {row}", (line["Usage"] or "").strip(), line["pixels"] or "", line.get("emotion") or ""


def _pixels(text: str, place: str) -> np.ndarray:
    try:
        values = np.array(text.split(), dtype=int)
    except ValueError:
        values = np.empty(0, int)
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise ValueError(f"{place}: pixels must be {SIDE * SIDE} whole numbers 0..255 with spaces between.")
    return values.reshape(SIDE, SIDE).astype(np.uint8)


def _from_folders(folder: Path, accept: bool) -> Source:
    parts = []
    for name, split in FOLDERS.items():
        file = folder / name / "label.csv"
        if not file.is_file():
            raise FileNotFoundError(f"{folder} holds no {name}/label.csv; run the owner's tool for all three folders.")
        try:
            table = pd.read_csv(file, header=None, names=["image", "box", *COLUMNS], keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no readable table ({' '.join(str(error).split())}).") from error
        check_once(table["image"], str(file))
        votes = _whole_numbers(table[list(COLUMNS)], str(file))
        parts.append(votes.assign(split=split, image=name + "/" + table["image"].astype(str)))
    table = pd.concat(parts, ignore_index=True)
    source = _make(folder, table["image"].tolist(), table, None)
    return check_files(source, accept, f"{folder}: label.csv", lambda row: f"row {row + 1} of all three together")


def _make(folder: Path, names: list[str], table: pd.DataFrame, pixels: np.ndarray | None) -> Source:
    """All rows without labels, with the ten votes in the owner's order."""
    votes = table[list(COLUMNS)].to_numpy()
    rows = {"name": names, "label": UNUSABLE, "split": table["split"].to_numpy()}
    rows |= {"votes_unknown": votes[:, 8], "votes_not_a_face": votes[:, 9]}
    return Source("FERPlus", folder, pd.DataFrame(rows), pixels=pixels, votes=votes)


def _whole_numbers(votes: pd.DataFrame, where: str) -> pd.DataFrame:
    numbers = votes.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    bad = ~((numbers >= 0) & (numbers == np.floor(numbers))).all(axis=1)
    if bad.any():
        raise ValueError(f"{where} row {int(np.argmax(bad)) + 1}: votes must be ten whole numbers of at least 0.")
    return pd.DataFrame(numbers.astype(int), columns=votes.columns)
