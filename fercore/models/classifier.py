"""Backbone, global average pooling, one linear layer: what most methods deploy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fercore.models.backbones import Backbone


class Classifier(nn.Module):
    """(B, 3, H, W) image in [0, 1] -> (B, classes) logits."""

    def __init__(self, backbone: Backbone, classes: int, dropout: float = 0.0):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.dim, classes)

    def pool(self, feature_map: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, c), the mean over places, in full precision."""
        return feature_map.float().mean((2, 3))

    def classify(self, feature_map: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, classes) logits, in full precision: bf16 keeps under three digits of a logit."""
        with torch.autocast(feature_map.device.type, enabled=False):
            return self.head(self.dropout(self.pool(feature_map)))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, classes)."""
        return self.classify(self.backbone(image))
