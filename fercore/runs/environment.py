"""Where a run was made: commit, versions, device."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

import fercore

PACKAGE = Path(__file__).parents[1]


def is_first_process() -> bool:
    """Whether this process is the one that writes files: of several, started by torchrun or accelerate, the first."""
    return os.environ.get("RANK", "0") == "0"


@cache
def commit() -> str:
    """Short hash of the checkout that this package runs from, "+dirty" if its code was changed; else the version.

    Runs ask for it as they start; it is remembered, so that a later edit or commit cannot pass for the code that ran.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return fercore.__version__
    changed = _git("status", "--porcelain", "--", ".")
    return f"{_git('rev-parse', '--short', 'HEAD')}{'+dirty' if changed else ''}"


def device_name() -> str:
    """The GPU's name, or the processor's and how many threads torch uses on it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return f"{platform.processor()} (mps)"
    return f"{_processor()} x{torch.get_num_threads()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """What git prints when asked inside the package; None if there is no git, no checkout, or it says no."""
    try:
        done = subprocess.run(["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
