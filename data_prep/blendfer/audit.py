"""What the data card says, measured: agreement, leaks, distances between splits, and the painted wrinkles."""

from __future__ import annotations

import io
import itertools
import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm.auto import tqdm

from data_prep.blendfer.card import write_card
from fercore.datasets import FaceDataset, blendfer
from fercore.emotions import NAMES
from fercore.renderer.rows import rerender
from fercore.renderer.scenes import Scene

IDENTITY_COLUMNS = (
    "gender", "age", "skin_tone", "hair_kind", "beard", "makeup", "african", "asian", "european",
)  # fmt: skip
GEOMETRY_COLUMNS = ("yaw", "pitch", "roll", "zoom", "dx", "dy", "camera")
CORNER = 10


def agreement(faces: FaceDataset) -> dict:
    """How far annotators agree with each other and their majority with the truth, by split."""
    report = {}
    for split in ("train", "val", "test"):
        part = faces.where(split)
        truth = part.distribution.argmax(1)
        votes = part.votes.float() / part.votes.sum(1, keepdim=True)
        p = part.distribution.clamp(min=1e-9)
        report[split] = {
            "faces": len(part),
            "people": len(set(part.subject)),
            "per_class": dict(zip(part.classes, torch.bincount(part.label, minlength=8).tolist(), strict=True)),
            "majority_differs_from_truth": float((part.label != truth).float().mean()),
            "mean_share_of_majority": float(votes.max(1).values.mean()),
            "mean_entropy_nats": float(-(p * p.log()).sum(1).mean()),
        }
    return report


def _numbers(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    return pd.get_dummies(table[columns]).to_numpy(float)


def leaks(faces: FaceDataset) -> dict:
    """Accuracy on test of forests that see everything but the expression; chance is the largest class of test.

    Each group of inputs is scored against the intended emotion, with the standard error of an accuracy at chance.
    """
    from sklearn.ensemble import RandomForestClassifier

    train, test = faces.where("train"), faces.where("test")
    scene = [field.name for field in fields(Scene) if field.name not in GEOMETRY_COLUMNS]

    def corners(part: FaceDataset) -> np.ndarray:
        images = part.images[:, :, :CORNER]
        small = torch.nn.functional.avg_pool2d(torch.cat([images[..., :CORNER], images[..., -CORNER:]], 3).float(), 5)
        return small.flatten(1).numpy()

    groups = {
        "crop geometry": lambda part: _numbers(part.table, list(GEOMETRY_COLUMNS)),
        "scene": lambda part: _numbers(part.table, scene),
        "identity": lambda part: _numbers(part.table, list(IDENTITY_COLUMNS)),
        "background corners": corners,
    }
    emotion, test_emotion = train.table["emotion"].to_numpy(), test.table["emotion"].to_numpy()
    chance = np.bincount(test_emotion).max() / len(test)
    report = {"chance": float(chance), "standard_error": float(np.sqrt(chance * (1 - chance) / len(test)))}
    for name, features in groups.items():
        forest = RandomForestClassifier(200, min_samples_leaf=5, n_jobs=-1, random_state=0)
        forest.fit(features(train), emotion)
        report[name] = float((forest.predict(features(test)) == test_emotion).mean())
        print(f"leak of {name}: {report[name]:.3f} (chance {chance:.3f})", file=sys.stderr)
    return report


def neighbours(faces: FaceDataset) -> dict:
    """Nearest training face of each test face, by pixels at 16 x 16: how near, and whether it is the same person."""
    train, test = faces.where("train"), faces.where("test")

    def small(part: FaceDataset) -> torch.Tensor:
        grey = torch.nn.functional.avg_pool2d(part.images.float().mean(1, keepdim=True), 4).flatten(1)
        return torch.nn.functional.normalize(grey - grey.mean(1, keepdim=True))

    reference = small(train)
    similarity, nearest = (small(test) @ reference.T).max(1)
    same = test.subject == train.subject[nearest.numpy()]
    people = [set(part.subject) for part in (train, faces.where("val"), test)]
    return {
        "shared_people": sum(len(a & b) for a, b in itertools.combinations(people, 2)),
        "nearest_is_same_person": int(same.sum()),
        "highest_correlation": float(similarity.max()),
        "median_correlation": float(similarity.median()),
    }


def wrinkles(faces: FaceDataset, checkpoint: Path) -> dict:
    """Accuracy of a trained model on test faces as they are, rendered again, and rendered without painted lines."""
    from fercore.training import predict
    from fercore.training.checkpoints import load_method

    method = load_method(checkpoint)
    test = faces.where("test")
    test = test.select(np.flatnonzero(test.label.numpy() < method.classes))
    rows = test.table.assign(subject=test.subject).to_dict("records")
    accuracy = {"as_shipped": float((predict(method, test).argmax(1) == test.label).float().mean())}
    for name, strength in (("rendered_again", 1.0), ("without_lines", 0.0)):
        images = [rerender(row, wrinkles=strength)[0] for row in tqdm(rows, desc=name, unit="face")]
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
        again = FaceDataset.from_arrays(pixels, test.label, split="test", classes=8)
        accuracy[name] = float((predict(method, again).argmax(1) == test.label).float().mean())
    return accuracy


def audit(out: Path, checkpoint: Path | None = None) -> None:
    """Measure everything; write it as JSON and the data card beside it. Wrinkles only with a trained checkpoint."""
    faces = blendfer.open(classes=8)
    report = {"agreement": agreement(faces), "leaks": leaks(faces), "neighbours": neighbours(faces)}
    if checkpoint is not None:
        report["wrinkles"] = wrinkles(faces, checkpoint)
    elif out.exists() and "wrinkles" in (earlier := json.loads(out.read_text())):
        report["wrinkles"] = earlier["wrinkles"]  # they cost a trained model; the rest is quick
    out.write_text(json.dumps(report, indent=1) + "\n")
    write_card(report, out.with_name("README.md"))
    print(json.dumps(report["leaks"]))


def contact_sheet(out: Path, rows: int = 8) -> None:
    """Training faces, one column an emotion, from weak to strong downwards."""
    from fercore.viz import contact_sheet as draw

    faces = blendfer.open(classes=8, split="train")
    emotion, strength = faces.table["emotion"].to_numpy(), faces.table["intensity"].to_numpy()
    chosen = []
    for wanted in np.linspace(0.05, 0.95, rows):
        for e in range(len(NAMES)):
            members = np.flatnonzero(emotion == e)
            members = members[np.argsort(strength[members], kind="stable")]
            chosen.append(members[int(wanted * (len(members) - 1))])
    images = faces.images[torch.tensor(np.array(chosen))]
    captions = [*NAMES, *[""] * (len(chosen) - len(NAMES))]
    figure = draw(images, captions, columns=len(NAMES))
    with io.BytesIO() as buffer:
        figure.savefig(buffer, dpi=110)
        Image.open(buffer).convert("RGB").save(out, quality=80)
