"""How a method is trained: the settings, and what follows from them (schedule, optimiser, precision)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from fercore.batch import Clock
from fercore.methods.base import Method

OPTIMISERS = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
SCHEDULES = ("cosine", "linear", "exponential", "step", "constant")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the training loop.

    min_steps: a small training set is gone through more than ``epochs`` times, until there are so many steps.
    lr: the largest learning rate. warmup: share of all steps over which it rises from 0.
    schedule: how it then falls: cosine or linear (to 0), exponential (by ``decay`` an epoch), step (to a tenth
        after a quarter of the training, to a hundredth after half of it), or constant.
    weight_decay: of weights; biases and normalisation are spared.
    clip: largest norm of the gradient; 0 switches clipping off.
    amp: "auto" (bf16 arithmetic where the device is fast at it) or "no".
    checkpoint_seconds: the state is written at least this often, as well as after each epoch.
    eval_every: epochs between two evaluations on the validation set; 0 for none.
    """

    epochs: int = 3
    min_steps: int = 0
    batch_size: int = 64
    lr: float = 2e-3
    optimiser: str = "adamw"
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup: float = 0.15
    decay: float = 0.9
    clip: float = 5.0
    amp: str = "auto"
    compile: bool = False
    seed: int = 0
    eval_every: int = 1
    checkpoint_seconds: float = 20.0

    def __post_init__(self):
        choices = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "amp": ("auto", "no")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")

    def epochs_of(self, steps: int) -> int:
        """How many epochs of ``steps`` steps each there are."""
        return max(self.epochs, math.ceil(self.min_steps / steps))

    @classmethod
    def fast(cls) -> Self:
        """Seconds, for tests."""
        return cls(epochs=1)

    @classmethod
    def quick(cls) -> Self:
        """About a minute on a laptop's processor, however many faces there are; chosen on BlendFER's validation set."""
        return cls(min_steps=500)

    @classmethod
    def paper(cls) -> Self:
        """As EAC's released code: Adam, 1e-4, decay 0.9 an epoch, 60 epochs of batches of 32. Norms are not decayed."""
        return cls(
            epochs=60,
            batch_size=32,
            lr=1e-4,
            optimiser="adam",
            weight_decay=1e-4,
            schedule="exponential",
            warmup=0.0,
            clip=0.0,
        )

    @classmethod
    def preset(cls, name: str, method: type[Method] | Method, **overrides: Any) -> Self:
        """A preset as ``method`` alters it (``Method.training_presets``); overrides that are None are left out.

        Epochs that are asked for are not made more: ``min_steps`` is then 0.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        if "epochs" in given:
            given.setdefault("min_steps", 0)
        return replace(getattr(cls, name)(), **{**method.training_presets.get(name, {}), **given})


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
    momentum = {"momentum": 0.9} if config.optimiser == "sgd" else {}
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
