"""Ada-DF: learn from a mixture of what a face looks like and what its class looks like (Liu et al., ICASSP 2023).

An auxiliary branch, trained on the labels, gives each face's *label distribution*; their mean over a class is the
*class distribution*. Attention weights mix the two: clear faces follow their class, doubtful ones themselves. The
target branch learns the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from fercore.batch import UNLABELLED, Batch, Clock
from fercore.datasets import FaceDataset
from fercore.losses.fusion import class_distributions, fuse, kl_to_prediction, normalise_weights, trusted_classes
from fercore.losses.labelled import labelled_cross_entropy, membership
from fercore.losses.ramps import ramps
from fercore.losses.rank import rank_regularisation
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Backbone, Classifier, build_backbone
from fercore.models.attention_maps import attention_maps
from fercore.models.backbones import STAGES
from fercore.models.branches import copy_stages, stage_before

TARGETS = ("fused", "class", "label")
WEIGHTED = ("features", "logits")
UNITS = ("share", "epochs", "steps")


@dataclass(frozen=True)
class AdaDFConfig(NetworkConfig):
    """Settings of Ada-DF.

    split: the stage from which on the two branches differ (section 3.1: stem and first stage are shared).
    freeze: whether the shared stages stay as they were pretrained (section 3.1), their norms included; False where
        nothing was pretrained.
    target: what the target branch learns: fused, class or label distributions (Table 2).
    threshold: t (equations 5 to 7); relative: as a share of the surest class's own probability, see
        ``trusted_classes``. smallest: w_min (equation 11).
    margin, high: delta and M / N of the rank regularisation (equations 9 and 10).
    beta: of the ramps (equations 15 and 16): 3 of 75 epochs for RAF-DB. unit: in what it counts: share (of the
        training), epochs or steps. As a share it lies within the warm-up where trainings are short.
    weighted: what the attention weights multiply: features (paper) or logits (released code).
    detach: whether the KL divergence leaves its target alone. The paper says nothing; in the released code it does
        not, so that it also trains the auxiliary branch and the attention. In a short training the cheapest way to make
        it small is then that both branches say nothing: our default stops its gradient.
    second_pass: whether class distributions come from an extra pass over the unaltered training faces before each epoch
        (released code), instead of from the past epoch's own predictions, which cost nothing.
    """

    split: str = "stage2"
    freeze: bool = True
    target: str = "fused"
    threshold: float = 0.7
    smallest: float = 0.2
    margin: float = 0.07
    high: float = 0.7
    beta: float = 0.04
    unit: str = "share"
    relative: bool = False
    weighted: str = "features"
    detach: bool = True
    second_pass: bool = False

    @classmethod
    def fast(cls) -> AdaDFConfig:
        """Seconds, for tests: nothing is pretrained, so nothing is frozen."""
        return cls(weights=None, freeze=False)

    @classmethod
    def quick(cls) -> Self:
        """Minutes on a laptop's processor. Nothing is frozen: on validation faces that was better by 6 points."""
        return cls(freeze=False)

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """Section 4.2 and Table 1."""
        less_certain = {"threshold": 0.5, "beta": 5 / 75} if dataset in ("affectnet", "sfew") else {}
        return replace(super().paper(dataset), size=100, **less_certain)

    def printed(self) -> Self:
        """Shared stages frozen (section 3.1), if pretrained, and the gradient that the released code has.

        With this gradient, which the paper does not mention, short trainings ended at chance.
        """
        return replace(self, detach=False, freeze=self.weights is not None)

    def __post_init__(self):
        super().__post_init__()
        stage_before(self.split)
        for name, known in (("target", TARGETS), ("weighted", WEIGHTED), ("unit", UNITS)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        if not (0 < self.threshold < 1 and 0 <= self.smallest <= 1):
            raise ValueError("threshold must lie in (0, 1) and smallest in [0, 1]")
        if self.beta <= 0 or (self.unit == "share" and self.beta > 1):
            raise ValueError(f"beta must be above 0 and, as a share, at most 1, not {self.beta} {self.unit}")


def weigh(features: Tensor, attention: nn.Linear, head: nn.Linear, weighted: str) -> tuple[Tensor, Tensor]:
    """(N, d) -> logits (N, C) and attention weights (N,) in (0, 1): how clear each face is (section 3.3.1)."""
    with torch.autocast(features.device.type, enabled=False):
        weight = attention(features).sigmoid()
        logits = head(features * weight) if weighted == "features" else head(features) * weight
    return logits, weight[:, 0]


class AttentiveClassifier(Classifier):
    """A classifier that weighs each face by how clear it is."""

    def __init__(self, backbone: Backbone, classes: int, weighted: str):
        super().__init__(backbone, classes)
        self.attention = nn.Linear(backbone.dim, 1)
        self.weighted = weighted

    def weigh(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, h, w) -> logits (B, C) and attention weights (B,)."""
        return weigh(self.pool(feature_map), self.attention, self.head, self.weighted)

    def classify(self, feature_map: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, C) logits."""
        return self.weigh(feature_map)[0]


class AdaDF(Method):
    """Dual-branch adaptive distribution fusion. Faces come as in every method, not by RandAugment and erasing."""

    config_class = AdaDFConfig
    distribution_names = ("probabilities", "label_distribution", "class_distribution", "fused")
    paper_recipe: ClassVar[str] = "ada_df"

    def __init__(self, config: AdaDFConfig, classes: int):
        super().__init__(config, classes)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = AttentiveClassifier(backbone, classes, config.weighted)
        self.branch = copy_stages(backbone, config.split)
        self.branch_attention = nn.Linear(backbone.dim, 1)
        self.branch_head = nn.Linear(backbone.dim, classes)
        self.shared = STAGES[: STAGES.index(config.split)]
        if config.freeze:
            for name in self.shared:
                backbone.stages[name].requires_grad_(False)
        self.register_buffer(
            "distributions", class_distributions(torch.eye(classes), torch.zeros(classes), config.threshold)
        )
        self.register_buffer("trusted", torch.zeros(classes, dtype=torch.bool), persistent=False)
        self.register_buffer("sums", torch.zeros(classes, classes))
        self.register_buffer("counts", torch.zeros(classes))
        self.data: FaceDataset | None = None

    def train(self, mode: bool = True) -> AdaDF:
        """As ever, but norms of frozen stages keep the statistics they were pretrained with."""
        super().train(mode)
        if self.config.freeze:
            for name in self.shared:
                self.net.backbone.stages[name].eval()
        return self

    def before_training(self, data: FaceDataset) -> None:
        """Keep hold of the training set, for a second pass. Raises ValueError if what is frozen was never trained."""
        if self.config.freeze and self.config.weights is None:
            raise ValueError("the frozen stages would stay random: give --weights, or --settings freeze=False")
        self.data = data if self.config.second_pass else None

    def before_epoch(self, clock: Clock) -> None:
        """Equations 4 to 7, from what the past epoch (or a pass over the data) has gathered."""
        if self.data is not None and clock.epoch > 0:
            self._gather()
        rule = self.sums, self.counts, self.config.threshold, self.config.relative
        self.distributions.copy_(class_distributions(*rule))
        self.trusted.copy_(trusted_classes(*rule))
        self.sums.zero_()
        self.counts.zero_()

    def notes(self) -> dict[str, float]:
        """trusted_classes: how many classes' own distributions were learnt from in this epoch."""
        return {"trusted_classes": float(self.trusted.sum())}

    @torch.no_grad()
    def _gather(self) -> None:
        self.eval()
        self.sums.zero_()
        self.counts.zero_()
        for rows in torch.arange(len(self.data)).split(256):
            batch = self.data.batch(rows, self.sums.device)
            self._remember(self.look(batch.image)["auxiliary"], batch.label)
        self.train()

    def _remember(self, logits: Tensor, label: Tensor) -> None:
        member = membership(label, self.classes)
        with torch.autocast(logits.device.type, enabled=False):  # the means are distributions: they sum to 1
            self.sums.add_(member.T @ logits.detach().softmax(1))
        self.counts.add_(member.sum(0))

    def look(self, image: Tensor) -> dict[str, Tensor]:
        """Both branches: feature_map of the target branch, logits target and auxiliary (N, C), weight (N,), eq. 8."""
        backbone, split = self.net.backbone, self.config.split
        shared = backbone.run(image, stop=stage_before(split))
        feature_map = backbone.run(shared, start=split)
        target, weight = self.net.weigh(feature_map)
        features = self.net.pool(self.branch(shared))
        auxiliary, other = weigh(features, self.branch_attention, self.branch_head, self.config.weighted)
        return {"feature_map": feature_map, "target": target, "auxiliary": auxiliary, "weight": (weight + other) / 2}

    def fused(self, auxiliary: Tensor, weight: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Label, class and fused distribution of each face, (N, C) each."""
        of_face = auxiliary.softmax(1)
        of_class = self.distributions[label.clamp(min=0)]
        mixed = fuse(of_class, of_face, normalise_weights(weight, self.config.smallest))
        return {"label": of_face, "class": of_class, "fused": mixed}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Equation 14: ``rank`` (9), ``cross_entropy`` of the auxiliary branch (3), ``divergence`` (13)."""
        config, label = self.config, batch.label
        seen = self.look(batch.image)
        target = self.fused(seen["auxiliary"], seen["weight"], label)[config.target]
        if not config.second_pass:
            self._remember(seen["auxiliary"], label)
        done = {"share": clock.progress, "epochs": clock.progress * clock.epochs, "steps": clock.step}[config.unit]
        rising, falling = ramps(done, config.beta)
        divergence = kl_to_prediction(target.detach() if config.detach else target, seen["target"], label)
        return {
            "cross_entropy": falling * labelled_cross_entropy(seen["auxiliary"], label),
            "divergence": rising * divergence,
            "rank": rank_regularisation(seen["weight"], config.high, config.margin),
        }

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What is mixed from what.

        probabilities, label_distribution, class_distribution, fused: (N, C). confidence: (N,). cams: (N, C, h, w).
        """
        seen = self.look(batch.image)
        label = torch.where(batch.label == UNLABELLED, seen["target"].argmax(1), batch.label)
        parts = self.fused(seen["auxiliary"], seen["weight"], label)
        return {
            "probabilities": seen["target"].softmax(1),
            "label_distribution": parts["label"],
            "class_distribution": parts["class"],
            "fused": parts["fused"],
            "confidence": seen["weight"],
            "cams": attention_maps(seen["feature_map"], self.net.head.weight),
        }
