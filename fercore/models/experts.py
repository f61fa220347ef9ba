"""Experts and the gate that mixes them, for features and for class predictions (LEAF, sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercore.models.backbones import Backbone
from fercore.models.classifier import Classifier

LOAD_MEMORY = 0.99
"""Share of the running load that a step keeps."""

RESIDUAL_START = 0.1
"""Size of a residual expert's last layer at the start, as a share of what is drawn."""

NOISE_UNITS = ("absolute", "spread")


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

    def __init__(self, dim: int, start: float = RESIDUAL_START):
        super().__init__()
        self.bottleneck = _bottleneck(dim)
        with torch.no_grad():
            for values in self.bottleneck[-1].parameters():
                values.mul_(start)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bottleneck(x)


EXPERTS: dict[str, Callable[[int], nn.Module]] = {"linear": _linear, "bottleneck": _bottleneck, "residual": _Residual}
"""The kinds of Figure 3, each (B, d) -> (B, d)."""


def check_experts(
    kind: str, n: int, top_k: int, noise: float, noise_unit: str = "absolute", start: float = RESIDUAL_START
) -> None:
    """Raises ValueError if no mixture can be built of these."""
    if kind not in EXPERTS:
        raise ValueError(f"unknown expert {kind!r}; known are {', '.join(EXPERTS)}")
    if not 1 <= top_k <= n:
        raise ValueError(f"top_k must lie between 1 and the {n} experts, not be {top_k}")
    if noise < 0:
        raise ValueError(f"noise must be at least 0, not {noise}")
    if noise_unit not in NOISE_UNITS:
        raise ValueError(f"unknown noise_unit {noise_unit!r}; known are {', '.join(NOISE_UNITS)}")
    if start < 0:
        raise ValueError(f"residual_start must be at least 0, not {start}")


def gate_weights(scores: Tensor, top_k: int) -> Tensor:
    """Softmax over each face's K highest values of softplus(scores), exactly 0 elsewhere (LEAF, equations 3 and 5).

    With K = 1 the softmax is over one value and always 1: such a gate gets no gradient.

    :param scores: w f, (B, n), one for each expert.
    :return: (B, n), rows sum to 1.
    """
    highest, chosen = F.softplus(scores).topk(top_k, dim=1)
    return torch.zeros_like(scores).scatter(1, chosen, highest.softmax(1))


def imbalance(weights: Tensor, shares: Tensor) -> Tensor:
    """How unevenly a batch uses the experts: n sum_j f_j P_j (Switch, Fedus et al., 2022, equations 4 to 6).

    f_j is the part of all choices that fell on expert j, P_j the mean of the softmax before the choice, over all
    experts: through it experts that were chosen for no face are drawn in. (The load loss that LEAF's released code
    works out, and then drops, is Shazeer's.) 1 where all are used alike, up to n / K where the same K have everything.

    :param weights: (B, n), as ``gate_weights`` gives them. shares: (B, n), the softmax. :return: ().
    """
    chosen = (weights.detach() > 0).float().mean(0)
    return len(chosen) * (chosen / chosen.sum() * shares.mean(0)).sum()


def spread(scores: Tensor) -> Tensor:
    """Standard deviation over the experts, the root mean square over the faces: what noise has to stand beside.

    (B, n) -> (), without gradient.
    """
    scores = scores.detach()
    return (scores - scores.mean(1, keepdim=True)).square().mean().sqrt()


class Experts(nn.Module):
    """n distinct experts, of which the gate mixes K for each face (LEAF, equations 2 to 5).

    All experts see all faces: which of them count differs by face, and shapes must not depend on that.

    kind: a name in EXPERTS. n, top_k: n and K.
    noise: standard deviation of what is added to the scores in training only. The paper has none in its equations; the
        released code has (from Shazeer et al., 2017, section 2.1, who learn it). Without, experts that are not chosen
        at the start get no gradient, and never are.
    noise_unit: absolute, or spread: ``noise`` is then a multiple of the scores' own ``spread``. Scores start with a
        spread of .2 to .36, so that an absolute noise of 1 makes the choice of experts nearly a draw.
    start: of residual experts, see RESIDUAL_START; 1 leaves them as drawn.
    load: (n,), buffer: running share of the training faces that each expert was chosen for; sums to K.
    """

    def __init__(
        self,
        dim: int,
        kind: str = "residual",
        n: int = 4,
        top_k: int = 2,
        noise: float = 1.0,
        noise_unit: str = "absolute",
        start: float = RESIDUAL_START,
    ):
        super().__init__()
        check_experts(kind, n, top_k, noise, noise_unit, start)
        make = partial(_Residual, start=start) if kind == "residual" else EXPERTS[kind]
        self.experts = nn.ModuleList(make(dim) for _ in range(n))
        self.gate = nn.Linear(dim, n, bias=False)
        self.top_k, self.noise, self.noise_unit = top_k, noise, noise_unit
        self.register_buffer("load", torch.full((n,), top_k / n))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, d) -> the mixture (B, d) and the gate's weights (B, n)."""
        return self.look(x)[:2]

    def look(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``forward``, and each expert's share (B, n) before K were chosen: the softmax over all of them."""
        scores = self.gate(x)
        if self.training and self.noise:
            unit = spread(scores) if self.noise_unit == "spread" else 1.0
            scores = scores + self.noise * unit * torch.randn_like(scores)
        weights = gate_weights(scores, self.top_k)
        if self.training:
            self.load.lerp_((weights.detach() > 0).float().mean(0), 1 - LOAD_MEMORY)
        outputs = torch.stack([expert(x) for expert in self.experts], 1)
        return (weights[..., None] * outputs).sum(1), weights, F.softplus(scores).softmax(1)


class ExpertClassifier(Classifier):
    """A classifier with experts between pooling and linear layer (semantic), after it (instance), both or neither.

    The linear layer alone is ``head``. Without experts this is the plain ``Classifier``.
    """

    def __init__(self, backbone: Backbone, classes: int, semantic: Experts | None, instance: Experts | None):
        super().__init__(backbone, classes)
        self.semantic, self.instance = semantic, instance

    def mix(self, features: Tensor) -> dict[str, Tensor]:
        """(B, d) -> logits (B, classes), features (B, d) as the head sees them, and what the levels say.

        Of each level that is there gate_LEVEL and shares_LEVEL, (B, n): its weights after and before K were chosen.

        In full precision, as in ``Classifier``.
        """
        seen = {}
        with torch.autocast(features.device.type, enabled=False):
            if self.semantic is not None:
                features, seen["gate_semantic"], seen["shares_semantic"] = self.semantic.look(features)
            logits = self.head(features)
            if self.instance is not None:
                logits, seen["gate_instance"], seen["shares_instance"] = self.instance.look(logits)
        return {"logits": logits, "features": features, **seen}

    def classify(self, feature_map: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, classes) logits."""
        return self.mix(self.pool(feature_map))["logits"]
