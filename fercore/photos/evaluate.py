"""How well a trained method does on a folder of labelled photographs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from fercore import metrics
from fercore.datasets.images import read_image
from fercore.datasets.labels_csv import EYES, read_labels_csv
from fercore.emotions import class_names, index_of
from fercore.methods.base import Method
from fercore.photos.ask import classify_crops
from fercore.photos.ask_landmarks import find_landmarks
from fercore.photos.cut import cut_faces
from fercore.photos.faces import find_faces

MISSED = -1


def evaluate_photos(method: Method, folder: str | Path, size: int | None = None, tta: bool = True) -> dict[str, object]:
    """Measure a method on the photographs that ``folder/labels.csv`` (path, label) lists.

    The largest face of each photograph is classified (see ``predict_photos``); a photograph whose face is missed
    counts as wrong in every accuracy, and is left out of ``ece``.
    Returns n (photographs), faces_missed, overall, mean (of the recalls of the classes present), recall (by emotion,
    None where there is no photograph), ece (None if no face was found), seconds; and if the labels are happiness and
    neutral only, ``smile_vs_neutral_balanced``: the same mean, when p(happiness) > p(neutral) decides between the two.
    Where labels.csv tells where the pupils are and the method predicts landmarks also ``eye_error``: how far the
    centres of both eyes' landmarks are from them, a share of the pupils' distance; the mean over such faces.
    Raises what ``read_labels_csv`` and ``read_image`` raise, and ValueError for a label the method does not know.
    """
    start = time.perf_counter()
    table = read_labels_csv(folder)
    label = torch.tensor(table["label"].to_list())
    names = class_names(method.classes)
    if int(label.max()) >= len(names):
        raise ValueError(f"{folder} has photographs of contempt, but the method knows only {', '.join(names)}.")
    rows, crops = [], []
    for row, path in enumerate(tqdm(table["path"], desc="photos", unit="photo", leave=False)):
        image = read_image(path)
        for crop in cut_faces(method, image, find_faces(image)[:1], size):
            rows.append(row)
            crops.append(crop)
    figures = _summarise(label, torch.tensor(rows, dtype=torch.long), classify_crops(method, crops, tta), names)
    if method.predicts_landmarks and set(EYES) <= set(table):
        eyes = table[list(EYES)].to_numpy().reshape(-1, 2, 2)[rows]
        known = np.isfinite(eyes).all((1, 2))
        points = find_landmarks(method, [crop for crop, is_known in zip(crops, known, strict=True) if is_known])
        if points:
            figures["eye_error"] = float(np.mean(list(map(_eye_error, points, eyes[known]))))
    return {**figures, "seconds": round(time.perf_counter() - start, 3)}


def _summarise(label: Tensor, rows: Tensor, probabilities: Tensor, names: tuple[str, ...]) -> dict[str, object]:
    """label: (N,) of all photographs. rows: (F,) numbers of those with a face. probabilities: (F, C) of these."""
    predicted = torch.full_like(label, MISSED)
    if len(rows):
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
        if len(rows):
            predicted[rows] = torch.where(probabilities[:, happiness] > probabilities[:, neutral], happiness, neutral)
        both = _recall(label, predicted, len(names))
        figures["smile_vs_neutral_balanced"] = (both[happiness] + both[neutral]) / 2
    return figures


def _eye_error(points: np.ndarray, pupils: np.ndarray) -> float:
    """points: (68, 2) landmarks. pupils: (2, 2), the left one in the picture first."""
    centres = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
    return float(np.linalg.norm(centres - pupils, axis=1).mean() / np.linalg.norm(pupils[0] - pupils[1]))


def _recall(label: Tensor, predicted: Tensor, classes: int) -> list[float | None]:
    """Share of each class's photographs that were recognised; None for a class without photographs."""
    hits = [(predicted == label)[label == c] for c in range(classes)]
    return [float(hit.double().mean()) if len(hit) else None for hit in hits]
