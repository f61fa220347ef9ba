"""How fast augmented batches come, against torchvision's ImageFolder and DataLoader.

``python -m data_prep.benchmark_loader`` prints one JSON object. Both read the same faces as JPEG files, mirror, rotate,
shift, scale, jitter and erase them with the same strengths, and give float batches. torchvision decodes and transforms
one image at a time in worker processes, epoch after epoch; here the images are decoded once and transformed as batches.
Rounds alternate, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from fercore.datasets.face_dataset import FaceDataset
from fercore.datasets.loader import Loader
from fercore.datasets.views import Augmentation

AUGMENTATION = Augmentation(
    flip=0.5, rotate=15, scale=0.15, shift=0.08,
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05, erase=0.5,
)  # fmt: skip


def torchvision_transform(a: Augmentation) -> transforms.Compose:
    """The same transforms from torchvision, on PIL images, where they are fastest."""
    return transforms.Compose(
        [
            transforms.RandomHorizontalFlip(a.flip),
            transforms.RandomAffine(
                a.rotate,
                translate=(a.shift, a.shift),
                scale=(1 - a.scale, 1 + a.scale),
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue),
            transforms.ToTensor(),
            transforms.RandomErasing(a.erase, a.erase_area, (1 / a.erase_aspect, a.erase_aspect)),
        ]
    )


def benchmark(data: FaceDataset, rounds: int = 5, batch_size: int = 128, workers: int = 2, epochs: int = 1) -> dict:
    """Images per second of both, their ratio, and the processor time that each spends on an image.

    :param data: the faces to write as JPEG (quality 90) and to read.
    :param rounds: how often the two take turns; medians are reported.
    :param epochs: how often a turn here goes through the images, which takes so much less time.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write_jpegs(data, Path(folder))
        start = time.perf_counter()
        faces = FaceDataset.open(folder, classes=len(data.classes))
        open_seconds = time.perf_counter() - start
        needs = SimpleNamespace(views=(AUGMENTATION,), sampler="shuffle", landmarks=False, unlabelled=0)
        loader = Loader(faces, needs, batch_size)
        theirs = DataLoader(
            ImageFolder(Path(folder) / "images", torchvision_transform(AUGMENTATION)),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        turns = []
        for turn in range(rounds + 1):
            slow = _measure(image for image, _ in theirs)
            fast = _measure(
                batch.image for epoch in range(epochs) for batch in loader.epoch(turn * epochs + epoch, epochs)
            )
            turns.append(slow + fast)
    rates = np.array(turns[1:])  # in the first turn workers start and memory is laid out
    slow, slow_cpu, fast, fast_cpu = np.median(rates, axis=0)
    return {
        "torchvision_images_per_s": round(slow),
        "fercore_images_per_s": round(fast),
        "ratio": round(float(np.median(rates[:, 2] / rates[:, 0])), 2),
        "ratios": (rates[:, 2] / rates[:, 0]).round(2).tolist(),
        "torchvision_cpu_us_per_image": round(slow_cpu),
        "fercore_cpu_us_per_image": round(fast_cpu),
        "images": len(faces),
        "size": list(faces.size),
        "decode_once_seconds": round(open_seconds, 3),
        "batch_size": batch_size,
        "workers": workers,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _measure(batches: Iterable[Tensor]) -> tuple[float, float]:
    """Images per second, and microseconds of processor time (of this process and its workers) per image."""
    start, start_cpu = time.perf_counter(), _cpu_seconds()
    images = sum(len(batch) for batch in batches)
    return images / (time.perf_counter() - start), (_cpu_seconds() - start_cpu) / images * 1e6


def _cpu_seconds() -> float:
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def _write_jpegs(data: FaceDataset, folder: Path) -> None:
    """Files by class, as ImageFolder wants them, and the table that lists them."""
    paths = []
    for row, (image, label) in enumerate(zip(data.images, data.label.tolist(), strict=True)):
        path = Path("images") / data.classes[label] / f"{row:06d}.jpg"
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / path, quality=90)
        paths.append(path.as_posix())
    table = {"path": paths, "label": data.label.tolist(), "split": ["train"] * len(data)}
    pq.write_table(pa.table(table), folder / "faces.parquet")


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a folder in the one format; BlendFER's validation set by default")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.data is None:
        from fercore.datasets import blendfer

        data = blendfer.open(split="val")
    else:
        data = FaceDataset.open(options.data)
    print(json.dumps(benchmark(data, rounds=options.rounds, epochs=5)))


if __name__ == "__main__":
    main()
