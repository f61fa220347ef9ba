"""Toy faces, drawn with numpy in a second: a cartoon whose brows, eyes and mouth follow its label."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fercore.datasets import FaceDataset

# by emotion: mouth curve, mouth opening, mouth width, brow slope, brow height, eye opening, mouth slant
SHAPES = np.array(
    [
        [0.0, 1.0, 0.7, 0.0, 1.0, 1.0, 0.0],  # surprise
        [-0.2, 0.5, 1.2, -0.8, 0.6, 0.9, 0.0],  # fear
        [-0.5, 0.2, 0.8, 0.5, -0.6, 0.3, 0.0],  # disgust
        [1.0, 0.4, 1.2, 0.0, 0.1, 0.5, 0.0],  # happiness
        [-1.0, 0.0, 0.8, -1.0, 0.2, 0.4, 0.0],  # sadness
        [-0.4, 0.0, 0.9, 1.0, -0.9, 0.8, 0.0],  # anger
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.6, 0.0],  # neutral
        [0.1, 0.0, 0.9, 0.2, 0.0, 0.5, 1.0],  # contempt
    ]
)
NEUTRAL = 6


def draw_face(shape: np.ndarray, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One face: (size, size, 3) uint8 and its (68, 2) landmarks in pixels."""
    curve, opening, wide, slope, height, eye, slant = shape
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1  # -1..1 over the face
    cx, cy = random.normal(0, 0.03, 2)
    x, y = x - cx, y - cy
    skin = random.uniform(0.35, 0.9) * np.array([1.0, 0.82, 0.7])
    image = np.full((size, size, 3), random.uniform(0, 1, 3)) * 0.6
    image[(x / 0.8) ** 2 + (y / 0.98) ** 2 < 1] = skin
    open_eye = 0.04 + 0.10 * eye
    for side in (-1, 1):
        u, v = x - side * 0.34, y + 0.22
        image[(u / 0.16) ** 2 + (v / open_eye) ** 2 < 1] = 0.95
        image[(u**2 + v**2 < 0.006) & (np.abs(v) < open_eye)] = 0.1
        brow = v + 0.24 + 0.07 * height + side * slope * 0.5 * u * -1
        image[(np.abs(brow) < 0.035) & (np.abs(u) < 0.2)] = skin * 0.3
    image[(np.abs(x) < 0.05) & (np.abs(y - 0.12) < 0.12)] = skin * 0.8
    half = 0.32 * wide
    middle = 0.5 + 0.16 * curve * (0.5 - (x / half) ** 2) + 0.12 * slant * x / half
    gap = 0.03 + 0.16 * opening
    image[(np.abs(x) < half) & (np.abs(y - middle) < gap * np.sqrt(np.clip(1 - (x / half) ** 2, 0, 1)))] = (
        0.55,
        0.12,
        0.15,
    )
    image = image * random.uniform(0.75, 1.1) + random.normal(0, 0.02, image.shape)

    def ring(count: int, ox: float, oy: float, rx: float, ry: float, first: float, last: float) -> np.ndarray:
        turn = np.linspace(first, last, count) * np.pi
        return np.stack([ox + rx * np.cos(turn), oy + ry * np.sin(turn)], axis=1)

    def brow_points(side: int) -> np.ndarray:
        u = np.linspace(-0.2, 0.2, 5)
        return np.stack([side * 0.34 + u, -0.46 - 0.07 * height + side * slope * 0.5 * u], axis=1)

    def mouth_points(u: np.ndarray, sign: int, share: float) -> np.ndarray:
        x = u * half
        at = 0.5 + 0.16 * curve * (0.5 - u**2) + 0.12 * slant * u
        return np.stack([x, at + sign * share * gap * np.sqrt(np.clip(1 - u**2, 0, 1))], axis=1)

    outer, inner = np.linspace(-1, 1, 7), np.linspace(-0.8, 0.8, 5)
    points = np.concatenate(
        [
            ring(17, 0, 0, 0.8, 0.98, 1, 0),
            brow_points(-1),
            brow_points(1),
            np.stack([np.zeros(4), np.linspace(0, 0.18, 4)], axis=1),
            np.stack([np.linspace(-0.1, 0.1, 5), np.full(5, 0.24)], axis=1),
            ring(6, -0.34, -0.22, 0.16, open_eye, -1, 2 / 3),
            ring(6, 0.34, -0.22, 0.16, open_eye, -1, 2 / 3),
            mouth_points(outer, -1, 1.0),
            mouth_points(outer[5:0:-1], 1, 1.0),
            mouth_points(inner, -1, 0.5),
            mouth_points(inner[3:0:-1], 1, 0.5),
        ]
    )
    landmarks = (points + [cx, cy] + 1) / 2 * (size - 1)
    return (image.clip(0, 1) * 255).round().astype(np.uint8), landmarks.astype(np.float32)


