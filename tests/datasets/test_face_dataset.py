"""The one format: what is read, what is refused, and how."""

import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fercore.datasets import UNLABELLED, BadImage, FaceDataset, decode, read_image, read_labels_csv
from tests.faces import encode, toy_columns, toy_dataset, write_dataset

N = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("faces"), n=N, size=32)


@pytest.fixture(scope="module")
def columns():
    return toy_columns(N, 32)


def rewrite(folder, target, **changes):
    """A copy of the table with columns replaced (or left out: None)."""
    table = pq.read_table(folder / "faces.parquet").to_pydict()
    table.update(changes)
    target.mkdir(exist_ok=True)
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), target / "faces.parquet")
    return target


def refused(folder, words, error=ValueError, **options):
    with pytest.raises(error, match=words) as caught:
        FaceDataset.open(folder, **options)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert str(folder) in text


def test_all_columns_arrive(folder, columns):
    data = FaceDataset.open(folder, classes=8)
    assert len(data) == N
    assert data.images.shape == (N, 3, 32, 32)
    assert data.images.dtype == torch.uint8
    stored = pq.read_table(folder / "faces.parquet")["image"].to_pylist()
    for row in (0, 7, N - 1):  # exactly what the stored bytes decode to
        assert (data.images[row].permute(1, 2, 0).numpy() == read_image(stored[row])).all()
    assert data.label.tolist() == columns["label"].tolist()
    assert data.split.tolist() == columns["split"].tolist()
    assert data.subject.tolist() == columns["subject"].tolist()
    np.testing.assert_allclose(data.landmarks, columns["landmarks"], atol=1e-4)
    np.testing.assert_allclose(data.distribution, columns["distribution"], atol=1e-6)
    assert data.votes.tolist() == columns["votes"].tolist()
    assert data.table["strength"].tolist() == columns["strength"].tolist()
    assert list(data.table) == ["strength"]
    assert data.source == folder
    assert data.hidden is None
    assert data.clean_label is None
    assert data.counts.tolist() == np.bincount(columns["label"], minlength=8).tolist()


def test_seven_classes_lose_contempt(folder, columns):
    data = FaceDataset.open(folder, classes=7)
    keep = columns["label"] != 7
    assert data.classes[-1] == "neutral"
    assert data.label.tolist() == columns["label"][keep].tolist()
    expected = columns["distribution"][keep][:, :7]
    known = expected.sum(axis=1) > 0
    np.testing.assert_allclose(
        data.distribution[known], expected[known] / expected[known].sum(1, keepdims=True), atol=1e-6
    )
    assert data.distribution.sum(1).numpy() == pytest.approx(1)
    with pytest.raises(ValueError, match="7 or 8"):
        FaceDataset.open(folder, classes=6)


def test_a_face_of_pure_contempt_becomes_uniform(folder, columns, tmp_path):
    pure = [[0.0] * 7 + [1.0]] * N
    rewrite(folder, tmp_path, distribution=pure, label=[0] * N)
    assert FaceDataset.open(tmp_path).distribution.numpy() == pytest.approx(1 / 7)


def test_one_split_decodes_only_that_split(folder, tmp_path):
    split = ["train"] * (N - 4) + ["val"] * 4
    images = pq.read_table(folder / "faces.parquet")["image"].to_pylist()
    probes = np.linspace(0, N - 1, decode.SIZE_PROBES).astype(int)
    row = next(row for row in range(N) if row not in probes)
    images[row] = b"broken"  # a row of train, and none of the probes for the common size
    rewrite(folder, tmp_path, split=split, image=images, label=[1] * N)
    assert len(FaceDataset.open(tmp_path, split="val")) == 4
    refused(tmp_path, f"row {row}: image is cut short", BadImage, split="train")
    with pytest.raises(ValueError, match="no face with split 'test'"):
        FaceDataset.open(tmp_path, split="test")
    with pytest.raises(ValueError, match="one of train, val, test"):
        FaceDataset.open(tmp_path, split="dev")


def test_parts_share_the_images(folder):
    data = FaceDataset.open(folder, classes=8)
    train = data.where("train")
    assert set(train.split) == {"train"}
    assert train.images.data_ptr() == data.images.data_ptr()  # consecutive rows: no copy
    rows = [5, 3, 3, 17]
    part = data.select(rows)
    assert (part.images == data.images[rows]).all()
    assert part.label.tolist() == data.label[rows].tolist()
    assert part.table["strength"].tolist() == data.table["strength"].iloc[rows].tolist()
    assert (data.select([17, 5, 3]).images == data.images[[17, 5, 3]]).all()  # the first row may lie behind the last
    again = part.select([False, True, False, True])
    assert (again.images == data.images[[3, 17]]).all()
    assert (again.landmarks == data.landmarks[[3, 17]]).all()
    assert again.subject.tolist() == [0, 4]
    with pytest.raises(ValueError, match="no face is left"):
        data.select([])
    with pytest.raises(ValueError, match="mask has 2"):
        data.select([True, False])
    with pytest.raises(ValueError, match="one of train"):
        data.where("dev")


