"""The state of the plan as Markdown: the README's headline, and the whole of it in notebooks/results/README.md."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from fercore.runs.plan import Cell, keys, read_plan
from fercore.runs.results import KEY, read_results
from fercore.viz.claims import Claim, difference
from fercore.viz.rows import rows_of
from fercore.viz.tables import summarise

HEADLINE = "headline"
"""The tag of the entries in the README's table: the first method is the one that the others are compared with."""
INTRODUCTION = """# Results as data

`runs.csv` holds a row a run: what was trained, on what, both accuracies and each class's recall on the test split, the
time, the code's commit, the machine. `runs_insights.csv` holds what the methods made of their noisy training labels.
`plan.toml` lists the runs there are to be, and why. `make results` runs what is missing: stopped, it goes on where it
stood; `python -m fercore run --plan notebooks/results/plan.toml --only TAG` runs one table's. The first seed of every
table comes before the second of any.

`*_validation.csv` are logs of searches: settings tried on the validation split, from which the defaults were chosen.
They are no part of the plan. `lessons.csv` holds the lessons' times, `photos.csv` how models do on photographs.

Below, accuracies are in percent with their 95 % intervals over seeds. State: **done** (all planned seeds), *n of m*
(more are missing), **missing**, or *dropped*, with the reason. Made by `python -m notebooks.tools readme`.
"""


def results_file(root: Path) -> Path:
    """Where the page of all results lies."""
    return root / "notebooks" / "results" / "README.md"


def page(root: Path) -> str:
    """notebooks/results/README.md: every entry of the plan with each of its cells and their states."""
    cells, runs = _read(root)
    done, parts = keys(runs), [INTRODUCTION]
    for entry, group in _grouped(cells, lambda cell: id(cell.entry)):
        lines = [f"## {', '.join(entry.tags)}: {entry.why}", ""]
        lines += [f"Dropped: {entry.dropped}.", ""] if entry.dropped else []
        lines += ["| method | condition | data | preset, recipe | overall | mean | seeds | state |", "|---" * 8 + "|"]
        for _, same in _grouped(group, lambda cell: _without_seed(cell.key)):
            lines.append(_row(same, runs, done))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def headline(root: Path) -> str:
    """A row a method and condition of the entries tagged ``headline``: the gain over the entry's first method."""
    if not (root / "notebooks" / "results" / "plan.toml").is_file():
        return "No results yet: `make results` measures the first."
    cells, runs = _read(root)
    done = keys(runs)
    lines = ["| condition | method | overall / mean | baseline | gain in mean accuracy (seeds) |", "|---" * 5 + "|"]
    for _, group in _grouped([c for c in cells if HEADLINE in c.entry.tags], lambda cell: id(cell.entry)):
        rival, where = group[0].experiment, (group[0].entry.data, group[0].experiment.recipe_name)
        pairs = sorted({(cell.experiment.condition, cell.experiment.method) for cell in group}, key=_place(group))
        for condition, method in pairs:
            if method == rival.method:
                continue
            claim = Claim("", "", None, method, condition, rival.variant, rival.method, rival.variant, "mean", *where)
            gain, half, seeds = difference(claim, runs, rival.preset)
            there = [
                c.key in done for c in group if (c.experiment.condition, c.experiment.method) == (condition, method)
            ]
            number = "not measured yet" if np.isnan(gain) else f"{gain:+.1f}"
            spread = "" if np.isnan(half) else f" ± {half:.1f}"
            count = f"{seeds}" if seeds == len(there) else f"{seeds} of {len(there)}"
            both = (_rows(runs, name, rival.variant, condition, rival.preset) for name in (method, rival.method))
            own, theirs = (_accuracies(rows, *where) for rows in both)
            start = f", from {rival.variant.removeprefix('weights=')}" if rival.variant else ""
            lines.append(f"| {condition} | {method}{start} | {own} | {theirs} | {number}{spread} ({count}) |")
    return "\n".join(lines)


def _read(root: Path) -> tuple[list[Cell], pd.DataFrame]:
    results = root / "notebooks" / "results"
    return read_plan(results / "plan.toml"), read_results(results / "runs.csv")


def _grouped(cells: Iterable[Cell], by) -> list[tuple]:
    """(entry, its cells) in the plan's order, whatever the seeds' order is."""
    cells, first = list(cells), {}
    for place, cell in enumerate(cells):
        first.setdefault(by(cell), place)
    ordered = sorted(cells, key=lambda cell: first[by(cell)])
    return [(group[0].entry, group) for group in (list(found) for _, found in groupby(ordered, by))]


def _without_seed(key: tuple) -> tuple:
    return tuple(value for name, value in zip(KEY, key, strict=True) if name != "seed")


def _place(group: list[Cell]):
    order = [(cell.experiment.condition, cell.experiment.method) for cell in group]
    return order.index


def _rows(runs: pd.DataFrame, method: str, variant: str, condition: str, preset: str) -> pd.DataFrame:
    chosen = (runs["method"] == method) & (runs["variant"] == variant) & (runs["condition"] == condition)
    return runs[chosen & (runs["preset"] == preset)]


def _accuracies(rows: pd.DataFrame, data: str, recipe: str) -> str:
    summary = summarise(rows, data, recipe)
    if summary.empty:
        return "not measured yet"
    return f"{100 * summary['overall'].iloc[0]:.1f} / {100 * summary['mean'].iloc[0]:.1f}"


def _row(same: list[Cell], runs: pd.DataFrame, done: set[tuple]) -> str:
    """One line of the page: the seeds of one method under one condition."""
    cell, there = same[0], sum(cell.key in done for cell in same)
    experiment, entry = cell.experiment, cell.entry
    recipe = experiment.recipe_name
    rows = _rows(runs, experiment.method, experiment.variant, experiment.condition, entry.preset)
    rows = rows_of(rows, entry.data, recipe)
    rows = rows[rows["seed"].isin([cell.experiment.seed for cell in same])]
    numbers = ["not measured", "not measured"]
    if len(rows):
        found = summarise(rows, entry.data, recipe).iloc[0]
        numbers = [_number(found[score], found[f"{score}_pm"]) for score in ("overall", "mean")]
    absent = "dropped" if entry.dropped else "missing"
    state = "**done**" if there == len(same) else f"**{absent}**" if there == 0 else f"{absent}: {len(same) - there}"
    name = f"{experiment.method} ({experiment.variant})" if experiment.variant else experiment.method
    how = f"{entry.preset}, {recipe or 'its own'}"
    parts = [name, experiment.condition, entry.data, how, *numbers, f"{there} of {len(same)}", state]
    return f"| {' | '.join(parts)} |"


def _number(value: float, half: float) -> str:
    return f"{100 * value:.1f}" + ("" if np.isnan(half) else f" ± {100 * half:.1f}")
