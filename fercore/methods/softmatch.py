"""SoftMatch: every pseudo-label counts, the less sure the less (Chen et al., ICLR 2023)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import Batch
from fercore.losses.soft_match import soft_weights
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class SoftMatchConfig(SemiConfig):
    """Settings of SoftMatch.

    keep: m, the share of its running mean and variance that a step keeps: 0.999 in the paper, less here for preset
        quick's few hundred steps.
    sigmas: see ``soft_weights``: 1 in the paper's equation, 2 in the released code.
    align: uniform, as in the paper. It changes the weights only: the pseudo-label is what the network itself says.
    """

    align: str = "uniform"
    keep: float = 0.99
    sigmas: float = 2.0

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up, with the paper's memory."""
        return replace(super().paper(dataset), keep=0.999)

    def __post_init__(self):
        super().__post_init__()
        check_share(keep=self.keep)
        if self.sigmas <= 0:
            raise ValueError("sigmas must be above 0")


class SoftMatch(SemiSupervised):
    """A truncated Gaussian of the confidence in place of a threshold.

    mean, variance: mu_t and sigma_t^2, (), of the unlabelled faces' largest probability; they begin at 1 / C and 1.
    """

    config_class = SoftMatchConfig

    def __init__(self, config: SoftMatchConfig, classes: int):
        super().__init__(config, classes)
        self.register_buffer("mean", torch.tensor(1 / classes))
        self.register_buffer("variance", torch.tensor(1.0))

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``pseudo_label``."""
        weak, strong = logits[0].detach(), logits[1]
        most = self.guess(weak).softmax(1).amax(1)
        self.mean.lerp_(most.mean(), 1 - self.config.keep)
        self.variance.lerp_(most.var(), 1 - self.config.keep)
        weight = soft_weights(most, self.mean, self.variance, self.config.sigmas)
        return {"pseudo_label": (weight * F.cross_entropy(strong, weak.argmax(1), reduction="none")).mean()}
