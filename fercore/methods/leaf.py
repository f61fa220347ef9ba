"""LEAF: experts on features and predictions, and several candidate labels a face (Zhang et al., 2024).

Two *experts'* mixtures, before and after the linear layer, weigh what matters for the expression. Of an unlabelled face
no single class is guessed: the likeliest ones that together reach probability T must stay above all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch.nn.functional as F
from torch import Tensor

from fercore.batch import Batch
from fercore.losses.ambiguous import ambiguous_consistency, positive_set
from fercore.methods.semi import SemiConfig, SemiSupervised, check_share

CONSISTENCIES = ("ambiguous", "cross_entropy", "none")
SCALES = ("logits", "softmax")


@dataclass(frozen=True)
class LEAFConfig(SemiConfig):
    """Settings of LEAF. Table 2's rows differ in ``expert``, Table 3's in ``semantic``, ``instance``, ``consistency``.

    consistency: ambiguous (equation 14), cross_entropy with the likeliest class of all faces, or none (without C-EAF;
        the unlabelled faces still pass through the network, so that only the loss differs).
    threshold: T (equation 8). margin: epsilon (equation 9).
    scale: whether equations 9 to 14 see logits (released code) or their softmax (as equations 6 and 7 read). Of
        probabilities, which differ by 1 at most, no set is ever far enough above the other for the loss to vanish.
    reversed: whether weak views choose the set and strong ones learn (released code), not the other way (paper).
    """

    semantic: bool = True
    instance: bool = True
    consistency: str = "ambiguous"
    threshold: float = 0.9
    margin: float = 0.0
    scale: str = "logits"
    reversed: bool = False

    @classmethod
    def quick(cls) -> Self:
        """A training that starts far from the answers: weak views choose the sets, and lambda rises slowly.

        As the paper has it, every face falls to the same few classes (validation faces, results/leaf_validation.csv).
        """
        return cls(reversed=True, ramp=1.0)

    @classmethod
    def paper(cls, dataset: str = "rafdb") -> Self:
        """The usual set-up, with the number of experts of Figure 6, and the roles of the released code, which work."""
        return replace(super().paper(dataset), n=2 if dataset == "rafdb" else 4, reversed=True)

    def printed(self) -> Self:
        """The paper's roles, lambda from the start: every face fell to the same few classes."""
        return replace(self, reversed=False, ramp=0.0)

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("consistency", CONSISTENCIES), ("scale", SCALES)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        check_share(threshold=self.threshold)
        if self.margin < 0:
            raise ValueError("margin must be at least 0")


class LEAF(SemiSupervised):
    """Hierarchical decoupling and fusing."""

    config_class = LEAFConfig

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``consistency`` (equation 14), the mean over the unlabelled faces."""
        config, (weak, strong) = self.config, logits
        teaches, learns = (weak, strong) if config.reversed else (strong, weak)
        match config.consistency:
            case "ambiguous":
                positive = positive_set(self.guess(teaches).softmax(1), config.threshold)
                scores = learns if config.scale == "logits" else learns.softmax(1)
                return {"consistency": ambiguous_consistency(scores, positive, config.margin).mean()}
            case "cross_entropy":
                return {"consistency": F.cross_entropy(learns, self.guess(teaches).argmax(1))}
            case _:
                return {}

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """As every semi-supervised method, and positive: (B, C), true for the candidate classes of each face."""
        shown = super().explain(batch)
        return {**shown, "positive": positive_set(shown["probabilities"], self.config.threshold)}
