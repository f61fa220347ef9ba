"""From a py:percent source to a notebook, and its execution by papermill."""

from __future__ import annotations

import ast
import os
import re
import tempfile
from pathlib import Path

import jupytext
import nbformat
import papermill
from nbformat import NotebookNode

from fercore.course.folders import REPOSITORY, RUNS
from fercore.viz.explore import STATIC
from notebooks.tools.lessons import Lesson, minutes, read_timings

WIDGET = "application/vnd.jupyter.widget-view+json"  # shows nothing without its state, which is not kept
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def from_source(lesson: Lesson, root: Path) -> NotebookNode:
    """The lesson as a notebook without outputs; the same source always gives the same bytes.

    ``@REPOSITORY@`` and ``@NAME@`` are filled in everywhere, ``@MINUTES@`` in text only: code never depends on timings.
    """
    notebook = jupytext.read(lesson.source(root), fmt="py:percent")
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    time = minutes(read_timings(root).get((lesson.name, "quick")))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{lesson.name}-{number:02d}"
        cell.metadata = _metadata(cell)
        cell.source = cell.source.replace("@REPOSITORY@", REPOSITORY).replace("@NAME@", lesson.name)
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("@MINUTES@", time)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def parameters_of(notebook: NotebookNode) -> dict[str, object]:
    """Names and literal values of the one cell tagged ``parameters``; raises ValueError if they are not that."""
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"a lesson has exactly one cell tagged parameters, this one has {len(cells)}")
    found = {}
    for statement in ast.parse(cells[0].source).body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [None])[0]
        if not isinstance(target, ast.Name):
            raise ValueError(f"the parameters cell holds plain assignments only, not {ast.unparse(statement)!r}")
        found[target.id] = ast.literal_eval(statement.value)
    return found


def refuse_unknown(notebook: NotebookNode, parameters: dict[str, object]) -> None:
    """Raise ValueError for a parameter the lesson does not have (papermill itself only warns, and runs on without)."""
    known = parameters_of(notebook)
    for name in parameters:
        if name not in known:
            raise ValueError(f"the lesson has no parameter {name!r}; it has {', '.join(known)}")


def execute(
    notebook: NotebookNode,
    output: Path,
    parameters: dict[str, object] | None = None,
    cwd: Path | None = None,
    runs: Path | None = None,
) -> NotebookNode:
    """Run a notebook by papermill in ``cwd``, widgets drawn as still pictures; the executed copy is left in ``output``.

    runs: folder for what it trains (default: the usual ``runs/``). Raises papermill's PapermillExecutionError if a cell
    fails (``output`` is written all the same), ValueError for an unknown parameter.
    """
    refuse_unknown(notebook, parameters or {})
    output.parent.mkdir(parents=True, exist_ok=True)
    surroundings = {STATIC: "1"} | ({RUNS: str(runs)} if runs else {})
    before = {name: os.environ.get(name) for name in surroundings}
    os.environ.update(surroundings)  # the kernel inherits them
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / output.name
            nbformat.write(notebook, source)
            executed = papermill.execute_notebook(
                str(source),
                str(output),
                parameters or {},
                cwd=str(cwd or Path.cwd()),
                progress_bar=False,
                kernel_name="python3",
                extra_arguments=["--log-level=40"],  # errors only: else each kernel talks over the progress line
            )
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        if output.is_file():
            nbformat.write(strip(nbformat.read(output, 4)), output)
    return strip(executed)


def strip(notebook: NotebookNode) -> NotebookNode:
    """Take out what only the run knew: papermill's and widgets' metadata, progress bars, the Python version."""
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    notebook.metadata["language_info"] = NotebookNode(name="python")
    for cell in notebook.cells:
        cell.metadata = _metadata(cell)
        if cell.cell_type == "code":
            cell.outputs = _merged([output for output in cell.outputs if WIDGET not in output.get("data", {})])
    return notebook


def _metadata(cell: NotebookNode) -> NotebookNode:
    """The cell's tags alone; the source of a cell tagged ``check`` is folded away, as it gives the answer."""
    tags = cell.metadata.get("tags")
    kept = {"tags": tags} if tags else {}
    if "check" in (tags or ()):
        kept |= {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab's word for it, and Colab's
    return nbformat.from_dict(kept)


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream, and keep of a progress bar only what it showed last."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return merged
