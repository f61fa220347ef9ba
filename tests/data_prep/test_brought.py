"""Datasets in the shapes in which people really have them."""

import csv

import numpy as np
import pandas as pd
import pytest

from data_prep.affectnet import read_affectnet
from data_prep.ferplus import read_ferplus
from data_prep.folder import read_folder
from data_prep.rafdb import read_rafdb
from data_prep.splits import hold_out
from fercore.emotions import NAMES
from tests.data_prep import trees


@pytest.mark.parametrize("name", ["icml_face_data.csv", "fer2013/fer2013.csv"])
def test_the_challenges_file_under_each_of_its_names(tmp_path, name):
    trees.ferplus_tables(tmp_path, [[9, 1] + [0] * 8] * 7, ["Training"] * 7)
    rows = list(csv.DictReader((tmp_path / "fer2013.csv").open()))
    (tmp_path / "fer2013.csv").unlink()
    (tmp_path / "fer2013").mkdir()
    lines = [f"{k},{row['Usage']},{row['pixels']}" for k, row in enumerate(rows)]  # another order, blanks in the header
    (tmp_path / name).write_text("\n".join(["emotion, Usage, pixels", *lines]))
    source = read_ferplus(tmp_path)
    names = [NAMES[number] for number in source.rows["label_fer2013"]]
    assert names == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    (tmp_path / name).rename(tmp_path / "train.csv")
    with pytest.raises(FileNotFoundError, match=r"only train.csv, which has not all faces.*the whole file"):
        read_ferplus(tmp_path)


@pytest.mark.parametrize(("mark", "encoding"), [(";", "utf-8"), (",", "latin-1"), ("\t", "utf-8-sig")])
def test_a_spreadsheets_table(tmp_path, mark, encoding):
    rows = [f"path{mark}label"]
    for k in range(10):
        trees.save(trees.face(k % 2, k)[0], tmp_path / f"Gesicht ü {k}.png")
        rows.append(f"Gesicht ü {k}.png{mark}{('happy', 'fear')[k % 2]}")
    (tmp_path / "labels.csv").write_bytes("\r\n".join(rows).encode(encoding))
    source = read_folder(tmp_path)
    assert source.rows["label"].tolist() == [3, 1] * 5
    assert any("read as Latin-1" in note for note in source.notes) == (encoding == "latin-1")


def test_decimal_class_numbers_are_refused(tmp_path):
    trees.save(trees.face(0, 0)[0], tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("path,label\na.png,3.0\n")
    with pytest.raises(
        ValueError, match=r"row 1: label '3.0' is no whole number, and the order .*--classes 3.0=happiness"
    ):
        read_folder(tmp_path)
    assert read_folder(tmp_path, classes=("3.0=happiness",)).rows["label"].tolist() == [3]


def test_of_few_people_one_is_held_out():
    rows = pd.DataFrame({"name": [f"{k:03d}" for k in range(84)], "label": np.arange(84) % 7, "split": "train"})
    rows["subject"] = np.arange(84) // 21  # four people, three faces a class each
    held = hold_out(rows, 0.2, "test")
    assert held.loc[held["split"] == "test", "subject"].nunique() == 1
    assert (held["split"] == "test").sum() == 21
    alone = hold_out(rows.assign(subject="one"), 0.2, "test")
    assert (alone["split"] == "train").all()  # nobody would be left


def test_rafdb_in_numbered_folders_behind_a_link(tmp_path):
    real = tmp_path / "real"
    for split in ("train", "test"):
        lines = ["image,label"]
        for number in range(1, 8):
            name = f"{split}_{number:05d}_aligned.jpg"
            trees.save(trees.face(number - 1, number)[0], real / "DATASET" / split / str(number) / name)
            lines.append(f"{name},{number}")
        (real / f"{split}_labels.csv").write_text("\n".join(lines))
    (tmp_path / "link").symlink_to(real, target_is_directory=True)
    with pytest.raises(ValueError, match="14 of the published counts differ"):
        read_rafdb(tmp_path / "link")
    source = read_rafdb(tmp_path / "link", accept=True)
    assert source.rows["label"].tolist() == [*range(7)] * 2
    assert source.rows["name"][8] == "DATASET/test/2/test_00002_aligned.jpg"


def test_affectnet_in_class_folders(tmp_path):
    for k, name in enumerate(["anger", "contempt", "happy"] * 2):
        for split in ("train", "val"):
            trees.save(trees.face(k, k)[0], tmp_path / "named" / split / name / f"{k}.jpg")
            trees.save(trees.face(k, k)[0], tmp_path / "numbered" / split / str(k % 3) / f"{k}.jpg")
    rows = read_affectnet(tmp_path / "named").rows
    assert rows.equals(read_folder(tmp_path / "named").rows)
    assert set(rows["label"]) == {3, 5, 7}
    assert set(read_affectnet(tmp_path / "named", classes=7).rows["label"]) == {3, 5}
    with pytest.raises(ValueError, match=r"0 = neutral, .*0 = anger, .*--classes 0=neutral"):
        read_affectnet(tmp_path / "numbered")
