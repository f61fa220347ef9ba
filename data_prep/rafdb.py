"""RAF-DB, the basic (single-label) subset: http://www.whdeng.cn/raf/model1.html.

Layout: ``basic/EmoLabel/list_patition_label.txt`` (the owner's spelling) with lines ``train_00001.jpg 5``;
``basic/Image/aligned/train_00001_aligned.jpg`` (100 x 100) or ``basic/Image/original/train_00001.jpg``;
``basic/Annotation/manual/train_00001_manu_attri.txt``: five lines ``x y`` (eyes, tip of the nose, corners of the
mouth) in the original's pixels, then gender, race and age. The label file's 1..7 are our 0..6.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from data_prep.source import (
    Source,
    check_counts,
    check_files,
    check_once,
    first_present,
    need_folder,
    read_lines,
    read_table,
)

PUBLISHED = {
    "train": dict(enumerate((1290, 281, 717, 4772, 1982, 705, 2524))),
    "test": dict(enumerate((329, 74, 160, 1185, 478, 162, 680))),
}
LABELS = "EmoLabel/list_patition_label.txt"
LISTS = {"train_labels.csv": "train", "test_labels.csv": "test"}
"""As RAF-DB is often passed on: these lists (image,label), and the aligned faces in DATASET/train/1/ ... test/7/."""
IBUG_NOSE, IBUG_MOUTH_LEFT, IBUG_MOUTH_RIGHT = 30, 48, 54


def read_rafdb(folder: str | Path, images: Literal["aligned", "original"] = "aligned", accept: bool = False) -> Source:
    """The rows of RAF-DB's list. The owner's landmarks belong to the original images and are read for them only.

    :param folder: holds basic/, or is it.
    :param accept: take counts that differ from the published ones, and leave out missing images.
    :raises FileNotFoundError, ValueError: one sentence with file, row and mend.
    """
    folder = Path(folder)
    need_folder(folder, f"RAF-DB's basic/ with {LABELS}")
    base = first_present(folder, f"basic/{LABELS}", LABELS)
    if base is None and images == "aligned" and all((folder / name).is_file() for name in LISTS):
        return _from_numbered_folders(folder, accept)
    if base is None:
        raise FileNotFoundError(f"{folder} holds neither basic/{LABELS} nor {LABELS}; unpack EmoLabel there.")
    listed = [_line(place, line) for place, line in read_lines(base)]
    check_once((stem for stem, _, _ in listed), str(base))
    stems, label, split = (list(part) for part in zip(*listed, strict=True)) if listed else ([], [], [])
    differing = check_counts(label, split, PUBLISHED, str(base), accept)
    inner = base.parents[1].relative_to(folder)
    ending = "_aligned.jpg" if images == "aligned" else ".jpg"
    names = [(inner / "Image" / images / f"{stem}{ending}").as_posix() for stem in stems]
    rows = pd.DataFrame({"name": names, "label": np.array(label, int), "split": split})
    source = Source("RAF-DB", folder, rows).noting(*(f"Published counts differ: {what}." for what in differing))
    if images == "original":
        source = _with_landmarks(source, base.parents[1] / "Annotation" / "manual", stems)
    return check_files(source, accept, str(base))


def _from_numbered_folders(folder: Path, accept: bool) -> Source:
    inner = "DATASET/" if (folder / "DATASET").is_dir() else ""
    parts = []
    for name, split in LISTS.items():
        file = folder / name
        table, _ = read_table(file, "image,label")
        if not {"image", "label"} <= set(table.columns):
            raise ValueError(f"{file} has no columns image and label; its header must be image,label.")
        check_once(table["image"], str(file))
        bad = np.flatnonzero(~table["label"].isin(list("1234567")))
        if len(bad):
            raise ValueError(f"{file} row {bad[0] + 1}: label {table['label'][bad[0]]!r} is not one of RAF-DB's 1..7.")
        names = inner + split + "/" + table["label"] + "/" + table["image"]
        parts.append(pd.DataFrame({"name": names, "label": table["label"].astype(int) - 1, "split": split}))
    rows = pd.concat(parts, ignore_index=True)
    differing = check_counts(rows["label"], rows["split"], PUBLISHED, str(folder), accept)
    source = Source("RAF-DB", folder, rows).noting(*(f"Published counts differ: {what}." for what in differing))
    return check_files(source, accept, f"{folder}: the lists,")


def _line(place: str, line: str) -> tuple[str, int, str]:
    """Stem, canonical label and split of one line."""
    name, _, number = line.strip().rpartition(" ")
    stem = name.strip().removesuffix(".jpg")
    split = stem.partition("_")[0]
    if split not in PUBLISHED or number not in set("1234567"):
        raise ValueError(f"{place}: {line.strip()!r} is not 'train_NUMBER.jpg' or 'test_NUMBER.jpg' and a label 1..7.")
    return stem, int(number) - 1, split


def _with_landmarks(source: Source, manual: Path, stems: list[str]) -> Source:
    files = [manual / f"{stem}_manu_attri.txt" for stem in stems]
    points = np.array([_five_points(file) if file.is_file() else np.full((5, 2), np.nan) for file in files])
    known = int(np.isfinite(points).all(axis=(1, 2)).sum())
    landmarks = np.full((len(stems), 68, 2), np.nan, np.float32)
    landmarks[:, [IBUG_NOSE, IBUG_MOUTH_LEFT, IBUG_MOUTH_RIGHT]] = points[:, 2:]
    eyes = points[:, :2] + 0.5  # the owner counts from the first pixel's centre, Source.eyes from its corner
    return replace(source, landmarks=landmarks, eyes=eyes).noting(
        f"The owner's five points are known for {known:,} of {len(stems):,} faces."
    )


def _five_points(file: Path) -> np.ndarray:
    lines = list(read_lines(file))[:5]
    try:
        points = np.array([line.split() for _, line in lines], float)
    except ValueError:
        points = np.empty(0)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"{file} does not begin with five lines 'x y'; unpack Annotation/manual again.")
    return points
