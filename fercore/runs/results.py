"""Results as data: every run is one row of a CSV file, from which tables and claims are computed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fercore.datasets.identity import BLENDFER
from fercore.emotions import NAMES
from fercore.files import write_atomically

KEY = ("method", "variant", "condition", "preset", "seed", "data", "recipe")
"""What makes two runs the same run. data: see ``data_name``; recipe: "" is the preset's own."""
COLUMNS = (
    *KEY,
    "overall",
    "mean",
    *(f"recall_{name}" for name in NAMES),
    "ece",
    "js_truth",
    "seconds",
    "params",
    "commit",
    "torch",
    "device",
    "date",
    "warning",
)
ADDED = {"data": BLENDFER, "recipe": "", "warning": ""}
"""Columns that older files lack, with what their rows then have. warning: what is wrong with the figures."""
TEXT = {"variant": "", **ADDED}
"""Columns of text, with what an empty cell means."""
INSIGHT_COLUMNS = (*KEY, "name", "value", "commit")
"""Of the file beside it: what the methods made of their noisy training labels (``fercore.runs.insight``)."""
LOCK_PATIENCE = 20.0


def read_results(file: str | Path) -> pd.DataFrame:
    """All rows, empty if there is no file yet; ``variant`` is text, "" for a method's default.

    Raises ValueError if columns are missing or a row is broken.
    """
    file = Path(file)
    if not file.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        table = pd.read_csv(file, dtype={**dict.fromkeys(TEXT, str), "commit": str, "torch": str, "date": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a readable table of results ({error})") from error
    missing = [name for name in COLUMNS if name not in table.columns and name not in ADDED]
    if missing:
        raise ValueError(f"{file} has no column {', '.join(missing)}; choose another --results file")
    return with_defaults(table, TEXT)


def with_defaults(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The table with those of ``columns`` (names in TEXT) that it lacks, and with their empty cells filled."""
    meant = {name: TEXT[name] for name in columns}
    return table.assign(**{name: value for name, value in meant.items() if name not in table}).fillna(meant)


def has_row(table: pd.DataFrame, key: dict[str, Any]) -> bool:
    """Whether a run with the same KEY is in the table already."""
    same = pd.Series(True, index=table.index)
    for name in KEY:
        same &= table[name] == key[name]
    return bool(same.any())


def append_row(file: str | Path, row: dict[str, Any]) -> None:
    """Add one row (keys: COLUMNS; absent ones stay empty), whole or not at all; several processes may do so at once.

    Raises ValueError for an unknown column.
    """
    unknown = set(row) - set(COLUMNS)
    if unknown:
        raise ValueError(f"results have no column {', '.join(sorted(unknown))}")
    file = Path(file)
    with _lock(file):
        _append(file, pd.DataFrame([TEXT | row], columns=list(COLUMNS)), read_results(file))


def insights_file(results: str | Path) -> Path:
    """``runs.csv`` has its insights in ``runs_insights.csv``."""
    results = Path(results)
    return results.with_name(f"{results.stem}_insights.csv")


def append_insights(results: str | Path, key: dict[str, Any], insights: dict[str, float], commit: str) -> None:
    """Add what ``fercore.runs.insight`` found out about the run ``key`` to the file beside ``results``, a row each."""
    if not insights:
        return
    rows = [{**ADDED, **key, "name": name, "value": value, "commit": commit} for name, value in insights.items()]
    file = insights_file(results)
    with _lock(file):
        old = pd.read_csv(file, dtype=dict.fromkeys((*TEXT, "commit"), str)) if file.exists() else pd.DataFrame()
        old = with_defaults(old, set(TEXT) & set(INSIGHT_COLUMNS))
        _append(file, pd.DataFrame(rows, columns=list(INSIGHT_COLUMNS)), old)


def _append(file: Path, new: pd.DataFrame, old: pd.DataFrame) -> None:
    table = new if old.empty else pd.concat([old, new], ignore_index=True)
    write_atomically(file, lambda temporary: table.to_csv(temporary, index=False, float_format="%.6g"))


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Only one process at a time: whoever creates the lock file. Raises OSError if another keeps it too long."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    start = time.monotonic()
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            if time.monotonic() - start > LOCK_PATIENCE:
                raise OSError(f"{lock} is held by another run; if none is running, remove it") from None
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)
        lock.unlink()
