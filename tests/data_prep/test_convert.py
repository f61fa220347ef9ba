"""The whole way: a source tree becomes a folder that FaceDataset opens, whatever happens in between."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep import Options, prepare_affectnet, prepare_ferplus, prepare_folder, prepare_rafdb, prepare_sfew
from data_prep import convert as convert_module
from data_prep import faces as faces_module
from data_prep.__main__ import main
from fercore.datasets import FaceDataset, apply_condition, blendfer, read_image
from fercore.emotions import NAMES
from tests.data_prep import trees

ACCEPT = Options(accept=True)
KILLS = int(os.environ.get("FERCORE_TEST_KILLS", "3"))


def files_of(folder: Path) -> dict[str, str]:
    """Every file's contents, as hashes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def my_folder(root: Path, per_class: int = 5, **special) -> Path:
    """Class folders, with 7 * per_class faces."""
    for label, name in enumerate(NAMES[:7]):
        for k in range(per_class):
            trees.save(trees.face(label, 100 * label + k)[0], root / name / f"{k}.png")
    return root


def test_rafdb_round_trip(tmp_path):
    listed = trees.rafdb(tmp_path / "in", per_class=10)
    before = files_of(tmp_path / "in")
    summary = prepare_rafdb(tmp_path / "in", tmp_path / "out", options=ACCEPT)
    assert files_of(tmp_path / "in") == before
    data = FaceDataset.open(tmp_path / "out")
    assert len(data) == len(listed) == summary["faces"]
    assert data.label.tolist() == [label for _, label, _ in listed]
    assert {s: (data.split == s).sum() for s in ("train", "val", "test")} == {"train": 63, "val": 7, "test": 14}
    for row in (0, 20, -1):  # the owner's bytes, untouched
        name = data.table["name"].iloc[row]
        expected = read_image(tmp_path / "in" / name).transpose(2, 0, 1)
        assert (data.images[row].numpy() == expected).all()
    assert summary["splits"]["test"] == dict.fromkeys(NAMES[:7], 2)
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    assert not list(tmp_path.glob(".*partial"))


def test_ferplus_round_trip(tmp_path):
    votes = [[0] * k + [7, 3] + [0] * (8 - k) for k in range(7)] * 6
    usages = (["Training"] * 4 + ["PublicTest", "PrivateTest"]) * 7
    pixels = trees.ferplus_tables(tmp_path / "in", votes, usages)
    prepare_ferplus(tmp_path / "in", tmp_path / "out")
    data = FaceDataset.open(tmp_path / "out", classes=8)
    assert (data.images[:, 0].numpy() == pixels).all()
    assert data.votes.sum(dim=1).tolist() == [10] * 42
    np.testing.assert_allclose(data.distribution, data.votes / 10)
    assert (data.votes.argmax(dim=1) == data.label).all()
    assert data.split.tolist() == [{"Training": "train", "PublicTest": "val", "PrivateTest": "test"}[u] for u in usages]
    assert not FaceDataset.open(tmp_path / "out", classes=7).votes[:, 7].eq(7).any()


def test_further_labels_become_columns_that_training_can_take(tmp_path):
    trees.ferplus_folders(tmp_path / "in", [[9, 1] + [0] * 8, [1, 9] + [0] * 8, [0, 9, 1] + [0] * 7] * 4)
    listed = tmp_path / "fer2013_labels.csv"
    listed.write_text("name,label\nfer0000000.png,Happy\nfer0000001.png,neutral\nfer0000002.png,\nelse.png,fear\n")
    prepare_ferplus(tmp_path / "in", tmp_path / "out", options=Options(labels=(str(listed),)))
    data = FaceDataset.open(tmp_path / "out")
    column = dict(zip(data.table["name"], data.table["label_fer2013"], strict=True))
    assert [column[f"FER2013Train/fer{row:07d}.png"] for row in range(4)] == [3, 6, -1, -1]
    assert "label_fer2013: 2 of 36 faces have such a label, for 0.0%" in (tmp_path / "out/report.md").read_text()
    train = apply_condition(data.where("train"), "annotators:fer2013")
    assert train.label.tolist() == [3, 6]
    assert train.clean_label.tolist() == [6, 3]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("name,label\nfer0000000.png,3\n", "x=FILE", "row 1: label '3' must be an emotion's name"),
        ("name,label\nother.png,fear\n", "x=FILE", "labels none of the 9 faces, e.g. fer0000000.png"),
        ("name,label\nfer0000000.png,fear\nfer0000000.png,fear\n", "x=FILE", "listed twice, in rows 1 and 2"),
        ("image;label\n", "x=FILE", "has no column 'name'"),
        ("name,label\nfer0000000.png,fear\n", "Other Labels=FILE", "'Other Labels' is no name in small letters"),
        ("name,label\nfer0000000.png,fear\n", "x=FILE.csv", "there is no file"),
    ],
)
def test_further_labels_that_cannot_be_read(tmp_path, text, options, words):
    trees.ferplus_folders(tmp_path / "in", [[9, 1] + [0] * 8, [1, 9] + [0] * 8, [0, 9, 1] + [0] * 7])
    (tmp_path / "labels").write_text(text)
    labels = (options.replace("FILE", str(tmp_path / "labels")),)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        prepare_ferplus(tmp_path / "in", tmp_path / "out", options=Options(labels=labels))


