"""What a trained method says about the faces of photographs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from fercore.emotions import class_names
from fercore.photos.ask import classify_crops
from fercore.photos.ask_landmarks import draw_landmarks, find_landmarks
from fercore.photos.cut import Crop, cut_faces
from fercore.photos.faces import MIN_SIZE, find_faces
from fercore.photos.read import Photo, listed, read_photo

NO_FACE = f"no face was found; a face should be upright, towards the camera and at least {MIN_SIZE} pixels wide"


def predict_photos(
    method: nn.Module,
    photos: Photo | Iterable[Photo],
    size: int | None = None,
    tta: bool = True,
    landmarks: str | os.PathLike | None = None,
) -> dict[str, list[dict]]:
    """Find the faces of each photograph, crop them as the method's training faces were, and classify them.

    method: (B, 3, size, size) in [0, 1] -> (B, C) logits; C is 7, or 8 with contempt.
    photos: one or several; paths, bytes, PIL images or arrays in RGB, see ``read_photo``.
    size: of the crops in pixels, see ``crop_size``. tta: see ``classify_crops``.
    Returns ``{"photos": [{"path", "faces": [{"box": [x, y, w, h], "label", "probabilities": {emotion: p}}]}]}``, faces
    largest first, boxes in whole pixels of the upright photograph and inside it. Without a face the list is empty and
    a ``message`` says so. What is no file has the path "photo 1" and so on.
    landmarks: a folder, for a method that predicts them: each face then has ``landmarks``, 68 [x, y] in pixels of the
    photograph (the first one's centre is (0.5, 0.5)), and each photograph with faces ``drawn``, the path of a copy with
    these points in it, in that folder.
    Raises BadImage (a ValueError) or FileNotFoundError for the first photograph that cannot be read, and ValueError if
    landmarks are asked of a method that predicts none.
    """
    answers = []
    for number, source in enumerate(listed(photos), start=1):
        name = str(source) if isinstance(source, str | os.PathLike) else f"photo {number}"
        image = read_photo(source, name)
        crops = cut_faces(method, image, find_faces(image), size)
        answer = {"path": name, "faces": opinions(method, image, crops, tta)}
        if landmarks is not None and crops:
            points = add_landmarks(method, crops, answer["faces"])
            drawn = Path(landmarks) / f"{number}-{Path(name).stem}.png"
            drawn.parent.mkdir(parents=True, exist_ok=True)
            draw_landmarks(image, points).save(drawn)
            answer["drawn"] = str(drawn)
        if not crops:
            answer["message"] = f"{Path(name).name}: {NO_FACE}."
        answers.append(answer)
    return {"photos": answers}


def opinions(method: nn.Module, image: np.ndarray, crops: Sequence[Crop], tta: bool = True) -> list[dict]:
    """What ``method`` says of each face of a photograph: box, label, probabilities (see ``predict_photos``)."""
    said = describe(classify_crops(method, crops, tta))
    return [{"box": _inside(crop.face.box, image), **what} for crop, what in zip(crops, said, strict=True)]


def describe(probabilities: Tensor) -> list[dict]:
    """(F, C) -> ``{"label", "probabilities": {emotion: p}}`` of each face."""
    names = class_names(probabilities.shape[1]) if len(probabilities) else ()
    return [
        {"label": names[int(np.argmax(row))], "probabilities": dict(zip(names, row, strict=True))}
        for row in probabilities.tolist()
    ]


def add_landmarks(method: nn.Module, crops: Sequence[Crop], faces: list[dict]) -> list[np.ndarray]:
    """Give each face of ``opinions`` its ``landmarks``; they are returned too, (68, 2) each."""
    points = find_landmarks(method, crops)
    for face, places in zip(faces, points, strict=True):
        face["landmarks"] = places.round(2).tolist()
    return points


def _inside(box: tuple[float, float, float, float], image: np.ndarray) -> list[int]:
    """A face's box in whole pixels, as far as it lies in the photograph."""
    height, width = image.shape[:2]
    x, y, w, h = box
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(width, round(x + w)), min(height, round(y + h))
    return [left, top, right - left, bottom - top]
