"""AffectNet (http://mohammadmahoor.com/affectnet/), manually annotated images, in both published layouts.

Lists: ``training.csv`` and ``validation.csv`` (also inside ``Manually_Annotated_file_lists/``), with or without header,
columns as in ``COLUMNS``; image files below ``Manually_Annotated_Images/``, whole photographs with the face's box.
Arrays: ``train_set/`` and ``val_set/``, each with ``images/0.jpg`` (faces of 224 x 224) and ``annotations/0_exp.npy``,
``0_lnd.npy`` (68 points). The owner's test labels are not public, so its validation set, 500 faces a class, is our test
split, as in all papers; our val split is held out from training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Literal

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from data_prep.folder import read_folder
from data_prep.source import Source, check_counts, check_files, check_once, first_present, need_folder
from fercore.emotions import index_of

ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The owner's numbers 0..7; 8, 9 and 10 have no usable expression."""
CANONICAL = np.array([index_of(name) for name in ORDER])
UNUSABLE = {8: "AffectNet's 'none'", 9: "AffectNet's 'uncertain'", 10: "AffectNet's 'no face'"}
COLUMNS = (
    "subDirectory_filePath",
    *("face_x", "face_y", "face_width", "face_height"),
    "facial_landmarks",
    "expression",
    *("valence", "arousal"),
)
LISTS = {"training.csv": "train", "validation.csv": "test"}
SETS = {"train_set": "train", "val_set": "test"}
TRAIN = (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750)
TEST_LISTS = (500,) * 8
TEST_ARRAYS = (500,) * 7 + (499,)
"""Published counts in the owner's order; the arrays come with 3,999 validation faces, one of contempt fewer."""
CHUNK = 20_000


def read_affectnet(folder: str | Path, classes: Literal[7, 8] = 8, accept: bool = False) -> Source:
    """AffectNet from whichever layout the folder holds; rows without a usable expression are left out and counted.

    :param classes: 7 leaves out contempt.
    :param accept: take counts that differ from the published ones, leave out missing and repeated images.
    :raises FileNotFoundError, ValueError: one sentence with file, row and mend.
    """
    folder = Path(folder)
    need_folder(folder, "training.csv and validation.csv, or train_set/ and val_set/")
    kinds = {path.name for path in (folder / "train").glob("*") if path.is_dir()}
    if kinds and first_present(folder, *LISTS) is None:
        return _from_class_folders(folder, kinds, classes, accept)
    if first_present(folder, *SETS) is not None:
        source, test = _from_arrays(folder), TEST_ARRAYS
    else:
        source, test = _from_lists(folder), TEST_LISTS
    source.rows["label"] = CANONICAL[source.rows["label"]]
    published = {"train": dict(zip(CANONICAL, TRAIN, strict=True)), "test": dict(zip(CANONICAL, test, strict=True))}
    differing = check_counts(source.rows["label"], source.rows["split"], published, str(folder), accept)
    source = source.noting(*(f"Published counts differ: {what}." for what in differing))
    if classes == 7:
        source = source.without("contempt, with 7 classes", (source.rows["label"] == 7).to_numpy())
    if accept:
        source = source.without("listed twice", source.rows["name"].duplicated().to_numpy())
    check_once(source.rows["name"], f"{folder}: the lists")
    return check_files(source, accept, f"{folder}: the lists,")


def _from_class_folders(folder: Path, kinds: set[str], classes: int, accept: bool) -> Source:
    """AffectNet as it is passed on: train/ and val/ with a folder a class, read as ``folder`` reads them."""
    if all(kind.isdecimal() for kind in kinds):
        raise ValueError(
            f"{folder}/train has numbered classes, of which two orders circulate: AffectNet's own (0 = neutral, "
            "1 = happiness ...) and the alphabetical one (0 = anger, 1 = contempt ...); look at some faces, then say "
            "which it is: python -m data_prep folder ... --classes 0=neutral 1=happiness 2=sadness and so on."
        )
    source = read_folder(folder, accept=accept)
    return (
        source.without("contempt, with 7 classes", (source.rows["label"] == 7).to_numpy()) if classes == 7 else source
    )


def eyes_of(landmarks: np.ndarray) -> np.ndarray:
    """(N, 68, 2) iBUG landmarks -> (N, 2, 2) centres of both eyes, the first pixel's centre at (0.5, 0.5)."""
    return np.stack([landmarks[:, 36:42].mean(axis=1), landmarks[:, 42:48].mean(axis=1)], axis=1) + 0.5


