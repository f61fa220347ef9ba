"""LA-Net: landmarks against label noise (Wu & Cui, ICCV 2023).

A branch beside the expression backbone learns the landmarks. Faces that are alike in expression *or* in landmarks vote
on each other's **label distribution**, which is averaged over the epochs and learnt beside the label. A contrastive
loss draws the expression and the landmarks of like faces together. Nothing of this is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercore.batch import UNLABELLED, Batch, Clock, Needs
from fercore.datasets import FaceDataset
from fercore.datasets.samplers import SAMPLERS
from fercore.losses.fusion import kl_to_prediction
from fercore.losses.labelled import labelled_cross_entropy
from fercore.losses.landmark_contrast import landmark_contrast, positive_pairs, pseudo_labels
from fercore.losses.neighbours import aggregate, average_over_epochs, mean_of_views, neighbours
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps
from fercore.models.backbones import STAGES
from fercore.models.bank import EMPTY, MemoryBank
from fercore.models.branches import copy_stages, stage_before
from fercore.models.keys import KeyNetworks, Projectors
from fercore.models.landmark_branch import HEADS, LandmarkBranch, seen_from_both_sides, to_pixels
from fercore.models.pairs import PairScorer

COMPONENTS = ("none", "LD", "LD+LM", "LD+LM+EL", "LD+LM+EL+PL")
"""The rows of Table 2. LD: label distributions from neighbours in expression; LM: and in landmarks; EL: the contrastive
loss; PL: its pairs by pseudo-labels, not by the labels given."""
TEACHES = ("everything", "scores", "nothing")


@dataclass(frozen=True)
class LANetConfig(NetworkConfig):
    """Settings of LA-Net.

    components: a row of Table 2, see COMPONENTS.
    split: the stage from which on expression and landmarks have stages of their own. The paper has two backbones, the
        released code shares the stem and the first stage.
    k: K, neighbours in each space (equation 2). omega: decay of past distributions (equation 5).
    temperature: of the predictions that vote (equation 4); below 1 sharpens them. 1 in the paper, whose networks are
        sure of themselves after 80 epochs: the votes of an unsure one are flat, and flatter with each round.
    delta: threshold of the pseudo-labels (equation 8). tau: temperature (equations 11 and 12).
    alpha, beta: weights of the label distributions and of the contrastive loss (equation 14). All from section 4.2.
    points: weight of the landmarks' error L_lm; 1 in equation 14, which does not say in which unit L_lm is.
    target_teaches: what learns from the target of equation 7, on which the paper is silent: "everything", as in the
        released code (neighbours' predictions are drawn towards the face's own); "scores", which must learn from it or
        from nothing; or "nothing": the scores stay as they were drawn.
    momentum: of the key networks; bank: keys remembered; projected: their dimensions. feature: those of v. All four as
        in the released code.
    landmark_head: pattern, linear layers as in section 3, or heatmap, as in the released code; see
        ``fercore.models.landmark_branch``. Both learn by the mean square error of the places.
    sampler: progressive balances the classes more and more (section 4.2); shuffle does not.
    """

    components: str = COMPONENTS[-1]
    split: str = "stage2"
    k: int = 8
    omega: float = 0.9
    temperature: float = 1.0
    delta: float = 0.7
    tau: float = 0.1
    alpha: float = 1.0
    beta: float = 0.1
    points: float = 1.0
    target_teaches: str = "scores"
    momentum: float = 0.999
    bank: int = 8192
    projected: int = 64
    feature: int = 64
    landmark_head: str = "pattern"
    sampler: str = "progressive"

    @classmethod
    def quick(cls) -> Self:
        """A training of few epochs: more is shared, memories are shorter, votes sharper, neighbours fewer.

        Chosen on validation faces (results/la_net_validation.csv): what is shared learns from the landmarks too, and
        after three epochs the votes can outweigh a label (omega^3 < 1/2).
        """
        short = {"omega": 0.7, "delta": 0.6, "k": 4, "temperature": 0.33, "momentum": 0.99, "bank": 2048}
        return cls(split="stage4", sampler="shuffle", **short)

    def printed(self) -> Self:
        """Section 4.2's values, and the released code's where the paper has none, for 80 epochs."""
        paper = type(self)()
        names = ("split", "k", "omega", "temperature", "delta", "momentum", "bank", "sampler")
        return replace(self, **{name: getattr(paper, name) for name in names})

    def __post_init__(self):
        super().__post_init__()
        stage_before(self.split)
        choices = {
            "components": COMPONENTS,
            "landmark_head": HEADS,
            "target_teaches": TEACHES,
            "sampler": SAMPLERS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        for name in ("omega", "delta", "momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not be {getattr(self, name)}")
        if min(self.k, self.bank, self.projected, self.feature) < 1:
            raise ValueError("k, bank, projected and feature must be at least 1")
        if min(self.tau, self.temperature) <= 0 or min(self.alpha, self.beta, self.points) < 0:
            raise ValueError("tau and temperature must be above 0, alpha, beta and points at least 0")


class LANet(Method):
    """Landmark-aware learning.

    Each face has one target distribution an epoch, d^[e] = omega d^[e-1] + (1 - omega) d_i: seen again in an epoch, its
    second d_i takes the place of the first. (The released code averages at every visit, outside of the checkpoint.)

    before, now: (N, C), d^[e-1] and d^[e] of the training faces; they start as the labels given (uniform where hidden).
    given: (N,), those labels.
    """

    config_class = LANetConfig
    distribution_names = ("probabilities", "label_distribution", "target")
    memory: ClassVar[tuple[str, ...]] = ("before", "now", "given")
    paper_recipe: ClassVar[str] = "la_net"

    def __init__(self, config: LANetConfig, classes: int):
        super().__init__(config, classes)
        self.parts = config.components.split("+")
        self.needs = Needs(sampler=config.sampler, landmarks="LM" in self.parts)
        self.predicts_landmarks = "LM" in self.parts
        self.stop = stage_before(config.split)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = Classifier(backbone, classes)
        dims = {"expression": backbone.dim} | ({"landmarks": config.feature} if "LM" in self.parts else {})
        if "LM" in self.parts:
            self.branch = LandmarkBranch(backbone, config.split, config.landmark_head, config.feature)
        if "LD" in self.parts:
            self.scorers = nn.ModuleDict({space: PairScorer(dim) for space, dim in dims.items()})
            self.scorers.requires_grad_(config.target_teaches != "nothing")
        if "EL" in self.parts:
            self.projectors = Projectors(dims, config.projected)
            self.keys = KeyNetworks(
                copy_stages(backbone, config.split),
                LandmarkBranch(backbone, config.split, config.landmark_head, config.feature),
                Projectors(dims, config.projected),
            )
            self.keys.follow(*self._followed(), decay=0.0, step=0)  # copies, at first
            self.bank = MemoryBank(len(dims), config.bank, config.projected)
        self.register_buffer("before", torch.zeros(0, classes))
        self.register_buffer("now", torch.zeros(0, classes))
        self.register_buffer("given", torch.full((0,), UNLABELLED))

    def _followed(self) -> tuple[nn.Sequential, LandmarkBranch, Projectors]:
        """What the key networks are the moving averages of."""
        stages = STAGES[STAGES.index(self.config.split) :]
        trunk = nn.Sequential(*(self.net.backbone.stages[name] for name in stages))
        return trunk, self.branch, self.projectors

    def before_training(self, data: FaceDataset) -> None:
        """Start the label distributions at the labels, and measure the landmarks."""
        device = self.now.device
        self.given = data.label.to(device)
        one_hot = F.one_hot(self.given.clamp(min=0), self.classes).float()
        self.now = torch.where((self.given == UNLABELLED)[:, None], 1 / self.classes, one_hot)
        self.before = self.now.clone()
        learns = "LM" in self.parts and data.landmarks is not None
        if learns and not self.branch.head.measure(data.landmarks.to(device), data.size):
            raise ValueError(
                "LA-Net learns landmarks, but no training face has all 68; python -m data_prep ... --landmarks "
                'writes them, components="LD" does without.'
            )

    def before_epoch(self, clock: Clock) -> None:
        """The targets of the past epoch become those that the new ones are averaged with."""
        self.before.copy_(self.now)

    def after_step(self, clock: Clock) -> None:
        """Let the key networks follow."""
        if "EL" in self.parts:
            self.keys.follow(*self._followed(), self.config.momentum, clock.step)

    def look(self, image: Tensor) -> dict[str, Any]:
        """Both networks on images (N, 3, H, W).

        shared, feature_map: (N, c, h, w). logits: (N, C). features: by space, expression u (N, d) and landmarks v
        (N, f). points: (N, 68, 2), landmarks in shares (see ``fercore.models.landmark_branch``).
        """
        shared = self.net.backbone.run(image, stop=self.stop)
        feature_map = self.net.backbone.run(shared, start=self.config.split)
        u = self.net.pool(feature_map)
        with torch.autocast(image.device.type, enabled=False):
            seen = {"shared": shared, "feature_map": feature_map, "logits": self.net.head(u)}
        seen["features"] = {"expression": u}
        if "LM" in self.parts:
            seen["features"]["landmarks"], seen["points"] = self.branch(shared)
        return seen

    def landmarks(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 68, 2), pixels of the image, the first one's centre being (0, 0).

        The mean of what is seen in the image and in its mirror image.
        """
        if "LM" not in self.parts:
            return super().landmarks(image)
        trunk = self.net.backbone
        return seen_from_both_sides(lambda view: self.branch(trunk.run(view, stop=self.stop))[1], image)

    def vote(self, seen: dict[str, Any], index: Tensor) -> dict[str, Tensor]:
        """Equations 1 to 4 on what ``look`` saw of a batch.

        label_distribution: d_i, (N, C). neighbours_SPACE: (N, K), rows of the batch. contributions_SPACE: (N, K), 0 for
        what is no neighbour.
        """
        features, p = seen["features"], (seen["logits"] / self.config.temperature).softmax(1)
        if self.config.target_teaches != "everything":
            features, p = {space: x.detach() for space, x in features.items()}, p.detach()
        found, votes = {}, []
        for space, x in features.items():
            near, are = neighbours(x, index, self.config.k)
            contribution = torch.where(are, self.scorers[space](x, near), 0)
            votes.append(aggregate(p, near, contribution))
            found |= {f"neighbours_{space}": near, f"contributions_{space}": contribution}
        return {"label_distribution": torch.stack(votes).mean(0), **found}

    def target(self, seen: dict[str, Any], index: Tensor) -> Tensor:
        """d^[e] (N, C) of a batch of training faces, which is remembered (equation 5)."""
        fresh = mean_of_views(self.vote(seen, index)["label_distribution"], index)
        target = average_over_epochs(self.before[index], fresh, self.config.omega)
        self.now[index] = target.detach()
        return target

    def pair_labels(self, index: Tensor) -> Tensor:
        """(N,), by which training faces are paired: the pseudo-labels of now (equation 8), or the labels given."""
        return pseudo_labels(self.now[index], self.config.delta) if "PL" in self.parts else self.given[index]

    def contrast(self, seen: dict[str, Any], index: Tensor) -> Tensor:
        """Equations 10 to 13, after this batch's keys went into the bank."""
        key = self.keys(seen["shared"].detach())
        self.bank.push(key, index)
        label, faces = self.pair_labels(index), self.bank.index
        positive = positive_pairs(label, index, label, index)
        left_out = positive_pairs(label, index, self.pair_labels(faces), faces) | (faces == EMPTY)
        (q_u, q_v), (k_u, k_v), (bank_u, bank_v) = self.projectors(seen["features"]), key, self.bank.keys
        first = landmark_contrast(q_u, k_v, bank_v, positive, left_out, self.config.tau)
        second = landmark_contrast(q_v, k_u, bank_u, positive, left_out, self.config.tau)
        return first + second

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Equation 14: ``cross_entropy`` (6), ``landmarks`` (L_lm), ``divergence`` (7), ``contrast`` (13).

        L_lm is in units of the landmarks' variance over the training faces: 1 for guessing the mean shape of faces as
        they are, more once views move them.
        """
        seen = self.look(batch.image)
        terms = {"cross_entropy": labelled_cross_entropy(seen["logits"], batch.label)}
        if "LM" in self.parts:
            error = self.branch.head.error(seen["points"], batch.landmarks, batch.image.shape[2:])
            terms["landmarks"] = self.config.points * error
        if "LD" in self.parts:
            target = self.target(seen, batch.index)
            terms["divergence"] = self.config.alpha * kl_to_prediction(target, seen["logits"], batch.label)
        if "EL" in self.parts:
            terms["contrast"] = self.config.beta * self.contrast(seen, batch.index)
        return terms

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What the faces of a batch say about each other, as far as the components go.

        probabilities: (N, C). cams: (N, C, h, w). features_expression: u, (N, d). features_landmarks: v, (N, f).
        landmarks: (N, 68, 2), predicted, in pixels of the image. label_distribution: d_i, (N, C), of this batch alone.
        confidence: (N,), what d_i gives to the label (to its likeliest class, where the label is hidden).
        neighbours_SPACE: (N, K), rows of the batch, nearest first, and contributions_SPACE: (N, K), 0 for what is no
        neighbour; SPACE is expression or landmarks. target: d^[e], (N, C), as training left it: of training faces only.
        """
        seen = self.look(batch.image)
        shown = {
            "probabilities": seen["logits"].softmax(1),
            "cams": attention_maps(seen["feature_map"], self.net.head.weight),
            **{f"features_{space}": x for space, x in seen["features"].items()},
        }
        if "LM" in self.parts:
            shown["landmarks"] = to_pixels(seen["points"], batch.image.shape[2:])
        if "LD" in self.parts:
            shown |= self.vote(seen, batch.index)
            d = shown["label_distribution"]
            label = torch.where(batch.label == UNLABELLED, d.argmax(1), batch.label)
            shown["confidence"] = d.gather(1, label[:, None])[:, 0]
            if len(self.now) and bool((batch.index >= 0).all()):
                shown["target"] = self.now[batch.index.clamp(max=len(self.now) - 1)]
        return shown
