"""Turning, scaling and shifting part of a photograph onto a small square."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SAMPLES = 4


@contextmanager
def one_thread() -> Iterator[None]:
    """Convolutions of few channels are too small to share: on busy cores, threads made them up to 50 times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The turn, scale and shift that carry two points to two others: ``target = source @ turn.T + origin``.

    source, target: (2, 2), rows (x, y). Returns turn (2, 2) and origin (2,). Taken as complex numbers the points obey
    ``t = a s + b`` with ``a = (t1 - t0) / (s1 - s0)``. Raises ValueError if two of the points coincide.
    """
    s, t = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    if s[0] == s[1] or t[0] == t[1]:
        raise ValueError("the two eyes lie in the same place; there is no crop that keeps them apart")
    a = (t[1] - t[0]) / (s[1] - s[0])
    turn = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return turn, target[0] - source[0] @ turn.T


def warp(image: np.ndarray, turn: np.ndarray, origin: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8 whose place p shows ``image`` at ``p @ turn.T + origin``.

    Places are (x, y) in pixels, the centre of the first pixel at (0.5, 0.5). Beyond the image its border is repeated;
    where the square is the coarser of the two, pixels are averaged, not skipped.
    """
    # Block averages first, so that the SAMPLES x SAMPLES samples within each pixel of the square skip nothing.
    factor = min(math.ceil(np.hypot(*turn[0]) / SAMPLES), *image.shape[:2])
    reduced = np.array(Image.fromarray(image).reduce(factor))
    height, width = reduced.shape[:2]
    step = (np.arange(SAMPLES * size) + 0.5) / SAMPLES
    places = (np.stack(np.meshgrid(step, step), -1) @ turn.T + origin) / factor
    relative = torch.from_numpy(places / (width, height) * 2 - 1).float()[None]
    source = torch.from_numpy(reduced).permute(2, 0, 1)[None].float()
    samples = F.grid_sample(source, relative, mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples, SAMPLES)[0].permute(1, 2, 0).round().byte().numpy()
