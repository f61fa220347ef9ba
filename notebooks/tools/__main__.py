"""``python -m notebooks.tools COMMAND``: the tool for those who write the course; ``--help`` lists the commands."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import nbformat
import tyro
from papermill.exceptions import PapermillExecutionError

from fercore.course.folders import find_root, runs_folder
from notebooks.tools import architecture as rooms
from notebooks.tools.lessons import Lesson, choose, existing, read_timings, write_timing
from notebooks.tools.notebooks import execute, from_source
from notebooks.tools.planned import page, results_file
from notebooks.tools.readme import generate
from notebooks.tools.rules import committed_problems, source_problems

PICTURED = "01_baseline"
"""The lesson whose trained model the README's picture shows."""

Lessons = Annotated[tuple[str, ...], tyro.conf.Positional]


def build(lessons: Lessons = ()) -> int:
    """Rebuild the committed notebooks, each run afresh at preset quick; their timings; the README and its picture."""
    root = find_root()
    for lesson in choose(lessons, root):
        with tempfile.TemporaryDirectory() as folder:
            seconds, error = _timed(lesson, root, Path(folder) / f"{lesson.name}.ipynb", {}, runs=Path(folder) / "runs")
            if error:
                return _failed([f"{lesson.name}: {error}"])
            executed = nbformat.read(Path(folder) / f"{lesson.name}.ipynb", 4)
            write_timing(root, _timing(lesson, seconds))
            for cell, fresh in zip(executed.cells, from_source(lesson, root).cells, strict=True):
                cell.source = fresh.source  # the minutes, now known, stand in the text
                cell["id"] = fresh["id"]
            nbformat.write(executed, lesson.notebook(root))
            if lesson.name == PICTURED:
                from notebooks.tools.picture import write as write_picture

                write_picture(root, Path(folder) / "runs" / PICTURED / "quick-0")
    readme()
    return check()


def run(lessons: Lessons = (), preset: Literal["fast", "quick", "paper"] = "quick", seed: int = 0) -> int:
    """Run the lessons (all, or those named by number); executed copies go to runs/lessons/."""
    root = find_root()
    failures, total = [], 0.0
    for lesson in choose(lessons, root):
        output = runs_folder("lessons") / f"{lesson.name}.ipynb"
        seconds, error = _timed(lesson, root, output, {"PRESET": preset, "SEED": seed})
        total += seconds
        if error:
            failures.append(f"{lesson.name}: {error} (see {output})")
    print(f"{'all lessons':<18}{total / 60:5.1f} min; executed copies in {runs_folder('lessons')}")
    return _failed(failures)


def check() -> int:
    """Say what is wrong with the lessons and the README; nothing is changed."""
    root = find_root()
    found = []
    for lesson in existing(root):
        problems = source_problems(from_source(lesson, root)) + committed_problems(lesson, root)
        found += [f"{lesson.name}: {problem}" for problem in problems]
    if (root / "README.md").read_text(encoding="utf-8") != generate(root):
        found.append("README.md is out of date: run python -m notebooks.tools readme")
    found += rooms.problems(root)
    if results_file(root).read_text(encoding="utf-8") != page(root):
        found.append("notebooks/results/README.md is out of date: run python -m notebooks.tools readme")
    return _failed(found)


def photos(folder: Annotated[Path, tyro.conf.Positional], seeds: tuple[int, ...] = (0, 1, 2)) -> int:
    """Train the documented model on rendered faces and measure it on a folder of photographs (labels.csv)."""
    from notebooks.tools.photos import measure

    print(measure(find_root(), folder, list(seeds)).to_string(index=False))
    return 0


def readme() -> int:
    """Write the README's tables and the page of all results anew from notebooks/results."""
    root = find_root()
    (root / "README.md").write_text(generate(root), encoding="utf-8")
    results_file(root).write_text(page(root), encoding="utf-8")
    return 0


def architecture() -> int:
    """Make the table in fercore/README.md and the picture of the rooms anew, from the code's imports."""
    rooms.write(find_root())
    return 0


def _timed(lesson: Lesson, root: Path, output: Path, parameters: dict, runs: Path | None = None) -> tuple[float, str]:
    """Run one lesson with its progress line; returns (seconds, what went wrong or "")."""
    row = read_timings(root).get((lesson.name, str(parameters.get("PRESET", "quick"))))
    expected = f"{float(row['minutes']):5.1f} min expected" if row else "  not timed yet   "
    print(f"{lesson.name:<18}{expected} ... ", end="", flush=True)
    start, error = time.perf_counter(), ""
    try:
        execute(from_source(lesson, root), output, parameters, cwd=root / "notebooks", runs=runs)
    except PapermillExecutionError as failure:
        error = f"cell {failure.exec_count} raised {failure.ename}: {failure.evalue}"
    seconds = time.perf_counter() - start
    print(f"{'FAILED' if error else 'done'} in {seconds / 60:.1f} min", flush=True)
    return seconds, error


def _timing(lesson: Lesson, seconds: float) -> dict[str, str]:
    return {
        "lesson": lesson.name,
        "preset": "quick",
        "minutes": f"{seconds / 60:.2f}",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "python": platform.python_version(),
        "torch": version("torch"),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _failed(sentences: list[str]) -> int:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return 1 if sentences else 0


def main() -> int:
    """Entry point; 0 if all went well."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            {
                "build": build,
                "run": run,
                "check": check,
                "readme": readme,
                "architecture": architecture,
                "photos": photos,
            }
        )
    except (ValueError, FileNotFoundError) as error:
        return _failed([str(error)])
    except KeyboardInterrupt:
        return _failed(["stopped"])


if __name__ == "__main__":
    sys.exit(main())
