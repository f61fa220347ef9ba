"""Every method by name, how to build one, and what of it is deployed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fercore.batch import Clock, Needs
from fercore.methods.ada_df import AdaDF
from fercore.methods.adacm import AdaCM
from fercore.methods.base import Method, NetworkConfig
from fercore.methods.baseline import Baseline
from fercore.methods.cb import CB
from fercore.methods.dmue import DMUE
from fercore.methods.eac import EAC
from fercore.methods.fixmatch import FixMatch
from fercore.methods.flexmatch import FlexMatch
from fercore.methods.freematch import FreeMatch
from fercore.methods.la_net import LANet
from fercore.methods.landmark_start import Landmarks
from fercore.methods.leaf import LEAF
from fercore.methods.mean_teacher import MeanTeacher
from fercore.methods.pseudo_label import PseudoLabel
from fercore.methods.rac_rsl import RACRSL
from fercore.methods.scn import SCN
from fercore.methods.softmatch import SoftMatch
from fercore.methods.uda import UDA
from fercore.settings import check_names

METHODS: dict[str, type[Method]] = {
    "baseline": Baseline,
    "cb": CB,
    "eac": EAC,
    "rac_rsl": RACRSL,
    "scn": SCN,
    "dmue": DMUE,
    "ada_df": AdaDF,
    "la_net": LANet,
    "leaf": LEAF,
    "landmarks": Landmarks,
    "pseudo_label": PseudoLabel,
    "mean_teacher": MeanTeacher,
    "uda": UDA,
    "fixmatch": FixMatch,
    "flexmatch": FlexMatch,
    "freematch": FreeMatch,
    "softmatch": SoftMatch,
    "adacm": AdaCM,
}
PRESETS = ("fast", "quick", "semi", "paper")

__all__ = [
    "METHODS", "PRESETS", "Clock", "Method", "Needs", "NetworkConfig", "build", "deploy",
    "method_class", "method_name",
]  # fmt: skip


def method_class(method: str | type[Method]) -> type[Method]:
    """The class of a method, which is given by its name in ``METHODS``, or itself: one of your own.

    Raises ValueError for an unknown name (it lists the known ones), and for a class of your own with such a name.
    """
    if isinstance(method, type) and issubclass(method, Method):
        if METHODS.get(method.__name__, method) is not method:
            raise ValueError(f"fercore has a method {method.__name__!r} already; give your class another name")
        return method
    if not isinstance(method, str):
        raise ValueError(f"a method is a name or a subclass of fercore.methods.Method, not {method!r}")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known are {', '.join(METHODS)}")
    return METHODS[method]


def method_name(method: Method | type[Method]) -> str:
    """The name that ``METHODS`` has for a method's class, or the class's own if it is not there."""
    own = method if isinstance(method, type) else type(method)
    return next((name for name, kind in METHODS.items() if kind is own), own.__name__)


def build(
    method: str | type[Method],
    classes: int = 7,
    preset: str = "quick",
    seed: int = 0,
    printed: bool = False,
    dataset: str = "rafdb",
    **overrides: Any,
) -> Method:
    """A method with its preset's settings, some of them overridden: ``build("baseline", backbone="resnet18")``.

    method: its name, or a class of your own. printed: with what its paper prints where our settings differ, see
    ``NetworkConfig.printed``. dataset: for which preset paper's settings are, where a paper has several.

    Equal seeds give equal weights; the caller's random state is left as it was.
    Raises ValueError for an unknown method, preset or setting, or weights that do not fit.
    """
    kind = method_class(method)
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known are {', '.join(PRESETS)}")
    config = kind.config_class.paper(dataset) if preset == "paper" else getattr(kind.config_class, preset)()
    config = config.printed() if printed else config
    check_names(kind.config_class, overrides, method_name(kind))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(replace(config, **overrides), classes)


def deploy(method: Method) -> nn.Module:
    """The slim module: no auxiliary branch, memory or landmark branch; frozen, in evaluation mode, and equal logits.

    It asks for no gradients. What works with them (Grad-CAM, saliency) needs an image that does:
    ``GradCAM(slim, [slim.backbone])(image.requires_grad_(), None)``.
    """
    return method.deployed().eval().requires_grad_(False)
