"""What every reader of a real dataset returns: one row a face, in the canonical order of emotions, images unread."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fercore.datasets.paths import inside
from fercore.emotions import NAMES

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
ALIASES = {
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "contemptuous": "contempt",
}
"""How datasets call emotions, beside our own names."""


@dataclass(frozen=True, eq=False)
class Source:
    """N faces of a dataset as its owner publishes it.

    dataset: its name.
    folder: where it lies; nothing is ever written there.
    rows: N rows: ``name`` (unique; for files the path below ``folder``), ``label`` (canonical number), ``split``, and
        whatever else is known, e.g. ``subject``. Columns are copied into faces.parquet.
    pixels: (N, H, W) uint8 grey images, if the dataset has no files.
    eyes: (N, 2, 2) image-left and image-right eye (x, y), or NaN; the first pixel's centre is (0.5, 0.5).
    boxes: (N, 4) x, y, width, height of the face, or NaN: faces are cut out by it if they are not aligned.
    landmarks: (N, 68, 2) pixels in iBUG order, the first pixel's centre at (0, 0), NaN where unknown.
    votes: (N, 8) how many annotators said each emotion, canonical order.
    left_out: why rows of the owner's list are not among the N, and how many.
    notes: sentences for the report.
    """

    dataset: str
    folder: Path
    rows: pd.DataFrame
    pixels: np.ndarray | None = None
    eyes: np.ndarray | None = None
    boxes: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    votes: np.ndarray | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def encoded(self, row: int) -> bytes:
        """The image as the bytes of a file: the owner's own, or a PNG of ``pixels``."""
        if self.pixels is None:
            return (self.folder / self.rows["name"].iat[row]).read_bytes()
        buffer = io.BytesIO()
        Image.fromarray(self.pixels[row]).save(buffer, "PNG")
        return buffer.getvalue()

    def select(self, keep: np.ndarray) -> Source:
        """These rows only: N bools, or row numbers."""
        arrays = ("pixels", "eyes", "boxes", "landmarks", "votes")
        parts = {name: None if getattr(self, name) is None else getattr(self, name)[keep] for name in arrays}
        rows = self.rows.loc[keep] if keep.dtype == bool else self.rows.iloc[keep]
        return replace(self, rows=rows.reset_index(drop=True), **parts)

    def without(self, reason: str, drop: np.ndarray) -> Source:
        """All rows but those that ``drop`` (N bools) marks; how many they were is kept under ``reason``."""
        if not drop.any():
            return self
        left_out = {**self.left_out, reason: self.left_out.get(reason, 0) + int(drop.sum())}
        return replace(self.select(~drop), left_out=left_out)

    def noting(self, *sentences: str) -> Source:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *sentences))


def emotion_number(text: str, where: str, extra: Mapping[str, int | None] | None = None) -> int | None:
    """An emotion's canonical number from its name in any case, an alias, or ``extra``; None: to be left out.

    :raises ValueError: an unknown name; the message names the place and the mend.
    """
    word = text.strip().lower()
    if extra and word in extra:
        return extra[word]
    word = ALIASES.get(word, word)
    if word not in NAMES:
        raise ValueError(
            f"{where}: {text!r} is no known emotion ({', '.join(NAMES)}); say what it means, e.g. "
            f"--classes {text.strip() or 'NAME'}=happiness, or {text.strip() or 'NAME'}=drop to leave it out."
        )
    return NAMES.index(word)


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder and its folders, sorted by path; hidden files (.DS_Store, ._a.jpg) do not count."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def check_counts(
    label: Iterable[int], split: Iterable[str], published: Mapping[str, Mapping[int, int]], where: str, accept: bool
) -> list[str]:
    """Compare labels with the published counts by split and class; returns what differs, one phrase each.

    :raises ValueError: something differs and ``accept`` is False.
    """
    found = Counter(zip(split, label, strict=True))
    wrong = [
        f"{name} {NAMES[number]}: {found[name, number]:,} instead of {count:,}"
        for name, counts in published.items()
        for number, count in counts.items()
        if found[name, number] != count
    ]
    if wrong and not accept:
        first = "; ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise ValueError(
            f"{where}: {len(wrong)} of the published counts differ ({first}); "
            "unpack the dataset again, or take it as it is with --accept."
        )
    return wrong


def check_once(names: Iterable[str], where: str) -> None:
    """Raises ValueError if a name is listed twice, naming both rows (counted from 1)."""
    seen: dict[str, int] = {}
    for row, name in enumerate(names, 1):
        if (first := seen.setdefault(name, row)) != row:
            raise ValueError(f"{where}: {name!r} is listed twice, in rows {first} and {row}; remove one of them.")


def check_files(
    source: Source, accept: bool, where: str, place: Callable[[int], str] = lambda row: f"row {row + 1}"
) -> Source:
    """Every file is there and inside the folder; with ``accept``, missing ones are left out and counted.

    :raises ValueError: a name leads out of the folder.
    :raises FileNotFoundError: a file is missing and ``accept`` is False.
    """
    missing = np.zeros(len(source), bool)
    for row, name in enumerate(source.rows["name"]):
        try:
            inside(source.folder, name, f"{where} {place(row)}")
        except FileNotFoundError as error:
            if not accept:
                hint = "unpack the dataset again, or leave missing images out with --accept."
                raise FileNotFoundError(f"{str(error).rstrip('.')}; {hint}") from None
            missing[row] = True
    return source.without("the image file is missing", missing)


def need_folder(folder: Path, what: str) -> Path:
    """``folder``; raises FileNotFoundError saying what it should hold if there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; --source must hold {what}.")
    return folder


def first_present(folder: Path, *names: str) -> Path | None:
    """The first of these names that exists below the folder."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def read_table(file: Path, header: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A table of text as spreadsheets write it: commas, semicolons or tabs, UTF-8 or else Latin-1; and what to note.

    :param header: its usual header, for the message.
    :raises ValueError: it is no table.
    """
    data = file.read_bytes()
    try:
        text, notes = data.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        notes = (f"{file.name} is not in UTF-8 and was read as Latin-1: look at names with accents.",)
    first = text.partition("\n")[0]
    separator = next((mark for mark in ",;\t" if mark in first), ",")
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skipinitialspace=True, sep=separator)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is no readable table with the header {header!r} ({reason}).") from error
    return table.rename(columns=str.strip), notes


def read_lines(file: Path) -> Iterator[tuple[str, str]]:
    """(place, text) of each line of a text file that is not blank; a byte order mark and Windows line ends are fine.

    :raises ValueError: it is no UTF-8 text.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not a text file in UTF-8; unpack it again.") from None
    yield from ((f"{file} line {number}", line) for number, line in enumerate(lines, 1) if line.strip())
