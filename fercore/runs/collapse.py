"""Whether a training has collapsed: figures may look like any others while the model answers with few classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fercore.datasets import FaceDataset
from fercore.methods.base import in_use

LEAST_CLASSES = 2 / 3
"""A sound model answers with at least this share of the classes that there are."""
MOST_ALIKE = 0.98
"""A gate that prefers one expert for more faces than this share does not choose."""
LOOKED_AT = 1024
"""So many faces tell what a gate does."""


def collapse(method: nn.Module, data: FaceDataset, probabilities: Tensor) -> str:
    """What is wrong with a model's answers, a sentence; "" if nothing is.

    :param probabilities: (N, C), what ``method`` says of the N faces of ``data``.
    """
    found = [_few_classes(probabilities, data), *_idle_gates(method, data)]
    return "; ".join(text for text in found if text)


def _few_classes(probabilities: Tensor, data: FaceDataset) -> str:
    answers = torch.bincount(probabilities.argmax(1), minlength=len(data.classes)) > 0
    present = data.counts > 0
    never = [name for name, there, given in zip(data.classes, present, answers, strict=True) if there and not given]
    there = int(present.sum())
    if there - len(never) >= LEAST_CLASSES * there:
        return ""
    return f"has collapsed: it answers with {there - len(never)} of {there} classes, never with {', '.join(never)}"


def _idle_gates(method: nn.Module, data: FaceDataset) -> list[str]:
    gates: dict[str, list[Tensor]] = {}
    with in_use(method) as device:
        for rows in torch.arange(min(len(data), LOOKED_AT)).split(256):
            shown = method.explain(data.batch(rows, device))
            for name, weights in shown.items():
                if name.startswith("gate") and weights.shape[1] > 1:
                    gates.setdefault(name, []).append(weights.argmax(1).cpu())
            if not gates:
                break
    said = []
    for name, parts in gates.items():
        favourite, share = _most(torch.cat(parts))
        if share > MOST_ALIKE:
            said.append(f"has an idle gate: {name} prefers expert {favourite} for {share:.0%} of the faces")
    return said


def _most(chosen: Tensor) -> tuple[int, float]:
    counts = torch.bincount(chosen)
    return int(counts.argmax()), float(counts.max() / len(chosen))
