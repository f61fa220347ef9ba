"""AdaCM: margins of confidence learnt from the labelled faces; doubtful faces teach features (Li et al., CVPR 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import Batch, Clock
from fercore.losses.pseudo import adaptive_margins, confident, contrast, masked_cross_entropy
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class AdaCMConfig(SemiConfig):
    """Settings of AdaCM, after its released code.

    start: margin of every class at first, and of a class of which no face was recognised.
    beta: share of the mean confidence that the margin grows to. gamma: the larger, the sooner it does.
    floor: smallest margin (0.8 in LEAF's released code, which borrows the margins).
    lam, contrast: the terms weigh 0.5 (labelled), 1 (confident) and 0.1 (doubtful): here 1, lam and lam * contrast.
    temperature: of the doubtful faces' loss.
    """

    lam: float = 2.0
    start: float = 0.8
    beta: float = 0.97
    gamma: float = math.e
    floor: float = 0.0
    contrast: float = 0.1
    temperature: float = 0.07

    def __post_init__(self):
        super().__post_init__()
        check_share(start=self.start, beta=self.beta, floor=self.floor)
        if not (self.gamma >= 1 and self.contrast >= 0 and self.temperature > 0):
            raise ValueError("gamma must be at least 1, contrast at least 0 and temperature above 0")


class AdaCM(SemiSupervised):
    """Adaptive confidence margin: two weak views judge a face together, a third, strong one learns.

    margins: (C,). sums, counts: (C,), confidence in the labelled faces recognised since the last epoch began.
    """

    config_class = AdaCMConfig
    unlabelled_views: ClassVar[tuple[str, ...]] = ("weak", "weak", "strong")

    def __init__(self, config: AdaCMConfig, classes: int):
        super().__init__(config, classes)
        self.register_buffer("margins", torch.full((classes,), config.start))
        self.register_buffer("sums", torch.zeros(classes))
        self.register_buffer("counts", torch.zeros(classes))

    def before_epoch(self, clock: Clock) -> None:
        """New margins from the past epoch's labelled faces."""
        config = self.config
        if clock.epoch > 0:
            margins = adaptive_margins(self.sums, self.counts, clock.epoch, config.beta, config.gamma, config.start)
            self.margins.copy_(margins.clamp(min=config.floor))
        self.sums.zero_()
        self.counts.zero_()

    def watch(self, logits: Tensor, label: Tensor) -> None:
        """Gather the confidence in the faces that are recognised."""
        most, best = logits.softmax(1).max(1)
        recognised = F.one_hot(best, self.classes) * (best == label)[:, None]
        self.sums.add_((recognised * most[:, None]).sum(0))
        self.counts.add_(recognised.sum(0))

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``pseudo_label`` of the confident faces and ``contrast`` of the others."""
        first, second, strong = logits
        together = (self.guess(first).softmax(1) + self.guess(second).softmax(1)) / 2
        label, mask = confident(together, self.margins)
        doubtful = contrast(features[0], features[1], ~mask, self.config.temperature)
        return {"pseudo_label": masked_cross_entropy(strong, label, mask), "contrast": self.config.contrast * doubtful}
