"""UDA: a strong view must be judged as a weak one, sharpened (Xie et al., NeurIPS 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fercore.batch import Batch
from fercore.losses.pseudo import confident, masked_divergence, sharpen
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share


@dataclass(frozen=True)
class UDAConfig(SemiConfig):
    """Settings of UDA (its section 2.3 and appendix; the values for CIFAR-10).

    temperature: of the sharpening. tau: beta there, smallest confidence of the faces that count.
    Training signal annealing is left out: it is for few labels of many classes.
    """

    temperature: float = 0.4
    tau: float = 0.8

    def __post_init__(self):
        super().__post_init__()
        check_share(tau=self.tau)
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")


class UDA(SemiSupervised):
    """Unsupervised data augmentation."""

    config_class = UDAConfig

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``consistency``: KL divergence of the strong view from the sharpened weak one."""
        weak, strong = self.guess(logits[0]), logits[1]
        _, mask = confident(weak.softmax(1), self.config.tau)
        return {"consistency": masked_divergence(strong, sharpen(weak, self.config.temperature), mask)}
