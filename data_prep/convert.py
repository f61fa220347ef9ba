"""From a source to a folder in the one format: resumable, and there only when it is complete.

All work happens in ``.NAME.partial`` beside ``OUT``: ``parts/`` says what is done, ``result/`` grows into the dataset,
and is renamed to ``OUT`` at the very end. The same command goes on where a stopped one was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm

from data_prep.align import CENTRE
from data_prep.duplicates import duplicate_groups
from data_prep.faces import CHUNK, FACTS, chunk_file, convert_chunk
from data_prep.labels import add_labels
from data_prep.noise import write_noise_lists
from data_prep.options import Options
from data_prep.report import write_report
from data_prep.source import Source
from data_prep.splits import hold_out
from fercore.datasets.table import SPLITS
from fercore.emotions import NAMES
from fercore.files import write_atomically, write_json
from fercore.photos import MIN_SCORE

VERSION = 1
"""Goes up when the same source gives another result, so that nobody resumes across the change."""
SUMMARY = "summary.json"
GROUP = 64
"""So many chunks are in memory at once when faces.parquet is written."""


def check_folders(source: Path, out: Path) -> None:
    """Raises ValueError if one of the two lies in the other: the source is never written to."""
    inner, outer = source.resolve(), out.resolve()
    if outer.is_relative_to(inner) or inner.is_relative_to(outer):
        raise ValueError(f"--out {out} and --source {source} must not lie in each other; choose another --out.")


def convert(source: Source, out: str | Path, options: Options) -> dict[str, Any]:
    """Write the dataset, its report, its lists; returns what ``summary.json`` holds.

    :raises ValueError: nothing readable, another dataset at ``out``, or other settings than an unfinished run's.
    """
    out = Path(out)
    check_folders(source.folder, out)
    source = add_labels(source, options.labels)
    if not len(source):
        raise ValueError(f"{source.folder}: no face with a usable label is left.")
    if not (source.rows["split"] == "val").any():
        source.rows["split"] = hold_out(source.rows, options.val, "val")["split"]
    mark, work = _fingerprint(source, options), out.absolute().with_name(f".{out.absolute().name}.partial")
    if out.exists():
        return _finished(out, work, mark)
    _begin(work, mark)
    result, parts = work / "result", work / "parts"
    _convert_all(source, options, result, parts)
    summary = {"fingerprint": mark, **_assemble(source, options, result, parts)}
    write_json(result / SUMMARY, summary)
    if hasattr(os, "sync"):
        os.sync()  # the images are on the disk before the folder gets its name
    os.replace(result, out)
    shutil.rmtree(work)
    return summary


def _fingerprint(source: Source, options: Options) -> str:
    """Of all that decides the result, but the contents of the image files."""
    arrays = (source.eyes, source.boxes, source.landmarks, source.votes, source.pixels)
    known = [None if array is None else hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays]
    rows = hashlib.sha256(source.rows.to_csv(index=False).encode("utf-8", "surrogateescape")).hexdigest()
    text = json.dumps([VERSION, source.dataset, asdict(options), rows, known])
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, work: Path, mark: str) -> dict[str, Any]:
    """The summary of what this same command wrote before."""
    file = out / SUMMARY
    summary = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if summary.get("fingerprint") != mark:
        raise ValueError(f"{out} exists and holds something else; give another --out, or move it away.")
    shutil.rmtree(work, ignore_errors=True)
    return summary


def _begin(work: Path, mark: str) -> None:
    file = work / "settings.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != mark:
        raise ValueError(f"{work} was begun with another source or other options; repeat those, or delete that folder.")
    for folder in (work / "result", work / "parts"):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(file, mark)


def _convert_all(source: Source, options: Options, result: Path, parts: Path) -> None:
    """One thread a core: decoding, resizing and writing release Python's lock."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        torch.set_num_threads(1)
        work = [pool.submit(convert_chunk, source, options, k, result, parts) for k in range(-(-len(source) // CHUNK))]
        with tqdm(total=len(source), desc=source.dataset, unit="face") as bar:
            for done in work:
                bar.update(done.result())
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _assemble(source: Source, options: Options, result: Path, parts: Path) -> dict[str, Any]:
    """faces.parquet, the lists and the report from the facts of all chunks; returns the summary."""
    chunks = [chunk_file(parts, chunk) for chunk in range(-(-len(source) // CHUNK))]
    known = [name for name in FACTS.names if name != "landmarks"]  # those of a large dataset fill the memory
    facts = pa.concat_tables([pq.read_table(file, columns=known) for file in chunks])
    readable = np.asarray(facts["path"].is_valid())
    problems = pd.DataFrame(
        {"name": source.rows["name"][~readable], "problem": facts["problem"].to_pandas()[~readable]}
    )
    if not readable.any():
        raise ValueError(
            f"{source.folder}: none of the {len(source):,} images can be read; {problems['problem'].iat[0]}"
        )
    facts, kept = facts.filter(pa.array(readable)), source.rows[readable].reset_index(drop=True)
    write_atomically(result / "faces.parquet", lambda file: _write_faces(source, options, chunks, file))
    rows = kept.assign(**facts.drop_columns(["row", "problem", "mean", "square"]).to_pandas())
    groups = duplicate_groups(rows["hash"].to_numpy())
    repeated = _repeated(rows, groups)
    without_face = rows.loc[rows["crop"] == CENTRE, ["name", "path"]]
    _write_list(result / "unreadable.csv", problems)
    _write_list(result / "no_face.csv", without_face)
    _write_list(result / "duplicates.csv", repeated)
    write_noise_lists(rows, result / "noise")
    splits = {split: rows[rows["split"] == split] for split in SPLITS}
    across = sum(rows["split"].iloc[group].nunique() > 1 for group in groups)
    summary = {
        "dataset": source.dataset,
        "faces": len(rows),
        "splits": {split: _counts(part["label"]) for split, part in splits.items() if len(part)},
        "left_out": dict(source.left_out),
        "unreadable": len(problems),
        "no_face": len(without_face),
        "duplicates": {"groups": len(groups), "across_splits": across},
        **({"without_landmarks": int((rows["landmark_score"] < MIN_SCORE).sum())} if options.landmarks else {}),
        **_pixels(facts),
        "options": asdict(options) | {"labels": list(options.labels)},
    }
    write_report(result, summary, rows, repeated, problems, source.notes)
    return summary


def _write_faces(source: Source, options: Options, chunks: list[Path], file: Path) -> None:
    """faces.parquet, GROUP chunks at a time."""
    known = pa.Table.from_pandas(source.rows, preserve_index=False)  # types come from all rows, not from a group's
    writer = None
    try:
        for first in range(0, len(chunks), GROUP):
            facts = pa.concat_tables([pq.read_table(chunk) for chunk in chunks[first : first + GROUP]])
            table = _faces(source, options, known, facts.filter(facts["path"].is_valid()))
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _faces(source: Source, options: Options, known: pa.Table, facts: pa.Table) -> pa.Table:
    """Some rows in the columns of the one format."""
    rows = facts["row"].to_numpy()
    columns: dict[str, Any] = {"path": facts["path"], "label": None, "split": None}
    if source.votes is not None:
        votes = source.votes[rows].astype(np.int64)
        shares = votes / votes.sum(axis=1, keepdims=True)
        columns["votes"] = pa.array(votes.tolist(), pa.list_(pa.int64()))
        columns["distribution"] = pa.array(shares.tolist(), pa.list_(pa.float64()))
    if source.landmarks is not None or options.landmarks:
        columns["landmarks"] = facts["landmarks"]
    if options.landmarks:
        columns["landmark_score"] = facts["landmark_score"]
    taken = known.take(rows)
    columns |= {name: taken[name] for name in taken.column_names}
    return pa.table({**columns, "crop": facts["crop"]})


def _pixels(facts: pa.Table) -> dict[str, list[float]]:
    """Mean and standard deviation of red, green and blue in [0, 1], every image counting alike."""
    mean, square = (pc.list_flatten(facts[name]).to_numpy().reshape(-1, 3).mean(axis=0) for name in ("mean", "square"))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return {"mean": mean.round(6).tolist(), "std": deviation.round(6).tolist()}


def _counts(label: pd.Series) -> dict[str, int]:
    found = Counter(label)
    return {name: found[number] for number, name in enumerate(NAMES) if found[number]}


def _repeated(rows: pd.DataFrame, groups: list[np.ndarray]) -> pd.DataFrame:
    """One row a picture that is there more than once: its group, and where it is."""
    parts = [rows.iloc[group][["name", "path", "split", "label"]].assign(group=k) for k, group in enumerate(groups, 1)]
    if not parts:
        return pd.DataFrame(columns=["group", "name", "path", "split", "label"])
    table = pd.concat(parts)[["group", "name", "path", "split", "label"]]
    return table.assign(label=[NAMES[number] for number in table["label"]])


def _write_list(file: Path, table: pd.DataFrame) -> None:
    write_atomically(file, lambda temporary: table.to_csv(temporary, index=False, lineterminator="\n"))
