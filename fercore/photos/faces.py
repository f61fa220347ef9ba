"""Where the faces of a photograph are, and where their eyes.

Two looks, both by ``BlazeFace``: the first over the whole photograph at several scales, the second at each face found,
turned upright and brought to one size. The second is the surer judge and places the eyes (measured on rendered heads:
eyes off by 3.3 % of their distance, after the first look 3.8 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from fercore.photos.blazeface import CANVAS, CANVAS_STEP, load_blazeface
from fercore.photos.warp import one_thread, similarity, warp

MIN_SIZE = 24
"""Smallest face in pixels of the photograph: a smaller one shows no expression."""
CANDIDATE_SCORE = 0.5
"""What scores less at first look is dropped; MediaPipe's value."""
MIN_SCORE = 0.7
"""What scores less at second look is dropped. Rendered heads score 0.85 or more (99 of 100)."""
MAX_CANVAS = 1024
MARGIN = 0.5
"""Photographs without a face are tried again with this share of their longer side added around them: the face may
fill the frame, as it does in the crops of FER datasets."""
SAME_FACE = 0.3
"""Detections that overlap by more than this share (intersection over union) are one face; MediaPipe's value."""
INSIDE = 0.6
"""A detection with more than this share of it inside a surer one is part of that face."""

SECOND_LOOK = 128
SECOND_LOOK_EYES = np.array(((0.39, 0.42), (0.61, 0.42))) * SECOND_LOOK
"""The square of the second look and where the eyes lie in it: of the framings tried, rendered heads score highest."""

Found = list[tuple[np.ndarray, float]]
"""Points (8, 2) as BlazeFace orders them, in pixels of the photograph, and the score of each face."""


@dataclass(frozen=True)
class Face:
    """One face of a photograph.

    box: x, y, width, height in pixels, about from the brows to the chin; may reach beyond the photograph.
    eyes: (2, 2) float, (x, y) of the image-left and the image-right eye; the first pixel's centre is (0.5, 0.5).
    mouth: (2,) float, its middle.
    score: the detector's confidence in [0, 1].
    """

    box: tuple[float, float, float, float]
    eyes: np.ndarray
    mouth: np.ndarray
    score: float


def find_faces(image: np.ndarray, min_score: float = MIN_SCORE, min_size: float = MIN_SIZE) -> list[Face]:
    """All faces of a photograph (H, W, 3) uint8 RGB, largest first; an empty list if there is none.

    Heads may lean by about 45 degrees. The photograph is looked at with its longer side at 256, 512 and 1024 pixels,
    as far as it has them: on the larger canvases smaller faces are found. Raises ValueError for another kind of array.
    """
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3):
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"a photograph is an (H, W, 3) uint8 array, not {kind}; fercore.datasets.read_image makes one")
    sides = [CANVAS]
    while sides[-1] < min(max(image.shape[:2]), MAX_CANVAS) / 1.25:  # below 320 pixels there is nothing more to see
        sides.append(2 * sides[-1])
    found = _search(image, sides, min_score)
    if not found:
        found = _search_wider(image, min_score)
    faces = [_to_face(points, score) for points, score in found if points[1, 0] >= min_size]
    return sorted(faces, key=lambda face: -face.box[2])


def _search(image: np.ndarray, sides: list[int], min_score: float) -> Found:
    """First look at each scale, second look at each face found; merged after both."""
    looks = [_look(image, side) for side in sides]
    first = _merge(np.concatenate([p for p, _ in looks]), np.concatenate([s for _, s in looks]))
    second = [look for points, _ in first if (look := _look_again(image, points)) and look[1] >= min_score]
    return _merge(np.array([p for p, _ in second]), np.array([s for _, s in second])) if second else []


def _search_wider(image: np.ndarray, min_score: float) -> Found:
    """The same in a small copy of the photograph with a margin around it."""
    factor = -(-max(image.shape[:2]) // (2 * CANVAS))
    if factor > min(image.shape[:2]):
        return []  # a strip 500 times as long as wide shows no face, and a margin half as wide would fill the memory
    small = np.asarray(Image.fromarray(image).reduce(factor))
    margin = round(MARGIN * max(small.shape[:2]))
    wider = np.pad(small, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    is_place = (np.arange(8) != 1)[:, None]  # a size does not move
    return [((points - margin * is_place) * factor, score) for points, score in _search(wider, [CANVAS], min_score)]


def _look(image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Candidates with the longer side scaled to ``side``: points (K, 8, 2), as BlazeFace's but in pixels of the image,
    and scores (K,).
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.zeros((-(-h // CANVAS_STEP) * CANVAS_STEP, -(-w // CANVAS_STEP) * CANVAS_STEP, 3), np.uint8)
    canvas[:h, :w] = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR)
    points, scores = _detect(canvas)
    return points * (width / w, height / h), scores


def _look_again(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The face at ``points`` (8, 2) looked at upright and close: its points and score, None if it is none after all."""
    eyes = points[2:4]
    if not np.ptp(eyes, axis=0).any():
        return None
    turn, origin = similarity(SECOND_LOOK_EYES, eyes)
    seen, scores = _detect(warp(image, turn, origin, SECOND_LOOK))
    central = np.abs(seen[:, 0] - SECOND_LOOK / 2).max(1) < SECOND_LOOK / 4  # not the neighbour's face
    merged = _merge(seen[central], scores[central])
    if not merged:
        return None
    sharper, score = merged[0]
    placed = sharper @ turn.T + origin
    placed[1] = sharper[1] * np.hypot(*turn[0])
    return placed, score


def _detect(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 -> points (K, 8, 2) and scores (K,) of BlazeFace's anchors above CANDIDATE_SCORE."""
    image = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255  # channels last, as the network is
    with torch.inference_mode(), one_thread():
        scores, points = load_blazeface()(image)
    sure = scores[0] > CANDIDATE_SCORE
    return points[0, sure].numpy(), scores[0, sure].numpy()


def _merge(points: np.ndarray, scores: np.ndarray) -> Found:
    """Non-maximum suppression that averages what it suppresses, weighted by score (the paper, "Post-processing").

    Returns points (8, 2) and the best score of each face, surest first.
    """
    faces = []
    while len(scores):
        best = scores.argmax()
        shared, own, other = _overlap(points[best], points)
        same = shared / (own + other - shared) > SAME_FACE
        same[best] = True
        faces.append((np.average(points[same], axis=0, weights=scores[same]), float(scores[best])))
        rest = ~same & (shared / np.minimum(own, other) <= INSIDE)
        points, scores = points[rest], scores[rest]
    return faces


def _overlap(one: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Areas in square pixels: shared by the box of ``one`` with each of ``many``, of ``one``, of ``many``."""
    low = np.maximum(one[0] - one[1] / 2, many[:, 0] - many[:, 1] / 2)
    high = np.minimum(one[0] + one[1] / 2, many[:, 0] + many[:, 1] / 2)
    return np.clip(high - low, 0, None).prod(1), float(one[1].prod()), many[:, 1].prod(1)


def _to_face(points: np.ndarray, score: float) -> Face:
    """The photograph's coordinates as a Face."""
    x, y = points[0] - points[1] / 2
    return Face(
        (float(x), float(y), float(points[1, 0]), float(points[1, 1])), points[2:4].copy(), points[5].copy(), score
    )
