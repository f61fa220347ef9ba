"""SCN, the self-cure network: weigh faces by importance, and relabel the doubtful (Wang et al., CVPR 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from fercore.batch import UNLABELLED, Batch, Clock
from fercore.datasets import FaceDataset
from fercore.losses.rank import rank_regularisation
from fercore.losses.similarity import weighted_cross_entropy
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps


@dataclass(frozen=True)
class SCNConfig(NetworkConfig):
    """Settings of SCN (its sections 3.2 to 3.4 and 4.2).

    high: beta, share of a batch that is taken as important.
    margin: delta_1, by which the important faces' mean weight must exceed the others'.
    doubt: delta_2, by which the largest probability must exceed that of the label for a face to be relabelled.
    gamma: share of the rank regularisation in the loss; the weighted cross-entropy has the rest.
    relabel_from: share of the training after which faces are relabelled (10 of 40 epochs).
    """

    high: float = 0.7
    margin: float = 0.15
    doubt: float = 0.2
    gamma: float = 0.5
    relabel_from: float = 0.25

    def __post_init__(self):
        super().__post_init__()
        if not (0 < self.high < 1 and 0 <= self.gamma <= 1 and self.margin >= 0 and self.doubt >= 0):
            raise ValueError("high must lie in (0, 1), gamma in [0, 1], margin and doubt must be at least 0")


class SCN(Method):
    """Self-attention importance weighting, rank regularisation and relabelling. Preset paper trains it as EAC."""

    config_class = SCNConfig
    memory: ClassVar[tuple[str, ...]] = ("relabelled",)

    def __init__(self, config: SCNConfig, classes: int):
        super().__init__(config, classes)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = Classifier(backbone, classes)
        self.scorer = nn.Linear(backbone.dim, 1)
        self.register_buffer("relabelled", torch.full((0,), UNLABELLED))

    def before_training(self, data: FaceDataset) -> None:
        """Make room for a new label of each face."""
        self.relabelled = torch.full((len(data),), UNLABELLED, device=self.relabelled.device)

    def look(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature map, logits (N, C) and importance weights (N,) in (0, 1)."""
        feature_map = self.net.backbone(image)
        features = self.net.pool(feature_map)
        with torch.autocast(image.device.type, enabled=False):
            return feature_map, self.net.head(features), self.scorer(features).sigmoid()[:, 0]

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``cross_entropy``, of logits times importance, and ``rank``; late in training faces are relabelled here."""
        config = self.config
        _, logits, importance = self.look(batch.image)
        label = self.current_label(batch)
        if clock.progress >= config.relabel_from and len(self.relabelled):
            self.relabel(batch, label, (logits * importance[:, None]).detach().softmax(1), importance.detach())
        return {
            "cross_entropy": (1 - config.gamma) * weighted_cross_entropy(logits, importance, label),
            "rank": config.gamma * rank_regularisation(importance, config.high, config.margin),
        }

    def current_label(self, batch: Batch) -> Tensor:
        """(N,) labels: the new one where a face was relabelled."""
        if not len(self.relabelled):
            return batch.label
        new = self.relabelled[batch.index.clamp(min=0)]
        return torch.where((new == UNLABELLED) | (batch.index < 0), batch.label, new)

    def relabel(self, batch: Batch, label: Tensor, probabilities: Tensor, importance: Tensor) -> None:
        """Unimportant faces whose likeliest class beats their label by delta_2 carry that class from now on."""
        most, best = probabilities.max(1)
        own = probabilities.gather(1, label.clamp(min=0)[:, None])[:, 0]
        unimportant = importance.argsort(descending=True).argsort() >= round(self.config.high * len(label))
        doubtful = unimportant & (most - own > self.config.doubt) & (label != UNLABELLED)
        self.relabelled[batch.index] = torch.where(doubtful, best, self.relabelled[batch.index])

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """probabilities: (N, C). confidence: (N,), the importance. labels: (N,), as relabelled. cams: (N, C, h, w)."""
        feature_map, logits, importance = self.look(batch.image)
        return {
            "probabilities": logits.softmax(1),
            "confidence": importance,
            "labels": self.current_label(batch),
            "cams": attention_maps(feature_map, self.net.head.weight),
        }
