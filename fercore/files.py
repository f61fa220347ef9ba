"""Write a file whole or not at all, one process at a time, and say what is wrong with the disk."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file, force it to the disk, then rename it to ``path``: old or new, never half.

    Raises OSError, which names ``path``.
    """
    write_together({path: write})


def write_together(writes: dict[Path, Callable[[Path], object]]) -> None:
    """Several files like that: none gets its name before all of them are whole on the disk."""
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in writes}
    try:
        for path, temporary in temporaries.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            writes[path](temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, _reason(error, path.parent), str(path)) from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
    for folder in {path.parent for path in writes}:
        _sync_folder(folder)


def write_json(path: Path, value: Any) -> None:
    """As strict JSON (NaN is refused), atomically."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextmanager
def locked(lock: Path, refusal: str, mend: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the file ``lock``, of which it says who holds it, and remove it in the end; its folder must be there.

    :param patience: seconds to wait for another process that holds it.
    :raises ValueError: another process still holds it: ``refusal``, who it is, ``mend``.
    """
    from filelock import FileLock, Timeout  # takes a moment to import

    holder = FileLock(lock, timeout=patience)
    try:
        holder.acquire()
    except Timeout:
        raise ValueError(f"{refusal} ({_holder(lock)}); wait for it, or {mend}") from None
    try:
        with suppress(OSError):  # a full disk: then it is not told who holds it
            lock.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: filelock sees that and tries again
        holder.release()


def check_room(folder: Path, needed: int, mend: str) -> None:
    """Raises ValueError if the disk of ``folder``, which may yet have to be made, lacks ``needed`` free bytes."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ValueError(f"{folder}: about {_size(needed)} are needed, but the disk has {_size(free)} free; {mend}")


def _holder(lock: Path) -> str:
    try:
        return lock.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"


def _reason(error: OSError, folder: Path) -> str:
    reason = error.strerror or str(error)
    if error.errno not in FULL:
        return reason
    return f"{reason} ({_size(shutil.disk_usage(folder).free)} free); make room and start again"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _sync_folder(folder: Path) -> None:
    """Force the rename itself to the disk, where the system lets folders be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
