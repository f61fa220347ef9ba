"""Which faces come in which batch.

Samplers are pure functions of labels, seed and epoch, so that a resumed run sees the same batches. Each sampler takes
``(label, batch_size, epoch, epochs, seed)``, with ``label`` (N,) int64 in 0..C-1, and returns a (steps, batch) int64
tensor of row numbers. Faces that do not fill a batch are left out of this epoch; fewer faces than ``batch_size`` make
one batch of them all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

PER_CLASS = 2


def shuffle(label: Tensor, batch_size: int, epoch: int, epochs: int, seed: int) -> Tensor:
    """Every face at most once an epoch, in random order."""
    order = _random(seed, epoch).permutation(len(label))
    return _batches(order, batch_size)


def every_class(
    label: Tensor, batch_size: int, epoch: int, epochs: int, seed: int, per_class: int = PER_CLASS
) -> Tensor:
    """As ``shuffle``, but each class that exists has at least ``per_class`` faces in every batch.

    DMUE's branches and its mean similarities per class need them. Where a batch lacks a class, faces of the classes
    that have most to spare make room; a class of fewer than ``per_class`` faces repeats them.

    :raises ValueError: the batch is too small for ``per_class`` faces of each class.
    """
    random = _random(seed, epoch)
    label = label.numpy()
    batches = _batches(random.permutation(len(label)), batch_size).numpy()
    present = np.unique(label)
    if batches.shape[1] < per_class * len(present):
        raise ValueError(
            f"a batch of {batches.shape[1]} faces cannot hold {per_class} of each of {len(present)} classes; "
            f"use batches of at least {per_class * len(present)} faces."
        )
    members = {c: np.flatnonzero(label == c) for c in present}
    for batch in batches:
        count = {c: int((label[batch] == c).sum()) for c in present}
        for c in present:
            for _ in range(per_class - count[c]):
                donor = max(present, key=lambda d: count[d])
                others = np.setdiff1d(members[c], batch)
                batch[random.choice(np.flatnonzero(label[batch] == donor))] = random.choice(
                    others if len(others) else members[c]
                )
                count[donor] -= 1
                count[c] += 1
    return torch.from_numpy(batches)


def progressive(label: Tensor, batch_size: int, epoch: int, epochs: int, seed: int) -> Tensor:
    """Progressively balanced sampling (Kang et al. 2020, eq. 3; LA-Net, section 4.1).

    Class j is drawn with p_j = (1 - t/T) n_j/N + (t/T)/C, t = ``epoch``, T = ``epochs``: in proportion to its size at
    first, all C classes that exist alike at last. The counts of an epoch are these shares, rounded, not drawn; within a
    class every face is used equally often, give or take one.
    """
    random = _random(seed, epoch)
    label = label.numpy()
    present, sizes = np.unique(label, return_counts=True)
    share = (1 - epoch / epochs) * sizes / len(label) + epoch / epochs / len(present)
    total = _batches(np.arange(len(label)), batch_size).numel()
    counts = _round_to_sum(share * total, total)
    rows = [_cycle(np.flatnonzero(label == c), n, random) for c, n in zip(present, counts, strict=True)]
    return _batches(random.permutation(np.concatenate(rows)), batch_size)


def _cycle(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` of these rows, through them again and again, each time in a new order."""
    passes = -(-count // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(passes)] or [rows[:0]])[:count]


def _round_to_sum(values: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to ``total``: rounded down, then one more for the largest remainders."""
    whole = np.floor(values).astype(int)
    order = np.argsort(whole - values, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


def _batches(order: np.ndarray, batch_size: int) -> Tensor:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    width = min(batch_size, len(order))
    steps = len(order) // width
    return torch.from_numpy(order[: steps * width].reshape(steps, width).copy())


def _random(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "shuffle": shuffle,
    "every_class": every_class,
    "progressive": progressive,
}
