"""Copies of the trunk's last stages, for methods whose branches share the first ones."""

from __future__ import annotations

from torch import nn

from fercore.models.backbones import STAGES, Backbone
from fercore.models.build import build_backbone


def stage_before(split: str) -> str:
    """The last shared stage. Raises ValueError if ``split`` is no stage that one can branch off at."""
    if split not in STAGES[1:]:
        raise ValueError(f"unknown split {split!r}; known are {', '.join(STAGES[1:])}")
    return STAGES[STAGES.index(split) - 1]


def copy_stages(backbone: Backbone, split: str) -> nn.Sequential:
    """The stages from ``split`` on, as they are now, with weights and norms of their own.

    (Built anew and filled: deepcopy mixes up tensors on a fake device, by which we check methods for GPUs.)
    """
    names = STAGES[STAGES.index(split) :]
    other = build_backbone(backbone.name, None, backbone.size)
    branch = nn.Sequential(*(other.stages[name] for name in names))
    branch.load_state_dict(nn.Sequential(*(backbone.stages[name] for name in names)).state_dict())
    return branch
