"""DMUE: what else a face may be, mined by branches that never saw its class (She et al., CVPR 2021).

One auxiliary branch for each class copies the last stage of the trunk and learns to tell the *other* classes apart.
What it says about the faces of its own class is their latent distribution, a second target for the deployed branch. How
much a face's label is trusted follows from its likeness to the other faces of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from fercore.batch import UNLABELLED, Batch, Clock, Needs
from fercore.losses.latent import (
    auxiliary_cross_entropy,
    averaged_cross_entropy,
    averaged_distribution,
    latent_distribution,
    latent_l2,
)
from fercore.losses.ramps import ramps
from fercore.losses.similarity import (
    relations,
    relative_confidence,
    similarity_preserving,
    similarity_vector,
    weighted_cross_entropy,
)
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps
from fercore.models.branches import copy_stages, stage_before


@dataclass(frozen=True)
class DMUEConfig(NetworkConfig):
    """Settings of DMUE; 0 for omega, gamma or ``confidence=False`` takes a component out (Table 2).

    split: the stage from which on every branch has its own copy (section 4.2: the last).
    omega: weight of the latent distributions (equation 10; section 4.2).
    gamma: weight of similarity preserving (equation 10; section 4.2).
    temperature: T of the sharpening (equation 3); above 1 it flattens.
    beta: of the ramps (equations 11 and 12), as a share of the training: 6 of 40 epochs in section 4.2.
    ramp: factor in the exponent of the rising ramp: 1 in equation 11, 5 in the released code.
    confidence: whether logits are weighted by the confidence (equations 6 to 9).
    relative: whether the confidence is divided by its mean over the batch's faces of the same label (ours). Without it
        a class that is not recognised yet is best distrusted as a whole; its faces then teach nothing any more, and in
        short trainings whole classes were never learned.
    stretched: whether each face's similarities are stretched to [0, 1] (released code, not in the paper).
    own: whether a face counts among the faces of its class that it is compared with (see ``similarity_vector``).
    mining: LD-N, each branch learns from the other classes' faces; LD-A, all branches learn all classes from all faces
        and their predictions are averaged (section 4.7 and Table 4, for comparison).
    """

    split: str = "stage4"
    omega: float = 0.5
    gamma: float = 1000.0
    temperature: float = 1.2
    beta: float = 0.15
    ramp: float = 1.0
    confidence: bool = True
    relative: bool = True
    stretched: bool = True
    own: bool = True
    mining: str = "LD-N"

    def __post_init__(self):
        super().__post_init__()
        stage_before(self.split)
        if self.mining not in ("LD-N", "LD-A"):
            raise ValueError(f"unknown mining {self.mining!r}; known are LD-N, LD-A")
        if self.temperature <= 0 or not 0 < self.beta <= 1 or min(self.omega, self.gamma, self.ramp) < 0:
            raise ValueError("temperature must be above 0, beta in (0, 1], omega, gamma and ramp at least 0")

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up, with similarities as printed and the confidence relative, as which it works."""
        return replace(super().paper(dataset), stretched=False)

    def printed(self) -> Self:
        """The confidence as printed. In short trainings three of seven classes were never recognised then."""
        return replace(self, relative=False, stretched=False)


