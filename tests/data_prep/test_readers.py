"""Each dataset's layout yields exactly the expected rows; what is wrong with a copy is said in one sentence."""

import os

import numpy as np
import pytest

from data_prep import affectnet, ferplus, rafdb, sfew
from data_prep.affectnet import read_affectnet
from data_prep.ferplus import read_ferplus
from data_prep.folder import read_folder
from data_prep.rafdb import read_rafdb
from data_prep.sfew import read_sfew
from data_prep.source import check_counts
from fercore.emotions import NAMES
from tests.data_prep import trees


def refused(words, read, *arguments, error=ValueError, **options):
    """The one sentence with which a reader refuses."""
    with pytest.raises(error, match=words) as caught:
        read(*arguments, **options)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_rafdb_rows(tmp_path):
    listed = trees.rafdb(tmp_path)
    source = read_rafdb(tmp_path, accept=True)
    assert source.rows["name"].tolist() == [f"basic/Image/aligned/{stem}_aligned.jpg" for stem, _, _ in listed]
    assert source.rows["label"].tolist() == [label for _, label, _ in listed]
    assert source.rows["split"].tolist() == [split for _, _, split in listed]
    assert source.landmarks is None
    inner = read_rafdb(tmp_path / "basic", accept=True)
    assert inner.rows["name"].tolist() == [name.removeprefix("basic/") for name in source.rows["name"]]


def test_rafdb_published_counts(tmp_path, monkeypatch):
    trees.rafdb(tmp_path)
    text = refused("14 of the published counts differ", read_rafdb, tmp_path)
    assert "train surprise: 4 instead of 1,290" in text
    assert "--accept" in text
    assert any("instead of" in note for note in read_rafdb(tmp_path, accept=True).notes)
    monkeypatch.setattr(rafdb, "PUBLISHED", {"train": dict.fromkeys(range(7), 4), "test": dict.fromkeys(range(7), 2)})
    assert read_rafdb(tmp_path).notes == ()


def test_the_published_counts_are_those_of_the_papers():
    assert [sum(counts.values()) for counts in rafdb.PUBLISHED.values()] == [12271, 3068]
    assert sum(affectnet.TRAIN) == 287651
    named = dict(zip(NAMES, rafdb.PUBLISHED["train"].values(), strict=False))
    assert named["happiness"] == 4772
    assert named["fear"] == 281
    pairs = [(split, c) for split, counts in rafdb.PUBLISHED.items() for c, n in counts.items() for _ in range(n)]
    assert check_counts([c for _, c in pairs], [s for s, _ in pairs], rafdb.PUBLISHED, "here", accept=False) == []


def test_rafdb_landmarks_belong_to_the_originals(tmp_path):
    listed = trees.rafdb(tmp_path, images="original")
    points = np.array([[30, 12], [10, 11], [20, 20], [13, 30], [27, 31]], float)
    trees.rafdb_points(tmp_path, listed[3][0], points)
    source = read_rafdb(tmp_path, "original", accept=True)
    known = np.isfinite(source.landmarks[3, :, 0])
    assert np.flatnonzero(known).tolist() == [30, 48, 54]
    np.testing.assert_allclose(source.landmarks[3, [30, 48, 54]], points[2:])
    np.testing.assert_allclose(source.eyes[3], points[:2] + 0.5)
    assert np.isnan(source.landmarks[[0, 1, 2, 4]]).all()
    assert "known for 1 of 42" in source.notes[-1]
    (tmp_path / f"basic/Annotation/manual/{listed[5][0]}_manu_attri.txt").write_text("1 2\n3\n")
    refused("five lines", read_rafdb, tmp_path, "original", accept=True)


def test_rafdb_bad_lists(tmp_path):
    trees.rafdb(tmp_path)
    file = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    lines = file.read_text().splitlines()
    for line, words in (
        ("train_00003.jpg 8", "line 3: 'train_00003.jpg 8' is not"),
        ("photo.jpg 1", "line 3"),
        ("train_00001.jpg 1", "listed twice, in rows 1 and 3"),
    ):
        file.write_text("\n".join([*lines[:2], line, *lines[3:]]))
        refused(words, read_rafdb, tmp_path, accept=True)
    file.write_bytes(b"\xff\xfe\x00")
    refused("UTF-8", read_rafdb, tmp_path, accept=True)
    file.unlink()
    refused("unpack EmoLabel there", read_rafdb, tmp_path, error=FileNotFoundError)
    refused("is not a folder; --source must hold RAF-DB", read_rafdb, tmp_path / "no", error=FileNotFoundError)


