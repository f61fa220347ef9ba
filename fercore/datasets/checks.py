"""Checks of columns: each raises ValueError with one sentence that names the place and the first bad row."""

from __future__ import annotations

import numpy as np

SUM_TOLERANCE = 1e-3


def check_labels(values: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    """(N,) whole numbers from 0 to ``len(names) - 1``, as int64."""
    values = np.asarray(values)
    allowed = f"0..{len(names) - 1} ({', '.join(names)})"
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.number):
        raise ValueError(f"{where}: labels must be one whole number a row, {allowed}.")
    bad = np.flatnonzero(~((values >= 0) & (values < len(names)) & (values == np.floor(values))))
    if len(bad):
        raise ValueError(f"{where}, row {bad[0]}: label {values[bad[0]]} is not in {allowed}.")
    return values.astype(np.int64)


def check_other_labels(values: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    """As ``check_labels``, but -1 is allowed: a face that these annotators did not label."""
    values = np.asarray(values)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.number):
        raise ValueError(f"{where}: write one whole number a row, -1 for a face without such a label.")
    known = values != -1
    rows = np.flatnonzero(known)
    bad = rows[~np.isin(values[known], np.arange(len(names)))]
    if len(bad):
        raise ValueError(
            f"{where}, row {bad[0]}: label {values[bad[0]]} is neither -1 nor in 0..{len(names) - 1} "
            f"({', '.join(names)})."
        )
    return values.astype(np.int64)


def check_splits(values: np.ndarray, known: tuple[str, ...], where: str) -> np.ndarray:
    """(N,) strings out of ``known``."""
    bad = np.flatnonzero(~np.isin(values.astype(str), known))
    if len(bad):
        raise ValueError(f"{where}, row {bad[0]}: split {values[bad[0]]!r} is not one of {', '.join(known)}.")
    return values


def check_distribution(values: np.ndarray, where: str) -> np.ndarray:
    """(N, K) finite shares of at least 0 that sum to 1 in each row."""
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise ValueError(f"{where}, row {np.argmax(bad)}: distribution holds NaN or infinity.")
    bad = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE)
    if bad.any():
        row = np.argmax(bad)
        raise ValueError(f"{where}, row {row}: distribution must be shares that sum to 1, not {values[row].tolist()}.")
    return values


def check_votes(values: np.ndarray, where: str) -> np.ndarray:
    """(N, K) whole numbers of at least 0."""
    bad = ~((values >= 0) & (values == np.floor(values))).all(axis=1)
    if bad.any():
        raise ValueError(f"{where}, row {np.argmax(bad)}: votes must be whole numbers of at least 0.")
    return values.astype(np.int64)


def check_landmarks(values: np.ndarray, where: str) -> np.ndarray:
    """(N, 68, 2): a point is finite, or both its coordinates are NaN (unknown)."""
    bad = np.isinf(values).any(axis=(1, 2))
    if bad.any():
        raise ValueError(f"{where}, row {np.argmax(bad)}: landmarks hold infinity; write NaN for an unknown point.")
    unknown = np.isnan(values)
    bad = (unknown[..., 0] != unknown[..., 1]).any(axis=1)
    if bad.any():
        raise ValueError(f"{where}, row {np.argmax(bad)}: a landmark is half NaN; an unknown point needs NaN twice.")
    return values


def normalise_distribution(values: np.ndarray) -> np.ndarray:
    """(N, C) shares divided by their sum; a row that is all zero becomes uniform."""
    total = values.sum(axis=1, keepdims=True)
    uniform = np.full_like(values, 1 / values.shape[1])
    return np.where(total > 0, values / np.where(total > 0, total, 1), uniform)
