"""The frozen dataset: its checksum, its counts, its truth, and that every row describes its own picture."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest

from data_prep.blendfer.build import SPLITS, intended_emotions
from fercore.datasets import blendfer
from fercore.renderer.rows import rerender
from fercore.renderer.scenes import Scene


@pytest.fixture(scope="module")
def faces():
    return blendfer.open(classes=8)


def test_checksum():
    recorded = (blendfer.FOLDER / "faces.parquet.sha256").read_text().split()[0]
    assert hashlib.sha256((blendfer.FOLDER / "faces.parquet").read_bytes()).hexdigest() == recorded


def test_counts_and_size(faces):
    assert {name: int((faces.split == name).sum()) for name in ("train", "val", "test")} == {
        "train": 12_000,
        "val": 1_000,
        "test": 3_000,
    }
    assert faces.images.shape == (16_000, 3, 64, 64)
    assert (blendfer.FOLDER / "faces.parquet").stat().st_size <= 25e6


def test_people_are_in_one_split_only(faces):
    people = [set(faces.where(split).subject) for split in ("train", "val", "test")]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert not people[1] & people[2]


def test_labels_are_majorities_of_ten_votes(faces):
    assert (faces.votes.sum(1) == 10).all()
    assert (faces.votes.gather(1, faces.label[:, None])[:, 0] == faces.votes.max(1).values).all()


def test_majorities_err_as_often_as_promised(faces):
    train = faces.where("train")
    assert 0.08 <= (train.label != train.distribution.argmax(1)).float().mean() <= 0.15


def test_intended_emotions_are_in_exact_proportion(faces):
    for split in SPLITS:
        emotions = intended_emotions(split)
        assert np.array_equal(faces.where(split.name).table["emotion"].to_numpy(), emotions)
        counts = np.bincount(emotions)
        assert np.abs(counts / counts.sum() - np.array([2] * 7 + [1]) / 15).max() < 0.001


def blocks(image):
    """Means of 4 x 4 pixels: WebP is lossy, most so on noise, which they average out."""
    return image.reshape(16, 4, 16, 4, 3).mean((1, 3))


def test_rows_describe_their_pictures(faces):
    test = faces.where("test")
    for i in range(0, len(test), 150):
        row = test.table.iloc[i].to_dict() | {"subject": test.subject[i]}
        image, landmarks = rerender(row)
        stored = test.images[i].permute(1, 2, 0).numpy()
        assert np.abs(blocks(stored) - blocks(image)).mean() < 3
        assert np.abs(blocks(stored) - blocks(image)[:, ::-1]).mean() > 3
        np.testing.assert_allclose(test.landmarks[i], landmarks, atol=0.1)


def test_nothing_but_the_face_knows_the_emotion(faces):
    """A forest that sees pose, framing, light, background and who it is does no better than chance."""
    forest = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(60, min_samples_leaf=5, random_state=0)
    columns = [f.name for f in fields(Scene) if f.name not in ("glasses", "cover")] + ["age", "gender", "skin_tone"]
    train, test = faces.where("train"), faces.where("test")
    forest.fit(train.table[columns], train.table["emotion"])
    accuracy = (forest.predict(test.table[columns]) == test.table["emotion"]).mean()
    chance = test.table["emotion"].value_counts(normalize=True).max()
    assert accuracy < chance + 3 * np.sqrt(chance * (1 - chance) / len(test))