def test_missing_images_are_an_error_or_left_out(tmp_path, monkeypatch):
    trees.rafdb(tmp_path)
    monkeypatch.setattr(rafdb, "PUBLISHED", {"train": dict.fromkeys(range(7), 4), "test": dict.fromkeys(range(7), 2)})
    (tmp_path / "basic/Image/aligned/train_00002_aligned.jpg").unlink()
    text = refused("train_00002_aligned.jpg", read_rafdb, tmp_path, error=FileNotFoundError)
    assert "row 2" in text
    source = read_rafdb(tmp_path, accept=True)
    assert len(source) == 41
    assert source.left_out == {"the image file is missing": 1}


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_out_of_the_source_are_refused(tmp_path):
    trees.rafdb(tmp_path / "in")
    outside = trees.save(trees.face(0, 0)[0], tmp_path / "outside.jpg")
    inside = tmp_path / "in/basic/Image/aligned/train_00001_aligned.jpg"
    inside.unlink()
    inside.symlink_to(outside)
    refused("leads out", read_rafdb, tmp_path / "in", accept=True)


def test_ferplus_tables(tmp_path):
    votes = [
        [6, 0, 1, 1, 0, 0, 0, 0, 2, 0],  # neutral: 6 of 8 once single votes are dropped
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # not a face
        [0, 0, 0, 0, 0, 0, 0, 9, 1, 0],  # contempt
        [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],  # happiness
        [0, 0, 0, 0, 5, 5, 0, 0, 0, 0],  # a tie of anger and disgust
    ]
    usages = ["Training", "Training", "PublicTest", "PrivateTest", "Training"]
    pixels = trees.ferplus_tables(tmp_path, votes, usages)
    source = read_ferplus(tmp_path)
    assert source.rows["name"].tolist() == ["fer0000000.png", "fer0000002.png", "fer0000003.png"]
    assert [NAMES[label] for label in source.rows["label"]] == ["neutral", "contempt", "happiness"]
    assert source.rows["split"].tolist() == ["train", "val", "test"]
    assert (source.pixels == pixels[[0, 2, 3]]).all()
    assert dict(zip(NAMES, source.votes[0], strict=True)) == dict(
        surprise=1, fear=0, disgust=0, happiness=0, sadness=1, anger=0, neutral=6, contempt=0
    )
    assert source.rows["votes_unknown"].tolist() == [2, 1, 0]
    assert list(source.left_out.values()) == [2]
    assert read_ferplus(tmp_path, classes=7).left_out["contempt, with 7 classes"] == 1
    assert [NAMES[k] for k in read_ferplus(tmp_path, rule="most").rows["label"]][-1] == "anger"


def test_ferplus_tables_out_of_step(tmp_path):
    votes = [[10, *[0] * 9]] * 3
    usages = ["Training", "Training", "PublicTest"]
    trees.ferplus_tables(tmp_path, votes, usages)
    pixels, table = tmp_path / "fer2013.csv", tmp_path / "fer2013new.csv"
    good_pixels, good_table = pixels.read_text().splitlines(), table.read_text().splitlines()

    def with_pixels(*lines):
        pixels.write_text("\n".join(lines))

    with_pixels(good_pixels[0], good_pixels[1], good_pixels[3], good_pixels[2])
    refused("row 2: usage 'PublicTest' differs from row 2", read_ferplus, tmp_path)
    with_pixels(*good_pixels[:3])
    refused("has 2 rows, but fer2013new.csv has 3", read_ferplus, tmp_path)
    with_pixels(*good_pixels, good_pixels[3])
    refused("more rows than the 3", read_ferplus, tmp_path)
    with_pixels(*good_pixels[:2], "0,1 2 3,Training", good_pixels[3])
    refused("row 2: pixels must be 2304", read_ferplus, tmp_path)
    with_pixels("a,b", "1,2")
    refused("no column 'pixels'", read_ferplus, tmp_path)
    with_pixels(*good_pixels)
    table.write_text("\n".join([*good_table[:3], "PublicTest,x,1,2,3,4,x,0,0,0,0,0"]))
    refused("row 3: votes must be ten", read_ferplus, tmp_path)
    table.write_text("\n".join([*good_table[:3], "Else,x,1,2,3,4,0,0,0,0,0,0"]))
    refused("row 3: usage 'Else'", read_ferplus, tmp_path)
    table.unlink()
    refused("get it from github.com/microsoft/FERPlus", read_ferplus, tmp_path, error=FileNotFoundError)


