"""Many experiments, one row each: every method under every condition with every seed."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from fercore.runs.environment import commit
from fercore.runs.experiment import Experiment, open_data, record, run_experiment
from fercore.runs.folder import was_cut_off
from fercore.runs.plan import is_here, read_plan
from fercore.runs.results import check_results, has_row, read_results
from fercore.training.progress import duration


def combinations(base: Experiment, methods: list[str], conditions: list[str], seeds: list[int]) -> list[Experiment]:
    """All combinations, methods varying fastest, so that an unfinished matrix still compares them fairly."""
    order = itertools.product(seeds, conditions, methods)
    return [replace(base, method=m, condition=c, seed=s) for s, c, m in order]


def run_plan(file: Path, results: Path, only: str = "") -> dict[str, object]:
    """Run what a plan lists (see ``read_plan``) and ``results`` lacks, first the models that others start from.

    Raises ValueError if nothing of it can be run here.
    """
    cells = [cell for cell in read_plan(file, only) if not cell.entry.dropped]
    absent = sorted({str(cell.experiment.data) for cell in cells if not is_here(cell)})
    cells = [cell for cell in cells if is_here(cell)]
    if absent:
        print(f"{', '.join(absent)} not here: the runs on it are left out; data_prep writes it", file=sys.stderr)
    starts = {cell.experiment.settings["weights"]: cell.start for cell in cells if cell.start is not None}
    return run_matrix([cell.experiment for cell in cells], results, starts=starts)


def run_matrix(
    experiments: list[Experiment], results: Path, on: str = "test", starts: Mapping[str, Experiment] | None = None
) -> dict[str, object]:
    """Run those that ``results`` does not hold yet, and add each one's row as soon as it is there.

    A run that was cut off goes on where it stood. ``on``: the split that is measured. ``starts``: the runs that make
    the files of weights that others start from; a file that is not there is made first.
    :return: done, skipped, seconds, results.
    """
    commit()  # of the code that runs, before anybody edits it
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ValueError("run does not work under torchrun or accelerate launch; use train, one run at a time")
    start = time.monotonic()
    check_results(results)
    table = read_results(results)
    experiments = list({tuple(experiment.key.values()): experiment for experiment in experiments}.values())
    missing = [experiment for experiment in experiments if not has_row(table, experiment.key)]
    skipped = len(experiments) - len(missing)
    print(f"{len(missing)} runs to do, {skipped} in {results} already; {_estimate(missing, table)}", file=sys.stderr)
    opened, faces = None, None
    for number, experiment in enumerate(missing, start=1):
        if has_row(read_results(results), experiment.key):  # another command's, meanwhile
            continue
        start_file = experiment.settings.get("weights")
        if start_file in (starts or {}) and not Path(start_file).exists():
            first = starts[start_file]
            run_experiment(first, first.folder, was_cut_off(first.folder), reuse=True)
        if opened != (experiment.data, experiment.classes):
            opened = (experiment.data, experiment.classes)
            faces = open_data(*opened)
        folder = experiment.folder
        try:
            # A finished one may be older code's: then it is trained again.
            result = run_experiment(experiment, folder, was_cut_off(folder), faces=faces, on=on, reuse=True)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the rows that are there stay; the same command goes on from here") from None
        record(result, results)
        left = (time.monotonic() - start) / number * (len(missing) - number)
        name = "-".join(str(value) for value in experiment.key.values() if value != "")
        print(
            f"{number}/{len(missing)} {name}: overall {result['overall']:.3f}, mean {result['mean']:.3f}; "
            f"about {duration(left)} left",
            file=sys.stderr,
        )
    return {
        "done": len(missing),
        "skipped": skipped,
        "seconds": round(time.monotonic() - start, 2),
        "results": str(results),
    }


def _estimate(missing: list[Experiment], table: pd.DataFrame) -> str:
    """The time all of it will take, from the same methods' rows; the first run tells where there are none."""
    known = table.groupby(["method", "preset"])["seconds"].median() if len(table) else {}
    times = [known[key] for e in missing if (key := (e.method, e.preset)) in known]
    if not missing:
        return "nothing to wait for"
    if not times:
        return "the time is told after the first run"
    return f"about {duration(sum(times) / len(times) * len(missing))}"
