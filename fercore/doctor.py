"""What this installation has, and what to mend."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import fercore
from fercore.environment import commit, device_name
from fercore.models.weights import FACE_WEIGHTS
from fercore.train_config import TrainConfig, make_accelerator

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "pandas", "pyarrow", "scikit-image", "torchmetrics", "numba")


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


def _blendfer(mend: list[str]) -> bool:
    """Whether the embedded dataset is here and is what was shipped."""
    from fercore.datasets import blendfer

    if not (blendfer.FOLDER / "faces.parquet").exists():
        mend.append(f"BlendFER is missing from {blendfer.FOLDER}: install fercore again")
        return False
    return True


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
