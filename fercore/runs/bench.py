"""What a method costs: its step and its epoch against plain cross-entropy with the same backbone, and its memory."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from fercore.batch import Batch
from fercore.datasets import FaceDataset, Loader
from fercore.methods import Clock, Method, method_class
from fercore.runs.build_for import build_for
from fercore.training.config import TrainConfig
from fercore.training.step import Step

WARM_UP = 3


@dataclass
class _Runner:
    """One method at work, a step at a time, its times kept."""

    method: Method
    step: Step
    loader: Loader
    step_seconds: list[float] = field(default_factory=list)
    whole_seconds: list[float] = field(default_factory=list)

    def __post_init__(self):
        self.clock = Clock(0, 0, self.loader.steps, 1)
        self.batches = self._forever()
        self.method.train()

    def run(self) -> None:
        """Serve a batch, take a step."""
        started = time.perf_counter()
        batch = next(self.batches)
        _wait(self.step.device)
        served = time.perf_counter()
        self.step(batch, self.clock)
        _wait(self.step.device)
        ended = time.perf_counter()
        self.step_seconds.append(ended - served)
        self.whole_seconds.append(ended - started)

    def _forever(self) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from self.loader.epoch(epoch, 1_000_000)
            epoch += 1

    def epoch_seconds(self) -> float:
        """An epoch: its steps with their batches, and what comes before them."""
        started = time.perf_counter()
        self.method.before_epoch(self.clock)
        _wait(self.step.device)
        return time.perf_counter() - started + median(self.whole_seconds[WARM_UP:]) * self.loader.steps

    def peak_mb(self) -> float:
        """Most memory in use during one step, weights and optimiser included, in MB (1e6 bytes)."""
        batch = next(self.batches)
        if self.step.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step(batch, self.clock)
            return torch.cuda.max_memory_allocated() / 1e6
        held = sum(t.numel() * t.element_size() for t in self.method.state_dict().values())
        for state in self.step.optimiser.state.values():
            held += sum(v.numel() * v.element_size() for v in state.values() if isinstance(v, torch.Tensor))
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
            self.step(batch, self.clock)
        now = most = 0
        for event in sorted(record.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
            if event.name() == "[memory]":
                now += event.nbytes()
                most = max(most, now)
        return (held + most) / 1e6


def bench(
    methods: list[str],
    data: FaceDataset,
    preset: str = "quick",
    rounds: int = 20,
    training: dict[str, Any] | None = None,
    recipe: str = "",
    **settings: Any,
) -> dict[str, dict]:
    """Time each method's step in turn with plain cross-entropy's, so that a busy machine slows both alike.

    The order changes from round to round, because a step pays for the memory that the one before it has filled.

    :param training: fields of TrainConfig that differ from the recipe. recipe: its name; "" for the preset's own.
    :param settings: of every method's Config.
    :return: by method: step_ratio, epoch_ratio (medians over cross-entropy's), peak_mb, images_per_s (labelled faces).
    """
    names = ["plain", *dict.fromkeys(methods)]
    kinds = {name: "baseline" if name == "plain" else name for name in names}
    runners = {name: _runner(kind, data, preset, recipe, training or {}, settings) for name, kind in kinds.items()}
    order, shuffle = list(runners.values()), random.Random(0).shuffle
    for _ in range(WARM_UP + rounds):
        shuffle(order)
        for runner in order:
            runner.run()
    plain = runners.pop("plain")
    plain_step, plain_epoch = median(plain.step_seconds[WARM_UP:]), plain.epoch_seconds()
    return {
        name: {
            "step_ratio": round(median(runner.step_seconds[WARM_UP:]) / plain_step, 3),
            "epoch_ratio": round(runner.epoch_seconds() / plain_epoch, 3),
            "peak_mb": round(runner.peak_mb(), 1),
            "images_per_s": round(runner.loader.batch_size / median(runner.whole_seconds[WARM_UP:]), 1),
        }
        for name, runner in runners.items()
    }


def _runner(name: str, data: FaceDataset, preset: str, recipe: str, training: dict, settings: dict) -> _Runner:
    config, settings = TrainConfig.preset(preset, method_class(name), recipe, **training).sized(settings)
    method = build_for(data, name, preset, 0, settings)
    method.before_training(data)
    step = Step(method, config)
    weak = config.augmentation
    return _Runner(method, step, Loader(data, method.needs, config.batch_size, step.device, config.seed, weak=weak))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