def test_batch(folder):
    part = FaceDataset.open(folder, classes=8).select(range(10, 20))
    batch = part.batch([2, 0])
    assert batch.index.tolist() == [2, 0]
    assert (batch.image == part.images[[2, 0]].float() / 255).all()
    assert batch.views[0] is batch.image
    assert batch.label.tolist() == part.label[[2, 0]].tolist()
    assert (batch.landmarks == part.landmarks[[2, 0]]).all()
    assert (batch.distribution == part.distribution[[2, 0]]).all()


def test_paths_give_the_same_as_bytes(folder, tmp_path):
    write_dataset(tmp_path, n=N, size=32, paths=True)
    assert (FaceDataset.open(tmp_path).images == FaceDataset.open(folder).images).all()


def test_only_the_necessary_columns(folder, tmp_path):
    rewrite(folder, tmp_path, distribution=None, votes=None, landmarks=None, subject=None, strength=None)
    data = FaceDataset.open(tmp_path)
    assert data.landmarks is None
    assert data.distribution is None
    assert data.votes is None
    assert data.subject is None
    assert data.batch([0]).landmarks is None
    assert len(data.where("train").table) == len(data.where("train"))


def test_nested_and_missing_landmarks(folder, columns, tmp_path):
    nested = columns["landmarks"].astype(float).tolist()
    nested[2] = None
    nested[3][10] = [float("nan")] * 2
    rewrite(folder, tmp_path, landmarks=nested)
    landmarks = FaceDataset.open(tmp_path, classes=8).landmarks
    expected = columns["landmarks"].copy()
    expected[2], expected[3, 10] = np.nan, np.nan
    np.testing.assert_allclose(landmarks, expected, atol=1e-4)


def test_mixed_sizes_become_the_commonest(folder, columns, tmp_path):
    images = [encode(image, "PNG") for image in columns["images"]]
    big = np.repeat(np.repeat(columns["images"][4], 2, axis=0), 3, axis=1)  # 64 x 96
    images[4] = encode(big, "PNG")
    landmarks = columns["landmarks"].astype(float).reshape(N, 136)
    landmarks[4] = ((columns["landmarks"][4] + 0.5) * [3, 2] - 0.5).ravel()
    rewrite(folder, tmp_path, image=images, landmarks=landmarks.tolist())
    data = FaceDataset.open(tmp_path, classes=8)
    assert data.size == (32, 32)
    difference = data.images[4].permute(1, 2, 0).numpy().astype(int) - columns["images"][4]
    assert np.abs(difference).mean() < 12  # averaging three copies of a column loses a little at edges
    np.testing.assert_allclose(data.landmarks[4], columns["landmarks"][4], atol=1e-3)
    larger = FaceDataset.open(tmp_path, classes=8, size=48)
    assert larger.size == (48, 48)
    np.testing.assert_allclose(larger.landmarks, (columns["landmarks"] + 0.5) * 1.5 - 0.5, atol=1e-3)
    assert FaceDataset.open(tmp_path, size=(20, 30)).size == (20, 30)
    with pytest.raises(ValueError, match="at least one pixel"):
        FaceDataset.open(tmp_path, size=0)


def test_large_sets_are_mapped_from_a_file(folder, monkeypatch):
    expected = FaceDataset.open(folder).images.clone()
    mapped_shapes, memmap = [], np.memmap
    monkeypatch.setattr(decode.np, "memmap", lambda *a, **k: mapped_shapes.append(k["shape"]) or memmap(*a, **k))
    assert (FaceDataset.open(folder).images == expected).all()
    assert not mapped_shapes
    monkeypatch.setattr(decode, "MEMORY_SHARE", 0)
    mapped = FaceDataset.open(folder)
    assert mapped_shapes == [tuple(expected.shape)]
    assert (mapped.images == expected).all()
    assert (mapped.select([3, 1]).batch([0, 1]).image == expected[[3, 1]].float() / 255).all()


