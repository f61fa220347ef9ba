"""FixMatch: what is confident in a weak view labels a strong one (Sohn et al., NeurIPS 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fercore.batch import Batch
from fercore.losses.pseudo import confident, masked_cross_entropy
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class FixMatchConfig(SemiConfig):
    """Settings of FixMatch. tau: smallest confidence of a pseudo-label (section 2.2; 0.95 in section 4)."""

    tau: float = 0.95

    def __post_init__(self):
        super().__post_init__()
        check_share(tau=self.tau)


class FixMatch(SemiSupervised):
    """A fixed threshold; ``experts=True`` adds LEAF's experts (its Figure 7)."""

    config_class = FixMatchConfig

    def thresholds(self, probabilities: Tensor, faces: Batch) -> Tensor | float:
        """The confidence that a pseudo-label needs, one for all classes or (C,)."""
        return self.config.tau

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``pseudo_label`` (equation 4)."""
        weak, strong = self.guess(logits[0]).softmax(1), logits[1]
        label, mask = confident(weak, self.thresholds(weak, faces))
        return {"pseudo_label": masked_cross_entropy(strong, label, mask)}