class DMUE(Method):
    """Latent distribution mining and pairwise uncertainty estimation.

    Each branch sees the whole batch in one pass, so its batch norms see all classes in training as in use; only its
    loss leaves its own class out. (The released code runs each branch a second time, on its own class alone: the norms
    then see that class only.)
    """

    needs = Needs(sampler="every_class")
    config_class = DMUEConfig
    distribution_names = ("probabilities", "latent")
    paper_recipe: ClassVar[str] = "dmue"

    def __init__(self, config: DMUEConfig, classes: int):
        super().__init__(config, classes)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = Classifier(backbone, classes)
        self.before = stage_before(config.split)
        self.branches = nn.ModuleList(copy_stages(backbone, config.split) for _ in range(classes))
        outputs = classes - 1 if config.mining == "LD-N" else classes
        self.heads = nn.ModuleList(nn.Linear(backbone.dim, outputs) for _ in range(classes))
        if config.confidence:
            hidden, last = nn.Linear(2 * classes, classes, bias=False), nn.Linear(classes, 1, bias=False)
            self.scorer = nn.Sequential(hidden, nn.PReLU(), last, nn.Sigmoid())
        others = [[k for k in range(classes) if k != j] for j in range(classes)]
        self.register_buffer("others", torch.tensor(others), persistent=False)

    def auxiliary(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Every branch on the whole batch: logits (C, N, C) and features (C, N, d); LD-N: column j of branch j -inf."""
        features = torch.stack([self.net.pool(branch(shared)) for branch in self.branches])
        with torch.autocast(shared.device.type, enabled=False):
            logits = torch.stack([head(f) for head, f in zip(self.heads, features, strict=True)])
        if self.config.mining == "LD-A":
            return logits, features
        count, faces, _ = logits.shape
        columns = self.others[:, None].expand(count, faces, count - 1)
        full = logits.new_full((count, faces, count), -torch.inf)
        return full.scatter(2, columns, logits), features

    def mine(self, logits: Tensor, label: Tensor, temperature: float = 1.0) -> Tensor:
        """Latent distributions (N, C), 0 at the own class, from ``auxiliary``'s logits."""
        mined = latent_distribution if self.config.mining == "LD-N" else averaged_distribution
        return mined(logits, label, temperature)

    def confidence(self, features: Tensor, label: Tensor) -> Tensor:
        """How far each label is trusted: alpha (N,), in (0, 1) (equation 8) or, if ``relative``, 1 on average."""
        with torch.autocast(features.device.type, enabled=False):
            vector = similarity_vector(features, label, self.classes, self.config.stretched, self.config.own)
            alpha = self.scorer(vector)[:, 0]
            return relative_confidence(alpha, label, self.classes) if self.config.relative else alpha

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Equation 10's four terms: ``auxiliary``, ``cross_entropy`` (weighted), ``latent`` and ``similarity``."""
        config, label = self.config, batch.label
        shared = self.net.backbone.run(batch.image, stop=self.before)
        target = self.net.pool(self.net.backbone.run(shared, start=config.split))
        with torch.autocast(shared.device.type, enabled=False):
            logits = self.net.head(target)
        auxiliary, features = self.auxiliary(shared)
        latent = self.mine(auxiliary, label, config.temperature)
        teach = auxiliary_cross_entropy if config.mining == "LD-N" else averaged_cross_entropy
        alpha = self.confidence(target, label) if config.confidence else torch.ones_like(logits[:, 0])
        up, down = ramps(clock.progress, config.beta, config.ramp)
        terms = {
            "cross_entropy": up * weighted_cross_entropy(logits, alpha, label),
            "latent": up * config.omega * latent_l2(logits.softmax(1), latent, label),
            "auxiliary": down * teach(auxiliary, label),
        }
        if config.gamma:
            terms["similarity"] = (
                up * config.gamma * similarity_preserving(relations(target), relations(features), label)
            )
        return terms

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What is mined from a batch.

        probabilities: (N, C) of the target branch. latent: (N, C), 0 at the own class, not sharpened. confidence: (N,),
        if it is used. relations: (N, N) of the target branch. relations_auxiliary: (N, C, N), of each branch. cams:
        (N, C, h, w).
        """
        shared = self.net.backbone.run(batch.image, stop=self.before)
        feature_map = self.net.backbone.run(shared, start=self.config.split)
        target = self.net.pool(feature_map)
        auxiliary, features = self.auxiliary(shared)
        label = torch.where(batch.label == UNLABELLED, self.net.head(target).argmax(1), batch.label)
        return {
            "probabilities": self.net.head(target).softmax(1),
            "latent": self.mine(auxiliary, label),
            **({"confidence": self.confidence(target, label)} if self.config.confidence else {}),
            "relations": relations(target),
            "relations_auxiliary": relations(features).transpose(0, 1),
            "cams": attention_maps(feature_map, self.net.head.weight),
        }
