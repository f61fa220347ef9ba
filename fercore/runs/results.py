"""Results as data: every run is one row of a CSV file, from which tables and claims are computed."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd

from fercore.datasets.corruptions import canonical_condition
from fercore.datasets.identity import BLENDFER
from fercore.emotions import NAMES
from fercore.files import locked, write_together
from fercore.methods import PRESETS

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
WORDS = ("method", "condition", "preset", "commit", "torch", "device", "date", *TEXT)
"""All columns of text; every other one holds a number, or nothing."""
INSIGHT_COLUMNS = (*KEY, "name", "value", "commit")
"""Of the file beside it: what the methods made of their noisy training labels (``fercore.runs.insight``)."""
LOCK_PATIENCE = 20.0


def read_results(file: str | Path) -> pd.DataFrame:
    """All rows, empty if there is no file yet; ``variant`` is text, "" for a method's default.

    Raises ValueError if columns are missing, or naming the line that is torn, is no result, or is there twice.
    """
    file = Path(file)
    table = _read(file, COLUMNS)
    for row, cells in enumerate(table.to_dict("records")):
        _check_row(cells, f"{file} line {row + 2}")
    twice = table.duplicated(list(KEY)).to_numpy()
    if twice.any():
        raise ValueError(
            f"{file} line {int(twice.argmax()) + 2} is of a run that has a line already; remove one of them"
        )
    numbers = {name: pd.to_numeric(table[name]) for name in COLUMNS if name not in WORDS}
    return table.assign(**numbers)


def _read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """The cells as text, conditions as ``canonical_condition`` writes them, and what empty cells of TEXT mean."""
    if not file.exists():
        return pd.DataFrame(columns=list(columns), dtype=str)
    if not file.is_file():
        raise ValueError(f"{file} is no file of results; choose another --results file")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            header, *lines = [line for line in csv.reader(stream) if line]
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{file} is not a readable table of results ({error})") from error
    missing = [name for name in columns if name not in header and name not in ADDED]
    if missing:
        raise ValueError(f"{file} has no column {', '.join(missing)}; choose another --results file")
    for row, line in enumerate(lines):
        if len(line) != len(header):
            cells = f"{len(line)} cells, not {len(header)}"
            raise ValueError(f"{file} line {row + 2} has {cells}; mend the line or remove it")
    table = pd.DataFrame(lines, columns=header, dtype=str)
    for row, text in enumerate(table["condition"]):
        try:
            table.loc[row, "condition"] = canonical_condition(text)
        except ValueError as error:
            raise ValueError(f"{file} line {row + 2}: {error}") from error
    for name, meant in TEXT.items():
        if name in columns:
            table[name] = table[name].replace("", meant) if name in table else meant
    return table


def _check_row(cells: dict[str, str], place: str) -> None:
    for name in COLUMNS:
        if name not in WORDS and cells[name] and not _is_number(cells[name], whole=name == "seed"):
            raise ValueError(f"{place}: {name} is {cells[name]!r}, not a number; mend the line or remove it")
    if not (cells["seed"] and cells["method"]) or cells["preset"] not in PRESETS:
        raise ValueError(f"{place} does not say which method, preset and seed it is of; mend the line or remove it")
    if cells["date"] and not re.fullmatch(r"\d{4}-\d\d-\d\d", cells["date"]):
        raise ValueError(f"{place}: date is {cells['date']!r}, not like 2026-01-31; mend the line or remove it")


def _is_number(text: str, whole: bool) -> bool:
    try:
        return math.isfinite(int(text) if whole else float(text))
    except ValueError:
        return False


def with_defaults(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The table with those of ``columns`` (names in TEXT) that it lacks, and with their empty cells filled."""
    meant = {name: TEXT[name] for name in columns}
    return table.assign(**{name: value for name, value in meant.items() if name not in table}).fillna(meant)


def has_row(table: pd.DataFrame, key: dict[str, Any]) -> bool:
    """Whether a run with the same KEY is in the table already."""
    return bool(_same(table, key).any())


def _same(table: pd.DataFrame, key: dict[str, Any]) -> pd.Series:
    """(N,) bool, the rows of the run with this KEY."""
    wanted = {**{name: TEXT.get(name) for name in KEY}, **key}
    wanted["condition"] = canonical_condition(wanted["condition"])
    same = pd.Series(True, index=table.index)
    for name in KEY:
        same &= table[name].astype(str) == str(wanted[name])
    return same


def check_results(file: str | Path) -> None:
    """Raises what would keep a row from being written into ``file``, before anything is trained for it."""
    file = Path(file)
    with _lock(file):
        read_results(file)
        _read(insights_file(file), INSIGHT_COLUMNS)


def put_row(file: str | Path, row: dict[str, Any], insights: dict[str, float] | None = None) -> None:
    """Write one row (keys: COLUMNS; absent ones stay empty) in the place of an older one of its KEY, or as the last.

    insights: what ``fercore.runs.insight`` found out about the run, for the file beside it (``insights_file``), in the
    place of what is there of this run. Both files change or none; several processes may do so at once.
    Raises ValueError for an unknown column, or a file in which something is broken.
    """
    unknown = set(row) - set(COLUMNS)
    if unknown:
        raise ValueError(f"results have no column {', '.join(sorted(unknown))}")
    file, beside = Path(file), insights_file(file)
    row = {**TEXT, **row, "condition": canonical_condition(row["condition"])}
    key = {name: row[name] for name in KEY}
    with _lock(file):
        read_results(file)  # nothing is added to what is broken
        table, found = _read(file, COLUMNS), _read(beside, INSIGHT_COLUMNS)
        tables = {file: _replaced(table, key, [row], COLUMNS)}
        if insights or bool(_same(found, key).any()):
            lines = [{**key, "name": n, "value": v, "commit": row.get("commit")} for n, v in (insights or {}).items()]
            tables = {beside: _replaced(found, key, lines, INSIGHT_COLUMNS), **tables}
        write_together({path: _writer(table) for path, table in tables.items()})


def _replaced(table: pd.DataFrame, key: dict[str, Any], rows: list[dict], columns: tuple[str, ...]) -> pd.DataFrame:
    """The table with ``rows`` where the key's were, or behind all others."""
    new = pd.DataFrame([{name: _text(row.get(name)) for name in columns} for row in rows], columns=list(columns))
    same = _same(table, key).to_numpy()
    first = int(same.argmax()) if same.any() else len(table)
    parts = (table[:first], new, table[first:][~same[first:]])
    return pd.concat([part for part in parts if len(part)] or [new], ignore_index=True)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _writer(table: pd.DataFrame) -> Any:
    return lambda temporary: table.to_csv(temporary, index=False)


def insights_file(results: str | Path) -> Path:
    """``runs.csv`` has its insights in ``runs_insights.csv``."""
    results = Path(results)
    return results.with_name(f"{results.stem}_insights.csv")


def _lock(file: Path) -> AbstractContextManager[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return locked(
        file.with_name(f".{file.name}.lock"), f"{file} is in use", "choose another --results file", LOCK_PATIENCE
    )
