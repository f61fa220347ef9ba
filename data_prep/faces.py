"""A few hundred faces at a time: read, cut out, written, and what there is to know about each."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from data_prep.align import choose_frame, landmarks_in
from data_prep.duplicates import picture_hash
from data_prep.options import Options
from data_prep.source import Source
from fercore.datasets import BadImage, read_image
from fercore.files import write_atomically
from fercore.photos import MIN_SCORE, mesh_landmarks
from fercore.photos.warp import warp

CHUNK = 256
QUALITY = 95
"""Of the JPEG files that crops become, colour at full resolution."""

FACTS = pa.schema(
    [
        ("row", pa.int64()),
        ("path", pa.string()),  # null if the image cannot be read
        ("problem", pa.string()),
        ("crop", pa.string()),
        ("bytes", pa.int64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("mean", pa.list_(pa.float64())),  # of red, green and blue in [0, 1]
        ("square", pa.list_(pa.float64())),  # the means of their squares
        ("hash", pa.uint64()),
        ("landmarks", pa.list_(pa.float32())),
        ("landmark_score", pa.float64()),
    ]
)


def chunk_file(parts: Path, chunk: int) -> Path:
    """Where the facts of a chunk lie; while it is there, the chunk is done."""
    return parts / f"{chunk:05d}.parquet"


def convert_chunk(source: Source, options: Options, chunk: int, result: Path, parts: Path) -> int:
    """Write the images of rows ``chunk * CHUNK ...`` below ``result/images/`` and then their facts; returns how many.

    A chunk that is done already is left as it is.
    """
    rows = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(source)))
    if not _is_done(chunk_file(parts, chunk), result):
        (result / "images" / f"{chunk:05d}").mkdir(parents=True, exist_ok=True)
        facts = [_convert(source, options, row, result, f"images/{chunk:05d}/{row:07d}") for row in rows]
        table = pa.Table.from_pylist(facts, schema=FACTS)
        write_atomically(chunk_file(parts, chunk), lambda temporary: pq.write_table(table, temporary))
    return len(rows)


def _is_done(file: Path, result: Path) -> bool:
    """The facts are there, and so are the images: after a power cut, they need not be."""
    if not file.is_file():
        return False
    table = pq.read_table(file, columns=["path", "bytes"])
    pairs = zip(table["path"].to_pylist(), table["bytes"].to_pylist(), strict=True)
    return all((result / path).is_file() and (result / path).stat().st_size == size for path, size in pairs if path)


def _convert(source: Source, options: Options, row: int, result: Path, stem: str) -> dict[str, Any]:
    name = source.rows["name"].iat[row]
    try:
        data = source.encoded(row)
        image = read_image(data, name)
    except BadImage as error:
        return {"row": row, "problem": str(error)}
    height, width = image.shape[:2]
    frame, crop = choose_frame(image, options, _part(source.eyes, row), _part(source.boxes, row))
    landmarks = _part(source.landmarks, row)
    if frame is None:
        path = stem + (".png" if source.pixels is not None else Path(name).suffix.lower())
    else:
        image, path = warp(image, *frame, options.size), f"{stem}.jpg"
        data = _jpeg(image)
        landmarks = None if landmarks is None else landmarks_in(frame, landmarks)
    score = None
    if options.landmarks:
        landmarks, score = _by_mesh(image, landmarks)
    (result / path).write_bytes(data)
    share = image.reshape(-1, 3) / 255
    return {
        "row": row,
        "path": path,
        "crop": crop,
        "bytes": len(data),
        "height": height,
        "width": width,
        "mean": share.mean(axis=0).tolist(),
        "square": (share**2).mean(axis=0).tolist(),
        "hash": picture_hash(image),
        "landmarks": None if landmarks is None else np.float32(landmarks).ravel().tolist(),
        "landmark_score": score,
    }


def _by_mesh(image: np.ndarray, owners: np.ndarray | None) -> tuple[np.ndarray, float]:
    """(68, 2) landmarks of a face, NaN where the mesh is unsure of it, and its score; the owner's points stay."""
    points, score = mesh_landmarks(torch.from_numpy(image).permute(2, 0, 1)[None])
    found = points[0].numpy() if score[0] >= MIN_SCORE else np.full((68, 2), np.nan, np.float32)
    return (found if owners is None else np.where(np.isnan(owners), found, owners)), float(score[0])


def _part(values: np.ndarray | None, row: int) -> np.ndarray | None:
    return None if values is None else values[row]


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
