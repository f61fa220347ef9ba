"""Pseudo-Label: what the network is sure of becomes its label (Lee, ICML workshop 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fercore.batch import Batch
from fercore.losses.pseudo import confident, masked_cross_entropy
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class PseudoLabelConfig(SemiConfig):
    """Settings of Pseudo-Label.

    tau: smallest confidence of a pseudo-label; Lee has none (0), later comparisons (USB, 2022) 0.95.
    ramp: Lee's equation 16; the length is USB's.
    """

    tau: float = 0.95
    ramp: float = 0.4

    def __post_init__(self):
        super().__post_init__()
        check_share(tau=self.tau)


class PseudoLabel(SemiSupervised):
    """Cross-entropy of a view with its own likeliest class (Lee's equation 15)."""

    config_class = PseudoLabelConfig
    unlabelled_views: ClassVar[tuple[str, ...]] = ("weak",)

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``pseudo_label``."""
        (weak,) = logits
        label, mask = confident(self.guess(weak).softmax(1), self.config.tau)
        return {"pseudo_label": masked_cross_entropy(weak, label, mask)}
