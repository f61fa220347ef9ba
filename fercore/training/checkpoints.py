"""Checkpoints: safetensors and JSON, written whole or not at all, never pickles.

A run's folder holds ``model.safetensors`` (the trained method, and how it is built) and ``state.safetensors`` (where
training stands: method, optimiser and progress in one file, so that they always match).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fercore.datasets.frame import Frame
from fercore.files import write_atomically
from fercore.methods import METHODS, Method, method_class, method_name
from fercore.models.together import Together
from fercore.settings import check_names, check_values

MODEL, STATE = "model.safetensors", "state.safetensors"
MOST_CLASSES = 1000
"""A model that claims more is damaged, or was forged to fill the memory."""


@dataclass
class Progress:
    """Where training stands.

    ``step`` steps of ``epoch`` are done, in which the loss terms summed to ``sums``; ``history`` holds the past epochs.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_tensors(path: Path, tensors: dict[str, Tensor], note: dict[str, str] | None = None) -> None:
    """Write tensors (and short texts) atomically. Tensors that share memory are written apart."""
    cpu = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}
    encoded = save(cpu, note)  # safetensors' own writing makes files that only their owner may read
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded))


def read_note(path: Path) -> dict[str, str]:
    """The texts of a safetensors file, its tensors left alone. Raises as ``load_tensors`` does."""
    return _open(path, lambda file: file.metadata() or {})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a safetensors file. Raises FileNotFoundError, or ValueError if it is anything else."""

    def read(file: safe_open) -> tuple[dict[str, Tensor], dict[str, str]]:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118

    return _open(path, read)


def _open(path: Path, read: Callable[[safe_open], Any]) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return read(file)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors checkpoint ({error}); pickles are never opened, as they can run code"
        ) from error


def save_state(
    path: Path,
    method: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    run: dict,
    average: dict[str, Tensor],
) -> None:
    """Everything that ``resume`` needs, in one file; only the training that ``run`` describes may take it up."""
    tensors = {f"method.{key}": value for key, value in method.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.items()}
    for number, values in optimiser.state_dict()["state"].items():
        for key, value in values.items():
            tensors[f"optimiser.{number}.{key}"] = torch.as_tensor(value)
    count = sum(key.startswith("optimiser.") for key in tensors)
    note = {"progress": json.dumps(asdict(progress)), "run": json.dumps(run, sort_keys=True), "optimiser": str(count)}
    save_tensors(path, tensors, note)


def load_state(
    path: Path, method: nn.Module, optimiser: torch.optim.Optimizer, run: dict, average: dict[str, Tensor]
) -> Progress:
    """Put everything where the file left it, in place. Raises ValueError if it is another training's."""
    tensors, note = load_tensors(path)
    if "progress" not in note:
        raise ValueError(f"{path} is not a training state; --resume needs the {STATE} that train wrote")
    try:
        old, progress = json.loads(note["run"]), Progress(**json.loads(note["progress"]))
        count = int(note["optimiser"])
        check_values(Progress, vars(progress))
        finite = [progress.seconds, *progress.sums.values(), *(entry["seconds"] for entry in progress.history)]
        if not isinstance(old, dict) or min(progress.epoch, progress.step) < 0 or not all(map(math.isfinite, finite)):
            raise ValueError("impossible numbers")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a training state of this version ({_short(error)})") from error
    _check_same(path, old, json.loads(json.dumps(run)))
    _fill(method, _part(tensors, "method."), path)
    for key, value in _part(tensors, "average.").items():
        average[key].copy_(value)
    _fill_optimiser(optimiser, _part(tensors, "optimiser."), count, path)
    return progress


