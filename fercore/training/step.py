"""One step of training: the losses, their gradient, the optimiser."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from fercore.batch import Batch, Clock
from fercore.methods.base import Method
from fercore.training.average import Average
from fercore.training.config import TrainConfig, lr_factor, make_accelerator, make_optimiser


class Step:
    """Calls itself a step: ``step(batch, clock)`` changes the method's weights and gives its loss terms.

    Accelerate puts the method on the device, gives the losses their precision and, with several processes, averages the
    gradients. ``optimiser`` is the bare torch optimiser. ``average`` follows the weights, if the recipe says so.
    """

    def __init__(self, method: Method, config: TrainConfig):
        self.method, self.config = method, config
        self.accelerator = make_accelerator(config)
        self.device = self.accelerator.device
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        if self.world > 1 and method.memory:
            name = type(method).__name__
            raise ValueError(f"{name} remembers every training face, which processes do not share; train it on one GPU")
        method.to(device=self.device, memory_format=torch.channels_last)
        self.optimiser = make_optimiser(method, config)
        self.average = Average(method, config.average) if config.average else None
        self.losses, self.prepared = self.accelerator.prepare(_Losses(method), self.optimiser)
        if config.compile:
            self.losses = torch.compile(self.losses)

    def __call__(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """One step; the loss terms by name, scalars that are still on the device."""
        torch.manual_seed(self._seed(clock.step))  # of dropout and gate noise
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(clock) * group["lr_scale"]
        terms = self.losses(batch, clock)
        self.accelerator.backward(sum(terms.values()))
        if self.config.clip:
            self.accelerator.clip_grad_norm_(self.method.parameters(), self.config.clip)
        self.prepared.step()
        self.prepared.zero_grad()
        self.method.after_step(clock)
        if self.average is not None:
            self.average.follow(clock.step)
        return {name: term.detach() for name, term in terms.items()}

    def rate(self, clock: Clock) -> float:
        """The learning rate at this step, before ``Method.lr_scale``."""
        return self.config.lr * lr_factor(self.config, clock)

    def as_deployed(self) -> AbstractContextManager[None]:
        """The method has the weights meanwhile that it would be deployed with now: the average, if there is one."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _seed(self, step: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, self.rank, step]).generate_state(1)[0])


class _Losses(nn.Module):
    """``method.losses`` as a ``forward``, which is what accelerate and torch.compile take hold of."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return self.method.losses(batch, clock)