def _from_lists(folder: Path) -> Source:
    inner = first_present(folder, "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
    lists = inner if inner is not None and not (folder / "training.csv").exists() else folder
    parts, left_out = [], Counter()
    for name, split in LISTS.items():
        if not (lists / name).is_file():
            raise FileNotFoundError(f"{folder} holds neither {name} nor train_set/; unpack AffectNet's lists there.")
        for first, table in _chunks(lists / name):
            parts.append(_list_part(folder, lists / name, first, table, split, left_out))
    rows = pd.concat([part[0] for part in parts], ignore_index=True)
    boxes, landmarks = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return Source(
        "AffectNet", folder, rows, boxes=boxes, landmarks=landmarks, eyes=eyes_of(landmarks), left_out=left_out
    )


def _chunks(file: Path) -> Iterator[tuple[int, pd.DataFrame]]:
    """Number of the first row, from 1, and the next CHUNK rows as text: the landmarks of all would take 400 MB."""
    with file.open(encoding="utf-8-sig") as stream:
        header = 0 if stream.readline().startswith(COLUMNS[0]) else None
    reader = pd.read_csv(
        file, header=header, names=COLUMNS, dtype=str, keep_default_na=False, chunksize=CHUNK, encoding="utf-8-sig"
    )
    try:
        yield from ((1 + k * CHUNK, table.reset_index(drop=True)) for k, table in enumerate(reader))
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no readable table ({' '.join(str(error).split())}).") from error


def _list_part(
    folder: Path, file: Path, first: int, table: pd.DataFrame, split: str, left_out: Counter
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows, boxes (K, 4) and landmarks (K, 68, 2) of the K usable rows of one chunk; its first row is ``first``.

    The others are counted in ``left_out`` here, so that their landmarks are never held.
    """
    table = table.set_index(f"{file} row " + (table.index + first).astype(str))
    label = np.array([_number(text, place) for place, text in table["expression"].items()], int)
    left_out.update(UNUSABLE[number] for number in label[label > 7])
    table, label = table[label <= 7], label[label <= 7]
    root = first_present(folder, "Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images") or folder
    below = root.relative_to(folder)
    names = [_below_root(text, below) for text in table["subDirectory_filePath"]]
    boxes = table[["face_x", "face_y", "face_width", "face_height"]].apply(pd.to_numeric, errors="coerce")
    landmarks = np.array([_points(text, place) for place, text in table["facial_landmarks"].items()], np.float32)
    rows = pd.DataFrame({"name": names, "label": label, "split": split})
    return rows.assign(**_affect(table)), boxes.to_numpy(np.float32), landmarks.reshape(-1, 68, 2)


def _affect(table: pd.DataFrame) -> dict[str, np.ndarray]:
    columns = table[["valence", "arousal"]].apply(pd.to_numeric, errors="coerce")
    return {name: columns[name].to_numpy(np.float32) for name in columns}


def _below_root(text: str, below: Path) -> str:
    """The path below the source; of an absolute one the last two parts, which is how the owner names images."""
    path = PureWindowsPath(text)  # reads both kinds of slash
    parts = path.parts[-2:] if path.root else path.parts
    return below.joinpath(*parts).as_posix()


def _number(text: str, where: str) -> int:
    number = int(text) if text.strip().isdecimal() else -1
    if not 0 <= number <= 10:
        raise ValueError(f"{where}: expression {text!r} is not one of AffectNet's 0..10; take the list as published.")
    return number


def _points(text: str, where: str) -> np.ndarray:
    """(68, 2) from 'x;y;x;y;...', NaN if the owner found none."""
    if text.strip() in ("", "NULL"):
        return np.full((68, 2), np.nan, np.float32)
    try:
        return np.array(text.split(";"), np.float32).reshape(68, 2)
    except ValueError:
        raise ValueError(f"{where}: facial_landmarks must be 136 numbers with ';' between.") from None


def _from_arrays(folder: Path) -> Source:
    names, label, split, landmarks, left_out = [], [], [], [], Counter()
    for inner, part in SETS.items():
        found = sorted((folder / inner / "annotations").glob("*_exp.npy"), key=lambda p: (len(p.name), p.name))
        if not found:
            raise FileNotFoundError(f"{folder} holds no {inner}/annotations/*_exp.npy; unpack both sets there.")
        for file in tqdm(found, desc=inner, unit="face"):
            stem, number = file.name.removesuffix("_exp.npy"), _number(str(_array(file).reshape(-1)[0]), str(file))
            if number in UNUSABLE:
                left_out[UNUSABLE[number]] += 1
                continue
            names.append(f"{inner}/images/{stem}.jpg")
            label.append(number)
            landmarks.append(_landmark_file(file.with_name(f"{stem}_lnd.npy")))
            split.append(part)
    rows = pd.DataFrame({"name": names, "label": label, "split": split})
    points = np.stack(landmarks)
    return Source("AffectNet", folder, rows, landmarks=points, eyes=eyes_of(points), left_out=left_out)


def _landmark_file(file: Path) -> np.ndarray:
    if not file.is_file():
        return np.full((68, 2), np.nan, np.float32)
    values = _array(file)
    if values.size != 136:
        raise ValueError(f"{file} holds {values.size} numbers instead of 136; unpack the annotations again.")
    return values.reshape(68, 2).astype(np.float32)


def _array(file: Path) -> np.ndarray:
    """Without pickles, which could run code; an empty array is refused."""
    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file} is no plain .npy file; unpack the annotations again.") from error
    if not values.size:
        raise ValueError(f"{file} is empty; unpack the annotations again.")
    return values