def test_affectnet_lists_are_cut_out_by_their_box(tmp_path):
    trees.affectnet_lists(tmp_path / "in", [*range(8)] * 2 + [8, 10], list(range(8)))
    summary = prepare_affectnet(tmp_path / "in", tmp_path / "out", options=Options(accept=True, val=0))
    assert summary["left_out"] == {"AffectNet's 'none'": 1, "AffectNet's 'no face'": 1}
    data = FaceDataset.open(tmp_path / "out", classes=8)
    assert data.size == (112, 112)
    expected = (trees.face(3, 3)[1] + 0.5) * 112 / 40 - 0.5
    np.testing.assert_allclose(data.landmarks[3], expected, atol=0.01)
    assert "owner's box (24)" in (tmp_path / "out/report.md").read_text()
    prepare_affectnet(tmp_path / "in", tmp_path / "aligned", classes=7, options=Options(True, 224, accept=True, val=0))
    aligned = FaceDataset.open(tmp_path / "aligned")
    eyes = aligned.landmarks[:, 36:48].unflatten(1, (2, 6)).mean(dim=2)
    np.testing.assert_allclose(eyes + 0.5, np.tile([[[0.33, 0.37], [0.67, 0.37]]], (len(eyes), 1, 1)) * 224, atol=0.02)


def test_affectnet_arrays_round_trip(tmp_path):
    trees.affectnet_arrays(tmp_path / "in", [*range(8)] * 3, list(range(8)))
    prepare_affectnet(tmp_path / "in", tmp_path / "out", options=Options(accept=True, val=0.34))
    data = FaceDataset.open(tmp_path / "out", classes=8)
    assert [(data.split == s).sum() for s in ("train", "val", "test")] == [16, 8, 8]
    np.testing.assert_allclose(data.landmarks[5], trees.face(5, 5)[1], atol=1e-4)
    assert data.size == (40, 40)


def test_sfew_holds_out_whole_films(tmp_path):
    trees.sfew(tmp_path / "in", films=10)
    prepare_sfew(tmp_path / "in", tmp_path / "out", options=Options(val=0.2))
    data = FaceDataset.open(tmp_path / "out")
    films = {split: set(data.subject[data.split == split]) for split in ("train", "val", "test")}
    assert len(films["val"]) == 2
    assert not films["train"] & films["val"]
    assert "ten crops" in (tmp_path / "out/report.html").read_text()


def test_a_face_that_is_not_found_is_listed(tmp_path):
    my_folder(tmp_path / "in", per_class=2)
    summary = prepare_folder(tmp_path / "in", tmp_path / "out", options=Options(align=True, val=0))
    data = FaceDataset.open(tmp_path / "out")
    assert data.size == (112, 112)
    listed = pd.read_csv(tmp_path / "out/no_face.csv")
    assert len(listed) == summary["no_face"] == (data.table["crop"] == "centre crop").sum()
    assert summary["no_face"] > 0  # cartoons under coloured noise


