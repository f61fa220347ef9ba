"""From whatever a lesson holds to what matplotlib draws."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_numpy(values: np.ndarray | Tensor | list) -> np.ndarray:
    """A numpy array of ``values``; tensors are detached and brought to the CPU (bfloat16 as float: numpy lacks it)."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def to_pictures(images: np.ndarray | Tensor | list) -> np.ndarray:
    """Pictures as uint8 (N, H, W, 3).

    images: (N, 3, H, W) or (N, H, W, 3), or one of them without N; uint8, or float in [0, 1].
    Raises ValueError for any other shape.
    """
    array = np.stack([to_numpy(image) for image in images]) if isinstance(images, list) else to_numpy(images)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 3 not in (array.shape[1], array.shape[-1]):
        raise ValueError(f"pictures are (N, 3, H, W) or (N, H, W, 3), not {tuple(array.shape)}")
    if array.shape[-1] != 3:
        array = array.transpose(0, 2, 3, 1)
    scaled = array if array.dtype == np.uint8 else array * 255
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
