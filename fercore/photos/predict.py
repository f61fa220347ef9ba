"""What a trained method says about the faces of photographs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fercore.datasets.images import read_image
from fercore.emotions import class_names
from fercore.photos.crop import CROP_SIZE, crop_like_blendfer
from fercore.photos.faces import MIN_SIZE, Face, find_faces

BATCH = 64
NO_FACE = f"no face was found; a face should be upright, towards the camera and at least {MIN_SIZE} pixels wide"


def predict_photos(
    method: nn.Module, paths: Sequence[str | os.PathLike], size: int = CROP_SIZE, tta: bool = True
) -> dict[str, list[dict]]:
    """Find the faces of each photograph, crop them as BlendFER's, and classify them.

    method: (B, 3, size, size) in [0, 1] -> (B, C) logits; C is 7, or 8 with contempt.
    size: of the crops in pixels. tta: average with the probabilities of the mirrored crop.
    Returns ``{"photos": [{"path", "faces": [{"box": [x, y, w, h], "label", "probabilities": {emotion: p}}]}]}``, faces
    largest first, boxes in whole pixels of the upright photograph and inside it. Without a face the list is empty and
    a ``message`` says so.
    Raises BadImage (a ValueError) or FileNotFoundError for the first photograph that cannot be read.
    """
    photos = []
    for path in paths:
        image = read_image(path)
        faces = find_faces(image)
        probabilities = classify_crops(method, [crop_like_blendfer(image, face, size) for face in faces], tta)
        names = class_names(probabilities.shape[1]) if faces else ()
        photo = {
            "path": str(path),
            "faces": [_opinion(f, p, names, image) for f, p in zip(faces, probabilities.tolist(), strict=True)],
        }
        if not faces:
            photo["message"] = f"{Path(path).name}: {NO_FACE}."
        photos.append(photo)
    return {"photos": photos}


def classify_crops(method: nn.Module, crops: Sequence[np.ndarray], tta: bool = True) -> Tensor:
    """F crops (size, size, 3) uint8 -> (F, C) probabilities on the CPU; (0, 0) without crops.

    The method is asked in evaluation mode on the device of its parameters, and left in the mode it was in.
    tta: average with the probabilities of the mirrored crops.
    """
    if not len(crops):
        return torch.zeros(0, 0)
    device = next((p.device for p in method.parameters()), torch.device("cpu"))
    was_training = method.training
    method.eval()
    found = []
    try:
        with torch.inference_mode():
            for some in torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).split(BATCH):
                batch = some.to(device).float() / 255
                probabilities = method(batch).softmax(1)
                if tta:
                    probabilities = (probabilities + method(batch.flip(3)).softmax(1)) / 2
                found.append(probabilities.float().cpu())
    finally:
        method.train(was_training)
    return torch.cat(found)


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
