"""Experts and the gate that mixes them, for features and for class predictions (LEAF, sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercore.models.backbones import Backbone
from fercore.models.classifier import Classifier

LOAD_MEMORY = 0.99
"""Share of the running load that a step keeps."""

RESIDUAL_START = 0.1
"""Size of a residual expert's last layer at the start, as a share of what is drawn."""


def _linear(dim: int) -> nn.Module:
    return nn.Linear(dim, dim)


def _bottleneck(dim: int) -> nn.Sequential:
    # Half the width is ours: the paper names none. GELU rather than ReLU: with seven logits the bottleneck has three
    # units, and all of them would often be dead from the start.
    narrow = max(1, dim // 2)
    return nn.Sequential(nn.Linear(dim, narrow), nn.GELU(), nn.Linear(narrow, dim))


class _Residual(nn.Module):
    """x + bottleneck(x), which starts small (ours): the mixture is nearly x at first.

    Started at full size, LEAF had 42.3 % instead of 45.7 % of mean accuracy on validation faces (100 labels, one seed,
    from the landmarks' start; "experts as drawn" in results/leaf_validation.csv).
    """

    def __init__(self, dim: int):
        super().__init__()
        self.bottleneck = _bottleneck(dim)
        with torch.no_grad():
            for values in self.bottleneck[-1].parameters():
                values.mul_(RESIDUAL_START)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bottleneck(x)


EXPERTS: dict[str, Callable[[int], nn.Module]] = {"linear": _linear, "bottleneck": _bottleneck, "residual": _Residual}
"""The kinds of Figure 3, each (B, d) -> (B, d)."""


def check_experts(kind: str, n: int, top_k: int, noise: float) -> None:
    """Raises ValueError if no mixture can be built of these."""
    if kind not in EXPERTS:
        raise ValueError(f"unknown expert {kind!r}; known are {', '.join(EXPERTS)}")
    if not 1 <= top_k <= n:
        raise ValueError(f"top_k must lie between 1 and the {n} experts, not be {top_k}")
    if noise < 0:
        raise ValueError(f"noise must be at least 0, not {noise}")


def gate_weights(scores: Tensor, top_k: int) -> Tensor:
    """Softmax over each face's K highest values of softplus(scores), exactly 0 elsewhere (LEAF, equations 3 and 5).

    With K = 1 the softmax is over one value and always 1: such a gate gets no gradient.

    :param scores: w f, (B, n), one for each expert.
    :return: (B, n), rows sum to 1.
    """
    highest, chosen = F.softplus(scores).topk(top_k, dim=1)
    return torch.zeros_like(scores).scatter(1, chosen, highest.softmax(1))


class Experts(nn.Module):
    """n distinct experts, of which the gate mixes K for each face (LEAF, equations 2 to 5).

    All experts see all faces: which of them count differs by face, and shapes must not depend on that.

    kind: a name in EXPERTS. n, top_k: n and K.
    noise: standard deviation of what is added to the scores in training only. The paper has none in its equations; the
        released code has (from Shazeer et al., 2017, section 2.1, who learn it). Without, experts that are not chosen
        at the start get no gradient, and never are.
    load: (n,), buffer: running share of the training faces that each expert was chosen for; sums to K.
    """

    def __init__(self, dim: int, kind: str = "residual", n: int = 4, top_k: int = 2, noise: float = 1.0):
        super().__init__()
        check_experts(kind, n, top_k, noise)
        self.experts = nn.ModuleList(EXPERTS[kind](dim) for _ in range(n))
        self.gate = nn.Linear(dim, n, bias=False)
        self.top_k, self.noise = top_k, noise
        self.register_buffer("load", torch.full((n,), top_k / n))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, d) -> the mixture (B, d) and the gate's weights (B, n)."""
        scores = self.gate(x)
        if self.training and self.noise:
            scores = scores + self.noise * torch.randn_like(scores)
        weights = gate_weights(scores, self.top_k)
        if self.training:
            self.load.lerp_((weights.detach() > 0).float().mean(0), 1 - LOAD_MEMORY)
        outputs = torch.stack([expert(x) for expert in self.experts], 1)
        return (weights[..., None] * outputs).sum(1), weights


class ExpertClassifier(Classifier):
    """A classifier with experts between pooling and linear layer (semantic), after it (instance), both or neither.

    The linear layer alone is ``head``. Without experts this is the plain ``Classifier``.
    """

    def __init__(self, backbone: Backbone, classes: int, semantic: Experts | None, instance: Experts | None):
        super().__init__(backbone, classes)
        self.semantic, self.instance = semantic, instance

    def mix(self, features: Tensor) -> dict[str, Tensor]:
        """(B, d) -> logits (B, classes), features (B, d) as the head sees them; gates, (B, n), by level if it is there.

        In full precision, as in ``Classifier``.
        """
        seen = {}
        with torch.autocast(features.device.type, enabled=False):
            if self.semantic is not None:
                features, seen["gate_semantic"] = self.semantic(features)
            logits = self.head(features)
            if self.instance is not None:
                logits, seen["gate_instance"] = self.instance(logits)
        return {"logits": logits, "features": features, **seen}

    def classify(self, feature_map: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, classes) logits."""
        return self.mix(self.pool(feature_map))["logits"]