def test_duplicates_within_and_across_splits(tmp_path):
    for split, seeds in (("train", (0, 1, 2)), ("test", (3, 4))):
        for seed in seeds:
            trees.save(trees.face(0, seed, 64)[0], tmp_path / f"in/{split}/fear/{seed}.png")
    shutil.copy(tmp_path / "in/train/fear/0.png", tmp_path / "in/train/fear/copy.png")
    (tmp_path / "in/test/anger").mkdir()
    shutil.copy(tmp_path / "in/train/fear/1.png", tmp_path / "in/test/anger/leak.png")
    summary = prepare_folder(tmp_path / "in", tmp_path / "out", options=Options(val=0))
    assert summary["duplicates"] == {"groups": 2, "across_splits": 1}
    table = pd.read_csv(tmp_path / "out/duplicates.csv").groupby("group")
    names = [sorted(Path(name).name for name in part["name"]) for _, part in table]
    assert sorted(names) == [["0.png", "copy.png"], ["1.png", "leak.png"]]
    text = (tmp_path / "out/report.md").read_text()
    assert "1 of them lie across splits, 1 differ in label" in text
    assert text.index("leak.png") < text.index("copy.png")  # what leaks comes first


def test_landmarks_of_rendered_faces_and_of_none(tmp_path):
    faces = blendfer.open(split="test").select(range(3))
    for k, image in enumerate([*faces.images.permute(0, 2, 3, 1).numpy(), np.zeros((48, 48, 3), np.uint8)]):
        trees.save(image, tmp_path / "in" / "happiness" / f"{k}.png")
    options = Options(landmarks=True, val=0)
    summary = prepare_folder(tmp_path / "in", tmp_path / "out", options=options)
    table = pd.read_parquet(tmp_path / "out" / "faces.parquet").sort_values("name")
    assert summary["without_landmarks"] == 1
    assert (table["landmark_score"] > 0.5).tolist() == [True, True, True, False]
    found = np.stack(table["landmarks"]).reshape(4, 68, 2)
    assert np.isnan(found[3]).all()
    assert np.abs(found[:3] - faces.landmarks.numpy()).mean() < 3
    assert "none on 1 with a low score" in (tmp_path / "out" / "report.md").read_text()


