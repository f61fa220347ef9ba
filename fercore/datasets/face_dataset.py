"""Faces in memory: one uint8 tensor of images and, row by row, all that is known about them.

Pixel coordinates: the centre of the top left pixel is (0, 0), x runs right, y runs down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fercore.batch import UNLABELLED, Batch
from fercore.datasets.checks import (
    check_distribution,
    check_labels,
    check_landmarks,
    check_splits,
    check_votes,
    normalise_distribution,
)
from fercore.datasets.decode import common_size, decode_images
from fercore.datasets.frame import Frame
from fercore.datasets.table import SPLITS, Columns, read_columns
from fercore.emotions import NAMES, class_names


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """N faces. Made by :meth:`open` or :meth:`from_arrays`; :meth:`where` and :meth:`select` give parts of it.

    A part shares the images of the whole. ``index`` of a face is its position in the dataset handed to ``fit``.

    store: (M, 3, H, W) uint8, the images of the whole, of which ``rows`` (N,) int64 are these faces.
    label: (N,) int64, UNLABELLED where a condition hid it.
    split: (N,) str: train, val or test.
    classes: the C class names in canonical order.
    subject: (N,) who is seen, or None.
    landmarks: (N, 68, 2) float32, pixels (x, y), iBUG order, NaN where unknown; or None.
    distribution: (N, C) float32, the true p(emotion | face); or None.
    votes: (N, 8) int64, how many annotators said each emotion; or None.
    table: every other column of the file.
    source: the folder it was read from, or None.
    clean_label: (N,) int64, the labels before a condition was applied; None if none was.
    frame: where eyes and mouth lie in the average picture, measured on the landmarks; None where these are unknown.
    """

    store: Tensor
    rows: Tensor
    label: Tensor
    split: np.ndarray
    classes: tuple[str, ...]
    subject: np.ndarray | None
    landmarks: Tensor | None
    distribution: Tensor | None
    votes: Tensor | None
    table: pd.DataFrame
    source: Path | None = None
    clean_label: Tensor | None = None
    frame: Frame | None = None

    @classmethod
    def open(
        cls,
        folder: str | Path,
        classes: int = 7,
        split: str | None = None,
        size: int | tuple[int, int] | None = None,
    ) -> FaceDataset:
        """Read ``folder/faces.parquet`` (design.md, "One dataset format"), check it, and decode its images once.

        With 7 classes, rows labelled contempt are left out, and distributions lose contempt and sum to one again
        (one that was contempt alone becomes uniform).

        The images become one uint8 tensor; if that takes more than ``decode.MEMORY_SHARE`` of the memory, it is mapped
        from a temporary file. Images of another size are resized, aspect not kept, and so are their landmarks.

        :param split: train, val or test: read and decode only this one.
        :param size: side, or (height, width), of all images; by default the commonest of the file
            (see ``decode.common_size``).
        :raises FileNotFoundError: no folder, no faces.parquet, or no such image.
        :raises ValueError: a missing or wrong column, a bad value or image; the message names file and row.
        """
        names = class_names(classes)
        if split is not None and split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}.")
        columns = read_columns(Path(folder))
        keep = columns.label < classes
        if split is not None:
            keep &= columns.split == split
        rows = np.flatnonzero(keep)
        if not len(rows):
            raise ValueError(f"{columns.file} has no face with split {split!r} and one of {classes} classes.")
        if size is None:  # from the whole file, so that all splits come out alike
            size = common_size(columns.images)
        columns = columns.select(rows)
        store, scale = decode_images(columns.images, _pair(size))
        return cls._from_columns(columns, store, scale, names)

    @classmethod
    def _from_columns(cls, columns: Columns, store: Tensor, scale: np.ndarray, names: tuple[str, ...]) -> FaceDataset:
        landmarks = columns.landmarks
        if landmarks is not None:  # half a pixel: coordinates count from the centre of the first pixel
            landmarks = (landmarks + 0.5) * scale[:, None, :] - 0.5
        distribution = columns.distribution
        if distribution is not None:
            distribution = normalise_distribution(distribution[:, : len(names)])
        return cls(
            store=store,
            rows=torch.arange(len(store)),
            label=torch.from_numpy(columns.label),
            split=columns.split,
            classes=names,
            subject=columns.subject,
            landmarks=_tensor(landmarks, torch.float32),
            distribution=_tensor(distribution, torch.float32),
            votes=_tensor(columns.votes, torch.int64),
            table=columns.rest,
            source=columns.file.parent,
            frame=None if landmarks is None else Frame.measured(landmarks, tuple(store.shape[2:])),
        )

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray | Tensor,
        label: Sequence[int] | np.ndarray | Tensor,
        *,
        split: str | Sequence[str] = "train",
        classes: int = 7,
        subject: Sequence | None = None,
        landmarks: np.ndarray | Tensor | None = None,
        distribution: np.ndarray | Tensor | None = None,
        votes: np.ndarray | Tensor | None = None,
        table: pd.DataFrame | None = None,
    ) -> FaceDataset:
        """A dataset from what is already in memory.

        :param images: (N, 3, H, W) uint8, at least one.
        :param label: (N,) numbers in the canonical order, below ``classes``.
        :param distribution: (N, classes), rows summing to one.
        :raises ValueError: a wrong shape or type, or a value that :meth:`open` would refuse.
        """
        store = torch.as_tensor(images)
        if store.dtype != torch.uint8 or store.ndim != 4 or store.shape[1] != 3 or not len(store):
            raise ValueError(f"images must be uint8 of shape (N, 3, H, W), not {store.dtype} of {tuple(store.shape)}.")
        count, names = len(store), class_names(classes)
        numbers = check_labels(np.asarray(label), names, "label")
        splits = np.full(count, split, dtype=object) if isinstance(split, str) else np.asarray(split, dtype=object)
        for name, values in {"label": numbers, "split": splits, "subject": subject, "table": table}.items():
            if values is not None and len(values) != count:
                raise ValueError(f"{name} has {len(values)} rows, but there are {count} images.")
        shapes = {"landmarks": (count, 68, 2), "distribution": (count, classes), "votes": (count, len(NAMES))}
        given = {"landmarks": landmarks, "distribution": distribution, "votes": votes}
        for name, values in given.items():
            if values is not None and tuple(values.shape) != shapes[name]:
                raise ValueError(f"{name} must be of shape {shapes[name]}, not {tuple(values.shape)}.")
        check_splits(splits, SPLITS, "split")
        for check, values in ((check_landmarks, landmarks), (check_distribution, distribution), (check_votes, votes)):
            if values is not None:
                check(np.asarray(values), check.__name__.removeprefix("check_"))
        return cls(
            store=store,
            rows=torch.arange(count),
            label=torch.from_numpy(numbers),
            split=splits,
            classes=names,
            subject=None if subject is None else np.asarray(subject),
            landmarks=_tensor(landmarks, torch.float32),
            distribution=_tensor(distribution, torch.float32),
            votes=_tensor(votes, torch.int64),
            table=pd.DataFrame(index=range(count)) if table is None else table.reset_index(drop=True),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {int((self.split == name).sum())}" for name in SPLITS if (self.split == name).any())
        height, width = self.size
        return f"FaceDataset({len(self)} faces of {height} x {width} px, {len(self.classes)} classes; {parts})"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return tuple(self.store.shape[2:])

    @cached_property
    def images(self) -> Tensor:
        """(N, 3, H, W) uint8 on the CPU: a part of the store if the rows are consecutive, else a copy, made once."""
        first, last = int(self.rows[0]), int(self.rows[-1])
        if last - first + 1 == len(self) and torch.equal(self.rows, torch.arange(first, last + 1)):
            return self.store[first : last + 1]
        return self.store.index_select(0, self.rows)

    @property
    def truth(self) -> Tensor | None:
        """(N, C) float32, what is known of p(emotion | face): ``distribution``, else the shares of ``votes``; or None.

        Ten people's shares are an estimate: the divergence of two such estimates is not zero.
        """
        if self.distribution is not None or self.votes is None:
            return self.distribution
        shares = normalise_distribution(self.votes[:, : len(self.classes)].numpy().astype(float))
        return torch.from_numpy(shares).float()

    @property
    def hidden(self) -> np.ndarray | None:
        """(N,) bool, the faces whose label a condition hid; None if there is none."""
        hidden = (self.label == UNLABELLED).numpy()
        return hidden if hidden.any() else None

    @property
    def counts(self) -> Tensor:
        """(C,) int64, how many faces carry each label (hidden labels are not counted)."""
        return torch.bincount(self.label[self.label != UNLABELLED], minlength=len(self.classes))

    def select(self, rows: Sequence[int] | np.ndarray | Tensor) -> FaceDataset:
        """These rows (numbers, or one bool a face), in this order. Raises ValueError if none is left."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise ValueError(f"the mask has {len(rows)} entries, but there are {len(self)} faces.")
            rows = np.flatnonzero(rows)
        if not len(rows):
            raise ValueError(f"no face is left of {self!r}.")
        take = torch.from_numpy(rows.astype(np.int64))
        tensors = ("rows", "label", "landmarks", "distribution", "votes", "clean_label")
        changes = {name: None if getattr(self, name) is None else getattr(self, name)[take] for name in tensors}
        changes["split"] = self.split[rows]
        changes["subject"] = None if self.subject is None else self.subject[rows]
        changes["table"] = self.table.iloc[rows].reset_index(drop=True)
        return replace(self, **changes)

    def where(self, split: str) -> FaceDataset:
        """The faces of one split. Raises ValueError if there is none."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}.")
        return self.select(self.split == split)

    def relabelled(self, label: Tensor) -> FaceDataset:
        """The same faces with other labels; ``clean_label`` keeps those before the first change."""
        clean = self.label if self.clean_label is None else self.clean_label
        return replace(self, label=label, clean_label=clean)

    def batch(self, rows: Sequence[int] | np.ndarray | Tensor, device: str | torch.device = "cpu") -> Batch:
        """Faces as they are, without augmentation, with all that is known: ``index`` holds ``rows``."""
        rows = torch.as_tensor(rows, dtype=torch.int64)

        def part(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[rows].to(device)

        image = self.store.index_select(0, self.rows[rows]).to(device).float().div_(255)
        return Batch(
            image=image,
            label=self.label[rows].to(device),
            index=rows.to(device),
            views=(image,),
            landmarks=part(self.landmarks),
            distribution=part(self.distribution),
        )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least one pixel, not {size}.")
    return height, width


def _tensor(values: np.ndarray | Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if values is None else torch.as_tensor(values).to(dtype)
