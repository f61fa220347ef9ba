"""The same picture twice, found by a perceptual hash: 64 bits that survive scaling and compression."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE, LOW = 32, 8
DISTANCE = 4
"""Hashes that differ in at most so many bits are taken for one picture."""
ONES = np.array([number.bit_count() for number in range(256)])
BANDS = DISTANCE + 1
"""Of so many parts of the hash at least one is equal in two that differ in DISTANCE bits."""


def picture_hash(image: np.ndarray) -> int:
    """64 bits of an image (H, W, 3) uint8: which of the 8 x 8 lowest cosine waves of its grey 32 x 32 miniature lie
    above their median; the constant one is left out, so that brightness does not count.
    """
    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    waves = dctn(np.asarray(grey, float), norm="ortho")[:LOW, :LOW].ravel()
    waves[0] = np.median(waves[1:])
    bits = waves > np.median(waves[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def duplicate_groups(hashes: np.ndarray) -> list[np.ndarray]:
    """Groups of two or more rows that show one picture, each as row numbers; (N,) uint64 in."""
    values, owner = np.unique(np.asarray(hashes, np.uint64), return_inverse=True)
    pairs = np.concatenate([np.empty((0, 2), int), *(_near_pairs(values, band) for band in range(BANDS))])
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(values), len(values)))
    group = connected_components(links, directed=False)[1][owner]
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []
    return sorted((part for part in parts if len(part) > 1), key=lambda part: part[0])


def _near_pairs(values: np.ndarray, band: int) -> np.ndarray:
    """(P, 2) pairs of different hashes equal in this band of bits and at most DISTANCE apart."""
    width = 64 // BANDS
    key = (values >> np.uint64(band * width)) & np.uint64((1 << width) - 1)
    order = np.argsort(key, kind="stable")
    found = [np.empty((0, 2), int)]
    for same in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        for place in range(len(same) - 1):  # one row of the triangle at a time: no square of a full bucket in memory
            others = same[place + 1 :]
            near = others[_bits(values[others] ^ values[same[place]]) <= DISTANCE]
            found.append(np.stack([np.full(len(near), same[place]), near], axis=1))
    return np.concatenate(found)


def _bits(values: np.ndarray) -> np.ndarray:
    """How many bits are set in each of (N,) uint64."""
    return ONES[values.view(np.uint8)].reshape(-1, 8).sum(axis=1)