def test_report_tells_what_was_measured(tmp_path):
    my_folder(tmp_path / "in")
    trees.save(trees.face(0, 5, 20)[0], tmp_path / "in/fear/tiny.png")
    trees.save(trees.face(0, 6, 80)[0], tmp_path / "in/fear/<large> & wide.png")
    (tmp_path / "in/fear/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    summary = prepare_folder(tmp_path / "in", tmp_path / "out")
    assert summary["unreadable"] == 1
    markdown, page = ((tmp_path / "out" / name).read_text() for name in ("report.md", "report.html"))
    assert "Smallest as published: 20 x 20 pixels (fear/tiny.png)" in markdown
    assert "&lt;large&gt; &amp; wide.png" in page
    assert "fear/broken.png" in markdown
    assert "<script" not in page
    assert (tmp_path / "out/contact_sheet.jpg").is_file()
    images = [
        read_image(tmp_path / "out" / path) / 255 for path in pd.read_parquet(tmp_path / "out/faces.parquet")["path"]
    ]
    mean = np.mean([image.mean(axis=(0, 1)) for image in images], axis=0)
    square = np.mean([(image**2).mean(axis=(0, 1)) for image in images], axis=0)
    assert f"Mean of red, green, blue: {', '.join(f'{v:.4f}' for v in mean)}." in markdown
    assert ", ".join(f"{v:.4f}" for v in np.sqrt(square - mean**2)) in markdown
    assert len(list((tmp_path / "out/noise/7-classes").iterdir())) == 9


def test_a_broken_run_goes_on_and_ends_alike(tmp_path, monkeypatch):
    """The disk fills up at the n-th image, for many n; in the end there is no difference."""
    monkeypatch.setattr(faces_module, "CHUNK", 4)
    monkeypatch.setattr(convert_module, "CHUNK", 4)
    monkeypatch.setattr(convert_module, "GROUP", 2)
    source = my_folder(tmp_path / "in", per_class=4)
    prepare_folder(source, tmp_path / "whole")
    write, left = Path.write_bytes, {"n": 0}

    def failing(path, data):
        left["n"] -= 1
        if left["n"] < 0:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    for allowed in (0, 3, 5, 9, 2, 10):
        left["n"] = allowed
        with pytest.raises(OSError, match="No space left"):
            prepare_folder(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Path, "write_bytes", write)
    summary = prepare_folder(source, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert prepare_folder(source, tmp_path / "out") == summary  # nothing to do
    assert not list(tmp_path.glob(".*partial"))


def test_images_lost_in_a_power_cut_are_written_again(tmp_path, monkeypatch):
    source = my_folder(tmp_path / "in")
    prepare_folder(source, tmp_path / "whole")
    monkeypatch.setattr(convert_module, "_assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(source, tmp_path / "out")
    monkeypatch.undo()
    first, second = sorted((tmp_path / ".out.partial/result/images").rglob("*.png"))[:2]
    first.unlink()
    second.write_bytes(b"")
    prepare_folder(source, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_other_settings_are_not_mixed_in(tmp_path, monkeypatch):
    source = my_folder(tmp_path / "in", per_class=2)
    monkeypatch.setattr(convert_module, "_assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(source, tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"was begun with another source or other options; .*delete that folder\."):
        prepare_folder(source, tmp_path / "out", options=Options(val=0.2))
    prepare_folder(source, tmp_path / "out")
    with pytest.raises(ValueError, match=r"exists and holds something else"):
        prepare_folder(source, tmp_path / "out", options=Options(val=0.2))


def test_killed_at_any_time(tmp_path, monkeypatch):
    """SIGKILL after random waits, from the start to the end of a run; then once to the end."""
    monkeypatch.setattr(faces_module, "CHUNK", 8)
    monkeypatch.setattr(convert_module, "CHUNK", 8)
    source = my_folder(tmp_path / "in", per_class=60)
    prepare_folder(source, tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    code = "import data_prep.convert, data_prep.folder, sys; print('ready', flush=True); sys.stdin.readline(); "
    code += "from data_prep import faces, convert; faces.CHUNK = convert.CHUNK = 8; "
    code += f"from data_prep import prepare_folder; prepare_folder({str(source)!r}, {str(tmp_path / 'out')!r})"
    random = np.random.default_rng(0)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=environment, text=True
        )
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(random.uniform(0.05, 0.8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    subprocess.run(
        [sys.executable, "-c", code], input="go\n", env=environment, text=True, check=True, capture_output=True
    )
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert len(FaceDataset.open(tmp_path / "out")) == 420


def test_what_is_known_of_few_faces_only(tmp_path, monkeypatch):
    """Whole groups of rows without a person, or without a readable image."""
    monkeypatch.setattr(faces_module, "CHUNK", 4)
    monkeypatch.setattr(convert_module, "CHUNK", 4)
    monkeypatch.setattr(convert_module, "GROUP", 1)
    source = my_folder(tmp_path / "in", per_class=2)
    for name in ("anger", "disgust"):  # the first chunk of four
        for file in (source / name).iterdir():
            file.write_bytes(b"")
    (source / "surprise/1.png").rename(source / "surprise/S7_1.png")
    prepare_folder(source, tmp_path / "out", subject="(S[0-9])_")
    table = pd.read_parquet(tmp_path / "out/faces.parquet")
    assert len(table) == 10
    assert table["subject"].dropna().tolist() == ["S7"]


def test_bad_requests(tmp_path):
    source = my_folder(tmp_path / "in", per_class=1)
    for out in (source / "out", source, tmp_path):
        with pytest.raises(ValueError, match=r"must not lie in each other"):
            prepare_folder(source, out)
    for file in source.rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(ValueError, match="none of the 7 images can be read; "):
        prepare_folder(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def command(capsys, *arguments, status=0):
    """The JSON on the last line of stdout, or the sentence on stderr."""
    if not status:
        main([str(a) for a in arguments])
        return json.loads(capsys.readouterr().out.splitlines()[-1])
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert end.value.code == status
    assert said.out == ""
    return said.err.strip().splitlines()[-1]


def test_command_line(tmp_path, capsys, monkeypatch):
    my_folder(tmp_path / "in", per_class=2)
    (tmp_path / "in/happiness").rename(tmp_path / "in/joy")
    said = command(capsys, "folder", "--source", tmp_path / "in", "--out", tmp_path / "out", status=2)
    assert said.startswith("data_prep: ")
    assert "--classes joy=happiness" in said
    options = ("--source", tmp_path / "in", "--out", tmp_path / "out", "--classes", "joy=happiness", "--val", "0")
    result = command(capsys, "folder", *options)
    assert result["faces"] == 14
    assert result["options"]["val"] == 0
    assert "RAF-DB" in command(capsys, "rafdb", "--source", tmp_path / "no", "--out", tmp_path / "o", status=2)
    full = OSError(errno.ENOSPC, "No space left on device", "x")
    for error, words, status in ((full, "the disk is full", 2), (KeyboardInterrupt(), "goes on from here", 130)):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(convert_module, "convert", fail)
        assert words in command(capsys, "folder", *options, status=status)
