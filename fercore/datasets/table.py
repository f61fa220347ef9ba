"""``faces.parquet``: read, checked, and taken apart into columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fercore.datasets import checks
from fercore.datasets.paths import inside
from fercore.emotions import NAMES

FILE = "faces.parquet"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Images:
    """Encoded images by row: bytes in a column, or paths below a folder."""

    column: pa.ChunkedArray
    file: Path
    rows: np.ndarray
    encoded: bool

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[bytes | Path, str]:
        """The image at this position, and how to call it in an error message."""
        row = int(self.rows[position])
        name = f"{self.file} row {row}"
        value = self.column[row].as_py()
        if value is None:
            raise ValueError(f"{name}: there is no image.")
        if self.encoded:
            return value, f"{name}: image"
        return inside(self.file.parent, value, name), f"{name}: {value}"


@dataclass(frozen=True)
class Columns:
    """The checked columns of M rows: see ``FaceDataset`` for shapes; ``rest`` holds every other column."""

    file: Path
    images: Images
    label: np.ndarray
    split: np.ndarray
    subject: np.ndarray | None
    landmarks: np.ndarray | None
    distribution: np.ndarray | None
    votes: np.ndarray | None
    rest: pd.DataFrame

    def select(self, rows: np.ndarray) -> Columns:
        """These rows only; the images stay encoded."""
        arrays = ("label", "split", "subject", "landmarks", "distribution", "votes")
        changes = {name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in arrays}
        images = replace(self.images, rows=self.images.rows[rows])
        return replace(self, images=images, rest=self.rest.iloc[rows].reset_index(drop=True), **changes)


def faces_file(folder: Path) -> Path:
    """``folder/faces.parquet``. Raises FileNotFoundError if there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder.")
    if not (folder / FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {FILE}; data_prep writes one for each real dataset.")
    return folder / FILE


def classes_in(folder: Path) -> int:
    """How many classes a dataset has: 8 if any face is labelled contempt, else 7. Raises as ``read_columns`` does."""
    file = faces_file(folder)
    try:
        label = pq.read_table(file, columns=["label"])["label"]
    except (pa.ArrowException, OSError) as error:
        read_columns(folder)  # says what is wrong
        raise ValueError(f"{file} is not a readable parquet file.") from error
    return 8 if NAMES.index("contempt") in label.to_pylist() else 7


def read_columns(folder: Path) -> Columns:
    """Read ``folder/faces.parquet`` and check all but the images. Raises as ``FaceDataset.open`` says."""
    file = faces_file(folder)
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())  # some of Arrow's run over several lines
        raise ValueError(f"{file} is not a readable parquet file ({reason}).") from error
    where, found = str(file), set(table.column_names)
    for name in ("label", "split"):
        if name not in found:
            raise ValueError(f"{where} has no column {name!r}; it has {', '.join(sorted(found)) or 'none'}.")
    encoded = "image" in found
    if not encoded and "path" not in found:
        raise ValueError(f"{where} has neither a column 'image' (encoded bytes) nor 'path'.")
    if not table.num_rows:
        raise ValueError(f"{where} has no rows.")
    column = table["image" if encoded else "path"]
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (binary if encoded else text):
        what = "'image' must hold encoded bytes" if encoded else "'path' must hold text"
        raise ValueError(f"{where}: column {what}, not {column.type}.")
    special = {"label", "split", "subject", "landmarks", "distribution", "votes", "image" if encoded else "path"}
    landmarks = _lists(table, "landmarks", 136, where)
    distribution = _lists(table, "distribution", len(NAMES), where)
    votes = _lists(table, "votes", len(NAMES), where)
    return Columns(
        file=file,
        images=Images(column, file, np.arange(table.num_rows), encoded),
        label=checks.check_labels(table["label"].to_numpy(), NAMES, where),
        split=checks.check_splits(np.array(table["split"].to_pylist(), dtype=object), SPLITS, where),
        subject=np.array(table["subject"].to_pylist()) if "subject" in found else None,
        landmarks=None if landmarks is None else checks.check_landmarks(landmarks.reshape(-1, 68, 2), where),
        distribution=None if distribution is None else checks.check_distribution(distribution, where),
        votes=None if votes is None else checks.check_votes(votes, where),
        rest=table.drop_columns(sorted(found & special)).to_pandas(),
    )


def _lists(table: pa.Table, name: str, width: int, where: str) -> np.ndarray | None:
    """A column of lists (nested ones flattened) as (N, width) float64; an absent list is NaN throughout."""
    if name not in table.column_names:
        return None
    column = table[name].combine_chunks()
    known = ~np.asarray(column.is_null())
    flat = column.drop_null()
    owner = np.arange(len(flat))  # which row each of the flat values belongs to
    while pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
        owner = owner[pc.list_parent_indices(flat).to_numpy()]
        flat = pc.list_flatten(flat)
    if not (pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type)):
        raise ValueError(f"{where}: column {name!r} must hold lists of numbers, not {column.type}.")
    lengths = np.bincount(owner, minlength=int(known.sum()))
    bad = np.flatnonzero(lengths != width)
    if len(bad):
        row = np.flatnonzero(known)[bad[0]]
        raise ValueError(f"{where}, row {row}: {name} holds {lengths[bad[0]]} numbers instead of {width}.")
    values = np.full((len(column), width), np.nan)
    values[known] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    return values
