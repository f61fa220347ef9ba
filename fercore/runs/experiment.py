"""One experiment from settings to figures: data, condition, method, training, test."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import fercore
from fercore.datasets import FaceDataset, apply_condition
from fercore.datasets.corruptions import canonical_condition, describe_change
from fercore.datasets.identity import data_name
from fercore.datasets.table import classes_in
from fercore.methods import PRESETS, Method, method_class, method_name
from fercore.runs.build_for import build_for
from fercore.runs.collapse import collapse
from fercore.runs.environment import commit, device_name
from fercore.runs.folder import claimed, read_result
from fercore.runs.insight import insight
from fercore.runs.results import COLUMNS, KEY, put_row
from fercore.training import TrainConfig, evaluate, fit
from fercore.training.config import own_recipe
from fercore.training.loop import fingerprint
from fercore.training.recipe import recipe_name

LARGEST_SEED = 2**63 - 1
"""Torch's generators take no more."""


@dataclass(frozen=True)
class Experiment:
    """What is trained, on what, and how.

    method: its name, or a class of your own, which results call by the class's name.
    settings: fields of the method's Config that differ from the preset; training: those of TrainConfig that differ from
        the recipe.
    printed: with the paper's settings where ours differ, see ``NetworkConfig.printed``.
    recipe: the name of a recipe or a TOML file; "" for the preset's own.
    variant: what the results call this deviation; by default the deviations themselves.
    data: a folder in our format, or faces in memory; None for BlendFER.
    classes: 7 or 8; None: as many as the dataset has (``default_classes``). A variant that names none means 7.
    """

    method: str | type[Method]
    condition: str = "clean"
    preset: str = "quick"
    seed: int = 0
    classes: int | None = None
    data: Path | FaceDataset | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    variant: str = ""
    recipe: str = ""
    printed: bool = False

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; known are {', '.join(PRESETS)}")
        self.config  # noqa: B018 - what is wrong with the recipe is said before anything is read
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"a seed is a whole number from 0 to {LARGEST_SEED}, not {self.seed}")
        object.__setattr__(self, "condition", canonical_condition(self.condition))
        if self.classes is None:
            object.__setattr__(self, "classes", default_classes(self.data))
        if not self.variant:
            changes = {"as": "printed"} if self.printed else {}
            changes |= {**self.settings, **self.training}
            if self.classes != 7:
                changes["classes"] = self.classes
            object.__setattr__(self, "variant", ",".join(f"{key}={value}" for key, value in changes.items()))

    @property
    def config(self) -> TrainConfig:
        """The recipe as it is run, and the settings of the loop. Raises ValueError for unknown names and values."""
        kind = method_class(self.method)
        return TrainConfig.preset(self.preset, kind, self.recipe, **{"seed": self.seed, **self.training})

    @property
    def recipe_name(self) -> str:
        """What the results call the recipe; "" for the preset's own."""
        return "" if self.recipe == own_recipe(self.preset, method_class(self.method)) else recipe_name(self.recipe)

    @property
    def key(self) -> dict[str, Any]:
        """By which results tell runs apart."""
        own = {"method": self.name, "data": self.data_name, "recipe": self.recipe_name}
        return {name: getattr(self, name) for name in KEY} | own

    @property
    def name(self) -> str:
        """What results call the method."""
        return method_name(method_class(self.method))

    @property
    def data_name(self) -> str:
        """What results call the data; of faces in memory only whether they are the same can be told."""
        if isinstance(self.data, FaceDataset):
            return f"memory@{hashlib.sha256(fingerprint(self.data).encode()).hexdigest()[:8]}"
        return data_name(self.data)

    @property
    def folder(self) -> Path:
        """Where its files go unless said otherwise: runs/METHOD-CONDITION-PRESET-SEED, without awkward characters."""
        told = (self.variant, self.recipe_name, "" if self.data is None else self.data_name)
        name = "-".join([self.name, self.condition, self.preset, str(self.seed), *(part for part in told if part)])
        return Path("runs") / "".join(c if c.isalnum() or c in "-+.=," else "_" for c in name)


def default_classes(data: Path | FaceDataset | None) -> int:
    """8 for a dataset on disk with faces labelled contempt, else 7. BlendFER is used with 7, as in all lessons."""
    if isinstance(data, FaceDataset):
        return len(data.classes)
    return 7 if data is None else classes_in(data)