def toy_columns(n: int = 256, size: int = 64, seed: int = 0) -> dict:
    """All columns of n faces: 70 % train, 15 % val, 15 % test, four faces a subject, 8 classes."""
    random = np.random.default_rng(seed)
    blank = dict(images=[], landmarks=[], distribution=[], votes=[], label=[], strength=[])
    columns = {name: values for name, values in blank.items()}
    for row in range(n):
        first, second = row % 8, int(random.integers(8))
        strength, minor = random.uniform(0.6, 1), random.uniform(0, 0.35)
        p = np.zeros(8)
        p[first] += strength * (1 - minor)
        p[second] += strength * minor
        p[NEUTRAL] += 1 - strength
        image, landmarks = draw_face(p @ SHAPES + random.normal(0, 0.05, 7), size, random)
        votes = random.multinomial(10, p)
        for name, value in zip(blank, (image, landmarks, p, votes, int(votes.argmax()), strength), strict=True):
            columns[name].append(value)
    columns = {name: np.array(values) for name, values in columns.items()}
    columns["subject"] = np.arange(n) // 4
    columns["split"] = np.array(["train", "val", "test"], dtype=object)[
        np.searchsorted([0.7, 0.85], np.arange(n) / n, "right")
    ]
    return columns


def toy_dataset(n: int = 256, size: int = 64, classes: int = 7, seed: int = 0) -> FaceDataset:
    """A FaceDataset in memory; with 7 classes the contempt faces (an eighth) are left out."""
    columns = toy_columns(n, size, seed)
    keep = columns["label"] < classes
    c = {name: values[keep] for name, values in columns.items()}
    p = c["distribution"][:, :classes]
    total = p.sum(axis=1, keepdims=True)
    p = np.where(total > 0, p / np.where(total > 0, total, 1), 1 / classes)
    return FaceDataset.from_arrays(
        np.ascontiguousarray(c["images"].transpose(0, 3, 1, 2)),
        c["label"],
        split=c["split"],
        classes=classes,
        subject=c["subject"],
        landmarks=c["landmarks"],
        distribution=p,
        votes=c["votes"],
        table=pd.DataFrame({"strength": c["strength"]}),
    )


def encode(image: np.ndarray, form: str = "WEBP", **options) -> bytes:
    """(H, W, 3) uint8 as the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def write_dataset(
    folder: str | Path, n: int = 256, size: int = 64, seed: int = 0, form: str = "WEBP", paths: bool = False, **changes
) -> Path:
    """Write ``folder/faces.parquet`` in the one format and return the folder.

    :param paths: put the images into ``folder/images`` instead of the table.
    :param changes: columns to replace (a list of n values) or to leave out (None).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    columns = toy_columns(n, size, seed)
    encoded = [encode(image, form, quality=90) for image in columns["images"]]
    table = {
        "label": columns["label"].tolist(),
        "split": columns["split"].tolist(),
        "distribution": columns["distribution"].tolist(),
        "votes": columns["votes"].tolist(),
        "landmarks": columns["landmarks"].reshape(n, 136).tolist(),
        "subject": columns["subject"].tolist(),
        "strength": columns["strength"].tolist(),
    }
    if paths:
        (folder / "images").mkdir(exist_ok=True)
        table["path"] = [f"images/{row:06d}.{form.lower()}" for row in range(n)]
        for path, data in zip(table["path"], encoded, strict=True):
            (folder / path).write_bytes(data)
    else:
        table["image"] = encoded
    table.update(changes)
    pq.write_table(
        pa.table({name: values for name, values in table.items() if values is not None}), folder / "faces.parquet"
    )
    return folder
