"""What the semi-supervised methods share: labelled faces and all views of unlabelled ones in one pass."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from fercore.batch import Batch, Clock, Needs
from fercore.datasets import FaceDataset
from fercore.datasets.views import AUGMENTATIONS
from fercore.losses.alignment import MEMORY, align, shares, uniform
from fercore.losses.labelled import labelled_cross_entropy
from fercore.losses.ramps import rise
from fercore.methods.base import Method, NetworkConfig
from fercore.models import build_backbone
from fercore.models.attention_maps import attention_maps
from fercore.models.average import follow
from fercore.models.experts import RESIDUAL_START, ExpertClassifier, Experts, check_experts, imbalance

ALIGNMENTS = ("none", "uniform", "labels")


@dataclass(frozen=True)
class SemiConfig(NetworkConfig):
    """Settings of every semi-supervised method.

    lam: lambda, weight of what the unlabelled faces teach (LEAF, equation 1). It multiplies each method's own term, and
        these are of different sizes: a cross-entropy that counts confident faces only (FixMatch and its heirs, UDA,
        Pseudo-Label), one that all faces have (LEAF), a square of differences between probabilities (Mean Teacher).
    scaled: whether the unlabelled terms together are brought to the size of the cross-entropy before lambda multiplies
        them (LEAF's released code). Then they never weigh more or less than what the labelled faces have yet to learn.
    mu: unlabelled faces for each labelled one (FixMatch's mu, 7 there; 1 in LEAF's released code).
    ramp: share of the training over which lambda rises from 0 (in a line); 0: it is there from the start.
    ema: decay of the average of the weights that is deployed; 0: the last weights are. 0.999 in FixMatch's and LEAF's
        released code, which train for far more steps than preset quick.
    weak, strong: the augmentations behind these two words, names in ``fercore.datasets.views.AUGMENTATIONS``; labelled
        faces come in ``weak``. A guess about a strong view can only be as good as the net still reads it: see there.
    align: what the guesses about unlabelled faces are drawn towards, before anything is made of them: none, uniform, or
        the labelled faces' shares of the classes (labels; ReMixMatch).
    experts: both kinds of experts, for any method (section 5.5.4); or one by one:
    semantic, instance: whether experts work on the features (LEAF, section 4.1) and on the logits (section 4.2).
    expert, n, top_k, noise, noise_unit, residual_start: see ``fercore.models.experts.Experts``; n = 4 is best on
        FERPlus, 2 on RAF-DB (Figure 6). The paper gives no K; the released code's, 1, leaves the gate untrained.
    balance: weight of the experts' ``imbalance``, which keeps the gate from sending all faces to the same ones.
    """

    lam: float = 1.0
    mu: int = 1
    ramp: float = 0.0
    ema: float = 0.0
    scaled: bool = False
    weak: str = "weak"
    strong: str = "strong"
    align: str = "none"
    experts: bool = False
    semantic: bool = False
    instance: bool = False
    expert: str = "residual"
    n: int = 4
    top_k: int = 2
    noise: float = 1.0
    noise_unit: str = "absolute"
    residual_start: float = RESIDUAL_START
    balance: float = 0.0

    @classmethod
    def semi(cls) -> Self:
        """The one protocol in which semi-supervised methods are compared: see ``PROTOCOL``."""
        return replace(cls.quick(), **PROTOCOL)

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up; an average of the weights is deployed."""
        return replace(super().paper(dataset), ema=0.999)

    def __post_init__(self):
        super().__post_init__()
        check_experts(self.expert, self.n, self.top_k, self.noise, self.noise_unit, self.residual_start)
        if not (self.lam >= 0 and self.mu >= 1 and 0 <= self.ramp <= 1 and 0 <= self.ema < 1 and self.balance >= 0):
            raise ValueError("lam and balance must be at least 0, mu at least 1, ramp in [0, 1] and ema in [0, 1)")
        for name, known in (("weak", AUGMENTATIONS), ("strong", AUGMENTATIONS), ("align", ALIGNMENTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")


PROTOCOL: dict[str, Any] = {
    "mu": 2,
    "ramp": 0.4,
    "strong": "readable",
    "noise": 0.5,
    "noise_unit": "spread",
    "balance": 0.01,
}
"""What all semi-supervised methods have alike where they are compared, whatever their own papers say; lam and what is
a method's own idea (thresholds, temperatures, candidates, Mean Teacher's teacher) stay. Steps, batches and the average
of the weights are alike too, and the baseline's as well, by recipe ``semi``.

mu: on a processor a step costs 1 + mu x views; the papers' 7 would leave few steps. ramp: USB's, for the first guesses
are bad ones whoever makes them. strong: a view that the net still reads. noise, noise_unit, balance: of experts.
"""


class SemiSupervised(Method):
    """Cross-entropy on the labelled faces, plus what a subclass makes of the unlabelled ones.

    Labelled faces and views share a pass: each step is one large piece of work, and the norms' statistics are those of
    labelled faces and all views together. Nothing is learnt through a pseudo-label: targets are always detached.

    unlabelled_views: the augmentations of the unlabelled faces that the subclass asks for, weak or strong: which these
        are is the config's.
    through_network: how many of them, from the first, the trained network sees (None: all).
    """

    config_class = SemiConfig
    paper_recipe: ClassVar[str] = "leaf"
    unlabelled_views: ClassVar[tuple[str, ...]] = ("weak", "strong")
    through_network: ClassVar[int | None] = None

    def __init__(self, config: SemiConfig, classes: int):
        super().__init__(config, classes)
        views = tuple(getattr(config, view) for view in self.unlabelled_views)
        self.needs = Needs(views=(config.weak,), unlabelled=config.mu, unlabelled_views=views)
        if config.align != "none":
            self.register_buffer("guessed", uniform(classes))
            self.register_buffer("wanted", uniform(classes))
        self.net = self._network(config.weights)
        self.average: nn.Module | None = None
        if config.ema:  # built anew and filled, see ``fercore.models.branches.copy_stages``
            self.average = self._network(None)
            self.average.load_state_dict(self.net.state_dict())
            self.average.requires_grad_(False)

    def _network(self, weights: str | None) -> ExpertClassifier:
        config = self.config
        backbone = build_backbone(config.backbone, weights, config.size)
        of_kind = (config.expert, config.n, config.top_k, config.noise, config.noise_unit, config.residual_start)
        semantic = Experts(backbone.dim, *of_kind) if config.semantic or config.experts else None
        instance = Experts(self.classes, *of_kind) if config.instance or config.experts else None
        return ExpertClassifier(backbone, self.classes, semantic, instance)

    @property
    def judge(self) -> ExpertClassifier:
        """The network that is deployed: the average, if there is one."""
        return self.net if self.average is None else self.average

    def train(self, mode: bool = True) -> Self:
        """As ever, but the average always works as deployed: its norms do not look at the batch."""
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C) logits of the network that is deployed."""
        return self.judge(image)

    def deployed(self) -> nn.Module:
        """A copy of the network that is deployed."""
        return copy.deepcopy(self.judge)

    def before_training(self, data: FaceDataset) -> None:
        """Note the shares of the classes among the labelled faces, if guesses are aligned with them."""
        if self.config.align == "labels":
            self.wanted.copy_(shares(data.counts))

    def after_step(self, clock: Clock) -> None:
        """Let the average follow."""
        if self.average is not None:
            follow(self.average, self.net, self.config.ema, clock.step)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``cross_entropy`` of the labelled faces and the subclass's terms, times lambda (LEAF, equation 1).

        With ``balance`` also that, of the experts.
        """
        views = batch.unlabelled.views[: self.through_network]
        feature_map = self.net.backbone(torch.cat([batch.image, *views]))
        seen = self.net.mix(self.net.pool(feature_map))
        sizes = [len(batch.image), *map(len, views)]
        label, (labelled, *unlabelled) = batch.label, seen["logits"].split(sizes)
        _, *features = seen["features"].split(sizes)
        self.watch(labelled.detach(), label)
        terms = self.unlabelled_terms(unlabelled, features, batch.unlabelled)
        cross_entropy = labelled_cross_entropy(labelled, label)
        lam = self.config.lam * rise(clock.progress, self.config.ramp)
        if self.config.scaled and terms:
            lam = lam * (cross_entropy / sum(terms.values()).clamp(min=1e-6)).detach()
        losses = {"cross_entropy": cross_entropy, **{name: lam * term for name, term in terms.items()}}
        levels = [level for level in ("semantic", "instance") if f"gate_{level}" in seen]
        if self.config.balance and levels:
            uneven = [imbalance(seen[f"gate_{level}"], seen[f"shares_{level}"]) for level in levels]
            losses["balance"] = self.config.balance * sum(uneven)
        return losses

    def guess(self, logits: Tensor) -> Tensor:
        """What the network makes of unlabelled faces, (U, C) logits, as something to learn from.

        Without gradient; aligned, if the config asks for it, and then counted in the running mean.
        """
        logits = logits.detach()
        if self.config.align == "none":
            return logits
        self.guessed.lerp_(logits.softmax(1).mean(0), 1 - MEMORY)
        return align(logits, self.guessed, self.wanted)

    def watch(self, logits: Tensor, label: Tensor) -> None:
        """Called with what the network says of the labelled faces, (B, C) and (B,); nothing by default."""

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """What the unlabelled faces teach: named scalars.

        :param logits, features: (U, C) and (U, d) of each view that the network saw.
        """
        raise NotImplementedError

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """What the deployed network makes of the labelled faces.

        probabilities: (B, C). confidence: (B,), that of the likeliest class. features: (B, d), what the linear layer
        sees. gate_LEVEL, shares_LEVEL: (B, n), the experts' weights after and before the choice. cams: (B, C, h, w),
        where there are no experts on features, for which a map of them means nothing.
        """
        feature_map = self.judge.backbone(batch.image)
        seen = self.judge.mix(self.judge.pool(feature_map))
        probabilities = seen.pop("logits").softmax(1)
        shown = {"probabilities": probabilities, "confidence": probabilities.amax(1), **seen}
        if self.judge.semantic is None:
            shown["cams"] = attention_maps(feature_map, self.judge.head.weight)
        return shown


def check_share(**values: float) -> None:
    """Raises ValueError naming the value that does not lie in [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not be {value}")
