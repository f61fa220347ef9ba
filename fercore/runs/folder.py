"""A run's folder has one owner, and what it holds stays until something finished takes its place.

A training in a folder that holds a finished one works in ``UNFINISHED`` below it, whose files are moved up when all of
them are there. A move that was cut off is ended by whoever claims the folder next.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fercore.files import locked, write_json
from fercore.runs.environment import is_first_process
from fercore.training.checkpoints import MODEL, STATE, read_note

CONFIG, HISTORY, RESULT = "config.json", "history.json", "result.json"
FILES = (CONFIG, HISTORY, STATE, MODEL, RESULT)
"""In the order in which a finished run's are moved: the result, which says that all are there, comes last."""
UNFINISHED = ".unfinished"
LOCK = ".lock"


@dataclass
class Place:
    """Where a training works: ``path`` is the run's folder, or ``UNFINISHED`` in it; ``resumes`` a state there."""

    folder: Path
    path: Path
    resumes: bool
    overwrite: bool

    def begin(self, config: dict[str, Any]) -> None:
        """Make room for this training's files. Called when nothing is left that it could be refused for."""
        if not is_first_process():
            return
        if self.overwrite:
            _remove(self.folder / UNFINISHED)
            _remove(self.folder)
        if not self.resumes:
            _remove(self.path)
        if not (self.resumes and (self.path / CONFIG).exists()):
            write_json(self.path / CONFIG, config)

    def finish(self, history: list[dict[str, Any]], result: dict[str, Any]) -> None:
        """Write the last two files; then what was here before gives way."""
        if not is_first_process():
            return
        write_json(self.path / HISTORY, history)
        write_json(self.path / RESULT, result)
        _move_up(self.folder)

    @property
    def kept(self) -> str:
        """What is left of a training that stops now, and how it goes on; true at any moment."""
        if (self.path / STATE).exists():
            return f"what {self.folder} has of this training is kept: the same command with --resume goes on from it"
        return "nothing was trained yet"


@contextmanager
def claimed(folder: str | Path, resume: bool = False, overwrite: bool = False) -> Iterator[Place]:
    """The folder of a run, for this process alone; made if it is new, and removed again if it stays empty.

    :param resume: go on from the state in it, if there is one.
    :param overwrite: what is in it, finished or not, may be dropped when training begins.
    :raises ValueError: another process has it; it holds what fercore did not write; an unfinished training that is
        neither resumed nor overwritten; or, to be resumed, a model without a state.
    """
    folder = Path(folder)
    if resume and overwrite:
        raise ValueError("--resume goes on with what is there, --overwrite drops it; give one of them")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a run needs a folder (--out)")
    if not is_first_process():
        yield _place(folder, resume, overwrite)
        return
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    if folder.exists():
        _check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK, f"{folder} is in use: another training writes into it", "choose another --out"):
            for leftover in (*folder.glob(".*.tmp"), *folder.glob(f"{UNFINISHED}/.*.tmp")):
                leftover.unlink()  # of a process that was killed while it wrote
            if (folder / UNFINISHED / RESULT).exists():
                _move_up(folder)
            yield _place(folder, resume, overwrite)
    finally:
        for path in (folder / UNFINISHED, *new):
            with suppress(OSError):
                path.rmdir()


def read_result(folder: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The config and the result of the finished run in ``folder``; None if there is none."""
    if not all((folder / name).exists() for name in (CONFIG, RESULT, MODEL)):
        return None
    return _read_json(folder / CONFIG), _read_json(folder / RESULT)


def was_cut_off(folder: Path) -> bool:
    """Whether a training in ``folder`` waits for its end; or for its beginning."""
    return (folder / UNFINISHED / STATE).exists() or not (folder / RESULT).exists()


def _place(folder: Path, resume: bool, overwrite: bool) -> Place:
    side = folder / UNFINISHED
    unfinished = next(
        (path for path in (side, folder) if (path / STATE).exists() and not (path / RESULT).exists()), None
    )
    if resume:
        path = unfinished or folder
        if not (path / STATE).exists() and (path / MODEL).exists():
            raise ValueError(
                f"{folder} holds a model but no {STATE} to resume from; without --resume it is trained anew, and the "
                "model replaced when the new one is finished"
            )
        return Place(folder, path, (path / STATE).exists(), False)
    if overwrite:
        return Place(folder, folder, False, True)
    if unfinished:
        raise ValueError(
            f"{folder} holds an unfinished training: go on with --resume, begin anew with --overwrite, or choose "
            "another folder (--out)"
        )
    is_finished = any((folder / name).exists() for name in (MODEL, RESULT))
    return Place(folder, side if is_finished else folder, False, False)


def _remove(path: Path) -> None:
    """The files of a run, nothing else."""
    for name in reversed(FILES):  # a folder without its result is not taken for a finished run
        (path / name).unlink(missing_ok=True)


def _move_up(folder: Path) -> None:
    side = folder / UNFINISHED
    if not side.is_dir():
        return
    for name in FILES:
        if (side / name).exists():
            os.replace(side / name, folder / name)
    shutil.rmtree(side)


def _check_ours(folder: Path) -> None:
    """Raises ValueError for a file that fercore did not write; next to a run's own files others may lie."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    for name in names.intersection(FILES):
        if not _is_ours(folder / name):
            raise ValueError(
                f"{folder / name} was not written by fercore, or is damaged: remove it, or choose another --out"
            )
    others = sorted(names.difference(FILES))
    if others and not names.intersection(FILES):
        raise ValueError(
            f"{folder} holds {others[0]}, which fercore did not write; choose a new or empty folder (--out)"
        )


def _is_ours(file: Path) -> bool:
    try:
        if file.suffix == ".safetensors":
            return ("how" if file.name == MODEL else "progress") in read_note(file)
        value = _read_json(file)
    except (ValueError, OSError):
        return False
    if file.name == HISTORY:
        return isinstance(value, list) and all(isinstance(entry, dict) and "epoch" in entry for entry in value)
    return isinstance(value, dict) and {"method", "condition", "preset", "seed"} <= set(value)


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
