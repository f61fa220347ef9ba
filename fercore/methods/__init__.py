"""Every method by name, how to build one, and what of it is deployed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import nn

from fercore.methods.base import Clock, Method, Needs, NetworkConfig
from fercore.methods.baseline import Baseline
from fercore.methods.cb import Cb
from fercore.methods.eac import Eac
from fercore.methods.rac_rsl import RacRsl

METHODS: dict[str, type[Method]] = {"baseline": Baseline, "cb": Cb, "eac": Eac, "rac_rsl": RacRsl}
PRESETS = ("fast", "quick", "paper")

__all__ = [
    "METHODS", "PRESETS", "Clock", "Method", "Needs", "NetworkConfig", "build", "deploy", "method_class",
    "method_name",
]  # fmt: skip


def method_class(name: str) -> type[Method]:
    """The class of a method; raises ValueError naming the known ones."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]


def method_name(method: Method) -> str:
    """The name that ``METHODS`` has for a method's class, or the class's own if it is not there."""
    return next((name for name, kind in METHODS.items() if kind is type(method)), type(method).__name__)


def build(name: str, classes: int = 7, preset: str = "quick", seed: int = 0, **overrides: Any) -> Method:
    """A method with its preset's settings, some of them overridden: ``build("baseline", backbone="resnet18")``.

    Equal seeds give equal weights; the caller's random state is left as it was.
    Raises ValueError for an unknown method, preset or setting, or weights that do not fit.
    """
    kind = method_class(name)
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known are {', '.join(PRESETS)}")
    config = getattr(kind.config_class, preset)()
    known = [field.name for field in fields(config)]
    for key in overrides:
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}; it has {', '.join(known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = kind(replace(config, **overrides), classes)
    return method


def deploy(method: Method) -> nn.Module:
    """The slim module: no auxiliary branch, memory or landmark branch; frozen, in evaluation mode, and equal logits."""
    return method.deployed().eval().requires_grad_(False)
