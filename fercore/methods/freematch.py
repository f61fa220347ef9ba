"""FreeMatch: thresholds that rise by themselves as the network grows sure (Wang et al., ICLR 2023)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from fercore.batch import Batch
from fercore.losses.alignment import uniform
from fercore.losses.free_match import adaptive_thresholds, class_shares, fairness
from fercore.losses.pseudo import confident, masked_cross_entropy
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class FreeMatchConfig(SemiConfig):
    """Settings of FreeMatch.

    keep: lambda there, the share of its running means that a step keeps: 0.999 in the paper, less here for preset
        quick's few hundred steps.
    fair: w_f, weight of the fairness beside w_u = 1 (0.01 in the released code); within lambda here.
    """

    keep: float = 0.99
    fair: float = 0.01

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up, with the paper's memory."""
        return replace(super().paper(dataset), keep=0.999)

    def __post_init__(self):
        super().__post_init__()
        check_share(keep=self.keep)
        if self.fair < 0:
            raise ValueError("fair must be at least 0")


class FreeMatch(SemiSupervised):
    """Self-adaptive thresholds and fairness. No threshold has to be chosen.

    confidence: tau_t, (), mean: p_t, and share: h_t, (C,): running means over the unlabelled faces' weak views, which
    begin at 1 / C.
    """

    config_class = FreeMatchConfig

    def __init__(self, config: FreeMatchConfig, classes: int):
        super().__init__(config, classes)
        self.register_buffer("confidence", torch.tensor(1 / classes))
        self.register_buffer("mean", uniform(classes))
        self.register_buffer("share", uniform(classes))

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``pseudo_label`` and ``fairness``."""
        weak, strong = self.guess(logits[0]).softmax(1), logits[1]
        step = 1 - self.config.keep
        self.confidence.lerp_(weak.amax(1).mean(), step)
        self.mean.lerp_(weak.mean(0), step)
        self.share.lerp_(class_shares(weak), step)
        label, mask = confident(weak, adaptive_thresholds(self.confidence, self.mean))
        return {
            "pseudo_label": masked_cross_entropy(strong, label, mask),
            "fairness": self.config.fair * fairness(strong, mask, self.mean, self.share),
        }
