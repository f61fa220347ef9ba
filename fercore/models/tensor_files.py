"""Read tensors from a file made by somebody else, without running code that it may hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def read_tensors(file: Path) -> dict[str, Any]:
    """The dict in ``file``: safetensors, or a torch file (``weights_only=True``).

    Raises FileNotFoundError, or ValueError if the file is damaged, holds no dict, or would run code.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file of weights at {file}")
    try:
        values = _load(file)
    except OSError:
        raise
    except Exception as error:  # what a foreign file's first bytes lead a reader to raise is past counting
        asks = re.search(r"it asks to run [\w.]+", str(error))  # torch's own advice would be to load it unsafely
        reason = asks[0] if asks else "it is damaged, of another kind, or holds more than tensors"
        raise ValueError(
            f"{file} is not a safe file of tensors ({reason}). If you trust its maker, convert it where it was made: "
            "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds a {type(values).__name__}, not a dict of tensors")
    return values


def _load(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)
