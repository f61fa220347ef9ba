"""What a trained method says about the faces of photographs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fercore.datasets.images import read_image
from fercore.datasets.view_ops import zoom
from fercore.emotions import class_names
from fercore.photos.ask import ask
from fercore.photos.ask_landmarks import draw_landmarks, find_landmarks
from fercore.photos.crop import CROP_SIZE, crop_like_blendfer
from fercore.photos.faces import MIN_SIZE, Face, find_faces

ZOOMS = (0.92, 1.08)
"""Chosen on BlendFER's validation faces, where it gives a point."""
NO_FACE = f"no face was found; a face should be upright, towards the camera and at least {MIN_SIZE} pixels wide"


def predict_photos(
    method: nn.Module,
    paths: Sequence[str | os.PathLike],
    size: int = CROP_SIZE,
    tta: bool = True,
    landmarks: str | os.PathLike | None = None,
) -> dict[str, list[dict]]:
    """Find the faces of each photograph, crop them as BlendFER's, and classify them.

    method: (B, 3, size, size) in [0, 1] -> (B, C) logits; C is 7, or 8 with contempt.
    size: of the crops in pixels. tta: see ``classify_crops``.
    Returns ``{"photos": [{"path", "faces": [{"box": [x, y, w, h], "label", "probabilities": {emotion: p}}]}]}``, faces
    largest first, boxes in whole pixels of the upright photograph and inside it. Without a face the list is empty and
    a ``message`` says so.
    landmarks: a folder, for a method that predicts them: each face then has ``landmarks``, 68 [x, y] in pixels of the
    photograph (the first one's centre is (0.5, 0.5)), and each photograph with faces ``drawn``, the path of a copy with
    these points in it, in that folder.
    Raises BadImage (a ValueError) or FileNotFoundError for the first photograph that cannot be read, and ValueError if
    landmarks are asked of a method that predicts none.
    """
    photos = []
    for number, path in enumerate(paths, start=1):
        image = read_image(path)
        faces = find_faces(image)
        probabilities = classify_crops(method, [crop_like_blendfer(image, face, size) for face in faces], tta)
        names = class_names(probabilities.shape[1]) if faces else ()
        photo = {
            "path": str(path),
            "faces": [_opinion(f, p, names, image) for f, p in zip(faces, probabilities.tolist(), strict=True)],
        }
        if landmarks is not None and faces:
            points = find_landmarks(method, image, faces, size)
            for face, places in zip(photo["faces"], points, strict=True):
                face["landmarks"] = places.round(2).tolist()
            drawn = Path(landmarks) / f"{number}-{Path(path).stem}.png"
            drawn.parent.mkdir(parents=True, exist_ok=True)
            draw_landmarks(image, points).save(drawn)
            photo["drawn"] = str(drawn)
        if not faces:
            photo["message"] = f"{Path(path).name}: {NO_FACE}."
        photos.append(photo)
    return {"photos": photos}


def classify_crops(method: nn.Module, crops: Sequence[np.ndarray], tta: bool = True) -> Tensor:
    """F crops (size, size, 3) uint8 -> (F, C) probabilities on the CPU; (0, 0) without crops.

    The method is asked as it works in use (see ``ask``). tta: average over the crop and its mirror image, each also cut
    a little wider and tighter (ZOOMS): a photograph's eyes and mouth are found less exactly than a rendered head's.
    """

    def probabilities(batch: Tensor) -> Tensor:
        return method(batch).softmax(1)

    def averaged(batch: Tensor) -> Tensor:
        cuts = [batch, *(zoom(batch, factor) for factor in ZOOMS)]
        return sum(probabilities(cut) + probabilities(cut.flip(3)) for cut in cuts) / (2 * len(cuts))

    return ask(method, crops, averaged if tta else probabilities) if len(crops) else torch.zeros(0, 0)


def _opinion(face: Face, probabilities: list[float], names: tuple[str, ...], image: np.ndarray) -> dict:
    height, width = image.shape[:2]
    x, y, w, h = face.box
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(width, round(x + w)), min(height, round(y + h))
    return {
        "box": [left, top, right - left, bottom - top],
        "label": names[int(np.argmax(probabilities))],
        "probabilities": dict(zip(names, probabilities, strict=True)),
    }
