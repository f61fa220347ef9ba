"""The baseline: a backbone, a linear layer and cross-entropy. Every other method must beat it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fercore.batch import Batch, Clock, Needs
from fercore.datasets.views import AUGMENTATIONS
from fercore.losses.labelled import labelled_cross_entropy
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps


@dataclass(frozen=True)
class BaselineConfig(NetworkConfig):
    """Settings of the baseline.

    dropout: share of features dropped before the linear layer (Srivastava et al., 2014).
    smoothing: share of the label spread over all classes (Szegedy et al., 2016, section 7); 0 is plain cross-entropy.
    view: how the faces are augmented, a name in ``fercore.datasets.views.AUGMENTATIONS``.
    views: how many such views of each face a step sees; the loss is their mean. With 2 this is the control for methods
        that look at each face twice.
    """

    dropout: float = 0.0
    smoothing: float = 0.0
    view: str = "weak"
    views: int = 1

    def __post_init__(self):
        super().__post_init__()
        if not (0 <= self.dropout < 1 and 0 <= self.smoothing < 1):
            raise ValueError("dropout and smoothing must lie in [0, 1)")
        if self.view not in AUGMENTATIONS:
            raise ValueError(f"unknown view {self.view!r}; known are {', '.join(AUGMENTATIONS)}")
        if self.views < 1:
            raise ValueError(f"views must be at least 1, not {self.views}")


class Baseline(Method):
    """Cross-entropy on the labelled faces."""

    config_class = BaselineConfig

    def __init__(self, config: BaselineConfig, classes: int):
        super().__init__(config, classes)
        self.needs = Needs(views=(config.view,) * config.views)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = Classifier(backbone, classes, config.dropout)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``{"cross_entropy": ()}``: mean of -log p(label | view) over the views of faces whose label is known."""
        return {"cross_entropy": labelled_cross_entropy(*self.answers(batch), self.config.smoothing)}

    def answers(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (V B, C) of all views, in one pass, and their labels (V B,)."""
        images = torch.cat(batch.views) if self.config.views > 1 else batch.image
        return self.net(images), batch.label.repeat(self.config.views)

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """The class activation maps.

        probabilities: (B, C). cams: (B, C, h, w), how much each place adds to each class's logit (Zhou et al., 2016).
        """
        feature_map = self.net.backbone(batch.image)
        cams = attention_maps(feature_map, self.net.head.weight)
        return {"probabilities": self.net.classify(feature_map).softmax(1), "cams": cams}