def test_memory_of_a_container(monkeypatch):
    assert 2**28 < decode.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_no_folder_no_file_no_table(tmp_path):
    refused(tmp_path / "none", "is not a folder", FileNotFoundError)
    refused(tmp_path, "holds no faces.parquet", FileNotFoundError)
    (tmp_path / "faces.parquet").write_bytes(b"")
    refused(tmp_path, "not a readable parquet file")
    whole = (write_dataset(tmp_path / "whole", n=8, size=16) / "faces.parquet").read_bytes()
    for cut in (whole[: len(whole) // 2], whole[:200] + bytes(400) + whole[600:], whole[:-300] + bytes(300)):
        (tmp_path / "faces.parquet").write_bytes(cut)
        refused(tmp_path, "faces.parquet")
    (tmp_path / "faces.parquet").write_bytes(b"\x80\x04\x95cposix\nsystem")
    refused(tmp_path, "not a readable parquet file")


@pytest.mark.parametrize("name", ["label", "split", "image"])
def test_missing_columns(folder, tmp_path, name):
    rewrite(folder, tmp_path, **{name: None})
    refused(tmp_path, f"has no column '{name}'|neither a column '{name}'")


def changed(values, row, value):
    values = list(values)
    values[row] = value
    return values


@pytest.mark.parametrize("label", [8, -1, 200])
def test_label_out_of_range(folder, columns, tmp_path, label):
    rewrite(folder, tmp_path, label=changed(columns["label"].tolist(), 5, label))
    refused(tmp_path, f"row 5: label {label} is not in 0..7")


def test_labels_that_are_no_whole_numbers(folder, columns, tmp_path):
    for label in (0.5, float("nan")):
        rewrite(folder, tmp_path, label=changed([float(v) for v in columns["label"]], 6, label))
        refused(tmp_path, "row 6: label")
    rewrite(folder, tmp_path, label=changed(columns["label"].tolist(), 6, None))
    refused(tmp_path, "row 6: label")
    rewrite(folder, tmp_path, label=["fear"] * N)
    refused(tmp_path, "must be one whole number a row")


def test_bad_values(folder, columns, tmp_path):
    p, marks = columns["distribution"].tolist(), columns["landmarks"].astype(float).reshape(N, 136).tolist()
    votes, nan, inf = columns["votes"].tolist(), float("nan"), float("inf")
    for changes, words in (
        ({"split": changed(columns["split"], 3, "dev")}, "row 3: split 'dev' is not one of"),
        ({"split": changed(columns["split"], 3, None)}, "row 3: split None"),
        ({"distribution": changed(p, 2, [nan, *p[2][1:]])}, "row 2: distribution holds NaN"),
        ({"distribution": changed(p, 2, None)}, "row 2: distribution holds NaN"),
        ({"distribution": changed(p, 2, [0.5] * 8)}, "row 2: distribution must be shares that sum to 1"),
        ({"distribution": changed(p, 2, [2.0, -1.0] + [0.0] * 6)}, "row 2: distribution must be shares"),
        ({"distribution": changed(p, 2, [0.5, 0.5])}, "row 2: distribution holds 2 numbers instead of 8"),
        ({"distribution": ["a"] * N}, "'distribution' must hold lists of numbers"),
        ({"votes": changed(votes, 4, [-1, *votes[4][1:]])}, "row 4: votes must be whole"),
        ({"landmarks": changed(marks, 9, [inf, *marks[9][1:]])}, "row 9: landmarks hold infinity"),
        ({"landmarks": changed(marks, 9, [nan, *marks[9][1:]])}, "row 9: a landmark is half NaN"),
        ({"landmarks": changed(marks, 9, marks[9][:-2])}, "row 9: landmarks holds 134 numbers instead of 136"),
        ({"image": ["text"] * N}, "'image' must hold encoded bytes"),
    ):
        rewrite(folder, tmp_path, **changes)
        refused(tmp_path, words)
    rewrite(folder, tmp_path, **{name: [] for name in pq.read_table(folder / "faces.parquet").column_names})
    refused(tmp_path, "must hold|no rows")


def test_bad_images_name_their_row(folder, tmp_path):
    images = pq.read_table(folder / "faces.parquet")["image"].to_pylist()
    for data, words in ((b"", "is empty"), (None, "no image"), (images[0][:-60], "cut short"), (b"x" * 99, "no image")):
        rewrite(folder, tmp_path, image=changed(images, 11, data), label=[0] * N)
        refused(tmp_path, f"row 11.*{words}")


def test_paths_stay_inside_the_folder(tmp_path):
    folder = write_dataset(tmp_path / "set", n=8, size=16, paths=True)
    outside = tmp_path / "outside.webp"
    shutil.copy(folder / "images" / "000003.webp", outside)
    (folder / "images" / "link.webp").symlink_to(outside)
    (folder / "images" / "inner.webp").symlink_to(folder / "images" / "000003.webp")
    (folder / "away").symlink_to(tmp_path)
    paths = [f"images/{row:06d}.webp" for row in range(8)]
    for bad in ("../outside.webp", str(outside), "images/link.webp", "away/outside.webp", "images/../../outside.webp"):
        rewrite(folder, folder, path=changed(paths, 3, bad), label=[0] * 8)
        refused(folder, "row 3: path .* leads out of")
    for bad, words, error in (
        ("images/none.webp", "row 3: there is no file", FileNotFoundError),
        ("", "row 3: the path is empty", ValueError),
        ("images", "row 3: there is no file", FileNotFoundError),
        ("a\0b", "row 3: the path is empty or holds a zero byte", ValueError),
        (None, "row 3: there is no image", ValueError),
    ):
        rewrite(folder, folder, path=changed(paths, 3, bad), label=[0] * 8)
        refused(folder, words, error)
    rewrite(folder, folder, path=changed(paths, 3, "images/inner.webp"), label=[0] * 8)
    assert len(FaceDataset.open(folder)) == 8


def test_from_arrays():
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    data = FaceDataset.from_arrays(images, [0, 1, 6])
    assert data.split.tolist() == ["train"] * 3
    for arguments, words in (
        ((images.float() * float("nan"), [0, 1, 2]), "images must be uint8"),
        ((images[0], [0]), "images must be uint8 of shape"),
        ((images[:0], []), "images must be uint8 of shape"),
        ((images, [0, 1]), "label has 2 rows, but there are 3 images"),
        ((images, [0, 1, 7]), "row 2: label 7 is not in 0..6"),
    ):
        with pytest.raises(ValueError, match=words):
            FaceDataset.from_arrays(*arguments)
    for column, values, words in (
        ("distribution", np.ones((3, 8)) / 8, r"distribution must be of shape \(3, 7\)"),
        ("distribution", np.full((3, 7), np.nan), "row 0: distribution holds NaN"),
        ("landmarks", np.zeros((3, 5, 2)), "landmarks must be of shape"),
        ("landmarks", np.full((3, 68, 2), np.inf), "row 0: landmarks hold infinity"),
        ("votes", np.full((3, 8), 0.5), "row 0: votes must be whole"),
        ("split", ["train", "val", "dev"], "row 2: split 'dev'"),
        ("split", ["train"], "split has 1 rows"),
        ("subject", [1, 2], "subject has 2 rows"),
    ):
        with pytest.raises(ValueError, match=words):
            FaceDataset.from_arrays(images, [0, 1, 2], **{column: values})


def test_relabelled_keeps_the_first_labels():
    data = toy_dataset(16, size=8)
    hidden = data.relabelled(torch.full_like(data.label, UNLABELLED))
    again = hidden.relabelled(torch.zeros_like(data.label))
    assert hidden.hidden.all()
    assert (again.clean_label == data.label).all()


def test_labels_csv(tmp_path):
    for name in ("a.jpg", "b.jpg", "c d.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "labels.csv").write_text(
        "path,label,subject,note\na.jpg,happiness,1,x\nb.jpg, 5,2,y\nc d.jpg,Contempt,1,z\n"
    )
    table = read_labels_csv(tmp_path)
    assert table["label"].tolist() == [3, 5, 7]
    assert table["path"].tolist() == [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c d.jpg")]
    assert table["subject"].tolist() == ["1", "2", "1"]
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        (None, "holds no labels.csv", FileNotFoundError),
        ("", "not a readable table", ValueError),
        ("file,label\na.jpg,0\n", "has no column 'path'", ValueError),
        ("path,label\n", "lists no photograph", ValueError),
        ("path,label\na.jpg,happy\n", "row 1: label 'happy' is neither", ValueError),
        ("path,label\na.jpg,8\n", "row 1: label '8' is neither", ValueError),
        ("path,label\na.jpg,-1\n", "row 1: label '-1' is neither", ValueError),
        ("path,label\na.jpg,\n", "row 1: label '' is neither", ValueError),
        ("path,label\na.jpg,0\nnone.jpg,0\n", "row 2: there is no file", FileNotFoundError),
        ("path,label\n../a.jpg,0\n", "row 1: path '../a.jpg' leads out", ValueError),
        ("path,label\n/etc/passwd,0\n", "row 1: path '/etc/passwd' leads out", ValueError),
        ("path,label\n,0\n", "row 1: the path is empty", ValueError),
    ],
)
def test_bad_labels_csv(tmp_path, text, words, error):
    (tmp_path / "a.jpg").write_bytes(b"x")
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(error, match=words) as caught:
        read_labels_csv(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
