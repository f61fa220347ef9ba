"""Batches for the training loop: gathered, moved to the device, augmented there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fercore.batch import UNLABELLED, Batch
from fercore.datasets.face_dataset import FaceDataset
from fercore.datasets.samplers import SAMPLERS
from fercore.datasets.views import AUGMENTATIONS, Augmentation

if TYPE_CHECKING:  # methods stand on datasets, not the other way round
    from fercore.batch import Needs

DEVICE_SHARE = 0.25
"""On a GPU the images stay there if they take at most this share of its free memory; else each batch is copied."""


class Loader:
    """Serves a training set as a method's ``Needs`` ask.

    Batches hold labelled faces only; faces without a label come in ``Batch.unlabelled`` (if every label is known, all
    faces do, with their labels removed). An epoch looks at about ``len(data)`` faces: it has as many steps as there are
    batches of labelled faces, or of all faces by the number of new ones a step brings (the unlabelled ones, if asked
    for), whichever is more; the labelled faces are gone through as often as that takes. What step s of epoch e holds
    depends on the seed, e and s alone.

    ``needs`` is a ``fercore.methods.base.Needs``; its views may also be :class:`Augmentation` themselves.
    ``weak`` is what a view called weak is (by default that of ``AUGMENTATIONS``); "erase" is the same and a patch.

    :param data: the (conditioned) training set; ``Batch.index`` counts its rows.
    :param batch_size: labelled faces a step, over all processes.
    :param rank, world: this process out of how many; each serves its share of every batch.
    :raises ValueError: an unknown sampler or view, landmarks asked for but absent, no labelled face.
    """

    def __init__(
        self,
        data: FaceDataset,
        needs: Needs,
        batch_size: int,
        device: str | torch.device = "cpu",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        weak: Augmentation = AUGMENTATIONS["weak"],
    ):
        self.data, self.needs, self.batch_size, self.seed = data, needs, batch_size, seed
        self.device, self.rank, self.world = torch.device(device), rank, world
        if not needs.views:
            raise ValueError("a method needs at least one view; the plain faces are called 'none'.")
        if needs.sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {needs.sampler!r}; known are {', '.join(SAMPLERS)}.")
        if needs.landmarks and data.landmarks is None:
            raise ValueError(
                "this method needs landmarks, which this dataset does not have; "
                "python -m data_prep ... --landmarks writes them."
            )
        self.views = [_augmentation(view, weak) for view in needs.views]
        unlabelled_views = needs.unlabelled_views if needs.unlabelled else ()
        self.unlabelled_views = [_augmentation(view, weak) for view in unlabelled_views]
        self.labelled = torch.nonzero(data.label != UNLABELLED).flatten()
        if not len(self.labelled):
            raise ValueError("every label of this training set is hidden.")
        self.pool = torch.nonzero(data.label == UNLABELLED).flatten()
        if not len(self.pool):
            self.pool = torch.arange(len(data))
        new_faces = batch_size * max(1, needs.unlabelled)
        self.steps = max(1, len(self.labelled) // batch_size, len(data) // new_faces)
        self._images = self._place_images()
        self._distribution = data.distribution
        self._landmarks = data.landmarks if needs.landmarks else None

    def epoch(self, epoch: int, epochs: int, start_step: int = 0) -> Iterator[Batch]:
        """The ``steps`` batches of one epoch, from ``start_step`` on."""
        labelled = self._labelled_rows(epoch, epochs)
        unlabelled = self._unlabelled_rows(epoch) if self.needs.unlabelled else None
        for step in range(start_step, self.steps):
            generator = self._generator(epoch, step)
            batch = self._serve(labelled[step], self.views, generator, self._landmarks)
            if unlabelled is not None:
                batch.unlabelled = self._serve(unlabelled[step], self.unlabelled_views, generator, self._landmarks)
                batch.unlabelled.label = torch.full_like(batch.unlabelled.label, UNLABELLED)
            yield batch

    def _labelled_rows(self, epoch: int, epochs: int) -> Tensor:
        sampler, label = SAMPLERS[self.needs.sampler], self.data.label[self.labelled]
        passes, steps = [], 0
        while steps < self.steps:
            passes.append(sampler(label, self.batch_size, epoch, epochs, _mix(self.seed, len(passes))))
            steps += len(passes[-1])
        return self.labelled[torch.cat(passes)[: self.steps]]

    def _unlabelled_rows(self, epoch: int) -> Tensor:
        width = self.batch_size * self.needs.unlabelled
        random = np.random.default_rng([self.seed, epoch, 1])
        passes = -(-self.steps * width // len(self.pool))
        order = np.concatenate([random.permutation(len(self.pool)) for _ in range(passes)])
        return self.pool[torch.from_numpy(order[: self.steps * width])].view(self.steps, width)

    def _generator(self, epoch: int, step: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(_mix(self.seed, epoch, step, self.rank))

    def _serve(
        self, rows: Tensor, views: list[Augmentation], generator: torch.Generator, landmarks: Tensor | None
    ) -> Batch:
        rows = rows[self.rank :: self.world]
        faces, points = self._gather(rows), self._move(landmarks, rows)
        images = []
        for view in views:
            image, moved = view(faces, generator, points)
            if not images:
                first_points = moved
            images.append(image)
        return Batch(
            image=images[0],
            label=self._move(self.data.label, rows),
            index=_to(rows, self.device),
            views=tuple(images),
            landmarks=first_points,
            distribution=self._move(self._distribution, rows),
        )

    def _place_images(self) -> Tensor:
        """Where batches are gathered from: the device if the images fit there, else the CPU."""
        store = self.data.store
        if self.device.type != "cuda":
            return store
        free, _ = torch.cuda.mem_get_info(self.device)
        return store.to(self.device) if store.numel() <= DEVICE_SHARE * free else store

    def _gather(self, rows: Tensor) -> Tensor:
        rows = self.data.rows[rows]
        if self._images.device.type == "cpu":  # index_select copies whole images; store[rows] goes pixel by pixel
            return _to(self._images.index_select(0, rows), self.device)
        return self._images.index_select(0, _to(rows, self.device))

    def _move(self, values: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if values is None else _to(values[rows], self.device)


def _mix(*numbers: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _to(values: Tensor, device: torch.device) -> Tensor:
    """On the device; to a CUDA one from pinned memory, without waiting."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def _augmentation(view: str | Augmentation, weak: Augmentation) -> Augmentation:
    if isinstance(view, Augmentation):
        return view
    if view in ("weak", "erase"):
        return replace(weak, erase=1.0) if view == "erase" else weak
    if view not in AUGMENTATIONS:
        raise ValueError(f"unknown augmentation {view!r}; known are {', '.join(AUGMENTATIONS)}.")
    return AUGMENTATIONS[view]