def _fill_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], count: int, path: Path) -> None:
    """Raises ValueError unless there are ``count`` tensors, of the shapes of what they belong to."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    memory: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        if not (number.isdecimal() and int(number) < len(parameters)):
            raise ValueError(f"{path} does not fit this method: its optimiser has more parts than the method")
        # Laid out as its parameter is (channels_last): a fused optimiser walks both in the order of memory.
        like = parameters[int(number)]
        value = torch.empty_like(like).copy_(value) if value.shape == like.shape else value.clone()
        memory.setdefault(int(number), {})[name] = value
        if value.ndim and value.shape != like.shape:
            raise ValueError(f"{path} does not fit this method: its optimiser holds tensors of other shapes")
    if len(tensors) != count:
        raise ValueError(f"{path} does not fit this method: a part of its optimiser is missing")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": memory})


def save_model(folder: Path, method: Method) -> None:
    """The trained method alone, with its name, classes and settings."""
    how = {"method": method_name(method), "classes": method.classes, "settings": asdict(method.config)}
    if method.frame is not None:
        how["frame"] = method.frame.numbers
    save_tensors(folder / MODEL, method.state_dict(), {"how": json.dumps(how)})


def load_method(checkpoint: str | Path, own: type[Method] | None = None) -> Method:
    """The trained method, in evaluation mode.

    :param checkpoint: a run's folder, or its model.safetensors.
    :param own: its class, if it is none of fercore's methods.
    :raises FileNotFoundError: no folder or model.
    :raises ValueError: a damaged or foreign file, a pickle, a method that this version does not know, or not ``own``.
    """
    checkpoint = Path(checkpoint)
    path = checkpoint / MODEL if checkpoint.is_dir() else checkpoint
    tensors, note = load_tensors(path)
    if "how" not in note:
        raise ValueError(f"{path} does not say how to build its method; give the {MODEL} that train or fit wrote")
    try:
        how = json.loads(note["how"])
        kind, settings, classes = _kind(how["method"], own), how["settings"], how["classes"]
        check_names(kind.config_class, settings, how["method"])
        if type(classes) is not int or not 2 <= classes <= MOST_CLASSES:
            raise ValueError(f"classes is {classes!r}")
        method = kind(kind.config_class(**{**settings, "weights": None}), classes)
        method.frame = Frame.from_numbers(how["frame"]) if "frame" in how else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds a method that this version cannot build ({_short(error)})") from error
    _fill(method, tensors, path)
    if name := not_finite(method):
        raise ValueError(f"{path} holds weights that are not finite ({name}); train it again with a smaller --lr")
    return method.eval().to(memory_format=torch.channels_last)


def not_finite(method: nn.Module) -> str | None:
    """The first of what a network computes with, weights and running means, that holds NaN or infinity; else None."""
    running = {name: value for name, value in method.named_buffers() if ".running_" in name}
    values = {**dict(method.named_parameters()), **running}
    return next((name for name, value in values.items() if not bool(value.isfinite().all())), None)


def load_together(checkpoints: Sequence[str | Path], own: type[Method] | None = None) -> Method | Together:
    """One trained method, or several that are asked as one. Raises as ``load_method`` and ``Together`` do."""
    methods = [load_method(checkpoint, own) for checkpoint in checkpoints]
    return methods[0] if len(methods) == 1 else Together(methods)


def _kind(name: str, own: type[Method] | None) -> type[Method]:
    """The class of the method called ``name``."""
    if own is not None and method_name(own) == name:
        return method_class(own)
    if name not in METHODS:
        given = "" if own is None else f", not {own.__name__}"
        raise ValueError(
            f"it is {name}{given}, none of fercore's own; hand over its class: fercore.load(PATH, method={name})"
        )
    return METHODS[name]


def _fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit this method: {str(error).splitlines()[-1].strip()}") from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _short(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())


def _check_same(path: Path, old: dict, new: dict) -> None:
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if keys:
        changes = "; ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in keys)
        longer = "a training cannot be made longer, as its learning rate has run down: train anew, with --weights "
        longer += f"{path.with_name(MODEL)} from what it learnt, in another folder (--out)"
        mend = longer if keys == ["epochs"] else "remove it to begin anew, or choose another folder (--out)"
        raise ValueError(f"{path} belongs to another training ({changes}); {mend}")
