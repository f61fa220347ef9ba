"""Several trained networks asked as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Together(nn.Module):
    """Methods trained apart, e.g. with other seeds, that answer with the mean of their probabilities.

    Costs as much as all of them. Raises ValueError if they know different numbers of emotions.
    """

    def __init__(self, methods: Sequence[nn.Module]):
        super().__init__()
        classes = sorted({method.classes for method in methods})
        if len(classes) != 1:
            raise ValueError(f"models of {' and '.join(map(str, classes))} emotions cannot be asked together")
        self.methods, (self.classes,) = nn.ModuleList(methods), classes
        self.config = max((method.config for method in methods), key=lambda config: config.size)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C) logits whose softmax is the mean of the methods' softmax."""
        return torch.stack([method(image).log_softmax(1) for method in self.methods]).logsumexp(0)

    def landmarks(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 68, 2), the mean of what the methods say. Raises ValueError if one predicts none."""
        return torch.stack([method.landmarks(image) for method in self.methods]).mean(0)
