"""Where the repository is, and where a lesson keeps what it trains."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

import fercore
from fercore.datasets.identity import BLENDFER
from fercore.viz.rows import rows_of

REPOSITORY = "fercore/fercore"
"""Where the course lives on GitHub. The one place to change it: badges, Colab cells and the README are made from it."""
RUNS = "FERCORE_RUNS"
"""This environment variable, if set, names the folder for checkpoints and executed lessons."""


def find_root(start: Path | None = None) -> Path:
    """The clone that ``start`` (default: the current folder) lies in; raises FileNotFoundError outside of one."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks" / "src").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise FileNotFoundError(f"{start} is not inside a clone of fercore (no notebooks/src above it); cd into the clone")


def read_table(name: str, data: str = BLENDFER, recipe: str = "") -> pd.DataFrame:
    """A table of ``notebooks/results``: of the clone, or of the one that fercore was installed from, or from GitHub.

    Of results the rows on one dataset with one recipe, see ``rows_of``.
    """
    clones = [Path(fercore.__file__).parents[1]]
    with suppress(FileNotFoundError):
        clones.insert(0, find_root())
    files = [clone / "notebooks" / "results" / name for clone in clones]
    online = f"https://raw.githubusercontent.com/{REPOSITORY}/main/notebooks/results/{name}"
    try:
        table = pd.read_csv(next((file for file in files if file.is_file()), online))
    except OSError as error:
        raise FileNotFoundError(
            f"{name} is a table of notebooks/results, which comes with a clone of fercore and not with the package; "
            f"work in a clone, or be online ({error})"
        ) from error
    return rows_of(table, data, recipe).fillna({"variant": ""}) if "variant" in table else table


def runs_folder(*parts: str) -> Path:
    """``runs/PARTS`` of the clone, or of the current folder outside of one (as on Colab); made if it is new."""
    if chosen := os.environ.get(RUNS):
        base = Path(chosen)
    else:
        try:
            base = find_root() / "runs"
        except FileNotFoundError:
            base = Path.cwd() / "runs"
    folder = base.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
