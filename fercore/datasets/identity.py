"""What results call a dataset, so that two folders of the same name are told apart."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from fercore.datasets.table import faces_file

BLENDFER = "blendfer"
"""The name of the dataset that comes along."""


def data_name(folder: Path | None) -> str:
    """``blendfer`` for None; else NAME@FINGERPRINT, the latter 8 digits that tell this faces.parquet from all others.

    The name is the one that data_prep noted (rafdb, ferplus ...); of a folder of one's own it is the folder's.
    Raises FileNotFoundError if there is no faces.parquet.
    """
    if folder is None:
        return BLENDFER
    file, known = faces_file(folder), noted_name(folder)
    name = folder.resolve().name if known in (None, "folder") else known
    facts = file.stat()
    return f"{name}@{_digest(file.resolve(), facts.st_size, facts.st_mtime_ns)[:8]}"


def noted_name(folder: Path) -> str | None:
    """The name that data_prep gave the dataset, None if none."""
    file = folder / "summary.json"
    return json.loads(file.read_text(encoding="utf-8")).get("dataset") if file.is_file() else None


@cache
def _digest(file: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, read once for as long as it stays as it is."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
