"""A start that knows faces: the light trunk learns what a face-recognition network sees, and where the landmarks are.

    python -m data_prep.face_start --teacher package/model                       # rendered faces only
    python -m data_prep.face_start --teacher package/model --data data/ferplus   # real ones as well

No expression label is read. The papers start from networks that have recognised ten million photographs
(MS-Celeb-1M); this is the nearest that can be rebuilt. ``data_prep.dlib_resnet`` says where the teacher comes from.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from data_prep.blendfer.pretrain import write_start
from data_prep.dlib_resnet import Teacher, read_weights
from fercore.datasets import Augmentation, FaceDataset, blendfer
from fercore.datasets.identity import data_name
from fercore.models import build_backbone
from fercore.models.landmark_branch import PatternHead

BATCH, LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 128, 3e-3, 0.02, 100
LIGHT = {"rotate": 8, "scale": 0.08, "shift": 0.04, "brightness": 0.2, "contrast": 0.2, "saturation": 0.15}
TARGETS = ("identity", "map", "landmarks")


@dataclass
class Lesson:
    """The training faces of one dataset, and what the teacher says of each: identity (N, 128), map (N, 256, 4, 4)."""

    faces: FaceDataset
    identity: Tensor
    map: Tensor


def ask_teacher(faces: FaceDataset, teacher: Teacher, kept: Path) -> Lesson:
    """The teacher's answers, kept in half precision in ``kept``, as asking takes minutes."""
    if not kept.exists():
        parts = tqdm(torch.arange(len(faces)).split(64), desc="asking the teacher", unit="batch")
        maps, identities = zip(*(teacher(faces.batch(rows, "cpu").image) for rows in parts), strict=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file({"map": torch.cat(maps).half(), "identity": torch.cat(identities).half()}, kept)
    answers = load_file(kept)
    return Lesson(faces, answers["identity"], answers["map"])


def _unit(values: Tensor, over: tuple[int, ...]) -> Tensor:
    """Mean and deviation of each channel; one that never changes is not blown up."""
    return torch.stack([values.mean(over), values.std(over).clamp(min=1e-3)])


class Student(nn.Module):
    """The light trunk, and a linear layer for each thing it is taught."""

    def __init__(self, lessons: list[Lesson], start: str | None):
        super().__init__()
        self.backbone = build_backbone("light", start, 48)
        self.identity, self.map = nn.Linear(self.backbone.dim, 128), nn.Conv2d(self.backbone.dim, 256, 1)
        self.points = nn.ModuleList(PatternHead(self.backbone.dim, 64) for _ in lessons)  # each frame has its shape
        for head, lesson in zip(self.points, lessons, strict=True):
            if lesson.faces.landmarks is not None:
                head.measure(lesson.faces.landmarks, lesson.faces.size)
        identity, maps = (torch.cat([getattr(part, name)[::3].float() for part in lessons]) for name in TARGETS[:2])
        self.register_buffer("identity_unit", _unit(identity, (0,)))
        self.register_buffer("map_unit", _unit(maps, (0, 2, 3))[..., None, None])

    def losses(self, lesson: Lesson, number: int, rows: Tensor, mirrored: bool, targets: list[str]) -> list[Tensor]:
        """Each target's mean squared error, in units of its variance. Half of the batches are mirrored."""
        faces, size = lesson.faces, lesson.faces.size
        augmentation = Augmentation(flip=float(mirrored), **LIGHT)
        points = None if faces.landmarks is None else faces.landmarks[rows]
        image, points = augmentation(faces.store[faces.rows[rows]], landmarks=points)
        self.backbone.normalise.size = size[0]
        feature_map = self.backbone(image.contiguous(memory_format=torch.channels_last))
        terms = []
        if "identity" in targets:
            mean, unit = self.identity_unit
            true = (lesson.identity[rows].float() - mean) / unit
            terms.append(F.mse_loss(self.identity(feature_map.mean((2, 3))), true))
        if "map" in targets:
            mean, unit = self.map_unit
            true = (lesson.map[rows].float() - mean) / unit
            large = F.interpolate(feature_map, true.shape[2:], mode="bilinear")
            terms.append(F.mse_loss(self.map(large), true.flip(3) if mirrored else true))
        if "landmarks" in targets and points is not None:
            head = self.points[number]
            terms.append(head.error(head(feature_map)[1], points, size))
        return terms


def teach(student: Student, lessons: list[Lesson], targets: list[str], epochs: int, seed: int) -> list[float]:
    """Train in place with AdamW and a cosine; returns the mean loss of each epoch."""
    random = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(student.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * sum(len(lesson.faces) // BATCH for lesson in lessons)
    rise = torch.optim.lr_scheduler.LinearLR(optimiser, 0.01, total_iters=WARM_UP)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    student.train().to(memory_format=torch.channels_last)
    losses = []
    with tqdm(total=steps, desc="teaching", unit="step") as bar:
        for _ in range(epochs):
            plan = []
            for number, lesson in enumerate(lessons):
                order = torch.from_numpy(random.permutation(len(lesson.faces)))
                plan += [(number, rows) for rows in order.split(BATCH) if len(rows) == BATCH]
            total = 0.0
            for place in random.permutation(len(plan)):
                number, rows = plan[place]
                loss = sum(student.losses(lessons[number], number, rows, bool(random.integers(2)), targets))
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(student.parameters(), 5.0)
                optimiser.step()
                rise.step()
                fall.step()
                total += float(loss.detach())
                bar.update()
            losses.append(total / len(plan))
            print(f"loss {losses[-1]:.4f}", file=sys.stderr)
    return losses


def main(
    teacher: Path,
    data: tuple[Path, ...] = (),
    out: Path = Path("runs/face_start/faces.safetensors"),
    targets: tuple[str, ...] = TARGETS,
    epochs: int = 20,
    start: str = "face",
    seed: int = 0,
) -> None:
    """Teach the light trunk, write it (fp16 safetensors) and a JSON of the losses beside it.

    :param teacher: the folder model/ of face-api.
    :param data: further datasets in fercore's format; BlendFER's training faces are always learnt from.
    :param targets: what is taught: identity, map, landmarks (where a dataset has them).
    :param start: where the trunk starts: face (rendered identities), none, or a file.
    """
    torch.manual_seed(seed)
    network, lessons = Teacher(read_weights(teacher)), []
    for folder in (None, *data):
        faces = (blendfer.open(8) if folder is None else FaceDataset.open(folder, 8)).where("train")
        lessons.append(ask_teacher(faces, network, out.parent / f"teacher-{data_name(folder)}.safetensors"))
    student = Student(lessons, None if start == "none" else start)
    losses = teach(student, lessons, list(targets), epochs, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    told = {"data": ["BlendFER", *(d.name for d in data)], "targets": targets, "epochs": epochs, "losses": losses}
    write_start(student.backbone, out, told)
    print(json.dumps({"loss": losses[-1], "bytes": out.stat().st_size}))


if __name__ == "__main__":
    tyro.cli(main)
