"""Train a method, and measure it.

``fit`` is the loop that lesson 01 writes out by hand, plus what a long run needs: mixed precision, several processes, a
progress bar, and checkpoints. All randomness of a step is seeded by (seed, epoch, step), so that a run that was killed
ends, once resumed, with the very same weights.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fercore.checkpoints import STATE, Progress, load_state, save_model, save_state
from fercore.datasets import Batch, FaceDataset, Loader
from fercore.methods import Clock, Method
from fercore.metrics import report
from fercore.progress import InterruptLater, ProgressBar
from fercore.train_config import TrainConfig, lr_factor, make_accelerator, make_optimiser

__all__ = ["TrainConfig", "evaluate", "fit"]

READ_EVERY = 10
"""Steps between two readings of the losses: a GPU has to be waited for before they can be read."""


def fit(
    method: Method,
    data: FaceDataset,
    config: TrainConfig,
    val: FaceDataset | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> list[dict[str, Any]]:
    """Train ``method`` in place on ``data``. The last epoch's weights stay; nothing is selected.

    :param val: evaluated every ``config.eval_every`` epochs, for the history only.
    :param out: folder for ``state.safetensors`` (where training stands) and ``model.safetensors`` (the result).
    :param resume: go on from ``out``'s state, if there is one.
    :return: one dict an epoch: epoch, lr, losses (mean of each term), seconds, and val where evaluated.
    :raises ValueError: the state in ``out`` belongs to another training, or a loss is no longer a finite number.
    :raises KeyboardInterrupt: after Ctrl-C, once the state is written.
    """
    accelerator = make_accelerator(config)
    device, rank, world = accelerator.device, accelerator.process_index, accelerator.num_processes
    method.to(device=device, memory_format=torch.channels_last)
    optimiser = make_optimiser(method, config)
    loader = Loader(data, method.needs, config.batch_size, device, config.seed, rank, world)
    total = config.epochs * loader.steps

    run = {**asdict(config), "data": fingerprint(data), "method": type(method).__name__}
    state = Path(out) / STATE if out is not None and accelerator.is_main_process else None
    progress = Progress()
    if resume and out is not None and (Path(out) / STATE).exists():
        progress = load_state(Path(out) / STATE, method, optimiser, run)

    # accelerate gives the loss its precision and, with several processes, averages the gradients.
    losses, optimiser = accelerator.prepare(_Losses(method), optimiser)
    if config.compile:
        losses = torch.compile(losses)

    def save() -> None:
        if state is not None:
            save_state(state, method, optimiser.optimizer, progress, run)

    def step(batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """One step of the optimiser; the loss terms, still on the device."""
        torch.manual_seed(_step_seed(config.seed, rank, clock.step))  # dropout and gate noise
        for group in optimiser.param_groups:
            group["lr"] = config.lr * group["lr_scale"] * lr_factor(config, clock)
        terms = losses(batch, clock)
        accelerator.backward(sum(terms.values()))
        if config.clip:
            accelerator.clip_grad_norm_(method.parameters(), config.clip)
        optimiser.step()
        optimiser.zero_grad()
        method.after_step(clock)
        return {name: term.detach() for name, term in terms.items()}

    done = progress.epoch * loader.steps + progress.step
    with InterruptLater() as interrupt, ProgressBar(total, done, config.epochs, accelerator.is_main_process) as bar:
        for epoch in range(progress.epoch, config.epochs):
            method.train()
            started = saved = time.monotonic()
            earlier, sums = progress.seconds, {k: torch.tensor(v, device=device) for k, v in progress.sums.items()}
            clock = Clock(epoch * loader.steps + progress.step, epoch, total, config.epochs)
            if progress.step == 0:
                method.before_epoch(clock)
            for batch in loader.epoch(epoch, config.epochs, progress.step):
                clock = Clock(epoch * loader.steps + progress.step, epoch, total, config.epochs)
                for name, term in step(batch, clock).items():
                    sums[name] = sums[name] + term if name in sums else term
                progress.step += 1
                bar.advance()

                now = time.monotonic()
                save_now = interrupt.asked or now - saved > config.checkpoint_seconds
                if save_now or progress.step % READ_EVERY == 0 or progress.step == loader.steps:
                    progress.sums = _read(sums, clock)
                    progress.seconds = earlier + now - started
                    bar.show(epoch, _means(progress))
                if save_now:
                    save()
                    saved = now
                if interrupt.asked:
                    raise KeyboardInterrupt

            entry = {"epoch": epoch, "lr": optimiser.param_groups[0]["lr"], "losses": _means(progress)}
            entry["seconds"] = progress.seconds
            if val is not None and config.eval_every and (epoch + 1) % config.eval_every == 0:
                entry["val"] = evaluate(method, val)
            progress = Progress(epoch + 1, history=[*progress.history, entry])
            save()
    if state is not None:
        save_model(state.parent, method)
    return progress.history


def evaluate(
    method: nn.Module, data: FaceDataset, batch_size: int = 256, probabilities: bool = False
) -> dict[str, Any]:
    """Measure ``method`` on ``data`` as it is: evaluation mode, no augmentation, full precision.

    :return: n, overall, mean, recall, ece, js_truth, overall_truth (see ``metrics.report``), seconds; and, on request,
        ``probabilities``, an (N, C) tensor.
    """
    start = time.monotonic()
    predicted = predict(method, data, batch_size)
    figures = report(predicted, data.label, data.classes, data.distribution)
    figures["seconds"] = time.monotonic() - start
    return {**figures, "probabilities": predicted} if probabilities else figures


def predict(method: nn.Module, data: FaceDataset, batch_size: int = 256) -> Tensor:
    """p(emotion | face), (N, C), on the CPU; ``method`` is left in the mode it was in."""
    device, was_training = next(method.parameters()).device, method.training
    method.eval()
    with torch.inference_mode():
        batches = torch.arange(len(data)).split(batch_size)
        parts = [method(data.batch(rows, device).image).float().softmax(1).cpu() for rows in batches]
    method.train(was_training)
    return torch.cat(parts)


def fingerprint(data: FaceDataset) -> str:
    """Tells training sets apart: how many faces, and a number that their labels and order make."""
    weights = torch.arange(1, len(data) + 1)
    return f"{len(data)} faces, {int(((data.label + 2) * (data.rows + 1) * weights).sum())}"


class _Losses(nn.Module):
    """``method.losses`` as a ``forward``, which is what accelerate and torch.compile take hold of."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return self.method.losses(batch, clock)


def _step_seed(seed: int, rank: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])


def _read(sums: dict[str, Tensor], clock: Clock) -> dict[str, float]:
    """The sums as numbers. Raises ValueError once one is not finite."""
    values = {name: value.item() for name, value in sums.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"loss {name!r} is {value} at step {clock.step}; try a smaller learning rate (--lr)")
    return values


def _means(progress: Progress) -> dict[str, float]:
    return {name: value / progress.step for name, value in progress.sums.items()}