def open_data(data: Path | FaceDataset | None, classes: int | None = None) -> FaceDataset:
    """A folder in our format, faces in memory as they are, or BlendFER; by default with as many classes as it has."""
    if isinstance(data, FaceDataset):
        return data
    classes = default_classes(data) if classes is None else classes
    if data is not None:
        return FaceDataset.open(data, classes)
    from fercore.datasets import blendfer  # brings the renderer, which takes a moment to import

    return blendfer.open(classes)


def run_experiment(
    experiment: Experiment,
    out: Path,
    resume: bool = False,
    faces: FaceDataset | None = None,
    on: str = "test",
    overwrite: bool = False,
    reuse: bool = False,
) -> dict[str, Any]:
    """Train, test, and write config, model, state, history and result into ``out``.

    Whatever can be refused is refused before anything in ``out`` changes, and a finished run there is replaced only by
    a finished one (see ``fercore.runs.folder``).

    :param overwrite: begin anew whatever ``out`` holds of fercore's.
    :param reuse: if ``out`` holds the result of this very experiment, by the same code on the same device, give that.
    :param faces: the opened data, if it is at hand already.
    :param on: the split that is measured: test to report, val to choose settings.
    :return: the figures on that split, with ``params``, ``out``, the settings that identify the run, and ``insight``
        into the training labels where some were flipped.
    """
    start = time.monotonic()
    code = commit()  # before anybody edits it
    with claimed(out, resume, overwrite) as place:
        faces = open_data(experiment.data, experiment.classes) if faces is None else faces
        clean = faces.where("train")
        train = apply_condition(clean, experiment.condition, experiment.seed)
        check_classes(train, experiment.name)
        val = faces.where("val") if (faces.split == "val").any() else None
        measured = faces.where(on)
        config, settings = experiment.config.sized(experiment.settings)
        settings = {"printed": experiment.printed, **settings}
        method = build_for(faces, experiment.method, experiment.preset, experiment.seed, settings)
        described = {
            "fercore": fercore.__version__,
            "commit": code,
            **experiment.key,
            "classes": experiment.classes,
            "recipe": recipe_name(experiment.recipe or own_recipe(experiment.preset, method)),
            "folder": str(experiment.data) if isinstance(experiment.data, Path) else None,
            "settings": asdict(method.config),
            "training": asdict(config),
            "on": on,
            "torch": torch.__version__,
            "device": device_name(),
        }
        if reuse and (earlier := read_result(out)) and earlier[0] == json.loads(json.dumps(described)):
            print(f"{experiment.name}: the result in {out} is of this very run", file=sys.stderr)
            return earlier[1]

        def begin() -> None:
            print(f"{experiment.name}: {describe_change(clean, train)}, files in {out}", file=sys.stderr)
            print(f"{experiment.name}: {method.config}", file=sys.stderr)
            print(f"recipe {described['recipe']}: {config}", file=sys.stderr)
            place.begin(described)

        try:
            before = time.monotonic()
            history = fit(method, train, config, val, place.path, place.resumes, begin=begin)
            in_this_process = time.monotonic() - before
            trained = sum(entry["seconds"] for entry in history)
            figures = evaluate(method, measured, probabilities=True)
            warning = collapse(method, measured, figures.pop("probabilities"))
            if warning:
                print(f"warning: {experiment.name} {warning}", file=sys.stderr)
            # What an interrupted run had already cost counts too.
            figures["seconds"] = round(time.monotonic() - start + max(0.0, trained - in_this_process), 2)
            result = {
                **experiment.key,
                **figures,
                "warning": warning,
                "insight": insight(method, train),
                "train_seconds": round(trained, 2),
                "params": sum(parameter.numel() for parameter in method.parameters()),
                "out": str(out),
            }
            place.finish(history, result)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(place.kept) from None
    return result


def check_classes(train: FaceDataset, method: str) -> None:
    """Raises ValueError if all labels are the same, of which a method that learns from labels can learn nothing."""
    present = [name for name, count in zip(train.classes, train.counts.tolist(), strict=True) if count]
    if len(present) == 1 and method != "landmarks":
        raise ValueError(
            f"all {int(train.counts.sum()):,} labelled training faces are {present[0]}, so that nothing can be learnt; "
            "add faces of other emotions"
        )


def record(result: dict[str, Any], file: Path) -> None:
    """Add a result as a row to ``file``, and its insights to the file beside it."""
    code = commit()
    row = {name: result[name] for name in COLUMNS if name in result}
    row |= {f"recall_{name}": value for name, value in result["recall"].items()}
    row |= {"commit": code, "torch": torch.__version__, "device": device_name()}
    put_row(file, row | {"date": datetime.now(UTC).strftime("%Y-%m-%d")}, result["insight"])
