"""FlexMatch: FixMatch with lower thresholds for classes that are harder to be sure of (Zhang et al., NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fercore.batch import UNLABELLED, Batch
from fercore.datasets import FaceDataset
from fercore.losses.pseudo import LABELLED, confident, flexible_thresholds
from fercore.methods.fixmatch import FixMatch, FixMatchConfig


@dataclass(frozen=True)
class FlexMatchConfig(FixMatchConfig):
    """Settings of FlexMatch. warm_up: whether thresholds stay low until most faces were labelled once (equation 11)."""

    warm_up: bool = True


class FlexMatch(FixMatch):
    """Curriculum pseudo-labelling.

    assigned: (N,), the class that each training face was last given with confidence tau, UNLABELLED before.
    """

    config_class = FlexMatchConfig
    memory: ClassVar[tuple[str, ...]] = ("assigned",)

    def __init__(self, config: FlexMatchConfig, classes: int):
        super().__init__(config, classes)
        self.register_buffer("assigned", torch.full((0,), UNLABELLED))

    def before_training(self, data: FaceDataset) -> None:
        """Make room for a class of each face that will be served as an unlabelled one."""
        super().before_training(data)
        hidden = data.label == UNLABELLED
        served = hidden if hidden.any() else torch.ones_like(hidden)
        self.assigned = torch.where(served, UNLABELLED, LABELLED).to(self.assigned.device)

    def thresholds(self, probabilities: Tensor, faces: Batch) -> Tensor:
        """(C,), after these faces are noted (algorithm 1)."""
        if len(self.assigned):
            label, sure = confident(probabilities, self.config.tau)
            self.assigned[faces.index] = torch.where(sure, label, self.assigned[faces.index])
        return flexible_thresholds(self.assigned, self.classes, self.config.tau, self.config.warm_up)
