"""Held-out splits, duplicates and noise lists, against slow versions of themselves."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.duplicates import DISTANCE, duplicate_groups, picture_hash
from data_prep.noise import noisy_labels, write_noise_lists
from data_prep.splits import hold_out
from fercore.datasets import FaceDataset, apply_condition
from fercore.emotions import NAMES
from tests.data_prep.trees import face


def made_rows(n=400, people=0):
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"name": [f"{k:04d}" for k in range(n)], "label": random.integers(0, 7, n)})
    rows["split"] = np.where(random.random(n) < 0.2, "test", "train")
    return rows.assign(subject=random.integers(0, people, n)) if people else rows


def test_every_class_gives_its_share_and_order_does_not_matter():
    rows = made_rows()
    held = hold_out(rows, 0.1, "val")
    for label in range(7):
        count = ((rows["split"] == "train") & (rows["label"] == label)).sum()
        assert ((held["split"] == "val") & (held["label"] == label)).sum() == int(count * 0.1 + 0.5)
    assert (held["split"][rows["split"] == "test"] == "test").all()
    mixed = hold_out(rows.sample(frac=1, random_state=1), 0.1, "val")
    pd.testing.assert_series_equal(mixed["split"].sort_index(), held["split"])
    assert (hold_out(rows, 0, "val")["split"] == rows["split"]).all()


def test_people_move_together():
    rows = made_rows(people=80)
    rows.loc[:19, "subject"] = np.nan
    held = hold_out(rows, 0.2, "val")
    train, val = (set(held.loc[held["split"] == s, "subject"].dropna()) for s in ("train", "val"))
    assert val
    assert not train & val
    quota = np.bincount(rows.loc[rows["split"] == "train", "label"]) * 0.2 + 0.5
    assert (np.bincount(held.loc[held["split"] == "val", "label"], minlength=7) <= quota).all()


def test_a_picture_stays_itself_when_scaled_and_compressed():
    same, other = [], []
    hashes = [picture_hash(face(k % 7, k, 64)[0]) for k in range(40)]
    for k in range(40):
        picture = Image.fromarray(face(k % 7, k, 64)[0])
        buffer = io.BytesIO()
        picture.resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        again = picture_hash(np.asarray(Image.open(buffer)))
        same.append((again ^ hashes[k]).bit_count())
        other += [(again ^ hashes[j]).bit_count() for j in range(40) if j != k]
    assert np.mean(np.array(same) <= DISTANCE) > 0.9
    assert min(other) > DISTANCE


def test_groups_agree_with_all_pairs():
    random = np.random.default_rng(0)
    base = random.integers(0, 2**63, 60).astype(np.uint64)
    near = [
        v ^ np.uint64(sum(1 << int(b) for b in random.choice(64, k % 6, replace=False))) for k, v in enumerate(base)
    ]
    hashes = np.concatenate([base, near, base[:5]]).astype(np.uint64)
    group = list(range(len(hashes)))
    for i in range(len(hashes)):
        for j in range(i):
            if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= DISTANCE and group[i] != group[j]:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    slow = sorted([i for i, g in enumerate(group) if g == name] for name in set(group))
    assert [part.tolist() for part in duplicate_groups(hashes)] == [part for part in slow if len(part) > 1]
    assert duplicate_groups(np.array([], np.uint64)) == []
    assert [len(part) for part in duplicate_groups(np.zeros(3000, np.uint64))] == [3000]


@pytest.mark.parametrize("classes", [7, 8])
def test_noise_lists_are_what_training_sees(tmp_path, classes):
    rows = made_rows()
    if classes == 8:
        rows.loc[::10, "label"] = 7
    write_noise_lists(rows, tmp_path)
    assert (tmp_path / "8-classes").exists() == (classes == 8)
    train = rows[(rows["split"] == "train") & (rows["label"] < classes)]
    images = np.zeros((len(train), 3, 2, 2), np.uint8)
    data = FaceDataset.from_arrays(images, train["label"].to_numpy(), classes=classes)
    for rate, seed in ((0.1, 0), (0.3, 2)):
        expected = apply_condition(data, f"noise:{rate}", seed).label.numpy()
        assert (noisy_labels(train["label"].to_numpy(), rate, seed, classes) == expected).all()
        listed = pd.read_csv(tmp_path / f"{classes}-classes" / f"noise-{rate}-seed-{seed}.csv", dtype={"name": str})
        assert len(listed) == int(rate * len(train) + 0.5)
        label = train["label"].copy()
        label.loc[listed["row"]] = [NAMES.index(name) for name in listed["noisy_label"]]
        assert (label.to_numpy() == expected).all()
        assert (rows["name"][listed["row"]].to_numpy() == listed["name"]).all()
        assert (listed["label"] != listed["noisy_label"]).all()
