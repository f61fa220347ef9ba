"""The lessons: within their limits, built from their sources, and running at preset fast, solutions included."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from fercore.course.exercise import STRICT
from fercore.course.folders import RUNS
from fercore.viz.explore import STATIC
from notebooks.tools.lessons import existing
from notebooks.tools.notebooks import from_source
from notebooks.tools.rules import committed_problems, solved, source_problems

ROOT = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("lesson", existing(ROOT), ids=lambda lesson: lesson.name)


@EVERY
def test_source_keeps_to_the_rules(lesson):
    assert source_problems(from_source(lesson, ROOT)) == []


@EVERY
def test_committed_notebook_is_up_to_date(lesson):
    assert committed_problems(lesson, ROOT) == []


@EVERY
def test_runs_at_preset_fast_with_its_solutions(lesson, tmp_path):
    """By nbval: no cell fails, every check passes, and cells tagged nbval-check-output print what is committed.

    Widgets are built for real here; elsewhere their still twins are drawn.
    """
    notebook = solved(nbformat.read(lesson.notebook(ROOT), 4))
    file = tmp_path / f"{lesson.name}.ipynb"
    place = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell('PRESET = "fast"'))
    nbformat.write(notebook, file)
    surroundings = {name: value for name, value in os.environ.items() if name != STATIC}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval-lax",
            "--nbval-cell-timeout=300",
            "-q",
            "-p",
            "no:cacheprovider",
            str(file),
        ],
        env=surroundings | {STRICT: "1", RUNS: str(tmp_path / "runs")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def definition(lesson_number: str, name: str):
    """One function of a lesson, taken from its source without running the rest."""
    lesson = next(lesson for lesson in existing(ROOT) if lesson.name.startswith(lesson_number))
    for cell in from_source(lesson, ROOT).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    scope = {"np": np, "torch": torch}
                    exec(compile(ast.Module([node], []), lesson.name, "exec"), scope)
                    return scope[name]
    raise LookupError(name)


def test_entropy_of_lesson_00():
    p = np.random.default_rng(0).dirichlet(np.ones(8), 5)
    p[0] = np.eye(8)[2]
    slow = [sum(-value * np.log2(value) for value in row if value > 0) for row in p]
    assert np.allclose(definition("00", "entropy")(p), slow)


def test_cross_entropy_of_lesson_01():
    logits, label = torch.randn(6, 7, dtype=torch.float64), torch.randint(7, (6,))
    slow = 0.0
    for row, answer in zip(logits.tolist(), label.tolist(), strict=True):
        slow -= row[answer] - np.log(sum(np.exp(value) for value in row))
    assert np.isclose(definition("01", "cross_entropy")(logits, label).item(), slow / 6)
