"""How well a trained method does on a folder of labelled photographs."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from fercore import metrics
from fercore.datasets.images import read_image
from fercore.datasets.labels_csv import read_labels_csv
from fercore.emotions import class_names, index_of
from fercore.photos.crop import CROP_SIZE
from fercore.photos.faces import find_faces
from fercore.photos.predict import classify_faces

MISSED = -1


def evaluate_photos(
    method: nn.Module, folder: str | Path, size: int = CROP_SIZE, tta: bool = True
) -> dict[str, object]:
    """Measure a method on the photographs that ``folder/labels.csv`` (path, label) lists.

    The largest face of each photograph is classified (see ``predict_photos``); a photograph whose face is missed
    counts as wrong in every accuracy, and is left out of ``ece``.
    Returns n (photographs), faces_missed, overall, mean (of the recalls of the classes present), recall (by emotion,
    None where there is no photograph), ece (None if no face was found), seconds; and if the labels are happiness and
    neutral only, ``smile_vs_neutral_balanced``: the same mean, when p(happiness) > p(neutral) decides between the two.
    Raises what ``read_labels_csv`` and ``read_image`` raise, and ValueError for a label the method does not know.
    """
    start = time.perf_counter()
    table = read_labels_csv(folder)
    label = torch.tensor(table["label"].to_list())
    rows, found = [], []
    for row, path in enumerate(tqdm(table["path"], desc="photos", unit="photo", leave=False)):
        image = read_image(path)
        faces = find_faces(image)[:1]
        if faces:
            rows.append(row)
            found.append(classify_faces(method, image, faces, size, tta))
    figures = _summarise(label, torch.tensor(rows, dtype=torch.long), torch.cat(found) if found else torch.zeros(0, 7))
    return {**figures, "seconds": round(time.perf_counter() - start, 3)}


def _summarise(label: Tensor, rows: Tensor, probabilities: Tensor) -> dict[str, object]:
    """label: (N,) of all photographs. rows: (F,) numbers of those with a face. probabilities: (F, C) of these."""
    names = class_names(probabilities.shape[1])
    if int(label.max()) >= len(names):
        raise ValueError(
            f"labels.csv holds contempt, but the method knows only {', '.join(names)}; leave those rows out"
        )
    predicted = torch.full_like(label, MISSED)
    predicted[rows] = probabilities.argmax(1)
    recall = _recall(label, predicted, len(names))
    present = [value for value in recall if value is not None]
    figures = {
        "n": len(label),
        "faces_missed": len(label) - len(rows),
        "overall": float((predicted == label).double().mean()),
        "mean": sum(present) / len(present),
        "recall": dict(zip(names, recall, strict=True)),
        "ece": metrics.calibration_error(probabilities, label[rows]) if len(rows) else None,
    }
    happiness, neutral = index_of("happiness"), index_of("neutral")
    if set(label.tolist()) == {happiness, neutral}:
        smiles = torch.where(probabilities[:, happiness] > probabilities[:, neutral], happiness, neutral)
        predicted[rows] = smiles
        both = _recall(label, predicted, len(names))
        figures["smile_vs_neutral_balanced"] = (both[happiness] + both[neutral]) / 2
    return figures


def _recall(label: Tensor, predicted: Tensor, classes: int) -> list[float | None]:
    """Share of each class's photographs that were recognised; None for a class without photographs."""
    hits = [(predicted == label)[label == c] for c in range(classes)]
    return [float(hit.double().mean()) if len(hit) else None for hit in hits]
