"""Train a method, and measure it.

``fit`` is the loop that lesson 01 writes out by hand, plus what a long run needs: mixed precision, several processes
(both in ``fercore.training.step``), a progress bar, and checkpoints. All randomness of a step is seeded by its number,
so that a run that was killed ends, once resumed, with the very same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fercore.batch import Clock
from fercore.datasets import FaceDataset, Loader
from fercore.files import check_room
from fercore.methods.base import Method, in_use
from fercore.metrics import report
from fercore.training.checkpoints import MODEL, STATE, Progress, load_state, not_finite, save_model, save_state
from fercore.training.config import TrainConfig
from fercore.training.progress import InterruptLater, ProgressBar
from fercore.training.step import Step

__all__ = ["TrainConfig", "evaluate", "fit", "predict"]

READ_EVERY = 10
"""Steps between two readings of the losses: to be read, a GPU has to be waited for."""


def fit(
    method: Method,
    data: FaceDataset,
    config: TrainConfig,
    val: FaceDataset | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    after_epoch: Callable[[dict[str, Any]], None] | None = None,
    begin: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Train ``method`` in place on ``data``. The last weights stay, or their moving average; nothing is selected.

    :param val: evaluated every ``config.eval_every`` epochs, for the history only.
    :param out: folder for ``state.safetensors`` (where training stands) and ``model.safetensors`` (the result).
    :param resume: go on from ``out``'s state, if there is one.
    :param after_epoch: called with each epoch's entry of the history, to look at the method as it learns.
    :param begin: called once, when everything that can be refused has been checked and nothing is written yet.
    :return: one dict an epoch: epoch, lr (at its end), losses (mean of each term), seconds, and val where evaluated.
    :raises ValueError: the state in ``out`` belongs to another training, a loss or weight is no longer finite, or the
        recipe is for images of another size than the method's.
    :raises KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state is written.
    """
    if config.size not in (0, method.config.size):
        raise ValueError(f"the recipe is for {config.size} pixels, the method for {method.config.size}: build it anew")
    method.frame = data.frame
    method.before_training(data)
    step = Step(method, config)
    device, weak = step.device, config.augmentation
    loader = Loader(data, method.needs, config.batch_size, device, config.seed, step.rank, step.world, weak)
    steps = config.steps_of(loader.steps)
    epochs = math.ceil(steps / loader.steps)
    folder = None if out is None else Path(out)
    run = {**asdict(config), "method": type(method).__name__, **asdict(method.config), "data": fingerprint(data)}
    progress, average = Progress(), {} if step.average is None else step.average.mean
    if resume and folder is not None and (folder / STATE).exists():
        progress = load_state(folder / STATE, method, step.optimiser, run, average)

    def save() -> None:
        if folder is not None and step.rank == 0:
            save_state(folder / STATE, method, step.optimiser, progress, run, average)

    def clock() -> Clock:
        done = min(progress.epoch * loader.steps + progress.step, steps)
        return Clock(done, progress.epoch, steps, epochs)

    if progress.epoch < epochs:
        next(loader.epoch(progress.epoch, epochs))  # a batch that cannot be made is refused here
    if folder is not None and step.rank == 0:
        check_room(folder, _bytes_to_write(method, average, folder), "make room, or choose another --out")
    if begin is not None:
        begin()

    with InterruptLater() as interrupt, ProgressBar(clock(), visible=step.rank == 0) as bar:
        while progress.epoch < epochs:
            method.train()
            length = min(loader.steps, steps - progress.epoch * loader.steps)  # the last epoch may be cut short
            if progress.step == 0:
                method.before_epoch(clock())
            started = saved = time.monotonic()
            earlier = progress.seconds
            sums = {name: torch.tensor(value, device=step.device) for name, value in progress.sums.items()}
            for batch in islice(loader.epoch(progress.epoch, epochs, progress.step), length - progress.step):
                for name, term in step(batch, clock()).items():
                    sums[name] = sums[name] + term if name in sums else term
                progress.step += 1
                bar.advance()

                now = time.monotonic()
                must_save = interrupt.asked or now - saved > config.checkpoint_seconds
                if must_save or progress.step % READ_EVERY == 0 or progress.step == length:
                    progress.sums = _read(sums, clock())
                    progress.seconds = earlier + now - started
                    bar.show(progress.epoch, _means(progress))
                if must_save:
                    save()
                    saved = now
                if interrupt.asked:
                    raise KeyboardInterrupt

            entry = {
                "epoch": progress.epoch,
                "lr": step.rate(clock()),
                "losses": _means(progress),
                "seconds": progress.seconds,
            }
            if notes := method.notes():
                entry["notes"] = notes
            if val is not None and config.eval_every and (progress.epoch + 1) % config.eval_every == 0:
                with step.as_deployed():
                    entry["val"] = evaluate(method, val)
            progress = Progress(progress.epoch + 1, history=[*progress.history, entry])
            save()
            if after_epoch is not None:
                after_epoch(entry)
    if step.average is not None:
        step.average.take_over()
    if name := not_finite(method):
        raise ValueError(f"training left weights that are not finite ({name}); try a smaller learning rate (--lr)")
    if folder is not None and step.rank == 0:
        save_model(folder, method)
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
    figures = report(predicted, data.label, data.classes, data.truth)
    figures["seconds"] = time.monotonic() - start
    return {**figures, "probabilities": predicted} if probabilities else figures


def predict(method: nn.Module, data: FaceDataset, batch_size: int = 256) -> Tensor:
    """p(emotion | face), (N, C), on the CPU; ``method`` is left in the mode it was in."""
    with in_use(method) as device:
        batches = torch.arange(len(data)).split(batch_size)
        return torch.cat([method(data.batch(rows, device).image).float().softmax(1).cpu() for rows in batches])


def fingerprint(data: FaceDataset) -> str:
    """Tells training sets apart: how many faces, and numbers that their rows, labels, order and first pixels make."""
    place = torch.arange(1, len(data) + 1)
    pixels = int(data.store.index_select(0, data.rows[:64]).sum(dtype=torch.int64))
    return f"{len(data)} faces, {int(((data.label + 2) * (data.rows + 1) * place).sum())}, {pixels}"


def _bytes_to_write(method: nn.Module, average: dict[str, Tensor], folder: Path) -> int:
    """What a training writes into its folder beyond what is there: two states for a moment, and a model.

    A state holds the method, its average, and two numbers more for each trained one, as adamw's.
    """

    def size(tensors: Iterable[Tensor]) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    model = size(method.state_dict().values())
    state = model + size(average.values()) + 2 * size(p for p in method.parameters() if p.requires_grad)
    written = sum((folder / name).stat().st_size for name in (STATE, MODEL) if (folder / name).exists())
    return max(2 * state + model - written, model)


def _read(sums: dict[str, Tensor], clock: Clock) -> dict[str, float]:
    """The sums as numbers. Raises ValueError once one is not finite."""
    values = {name: value.item() for name, value in sums.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"loss {name!r} is {value} after step {clock.step}; try a smaller learning rate (--lr)")
    return values


def _means(progress: Progress) -> dict[str, float]:
    return {name: value / progress.step for name, value in progress.sums.items()}
