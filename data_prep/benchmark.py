"""How fast and with how much memory a large dataset is brought into the one format, opened, and read once.

``python -m data_prep.benchmark --faces 50000`` draws that many faces into a temporary folder and prints one JSON
object. Peak memory is that of the whole process, so compare two numbers of faces in two runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from data_prep import Options, prepare_folder
from fercore.batch import Needs
from fercore.datasets import FaceDataset, Loader
from fercore.emotions import NAMES

SIDE = 100
SPLITS = ("train", "train", "train", "val", "test")


def draw_faces(folder: Path, faces: int) -> None:
    """``folder/SPLIT/CLASS/NUMBER.jpg``: coloured noise of faces' size and weight, each unlike every other."""
    random = np.random.default_rng(0)
    for number in tqdm(range(faces), desc="drawing", unit="face"):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
        file = folder / SPLITS[number % 5] / NAMES[number % 7] / f"{number:07d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, quality=90)


def benchmark(faces: int, align: bool = False) -> dict[str, float]:
    """Seconds and peak memory of the conversion, seconds of opening, and of one epoch of augmented batches of 128."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        draw_faces(source, faces)
        start = time.perf_counter()
        prepare_folder(source, out, options=Options(align=align))
        converted = time.perf_counter()
        peak = _peak_mb()
        data = FaceDataset.open(out)
        opened = time.perf_counter()
        train = data.where("train")
        for _ in Loader(train, Needs(), batch_size=128).epoch(0, 1):
            pass
        read = time.perf_counter()
    return {
        "faces": faces,
        "align": align,
        "faces_per_s": round(faces / (converted - start), 1),
        "peak_mb": peak,
        "open_ms_per_face": round(1e3 * (opened - converted) / faces, 4),
        "epoch_ms_per_face": round(1e3 * (read - opened) / len(train), 4),
        "peak_mb_after_reading": _peak_mb(),
    }


def _peak_mb() -> int:
    """Most memory this process ever held; macOS counts in bytes, others in kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=50_000)
    parser.add_argument("--align", action="store_true")
    given = parser.parse_args()
    print(json.dumps(benchmark(given.faces, given.align)))
