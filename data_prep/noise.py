"""Label noise as files: which training faces get which wrong label under ``noise:RATE`` with a seed.

They are made by ``fercore.datasets.apply_condition``, so ``fercore train --condition noise:0.3 --seed 0 --data DIR``
sees exactly these labels; the files let others repeat it without fercore.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fercore.datasets import FaceDataset, apply_condition
from fercore.emotions import NAMES
from fercore.files import write_atomically

RATES = (0.1, 0.2, 0.3)
SEEDS = (0, 1, 2)
CONTEMPT = NAMES.index("contempt")


def write_noise_lists(rows: pd.DataFrame, folder: Path) -> None:
    """``folder/7-classes/noise-0.3-seed-0.csv`` and so on (and ``8-classes/`` if contempt is labelled).

    Each lists the changed faces only: ``row`` in faces.parquet, ``name``, ``label`` and ``noisy_label`` by name.

    :param rows: all faces in the order of faces.parquet: name, label, split.
    """
    for classes in (7, 8) if (rows["label"] == CONTEMPT).any() else (7,):
        train = rows[(rows["split"] == "train") & (rows["label"] < classes)]
        if train.empty:
            continue
        for rate in RATES:
            for seed in SEEDS:
                noisy = noisy_labels(train["label"].to_numpy(), rate, seed, classes)
                _write(folder / f"{classes}-classes" / f"noise-{rate}-seed-{seed}.csv", train, noisy)


def noisy_labels(label: np.ndarray, rate: float, seed: int, classes: int) -> np.ndarray:
    """(N,) training labels under ``noise:rate``, as training sees them."""
    pictures = np.zeros((len(label), 3, 1, 1), np.uint8)  # noise looks at labels only
    data = FaceDataset.from_arrays(pictures, label, classes=classes)
    return apply_condition(data, f"noise:{rate}", seed).label.numpy()


def _write(file: Path, train: pd.DataFrame, noisy: np.ndarray) -> None:
    changed = noisy != train["label"].to_numpy()
    part = train[changed]
    table = pd.DataFrame(
        {
            "row": part.index,
            "name": part["name"],
            "label": [NAMES[number] for number in part["label"]],
            "noisy_label": [NAMES[number] for number in noisy[changed]],
        }
    )
    write_atomically(file, lambda temporary: table.to_csv(temporary, index=False, lineterminator="\n"))
