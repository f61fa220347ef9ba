"""What every committed lesson keeps to: its size, its skeleton, and that it is what its source says."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from notebooks.tools.lessons import Lesson
from notebooks.tools.notebooks import from_source, parameters_of

MOST_BYTES = 1 << 20
MOST_CODE_CELLS = 40
MOST_CODE_LINES = 350
MOST_WORDS = 3500
PRESETS = ("fast", "quick", "paper")
SKELETON = ("What you will learn", "Setup", "The idea in one picture", "Exercises", "References")
SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)


def words(cell: NotebookNode) -> int:
    """Words of a text cell that are read: folded solutions, addresses and HTML tags do not count."""
    text = SOLUTION.sub("", cell.source)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>", " ", text)
    return len(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text))


def code_lines(cell: NotebookNode) -> int:
    """Lines of a code cell that are neither empty nor only a comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())


def solutions(notebook: NotebookNode) -> list[str]:
    """The code folded away in ``<details>``, in order."""
    return [match for cell in notebook.cells if cell.cell_type == "markdown" for match in SOLUTION.findall(cell.source)]


def solved(notebook: NotebookNode) -> NotebookNode:
    """A copy in which each cell tagged ``exercise`` holds its solution; raises ValueError if their numbers differ."""
    copy = nbformat.from_dict(notebook)
    exercises = [cell for cell in copy.cells if "exercise" in cell.metadata.get("tags", [])]
    answers = solutions(notebook)
    if len(exercises) != len(answers):
        raise ValueError(f"{len(exercises)} cells tagged exercise, but {len(answers)} folded solutions")
    for cell, answer in zip(exercises, answers, strict=True):
        cell.source = answer
    return copy


def source_problems(notebook: NotebookNode) -> list[str]:
    """What is wrong with a lesson as written (outputs are not looked at); empty if all is well."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    found = []
    for what, value, most in (
        ("code cells", len(code), MOST_CODE_CELLS),
        ("lines of code", sum(map(code_lines, code)), MOST_CODE_LINES),
        ("words", sum(map(words, texts)), MOST_WORDS),
    ):
        if value > most:
            found.append(f"{value} {what}, at most {most} are allowed")
    headings = " | ".join(line for cell in texts for line in cell.source.splitlines() if line.startswith("#"))
    found += [f"no section {part!r}" for part in SKELETON if part not in headings]
    tags = [tag for cell in code for tag in cell.metadata.get("tags", [])]
    if not code or "colab-setup" not in code[0].metadata.get("tags", []):
        found.append("the first code cell is not the one tagged colab-setup")
    if tags.count("exercise") != 3 or len(solutions(notebook)) != 3:
        found.append(
            f"{tags.count('exercise')} exercises and {len(solutions(notebook))} solutions, there are three of each"
        )
    try:
        parameters = parameters_of(notebook)
    except ValueError as error:
        found.append(str(error))
    else:
        if parameters.get("PRESET") != "quick" or parameters.get("SEED") != 0:
            found.append(f'the parameters start as PRESET = "quick", SEED = 0, not {parameters}')
    return found


def committed_problems(lesson: Lesson, root: Path) -> list[str]:
    """What is wrong with the committed notebook beside its source; empty if all is well."""
    file = lesson.notebook(root)
    if not file.is_file():
        return ["not built yet: run make notebooks"]
    found = []
    if file.stat().st_size > MOST_BYTES:
        found.append(f"{file.stat().st_size / MOST_BYTES:.2f} MiB, at most 1 is allowed")
    notebook = nbformat.read(file, 4)
    nbformat.validate(notebook)
    written = [(cell.cell_type, cell.source) for cell in from_source(lesson, root).cells]
    if [(cell.cell_type, cell.source) for cell in notebook.cells] != written:
        found.append("differs from its source: run make notebooks")
    extra = set(notebook.metadata) - {"kernelspec", "language_info"}
    if extra:
        found.append(f"carries the metadata {', '.join(sorted(extra))}")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("was not run from top to bottom: run make notebooks")
    if any(output.output_type == "error" for cell in code for output in cell.outputs):
        found.append("shows an error")
    return found
