"""What this installation has, and what to mend."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import fercore
from fercore.models.weights import FACE_WEIGHTS
from fercore.runs.environment import commit, device_name
from fercore.training.config import TrainConfig, make_accelerator

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "pandas", "pyarrow", "torchmetrics", "numba")


def examine() -> dict[str, Any]:
    """Versions, device, precision, data and permissions; ``mend`` lists one sentence for each thing that is wrong."""
    mend: list[str] = []
    facts = {
        "fercore": fercore.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name, mend) for name in PACKAGES},
        "device": device_name(),
        "cuda": torch.cuda.is_available(),
        "threads": torch.get_num_threads(),
        "precision": "bf16" if make_accelerator(TrainConfig()).mixed_precision == "bf16" else "fp32",
        "blendfer": _blendfer(mend),
        "face_weights": FACE_WEIGHTS.exists(),
        "writable": {str(folder): _writable(folder, mend) for folder in (Path.cwd(), Path(tempfile.gettempdir()))},
    }
    if not facts["face_weights"]:
        mend.append(f"{FACE_WEIGHTS.name} is missing: install fercore again, or train with --weights none")
    for sentence in mend:
        print(f"to mend: {sentence}", file=sys.stderr)
    return {**facts, "mend": mend}


def _blendfer(mend: list[str]) -> str:
    """Whether the embedded dataset is here and is what was shipped."""
    from fercore.datasets import blendfer

    return check_file(blendfer.FOLDER / "faces.parquet", mend)


def check_file(file: Path, mend: list[str]) -> str:
    """``file`` against ``file.sha256`` beside it, as ``sha256sum`` writes it: intact, missing, damaged, unchecked."""
    sums = file.with_name(file.name + ".sha256")
    if not file.is_file():
        mend.append(f"{file} is missing: install fercore again, or check the repository out again")
        return "missing"
    if not sums.is_file():
        mend.append(f"{sums.name} is missing beside {file}: it cannot be checked; check the repository out again")
        return "unchecked"
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sums.read_text().split()[0]:
        mend.append(f"{file} is not what was shipped (SHA-256 {found[:12]}...): check the repository out again")
        return "damaged"
    return "intact"


def _version(package: str, mend: list[str]) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        mend.append(f"{package} is not installed: pip install -e . in the repository")
        return None


def _writable(folder: Path, mend: list[str]) -> bool:
    if os.access(folder, os.W_OK):
        return True
    mend.append(f"{folder} is not writable: run from a folder of yours, or give --out")
    return False
