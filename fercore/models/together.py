"""Several trained networks asked as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fercore.batch import Batch


class Averaged(nn.Module):
    """Networks that answer with the mean of their probabilities. Costs as much as all of them."""

    def __init__(self, methods: Sequence[nn.Module]):
        super().__init__()
        self.methods = nn.ModuleList(methods)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C) logits whose softmax is the mean of the networks' softmax."""
        return torch.stack([method(image).log_softmax(1) for method in self.methods]).logsumexp(0)


class Together(Averaged):
    """Methods trained apart, e.g. with other seeds or of other kinds, that keep what one of them can do.

    Raises ValueError if they know different numbers of emotions.
    """

    def __init__(self, methods: Sequence[nn.Module]):
        classes = sorted({method.classes for method in methods})
        if len(classes) != 1:
            raise ValueError(f"models of {' and '.join(map(str, classes))} emotions cannot be asked together")
        frames = {getattr(method, "frame", None) for method in methods}
        if len(frames) != 1:
            raise ValueError("models that learnt from faces in different frames cannot be asked together")
        super().__init__(methods)
        (self.classes,), (self.frame,) = classes, frames
        self.config = max((method.config for method in methods), key=lambda config: config.size)
        self.predicts_landmarks = any(method.predicts_landmarks for method in methods)
        first, *others = (method.distribution_names for method in methods)
        self.distribution_names = tuple(name for name in first if all(name in names for names in others))

    def landmarks(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 68, 2), the mean over the methods that predict them. Raises ValueError if none does."""
        able = [method for method in self.methods if method.predicts_landmarks] or self.methods
        return torch.stack([method.landmarks(image) for method in able]).mean(0)

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """The distributions (B, C) that all of them name, each the mean over the methods."""
        shown = [method.explain(batch) for method in self.methods]
        common = [name for name in self.distribution_names if all(name in one for one in shown)]
        return {name: torch.stack([one[name] for one in shown]).mean(0) for name in common}

    def deployed(self) -> nn.Module:
        """The slim module with equal logits: the methods' own, averaged."""
        return Averaged([method.deployed() for method in self.methods])
