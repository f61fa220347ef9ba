"""The plan of the experiments as data: a TOML file that lists the runs there are to be, and why."""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fercore.datasets.identity import BLENDFER
from fercore.runs.experiment import Experiment
from fercore.runs.results import KEY
from fercore.training.checkpoints import MODEL

START = "run:"
"""Before the name of an entry whose models the runs start from, each from the one of its own seed."""


@dataclass(frozen=True)
class Entry:
    """Runs that belong together: every method under every condition with each of the settings, seeds 0 to seeds - 1.

    why: a sentence. tags: the tables that rest on it. name: by which ``weights = "run:NAME"`` means its models.
    data: a name of the plan's table ``data``; BlendFER by default. settings: of the methods, one table or several.
    weights: where the backbones start, as ``--weights``, or ``run:NAME``. training: fields of the recipe.
    variant: what results call it; by default its deviations. dropped: why what is not there yet is not to be.
    """

    why: str
    tags: list[str]
    methods: list[str]
    conditions: list[str]
    seeds: int
    name: str = ""
    data: str = BLENDFER
    classes: int = 7
    preset: str = "quick"
    recipe: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    settings: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    weights: str = ""
    variant: str = ""
    dropped: str = ""


@dataclass(frozen=True)
class Cell:
    """One run of an entry. start: the run whose model it starts from, or None."""

    entry: Entry
    experiment: Experiment
    start: Experiment | None

    @property
    def key(self) -> tuple:
        """As results have it, but for the dataset's fingerprint: its folder need not be there."""
        key = replace(self.experiment, data=None).key | {"data": self.entry.data}
        return tuple(key[name] for name in KEY)


def keys(runs: pd.DataFrame) -> set[tuple]:
    """The rows of a table of results, called as ``Cell.key`` calls them."""
    known = runs.assign(data=runs["data"].map(lambda name: name.partition("@")[0]))
    return set(known[list(KEY)].itertuples(index=False, name=None))


def read_plan(file: Path, only: str = "") -> list[Cell]:
    """The runs of a plan, or those with the tag ``only``: the first seed of all of them, then the second of all, ...

    So every table is complete with k seeds before any gets the next one. A run that is listed twice counts once.
    Raises ValueError naming the file, the entry and what is wrong with it.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not TOML ({error})") from error
    folders = {BLENDFER: None, **{name: Path(folder) for name, folder in content.get("data", {}).items()}}
    entries = []
    for number, values in enumerate(content.get("runs", []), start=1):
        try:
            entries.append(_entry(values, folders))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file}, entry {number}: {error}") from error
    named = {entry.name: entry for entry in entries if entry.name}
    cells: dict[tuple, Cell] = {}
    for seed in range(max((entry.seeds for entry in entries), default=0)):
        for number, entry in enumerate(entries, start=1):
            if seed < entry.seeds:
                try:
                    found = _cells(entry, seed, folders, named)
                except ValueError as error:
                    raise ValueError(f"{file}, entry {number}: {error}") from error
                for cell in found:
                    cells.setdefault(cell.key, cell)
    chosen = [cell for cell in cells.values() if not only or only in cell.entry.tags]
    if not chosen:
        tags = sorted({tag for entry in entries for tag in entry.tags})
        raise ValueError(f"{file} has no runs with the tag {only!r}; its tags are {', '.join(tags)}")
    return chosen


def _entry(values: dict[str, Any], folders: dict[str, Path | None]) -> Entry:
    known = {f.name for f in fields(Entry)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    if isinstance(values.get("settings"), dict):
        values = values | {"settings": [values["settings"]]}
    entry = Entry(**values)
    if not (entry.why and entry.tags and entry.methods and entry.conditions and entry.seeds > 0):
        raise ValueError("why, tags, methods, conditions and seeds must not be empty")
    if entry.data not in folders:
        raise ValueError(f"data {entry.data!r} is not in the table data, which has {', '.join(folders)}")
    return entry


def _cells(entry: Entry, seed: int, folders: dict[str, Path | None], named: dict[str, Entry]) -> list[Cell]:
    made, start, weights, variant = [], None, {}, {}
    if entry.weights.startswith(START):
        name = entry.weights.removeprefix(START)
        if name not in named:
            raise ValueError(f"weights {entry.weights!r}: no entry has the name {name!r}")
        (start_cell, *more) = _cells(named[name], seed, folders, named)
        if more or seed >= named[name].seeds:
            raise ValueError(f"weights {entry.weights!r}: entry {name!r} must have one run of each seed, {seed} too")
        start = start_cell.experiment
        weights, variant = {"weights": str(start.folder / MODEL)}, {"weights": name}
    elif entry.weights:
        weights = {"weights": None if entry.weights == "none" else entry.weights}
        variant = weights
    for condition, method, settings in itertools.product(entry.conditions, entry.methods, entry.settings):
        text = ",".join(f"{key}={value}" for key, value in {**variant, **settings, **entry.training}.items())
        experiment = Experiment(
            method,
            condition,
            entry.preset,
            seed,
            entry.classes,
            folders[entry.data],
            weights | settings,
            entry.training,
            entry.variant or (text if start else ""),
            entry.recipe,
        )
        made.append(Cell(entry, experiment, start))
    return made


def is_here(cell: Cell) -> bool:
    """Whether its dataset is on this machine."""
    return not isinstance(cell.experiment.data, Path) or cell.experiment.data.is_dir()
