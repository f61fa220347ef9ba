"""The moving average of the weights that are trained: flatter than the last ones, and it costs nothing to deploy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """An average over the steps of what a module learns (Polyak and Juditsky, 1992).

    Averaged are the trainable parameters and the running statistics of norms that have any. What a method remembers
    (label distributions, banks, class counts), and teachers, which are averages themselves, stay as they are.
    Early steps are forgotten sooner, so that short trainings average about their last tenth: decay at step t is
    min(decay, (1 + t) / (10 + t)).

    ``mean``: the averages by the names that ``state_dict`` has.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.current = _learnt(module)
        self.mean = {name: value.clone() for name, value in self.current.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the module's weights after step ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.mean.values()), list(self.current.values()), 1 - decay)

    @torch.no_grad()
    def take_over(self) -> None:
        """The module's weights are the averages from now on."""
        for name, value in self.current.items():
            value.copy_(self.mean[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the averages for weights meanwhile."""
        kept = {name: value.clone() for name, value in self.current.items()}
        self.take_over()
        try:
            yield
        finally:
            for name, value in self.current.items():
                value.copy_(kept[name])


def _learnt(module: nn.Module) -> dict[str, Tensor]:
    """By name, the tensors themselves: trainable parameters, and what trainable norms gather."""
    found = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    for name, part in module.named_modules():
        if any(p.requires_grad for p in part.parameters(recurse=False)):
            gathered = part.named_buffers(prefix=name, recurse=False)
            found |= {key: b for key, b in gathered if key.endswith(("running_mean", "running_var"))}
    return found
