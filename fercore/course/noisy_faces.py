"""What lessons 03 to 05 share: faces with flipped labels, some of which are watched, and a training that notes them.

The lessons ask one question in three ways: which labels are wrong? So they start from the same faces, train the same
baseline beside their method, and look at the same things afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fercore.batch import UNLABELLED
from fercore.course.folders import runs_folder
from fercore.datasets import FaceDataset, apply_condition, blendfer
from fercore.methods import METHODS, Method, build
from fercore.training import TrainConfig, evaluate, fit, predict

FEW = 300
"""Faces of each split at preset fast: enough to see that every cell runs, far too few to learn from."""
CLEAR = 0.7
"""A face is clear if its label was left alone and at least this share of the truth is on it."""


@dataclass(frozen=True)
class NoisyFaces:
    """BlendFER with flipped labels, and what only we know of it.

    train, test: the N training faces with a label, some of them wrong; the test faces, none of them wrong.
    watched: (W,) rows of ``train``, drawn at random, that a lesson looks at from epoch to epoch.
    condition, preset, seed: what they were made by.
    """

    train: FaceDataset
    test: FaceDataset
    watched: Tensor
    condition: str
    preset: str
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """The emotions, in order."""
        return self.train.classes

    @cached_property
    def flipped(self) -> Tensor:
        """(N,) whether the training face's label was replaced."""
        return self.train.label != self.train.clean_label

    @cached_property
    def groups(self) -> dict[str, Tensor]:
        """Clear, ambiguous (label left alone, but less than 70 % of the truth on it) and flipped -> (N,) bool."""
        on_label = self.train.distribution[torch.arange(len(self.train)), self.train.label]
        clear = on_label >= CLEAR
        return {"clear": ~self.flipped & clear, "ambiguous": ~self.flipped & ~clear, "flipped": self.flipped}

    @cached_property
    def label(self) -> Tensor:
        """(W,) labels given to the watched faces."""
        return self.train.label[self.watched]

    @cached_property
    def clean_label(self) -> Tensor:
        """(W,) the watched faces' labels before any was flipped."""
        return self.train.clean_label[self.watched]

    @cached_property
    def truth(self) -> Tensor:
        """(W, C) true distributions of the watched faces."""
        return self.train.distribution[self.watched]

    @cached_property
    def here(self) -> dict[str, Tensor]:
        """``groups`` of the watched faces: (W,) bool."""
        return {name: member[self.watched] for name, member in self.groups.items()}

    def example(self, truth: str = "happiness", label: str = "anger") -> int:
        """Row of a flipped training face whose truth is all but one emotion, if possible with this label."""
        share = self.train.distribution[:, self.names.index(truth)]
        return int((share * self.flipped * (1 + (self.train.label == self.names.index(label)))).argmax())

    def answers(self, model: Method) -> Tensor:
        """(W, C) probabilities that a model gives to the watched faces."""
        return predict(model, self.train.select(self.watched.tolist()))


def noisy_faces(condition: str, preset: str, seed: int, watched: int = 1500) -> NoisyFaces:
    """BlendFER's labelled training faces under ``condition``, its test faces, and some faces to watch.

    At preset fast a few faces only. The seed fixes the condition and the draw.
    """
    data = blendfer.open()
    train, test = apply_condition(data.where("train"), condition, seed), data.where("test")
    if (train.label == UNLABELLED).any():  # the methods of these lessons do not look at such faces
        train = train.select(torch.nonzero(train.label != UNLABELLED).flatten())
    if preset == "fast":
        train, test = (part.select(range(0, len(part), len(part) // FEW)) for part in (train, test))
    drawn = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return NoisyFaces(train, test, drawn[:watched], condition, preset, seed)


def train_baseline(faces: NoisyFaces, **training: object) -> Method:
    """The plain network, trained on the same faces; on the CPU, ready to be asked.

    It is kept in ``runs/noisy_baseline``, where the next lesson with the same faces finds it.
    training: fields of TrainConfig that differ from the preset's.
    """
    config = TrainConfig.preset(faces.preset, METHODS["baseline"], seed=faces.seed, **training)
    baseline = build("baseline", classes=len(faces.names), preset=faces.preset, seed=faces.seed)
    folder = runs_folder("noisy_baseline", f"{faces.condition.replace(':', '-')}-{faces.preset}-{faces.seed}")
    fit(baseline, faces.train, config, out=folder, resume=True)
    return baseline.eval().cpu()  # where there is a GPU, fit left it there


def fit_watched(
    method: Method,
    faces: NoisyFaces,
    config: TrainConfig,
    out: Path,
    keep: Sequence[str],
    when: Callable[[int], bool] = lambda epoch: True,
    once: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda first: {},
) -> tuple[list[dict], dict[int, dict[str, Tensor]]]:
    """Train, and note in between what the method says of the watched faces: a small file each in ``out``.

    A training that was cut off goes on and finds its notes again. The method is left on the CPU, ready to be asked.

    keep: entries of ``method.explain``, a row a face.
    when: whether to look after so many epochs; 0 is before the first.
    once: what ``explain`` says of the first hundred watched faces -> further tensors to note, whatever their shape.
    Returns fit's history, and epoch -> name -> tensor.
    """

    def file(epoch: int) -> Path:
        return out / f"epoch-{epoch}.safetensors"

    @torch.inference_mode()
    def look(epoch: int) -> None:
        method.eval()  # fit switches back to training
        device = next(method.parameters()).device
        parts = [method.explain(faces.train.batch(rows, device)) for rows in faces.watched.split(100)]
        seen = {name: torch.cat([part[name] for part in parts]) for name in keep} | once(parts[0])
        save_file({name: value.cpu().contiguous() for name, value in seen.items()}, file(epoch))

    def after_epoch(entry: dict) -> None:
        if when(entry["epoch"] + 1):
            look(entry["epoch"] + 1)

    if when(0):
        look(0)
    history = fit(method, faces.train, config, out=out, resume=True, after_epoch=after_epoch)
    method.eval().cpu()
    return history, {epoch: load_file(file(epoch)) for epoch in range(len(history) + 1) if when(epoch)}


def exam(models: dict[str, Method], test: FaceDataset) -> None:
    """Print accuracies and distance to the truth on faces whose labels are right, a column a model."""
    results = [evaluate(model, test) for model in models.values()]
    print(f"{'on the clean exam':<28}" + "".join(f"{name:>9}" for name in models))
    for key, text in (("overall", "overall accuracy"), ("mean", "mean accuracy")):
        print(f"{text:<28}" + "".join(f"{result[key]:>9.1%}" for result in results))
    print(f"{'JS divergence to the truth':<28}" + "".join(f"{result['js_truth']:>9.3f}" for result in results))


def by_heart(faces: NoisyFaces, answers: Tensor, who: str = "the baseline") -> None:
    """Print how often a model answers watched faces with the label given, and how often rightly.

    answers: (W, C) probabilities, as of ``faces.answers``.
    """
    said = answers.argmax(1)
    flipped = faces.here["flipped"]
    for title, member in (("flipped", flipped), ("left alone", ~flipped)):
        given, right = ((said == kind)[member].float().mean() for kind in (faces.label, faces.clean_label))
        print(f"{title:<12}{who} answers the label given in {given:.0%}, the right one in {right:.0%}")
