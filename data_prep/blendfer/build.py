"""BlendFER version 1, from seeds to ``faces.parquet``: 12,000 train, 1,000 validation and 3,000 test faces.

Each row draws, from a seed of its own: one of its split's people, an emotion with an admixture of a second one, a
scene, and ten annotators' votes. Nothing but the expression knows the emotion.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm.auto import tqdm

from fercore.datasets.blendfer.annotators import majority, sample_votes
from fercore.emotions import NAMES
from fercore.renderer.expressions import sample_expression, true_distribution
from fercore.renderer.people import sample_identity
from fercore.renderer.rows import rerender
from fercore.renderer.scenes import sample_scene

VERSION = 1
WEBP_QUALITY = 86


@dataclass(frozen=True)
class Split:
    """A split's name, number of faces, and its people: seeds that no other split uses."""

    name: str
    faces: int
    first_person: int
    people: int


SPLITS = (Split("train", 12_000, 0, 2_000), Split("val", 1_000, 10_000, 250), Split("test", 3_000, 20_000, 600))
EMOTION_WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 1, 0.5])
"""Contempt is half as frequent: the 7-class course leaves it out, and photographs of it are rare."""


def intended_emotions(split: Split) -> np.ndarray:
    """The emotion that each face of a split is meant to show: (faces,), shuffled, in exact proportions."""
    edges = np.round(np.cumsum(EMOTION_WEIGHTS) / EMOTION_WEIGHTS.sum() * split.faces).astype(int)
    emotions = np.searchsorted(edges, np.arange(split.faces), side="right")
    return np.random.default_rng([VERSION, split.first_person]).permutation(emotions)


def make_row(split: Split, number: int, emotion: int) -> dict:
    """All columns of one face."""
    rng = np.random.default_rng([VERSION, split.first_person, number])
    person = sample_identity(split.first_person + int(rng.integers(split.people)))
    expression = sample_expression(rng, emotion)
    distribution = true_distribution(expression.shares, expression.intensity)
    votes = sample_votes(distribution, rng)
    others = np.where(np.arange(len(NAMES)) == emotion, 0, expression.shares)
    row = {
        "label": np.int8(majority(votes, rng)),
        "split": split.name,
        "subject": np.int32(person.seed),
        "distribution": distribution.round(5),
        "votes": votes,
        "emotion": np.int8(emotion),
        "second": np.int8(others.argmax() if others.max() > 0 else -1),
        "share_second": np.float32(others.max()),
        "intensity": np.float32(expression.intensity),
        "variant": np.int8(expression.variants[emotion]),
        "units": expression.units(person.rest).astype(np.float32).round(3),
        "gender": np.float32(person.gender),
        "age": np.float32(person.age),
        "skin_tone": np.float32(person.skin_tone),
        "hair_kind": np.int8(person.hair_kind),
        "beard": np.float32(person.beard),
        "makeup": person.makeup,
    }
    for name, share in zip(("african", "asian", "european"), person.ancestry, strict=True):
        row[name] = np.float32(share)
    for name, value in sample_scene(rng).as_dict().items():
        row[name] = np.float32(value) if isinstance(value, float) else value
    # The image is rendered from the columns themselves, so that they describe it exactly.
    image, landmarks = rerender(row)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    row["image"] = buffer.getvalue()
    row["landmarks"] = (landmarks.ravel() * 16).round().astype(np.float32) / 16
    return row


def _make(task: tuple[Split, int, int]) -> dict:
    return make_row(*task)


def make_rows(tasks: list[tuple[Split, int, int]], processes: int | None = None) -> list[dict]:
    """Rows of (split, number, emotion) tasks, in order, rendered by all cores."""
    make_row(*tasks[0])  # compile before the workers start, once instead of once a worker
    workers = processes or os.cpu_count()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return list(tqdm(pool.imap(_make, tasks, chunksize=16), total=len(tasks), desc="rendering", unit="face"))


def write_table(rows: list[dict], path: Path) -> None:
    """Write rows as parquet, compressed, through a temporary file."""
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    lists = [f"{name}.list.element" for name in ("landmarks", "units", "distribution", "votes")]
    dictionary = [name for name in table.column_names if name not in ("image", "landmarks", "units", "distribution")]
    temporary = path.with_suffix(".partial")
    pq.write_table(
        table, temporary, compression="zstd", compression_level=19, use_dictionary=dictionary,
        use_byte_stream_split=[lists[0]], row_group_size=4096,
    )  # fmt: skip
    temporary.replace(path)


def build(folder: Path, share: float = 1.0) -> None:
    """Render version 1 into ``folder`` (``share`` < 1: a smaller one to try things on) with its checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for split in SPLITS:
        emotions = intended_emotions(split)[: max(1, int(split.faces * share))]
        tasks += [(split, number, int(emotion)) for number, emotion in enumerate(emotions)]
    rows = make_rows(tasks)
    path = folder / "faces.parquet"
    write_table(rows, path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("faces.parquet.sha256").write_text(f"{checksum}  {path.name}\n")
