"""What every method is: a network, the loss that trains it, and what there is to look at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from fercore.datasets.batch import Batch


@dataclass(frozen=True)
class Needs:
    """What a method asks of the training loop.

    views: names of the augmentations (``fercore.datasets.views.AUGMENTATIONS``); one image tensor each.
    sampler: a name in ``fercore.datasets.samplers.SAMPLERS``: shuffle, every_class or progressive.
    landmarks: whether ``Batch.landmarks`` is wanted.
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


class Method(nn.Module):
    """One paper.

    ``forward`` is the deployed path: (B, 3, H, W) image in [0, 1] -> (B, C) logits, without any training-only part.
    """

    needs: Needs = Needs()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C) logits."""
        raise NotImplementedError

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Named scalar terms, already weighted; their sum is minimised. No host sync, no data-dependent shape."""
        raise NotImplementedError

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What the lesson draws: gates, maps, distributions, confidences."""
        return {}

    def after_step(self, clock: Clock) -> None:
        """Called after each optimiser step (EMA teachers, banks); nothing by default."""

    def before_epoch(self, clock: Clock) -> None:
        """Called before each epoch (thresholds, class distributions); nothing by default."""

    def deployed(self) -> nn.Module:
        """The slim module with equal logits: see ``fercore.methods.deploy``."""
        raise NotImplementedError