def test_ferplus_folders_of_the_owners_tool(tmp_path):
    trees.ferplus_folders(tmp_path, [[8, 0, 2, *[0] * 7], [0, 3, 0, 7, *[0] * 6], [0] * 8 + [10, 0]])
    source = read_ferplus(tmp_path)
    assert source.rows["name"].tolist()[:2] == ["FER2013Train/fer0000000.png", "FER2013Train/fer0000001.png"]
    assert source.rows["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert [NAMES[label] for label in source.rows["label"]] == ["neutral", "sadness"] * 3
    (tmp_path / "FER2013Valid/fer0000100.png").unlink()
    refused("fer0000100.png", read_ferplus, tmp_path, error=FileNotFoundError)
    fewer = read_ferplus(tmp_path, accept=True)
    assert len(fewer) == len(fewer.votes) == 5
    (tmp_path / "FER2013Test/label.csv").unlink()
    refused("FER2013Test/label.csv", read_ferplus, tmp_path, error=FileNotFoundError)


ORDER = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("header", [False, True])
def test_affectnet_lists(tmp_path, absolute, header):
    trees.affectnet_lists(tmp_path, [*range(8), 8, 9, 10, 10], list(range(8)), absolute, header)
    source = read_affectnet(tmp_path, accept=True)
    assert [NAMES[label] for label in source.rows["label"]] == ORDER * 2
    assert source.rows["split"].tolist() == ["train"] * 8 + ["test"] * 8
    assert source.left_out == {"AffectNet's 'none'": 1, "AffectNet's 'uncertain'": 1, "AffectNet's 'no face'": 2}
    assert source.rows["name"][0] == "Manually_Annotated_Images/0/photo0.jpg"
    assert source.boxes[0].tolist() == [30, 20, 40, 40]
    expected = trees.face(0, 0)[1] + (30, 20)
    np.testing.assert_allclose(source.landmarks[0], expected, atol=1e-3)
    np.testing.assert_allclose(source.eyes[0, 1], expected[42:48].mean(axis=0) + 0.5, atol=1e-3)
    assert source.rows["valence"].tolist() == [0.5] * 16
    seven = read_affectnet(tmp_path, classes=7, accept=True)
    assert seven.rows["label"].max() == 6
    assert seven.left_out["contempt, with 7 classes"] == 2


def test_affectnet_arrays(tmp_path):
    trees.affectnet_arrays(tmp_path, [*range(8), *range(4), 9], list(range(8)))
    source = read_affectnet(tmp_path, accept=True)
    assert [NAMES[label] for label in source.rows["label"]] == [*ORDER, *ORDER[:4], *ORDER]
    assert source.rows["name"][11] == "train_set/images/11.jpg"  # counted, not sorted as text
    np.testing.assert_allclose(source.landmarks[11], trees.face(3, 11)[1], atol=1e-4)
    assert source.boxes is None
    np.save(tmp_path / "train_set/annotations/2_exp.npy", np.array("12"))
    refused("2_exp.npy: expression '12'", read_affectnet, tmp_path, accept=True)
    np.save(tmp_path / "train_set/annotations/2_exp.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused("no plain .npy", read_affectnet, tmp_path, accept=True)
    np.save(tmp_path / "train_set/annotations/2_exp.npy", np.array("2"))
    np.save(tmp_path / "train_set/annotations/3_lnd.npy", np.zeros(10))
    refused("10 numbers instead of 136", read_affectnet, tmp_path, accept=True)


def test_affectnet_counts_and_bad_rows(tmp_path):
    trees.affectnet_lists(tmp_path, [0, 1, 2], [3])
    text = refused("16 of the published counts differ", read_affectnet, tmp_path)
    assert "neutral: 1 instead of 74,874" in text
    file = tmp_path / "training.csv"
    lines = file.read_text().splitlines()
    for change, words in (
        (lambda line: line.replace(",1,0.5", ",11,0.5"), "row 2: expression '11'"),
        (lambda line: line.replace(";", ":", 3), "row 2: facial_landmarks"),
        (lambda line: "../../../etc/passwd," + line.split(",", 1)[1], "leads out"),
        (lambda line: lines[1], "listed twice, in rows 1 and 2"),
    ):
        file.write_text("\n".join([*lines[:2], change(lines[2]), lines[3]]))
        read = {"accept": "twice" not in words}
        if read["accept"]:
            refused(words, read_affectnet, tmp_path, **read)
        else:
            assert read_affectnet(tmp_path, accept=True).left_out == {"listed twice": 1}
    (tmp_path / "validation.csv").unlink()
    refused("neither validation.csv nor train_set/", read_affectnet, tmp_path, error=FileNotFoundError)


def test_sfew_aligned_and_frames(tmp_path):
    trees.sfew(tmp_path / "aligned")
    source = read_sfew(tmp_path / "aligned")
    table = source.rows
    assert table["split"].value_counts().to_dict() == {"train": 42, "test": 14}
    for name, label in trees.SFEW_CLASSES.items():
        assert set(table["label"][table["name"].str.contains(f"/{name}/")]) == {label}
    assert set(table["subject"]) == {*(f"Film_{k}Train" for k in range(6)), "Film_0Val", "Film_1Val"}
    assert any("ten crops" in note for note in source.notes)
    refused("--images aligned", read_sfew, tmp_path / "aligned", "frames", error=FileNotFoundError)
    trees.sfew(tmp_path / "frames", aligned=False)
    refused("42 frames instead of the published 958", read_sfew, tmp_path / "frames", "frames")
    assert len(read_sfew(tmp_path / "frames", "frames", accept=True)) == 56
    refused("--images frames --align", read_sfew, tmp_path / "frames", error=FileNotFoundError)
    assert sfew.PUBLISHED == {"train": 958, "test": 436}


def test_folders_with_names_of_their_own(tmp_path):
    for split in ("Train", "valid", "test"):
        for k, name in enumerate(("Happy", "süß", "1", "other")):
            for n in range(2):
                trees.save(trees.face(k, 10 * k + n)[0], tmp_path / split / name / "P7" / f"写真 {n}.png")
    refused("'1' is no known emotion.*--classes 1=happiness", read_folder, tmp_path)
    source = read_folder(tmp_path, ("süß=fear", "1=surprise", "other=drop"), subject="/(P[0-9]+)/")
    assert source.rows["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    labels = {name.split("/")[1]: NAMES[label] for name, label in source.rows[["name", "label"]].to_numpy()}
    assert labels == {"Happy": "happiness", "süß": "fear", "1": "surprise"}
    assert set(source.rows["subject"]) == {"P7"}
    assert source.left_out == {"class mapped to drop": 6}
    refused("write NAME=EMOTION", read_folder, tmp_path, ("joy",))
    refused("'joy' is not drop or one of", read_folder, tmp_path, ("happy=joy",))
    refused("regular expression", read_folder, tmp_path, ("süß=fear", "1=drop", "other=drop"), subject="(")
    refused("every face is mapped", read_folder, tmp_path, [f"{n}=drop" for n in ("happy", "süß", "1", "other")])


def test_a_table_of_labels(tmp_path):
    for k in range(30):
        trees.save(trees.face(k % 3, k)[0], tmp_path / f"a/{k}.png")
    lines = [f"a/{k}.png,{('happy', '0', 'ANGER')[k % 3]},p{k // 3}" for k in range(30)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,subject", *lines]), encoding="utf-8-sig")
    source = read_folder(tmp_path)
    assert source.rows["label"].tolist() == [3, 0, 5] * 10
    tested = source.rows["split"] == "test"
    assert tested.sum() == 6  # a fifth of each class, people whole
    assert not set(source.rows["subject"][tested]) & set(source.rows["subject"][~tested])
    for line, words in (
        ("a/1.png,joy,p", "row 2: 'joy' is no known emotion"),
        ("a/0.png,sad,p", "listed twice, in rows 1 and 2"),
        ("../out.png,sad,p", "leads out"),
    ):
        table.write_text("\n".join(["path,label,subject", lines[0], line]))
        refused(words, read_folder, tmp_path)
    table.write_text("\n".join(["path,label,subject", lines[0], "a/none.png,sad,p"]))
    refused("none.png", read_folder, tmp_path, error=FileNotFoundError)
    table.write_text("path,label,split\na/0.png,sad,dev\n")
    refused("row 1: split 'dev'", read_folder, tmp_path)
    table.write_text("file,label\n")
    refused("no column 'path'", read_folder, tmp_path)
    (tmp_path / "empty").mkdir()
    refused("neither labels.csv nor a folder", read_folder, tmp_path / "empty", error=FileNotFoundError)


def test_ferplus_columns_are_mapped_by_name():
    assert [ferplus.COLUMNS[k] for k in ferplus.CANONICAL] == list(NAMES)
    assert [NAMES[k] for k in affectnet.CANONICAL] == ORDER
