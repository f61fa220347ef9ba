"""CB: the class-balanced loss (Cui et al., CVPR 2019), which weights the cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fercore.batch import Batch, Clock
from fercore.datasets import FaceDataset
from fercore.losses.rebalance import class_balanced_cross_entropy, class_weights
from fercore.methods.baseline import Baseline, BaselineConfig


@dataclass(frozen=True)
class CBConfig(BaselineConfig):
    """Settings of the class-balanced loss. beta, rule: see ``class_weights``."""

    beta: float = 0.9999
    rule: str = "effective"

    def __post_init__(self):
        super().__post_init__()
        class_weights(torch.ones(1), self.beta, self.rule)


class CB(Baseline):
    """The baseline, but a face counts by the weight B of its class (RAC + RSL, equation 4)."""

    config_class = CBConfig

    def __init__(self, config: CBConfig, classes: int):
        super().__init__(config, classes)
        self.register_buffer("balance", torch.ones(classes))

    def before_training(self, data: FaceDataset) -> None:
        """Work out B from the training set's class counts."""
        self.balance.copy_(class_weights(data.counts, self.config.beta, self.config.rule))

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``{"cross_entropy": ()}``, see ``class_balanced_cross_entropy``."""
        loss = class_balanced_cross_entropy(*self.answers(batch), self.balance, self.config.smoothing)
        return {"cross_entropy": loss}
