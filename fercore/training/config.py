"""How a method is trained: the settings, and what follows from them (schedule, optimiser, precision)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from fercore.batch import Clock
from fercore.methods.base import Method
from fercore.training.recipe import OPTIMISERS, Recipe


@dataclass(frozen=True)
class TrainConfig(Recipe):
    """A recipe, and what a machine or a reader wants of the loop besides.

    amp: "auto" (bf16 arithmetic where the device is fast at it) or "no".
    checkpoint_seconds: the state is written at least this often, as well as after each epoch.
    eval_every: epochs between two evaluations on the validation set; 0 for none.
    """

    amp: str = "auto"
    compile: bool = False
    seed: int = 0
    eval_every: int = 1
    checkpoint_seconds: float = 20.0

    def __post_init__(self):
        super().__post_init__()
        if self.amp not in ("auto", "no"):
            raise ValueError(f"unknown amp {self.amp!r}; known are auto, no")
        for name in ("seed", "eval_every", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")

    @classmethod
    def preset(cls, name: str, method: type[Method] | Method, recipe: str = "", **overrides: Any) -> Self:
        """The preset's own recipe, or the one that is named; overrides that are None are left out."""
        return cls.named(recipe or own_recipe(name, method)).changed(
            **{key: value for key, value in overrides.items() if value is not None}
        )


def own_recipe(preset: str, method: type[Method] | Method) -> str:
    """The recipe that a preset means: of its name, or (preset paper) that of the method's paper."""
    return method.paper_recipe if preset == "paper" else preset


def lr_factor(config: TrainConfig, clock: Clock) -> float:
    """What the learning rate is multiplied by at this step: a rise over the warm-up, then the schedule."""
    warmup = math.ceil(config.warmup * clock.steps)
    if clock.step < warmup:
        return (clock.step + 1) / warmup
    done = (clock.step - warmup) / max(1, clock.steps - warmup)
    match config.schedule:
        case "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return 1 - done
        case "exponential":
            return config.decay**clock.epoch
        case "step":
            return 0.1 ** ((done >= 0.25) + (done >= 0.5))
        case _:
            return 1.0


def make_optimiser(method: Method, config: TrainConfig) -> torch.optim.Optimizer:
    """Every trainable tensor, in groups by learning rate (``Method.lr_scale``) and by whether it decays."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            scale = next((s for prefix, s in method.lr_scale.items() if name.startswith(prefix)), 1.0)
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    settings = [{"params": p, "lr_scale": scale, "weight_decay": decay} for (scale, decay), p in groups.items()]
    momentum = {"momentum": config.momentum} if config.optimiser == "sgd" else {"betas": (config.momentum, 0.999)}
    return OPTIMISERS[config.optimiser](settings, lr=config.lr, fused=True, **momentum)


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Accelerate's handle on device, processes and precision."""
    # It remembers the first precision asked for and refuses another, which would forbid a second fit in one notebook.
    AcceleratorState._reset_state()
    device = Accelerator().device
    AcceleratorState._reset_state()
    bf16 = config.amp == "auto" and _is_fast_at_bf16(device)
    return Accelerator(mixed_precision="bf16" if bf16 else "no")


def _is_fast_at_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()  # older processors emulate it, slower than fp32
    return False
