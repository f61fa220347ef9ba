"""Encoded images become one uint8 tensor, once."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from fercore.datasets.images import read_image

MEMORY_SHARE = 0.25
"""Images larger than this share of the machine's (or its container's) memory are mapped from a temporary file."""

SIZE_PROBES = 33
"""So many images, spread evenly, decide the common size if none is given."""

CHUNK = 64

Images = Sequence[tuple[bytes | Path, str]]


def decode_images(images: Images, size: tuple[int, int]) -> tuple[Tensor, np.ndarray]:
    """Decode with one thread a core; images of another size are resized (bilinear, anti-aliased, aspect not kept).

    :param images: N pairs: the encoded image or its path, and its name for error messages.
    :param size: height and width of all.
    :return: (N, 3, H, W) uint8, and (N, 2) float: by what x and y of each image were scaled.
    :raises BadImage: the first image that cannot be read.
    """
    height, width = size
    store = _allocate((len(images), 3, height, width))
    target, scale = store.numpy(), np.ones((len(images), 2))

    def decode(start: int) -> None:
        for position in range(start, min(start + CHUNK, len(images))):
            pixels = read_image(*images[position])
            if pixels.shape[:2] != (height, width):
                scale[position] = width / pixels.shape[1], height / pixels.shape[0]
                pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
            target[position] = pixels.transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, range(0, len(images), CHUNK)):
            pass
    return store, scale


def common_size(images: Images) -> tuple[int, int]:
    """The commonest (height, width) among ``SIZE_PROBES`` images spread over all; of two as common, the larger."""
    probes = np.unique(np.linspace(0, len(images) - 1, SIZE_PROBES).astype(int))
    sizes = Counter(read_image(*images[position]).shape[:2] for position in probes)
    return max(sizes, key=lambda shape: (sizes[shape], shape[0] * shape[1]))


def _allocate(shape: tuple[int, int, int, int]) -> Tensor:
    count = int(np.prod(shape))
    if count <= MEMORY_SHARE * memory_bytes():
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.TemporaryFile(prefix="fercore-") as file:  # the mapping outlives the file's name
        _reserve(file.fileno(), count)
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="w+", shape=shape))


def _reserve(handle: int, count: int) -> None:
    """Room on the disk for all of a mapped file: without it the process is killed as soon as the disk is full."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, count)
        except OSError as error:
            where = f"{tempfile.gettempdir()}: {count / 1e6:,.0f} MB are needed for the decoded images"
            raise ValueError(f"{where} ({error.strerror}); make room, or name another folder in TMPDIR") from error


def memory_bytes() -> int:
    """Memory of this machine, or of its Linux container (cgroup v2) if that has less."""
    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return total if text == "max" else min(total, int(text))
