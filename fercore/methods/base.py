"""What every method is: a network, the loss that trains it, and what there is to look at."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from fercore.batch import Batch, Clock, Needs
from fercore.settings import check_values

if TYPE_CHECKING:
    from fercore.datasets import FaceDataset
    from fercore.datasets.frame import Frame


PAPER_DATASETS = ("rafdb", "ferplus", "affectnet", "sfew")


@dataclass(frozen=True)
class NetworkConfig:
    """What every method's ``Config`` has; a method adds the symbols of its paper, each with its source.

    backbone: a name in ``fercore.models.BACKBONES``.
    weights: where the trunk starts: None (random), "face", "imagenet" or a local file.
    size: side of the image that the trunk sees, in pixels; images of another size are resized on the device.
    """

    backbone: str = "light"
    weights: str | None = "face"
    size: int = 64

    def __post_init__(self):
        """Check every setting's kind (``fercore.settings``); a method's own ``__post_init__`` calls this one first."""
        if isinstance(self.weights, str) and self.weights.lower() == "none":  # as a file of settings writes it
            object.__setattr__(self, "weights", None)
        check_values(type(self), vars(self))

    @classmethod
    def fast(cls) -> Self:
        """Seconds, for tests: the light trunk from scratch."""
        return cls(weights=None)

    @classmethod
    def quick(cls) -> Self:
        """Minutes on a laptop's processor: the light trunk from face recognition on rendered identities."""
        return cls()

    @classmethod
    def semi(cls) -> Self:
        """As quick; the semi-supervised methods are made alike here (``fercore.methods.semi.PROTOCOL``)."""
        return cls.quick()

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The papers' usual set-up, for a GPU; their MS-Celeb-1M weights come from a local file (``weights=FILE``).

        dataset: whose settings, where a paper has several; preset paper is RAF-DB's. Raises ValueError if unknown.
        """
        if dataset not in PAPER_DATASETS:
            raise ValueError(f"unknown dataset {dataset!r}; the papers' settings are for {', '.join(PAPER_DATASETS)}")
        return cls(backbone="resnet18", weights="imagenet", size=224)

    def printed(self) -> Self:
        """The same with what the paper prints (its released code, where it is silent), where our settings differ.

        They differ where the printed ones failed here, or were meant for longer trainings; see each method.
        """
        return self


@contextmanager
def in_use(method: nn.Module) -> Iterator[torch.device]:
    """In evaluation mode and without gradients meanwhile; hands over its device, then restores the mode it was in."""
    was_training = method.training
    method.eval()
    try:
        with torch.inference_mode():
            yield next((p.device for p in method.parameters()), torch.device("cpu"))
    finally:
        method.train(was_training)


class Method(nn.Module):
    """One paper: a network, the losses that train it, and what there is to look at.

    A subclass takes ``(config, classes)`` and says its part of this contract; ``fercore/methods/README.md`` shows a
    whole one.

    The network: ``forward`` is the deployed path, (B, 3, H, W) image in [0, 1] -> (B, C) logits, without any
    training-only part. It asks ``self.net``, and ``deployed`` is a copy of it; where a method deploys something else,
    it overrides both. Per-sample memory lives in buffers, so that a checkpoint holds it.

    Its distributions: ``distribution_names``, those entries of ``explain`` that are distributions over the emotions,
    (B, C), each row's sum 1. They are compared with the truth (``fercore.runs.insight``), and averaged where several
    methods answer together. An entry named "confidence", (B,), says how far each face's label is trusted.

    Its landmarks: ``predicts_landmarks``, and then ``landmarks``.

    needs: what it asks of the training loop. config_class: the dataclass of its settings.
    paper_recipe: the name of the recipe (``fercore.training.recipe``) that preset paper means.
    lr_scale: factor on the learning rate by parameter name prefix, e.g. ``{"net.head.": 10.0}``.
    memory: names of its buffers with a row for each training face, empty until ``before_training``.
    """

    needs: Needs = Needs()
    config_class: ClassVar[type[NetworkConfig]] = NetworkConfig
    paper_recipe: ClassVar[str] = "paper"
    lr_scale: ClassVar[dict[str, float]] = {}
    memory: ClassVar[tuple[str, ...]] = ()
    distribution_names: tuple[str, ...] = ("probabilities",)
    predicts_landmarks: bool = False
    frame: Frame | None = None

    def __init__(self, config: NetworkConfig, classes: int):
        super().__init__()
        self.config, self.classes = config, classes

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C) logits."""
        return self.net(image)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Named scalar terms, already weighted; their sum is minimised. No host sync, no data-dependent shape."""
        raise NotImplementedError

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What the lesson draws: gates, maps, confidences, and all of ``distribution_names``; a row a face."""
        return {}

    def landmarks(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 68, 2) landmarks, iBUG order, in pixels, the first one's centre being (0, 0).

        Raises ValueError if the method predicts none.
        """
        raise ValueError(f"this {type(self).__name__} predicts no landmarks; train la_net or landmarks for them")

    def before_training(self, data: FaceDataset) -> None:
        """Called once with the training set (class counts, size of per-sample memory); nothing by default."""

    def before_epoch(self, clock: Clock) -> None:
        """Called before each epoch (thresholds, class distributions); nothing by default."""

    def notes(self) -> dict[str, float]:
        """Figures that each epoch's entry in the history takes along (``notes``); none by default."""
        return {}

    def after_step(self, clock: Clock) -> None:
        """Called after each optimiser step (EMA teachers, banks); nothing by default."""

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        for name in self.memory:  # as many rows as there were faces in that training
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def deployed(self) -> nn.Module:
        """The slim module with equal logits: see ``fercore.methods.deploy``. By default a copy of ``self.net``."""
        return copy.deepcopy(self.net)
