"""RAC + RSL: learn rare classes from every face (Zhang et al., NeurIPS 2023).

A face and its mirror image go through the network in one pass. **RAC**: the attention maps of all classes must be
mirrored too, those of rare classes above all. **RSL**: labels are smoothed towards rare classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from fercore.batch import UNLABELLED, Batch, Clock, Needs
from fercore.datasets import FaceDataset
from fercore.datasets.view_ops import zoom
from fercore.losses.attention import attention_consistency
from fercore.losses.ramps import rise
from fercore.losses.rebalance import class_weights, smooth_labels, soft_cross_entropy
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps


class Transform(NamedTuple):
    """A change of the image, and the change of the attention maps that belongs to it; both (N, c, H, W) -> the same."""

    image: Callable[[Tensor], Tensor]
    maps: Callable[[Tensor], Tensor]


ZOOM, DIMMING = 1.25, 0.7


def _mirror(x: Tensor) -> Tensor:
    return x.flip(-1)


def _zoom(x: Tensor) -> Tensor:
    """The middle of the picture, enlarged."""
    return zoom(x, ZOOM)


TRANSFORMS = {
    "flip": Transform(_mirror, _mirror),
    "scaling": Transform(_zoom, _zoom),
    "intensity": Transform(lambda x: x * DIMMING, lambda x: x),
}
"""Section 4.9. The paper gives no sizes for scaling and intensity: these are ours."""


@dataclass(frozen=True)
class RACRSLConfig(NetworkConfig):
    """Settings of RAC + RSL.

    lam: lambda, weight of the consistency (equation 6; section 4.7 chooses 2). 0: no RAC.
    alpha: share of the label that is smoothed (equation 8; section 4.7 chooses 0.1). 0: no RSL.
    beta: of the effective number of samples (equation 4).
    rule: how B is scaled, see ``class_weights``.
    balance_maps: whether the consistency is weighted by B (equation 3); EAC's is not.
    transform: a name in TRANSFORMS (section 4.9).
    both_views: cross-entropy of both views (equation 1); the released code has that of the face alone.
    squared: squared differences (released code) instead of absolute ones (equation 5).
    head_gradient: whether the consistency also moves the linear layer. Not in the released code, nor by default here:
        it could make the maps consistent by making them small.
    ramp: share of the training over which lambda rises from 0 (ours): at the start the maps mean nothing yet.

    The released code averages the consistency over places but sums it over classes: its lambda is 1 / L of ours.
    """

    lam: float = 2.0
    alpha: float = 0.1
    beta: float = 0.9999
    rule: str = "effective"
    balance_maps: bool = True
    transform: str = "flip"
    both_views: bool = True
    squared: bool = True
    head_gradient: bool = False
    ramp: float = 0.2

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up, as printed."""
        return super().paper(dataset).printed()

    def printed(self) -> Self:
        """Equation 5 as printed, lambda from the start."""
        return replace(self, squared=False, ramp=0.0)

    def __post_init__(self):
        super().__post_init__()
        if self.transform not in TRANSFORMS:
            raise ValueError(f"unknown transform {self.transform!r}; known are {', '.join(TRANSFORMS)}")
        class_weights(torch.ones(1), self.beta, self.rule)
        if not (self.lam >= 0 and 0 <= self.alpha < 1 and 0 <= self.ramp <= 1):
            raise ValueError("lam must be at least 0, alpha in [0, 1) and ramp in [0, 1]")


class RACRSL(Method):
    """Re-balanced attention consistency and re-balanced smooth labels."""

    needs = Needs(views=("weak",))
    config_class = RACRSLConfig
    paper_recipe: ClassVar[str] = "rac_rsl"

    def __init__(self, config: RACRSLConfig, classes: int):
        super().__init__(config, classes)
        self.net = Classifier(build_backbone(config.backbone, config.weights, config.size), classes)
        self.transform = TRANSFORMS[config.transform]
        if config.rule == "effective" or config.alpha == 0:  # else the rows of equation 8 do not sum to 1
            self.distribution_names = ("probabilities", "targets")
        self.register_buffer("balance", torch.ones(classes))

    def before_training(self, data: FaceDataset) -> None:
        """Work out B from the training set's class counts."""
        self.balance.copy_(class_weights(data.counts, self.config.beta, self.config.rule))

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``cross_entropy`` (equations 1, 7, 8) and ``consistency`` (equations 2, 3, 5, times lambda)."""
        config, n = self.config, len(batch.image)
        feature_map = self.net.backbone(torch.cat([batch.image, self.transform.image(batch.image)]))
        target = smooth_labels(batch.label, self.balance, config.alpha)
        views = 2 if config.both_views else 1
        each = soft_cross_entropy(self.net.classify(feature_map[: views * n]), target.repeat(views, 1))
        known = (batch.label != UNLABELLED).sum().clamp(min=1)
        weight = self.net.head.weight if config.head_gradient else self.net.head.weight.detach()
        consistency = self.consistency(attention_maps(feature_map, weight)).mean()
        lam = config.lam * rise(clock.progress, config.ramp)
        return {"cross_entropy": each.sum() / known, "consistency": lam * consistency}

    def consistency(self, maps: Tensor) -> Tensor:
        """How much the maps (2 N, L, h, w) of N faces and of the N transformed ones differ: (N,), smaller is better."""
        balance = self.balance if self.config.balance_maps else torch.ones_like(self.balance)
        face, other = maps.chunk(2)
        return attention_consistency(self.transform.maps(face), other, balance, self.config.squared)

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What the network sees in a face and in the transformed one.

        probabilities: (B, L). cams: (B, L, h, w) of the face. cams_expected: these, transformed. cams_transformed: of
        the transformed face; with perfect consistency equal to the former. consistency: (B,), 0 is perfect.
        targets: (B, L), the smoothed labels.
        """
        feature_map = self.net.backbone(torch.cat([batch.image, self.transform.image(batch.image)]))
        maps = attention_maps(feature_map, self.net.head.weight)
        face, other = maps.chunk(2)
        return {
            "probabilities": self.net.classify(feature_map[: len(batch.image)]).softmax(1),
            "cams": face,
            "cams_expected": self.transform.maps(face),
            "cams_transformed": other,
            "consistency": self.consistency(maps),
            "targets": smooth_labels(batch.label, self.balance, self.config.alpha),
        }
