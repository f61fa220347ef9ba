"""Paths named by a data file stay inside that file's folder."""

from __future__ import annotations

from pathlib import Path


def inside(folder: Path, path: str, where: str) -> Path:
    """The file ``folder / path``, links followed.

    :param where: how an error message names the place that holds ``path`` ("labels.csv row 3").
    :raises ValueError: the path is empty or holds a zero byte, is absolute, or leads (by ``..`` or a link) out of
        the folder.
    :raises FileNotFoundError: there is no such file.
    """
    if not path.strip() or "\0" in path:
        raise ValueError(f"{where}: the path is empty or holds a zero byte.")
    root = folder.resolve()
    try:
        full = (root / path).resolve()
    except (RuntimeError, OSError) as error:  # Python 3.11 and later ones
        raise ValueError(f"{where}: path {path!r} is a link that leads to itself.") from error
    if not full.is_relative_to(root):
        raise ValueError(f"{where}: path {path!r} leads out of {folder}; keep the images inside that folder.")
    if not full.is_file():
        raise FileNotFoundError(f"{where}: there is no file {path!r} in {folder}.")
    return full
