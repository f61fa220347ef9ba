"""What everything shares: the batch a step receives, what a method asks of the loop, and where training stands."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

UNLABELLED = -1
"""The label of a face whose label is hidden; ``cross_entropy(..., ignore_index=UNLABELLED)`` skips it."""


@dataclass
class Batch:
    """B faces on one device, augmented.

    image: (B, 3, H, W) float in [0, 1], RGB; the network normalises it itself. The first of ``views``.
    label: (B,) int64, UNLABELLED where hidden.
    index: (B,) int64, the face's fixed row in its training set (per-sample memory is addressed by it); negative, and
        its own, for a face of none, e.g. of a photograph.
    views: one (B, 3, H, W) tensor for each augmentation that ``Needs.views`` names.
    landmarks: (B, 68, 2) float, pixels of ``image`` (x, y), NaN where unknown; None if not asked for. Those of the
        first of ``views``.
    distribution: (B, C) float, the true p(emotion | face); None if unknown. To look at, never to train on.
    unlabelled: a second batch of faces without labels, for methods that ask for one.
    """

    image: Tensor
    label: Tensor
    index: Tensor
    views: tuple[Tensor, ...] = ()
    landmarks: Tensor | None = None
    distribution: Tensor | None = None
    unlabelled: Batch | None = None


@dataclass(frozen=True)
class Needs:
    """What a method asks of the training loop.

    views: names of the augmentations (``fercore.datasets.views.AUGMENTATIONS``); one image tensor each.
    sampler: a name in ``fercore.datasets.samplers.SAMPLERS``: shuffle, every_class or progressive.
    landmarks: whether ``Batch.landmarks`` is wanted, of the labelled and the unlabelled faces.
    unlabelled: how many unlabelled faces come with each labelled one (0: none).
    unlabelled_views: names of the augmentations of the unlabelled faces.
    """

    views: tuple[str, ...] = ("weak",)
    sampler: str = "shuffle"
    landmarks: bool = False
    unlabelled: int = 0
    unlabelled_views: tuple[str, ...] = ("weak", "strong")


@dataclass(frozen=True)
class Clock:
    """Where training stands: ramps read it. ``epoch`` counts from 0, ``progress`` runs from 0 to 1 over all steps."""

    step: int
    epoch: int
    steps: int
    epochs: int

    @property
    def progress(self) -> float:
        """Share of all steps already done."""
        return self.step / max(1, self.steps)
