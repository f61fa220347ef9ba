"""``python -m fercore`` as a script uses it: the last line of stdout, exit statuses, killed and resumed runs."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fercore.datasets.identity import data_name
from fercore.emotions import class_names
from fercore.runs.results import read_results
from tests.faces import write_dataset

QUICK = ("--weights", "none", "--preset", "fast", "--size", "32", "--batch-size", "16")


def fercore(*arguments, cwd: Path, status: int = 0) -> dict | str:
    """Run a command in a process of its own: its JSON, or (status not 0) the one line that it leaves on stderr."""
    command = [sys.executable, "-m", "fercore", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, env=_environment())
    assert done.returncode == status, done.stderr
    if status == 0:
        return json.loads(done.stdout.splitlines()[-1])
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def call(capsys, *arguments) -> dict:
    """The same within this process, which saves importing torch again."""
    from fercore.cli import main

    main([str(a) for a in arguments])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refuse(capsys, *arguments, status: int = 2) -> str:
    from fercore.cli import main

    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert end.value.code == status
    assert said.out == ""
    return said.err.strip().splitlines()[-1]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("toy") / "faces", n=240, size=32)


@pytest.fixture(scope="module")
def trained(data) -> Path:
    out = data.parent / "trained"
    fercore("train", "baseline", *QUICK, "--data", data, "--out", out, cwd=data.parent)
    return out


def test_train_keeps_the_contract(data, trained):
    result = json.loads((trained / "result.json").read_text())
    assert {"overall", "mean", "recall", "ece", "seconds", "n", "js_truth", "overall_truth"} <= set(result)
    assert tuple(result["recall"]) == class_names(8)  # there are faces labelled contempt
    names = {"config.json", "model.safetensors", "state.safetensors", "history.json", "result.json"}
    assert {path.name for path in trained.iterdir()} == names
    config = json.loads((trained / "config.json").read_text())
    assert (config["method"], config["condition"], config["seed"]) == ("baseline", "clean", 0)


def test_the_same_command_twice_gives_the_same_numbers(data, trained):
    again = fercore("train", "baseline", *QUICK, "--data", data, "--out", "again", cwd=data.parent)
    first = json.loads((trained / "result.json").read_text())
    timed = ("seconds", "train_seconds", "out")
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in first.items() if k not in timed}
    assert (trained / "model.safetensors").read_bytes() == (data.parent / "again" / "model.safetensors").read_bytes()


def test_evaluate_gives_the_numbers_that_train_gave(data, trained, monkeypatch, capsys):
    figures = call(capsys, "evaluate", trained, "--data", data)
    result = json.loads((trained / "result.json").read_text())
    for key in ("overall", "mean", "recall", "n", "overall_truth"):
        assert figures[key] == result[key]
    assert figures["ece"] == pytest.approx(result["ece"], abs=1e-5)
    assert call(capsys, "evaluate", trained / "model.safetensors", "--data", data, "--split", "val")["n"] > 0


def test_a_run_killed_halfway_resumes_to_the_same_bits(data):
    arguments = ["train", "baseline", *QUICK, "--epochs", "25", "--data", str(data)]
    folder = data.parent
    out = folder / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "fercore", *arguments, "--out", str(out)],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # into a later epoch
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.safetensors").exists()

    resumed = fercore(*arguments, "--out", out, "--resume", cwd=folder)
    whole = fercore(*arguments, "--out", folder / "whole", cwd=folder)
    a, b = load_file(out / "model.safetensors"), load_file(folder / "whole" / "model.safetensors")
    assert all(torch.equal(a[key], b[key]) for key in b)
    assert resumed["overall"] == whole["overall"]


def test_run_skips_what_is_there_and_adds_the_rest(data, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    few = ("--weights", "none", "--preset", "fast", "--size", "32", "--data", data, "--results", "runs.csv")
    first = call(capsys, "run", "--methods", "baseline", "--conditions", "clean", *few)
    assert (first["done"], first["skipped"]) == (1, 0)
    row = (tmp_path / "runs.csv").read_text().splitlines()[1]
    more = call(capsys, "run", "--methods", "baseline", "--conditions", "clean,noise:0.3", *few)
    assert (more["done"], more["skipped"]) == (1, 1)
    assert (tmp_path / "runs.csv").read_text().splitlines()[1] == row
    table = read_results(tmp_path / "runs.csv")
    assert list(table["condition"]) == ["clean", "noise:0.3"]
    assert table[["overall", "mean", "params", "commit", "torch", "device", "date"]].notna().all().all()


def test_run_measures_on_validation_with_other_settings(data, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ("--methods", "rac_rsl", "--preset", "fast", "--size", "32", "--data", data, "--settings")
    arguments += ("alpha=0.3", "rule=inverse", "both_views=False", "--on", "val")
    assert "give another --results file" in refuse(capsys, "run", *arguments)
    call(capsys, "run", *arguments, "--results", "sweep.csv")
    row = read_results("sweep.csv").iloc[0]
    assert row["variant"] == "size=32,alpha=0.3,rule=inverse,both_views=False,classes=8"
    assert row["data"] == data_name(data)
    (folder,) = (tmp_path / "runs").iterdir()
    config = json.loads((folder / "config.json").read_text())["settings"]
    assert (config["alpha"], config["rule"], config["both_views"]) == (0.3, "inverse", False)
    from fercore.datasets import FaceDataset

    assert json.loads((folder / "result.json").read_text())["n"] == len(FaceDataset.open(data, 8).where("val"))


def test_train_adds_a_row_on_request(data, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = call(capsys, "train", "baseline", *QUICK, "--data", data, "--results", "r.csv", "--variant", "plain")
    table = read_results("r.csv")
    assert table["variant"][0] == "plain"
    assert table["overall"][0] == pytest.approx(result["overall"], rel=1e-5)
    assert result["out"].startswith("runs/baseline-clean-fast-0-plain-faces_")
    assert (tmp_path / result["out"] / "model.safetensors").exists()


def test_a_recipe_and_changes_of_it_are_run_and_stored(data, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('base = "fast"\naverage = 0.5\n')
    few = ("--preset", "fast", "--weights", "none", "--data", data)
    out = ("--recipe", "mine.toml", "--set", "batch_size=16", "size=32", "erase=0.4", "--out", "mine")
    call(capsys, "train", "baseline", *few, *out)
    config = json.loads(Path("mine/config.json").read_text())
    assert config["recipe"] == "mine"
    assert (config["training"]["average"], config["training"]["augmentation"]["erase"]) == (0.5, 0.4)
    assert (config["settings"]["size"], config["training"]["batch_size"]) == (32, 16)
    said = refuse(capsys, "train", "baseline", *few, *out[2:], "--resume")
    assert "average was 0.5, now 0.0" in said
    assert "there is no recipe 'slow'; known are" in refuse(capsys, "train", "baseline", *few, "--recipe", "slow")
    assert "a recipe has no 'epoch'" in refuse(capsys, "run", *few, "--set", "epoch=3")


def test_where_a_backbone_starts_is_never_silent(data, capsys, tmp_path, monkeypatch):
    from fercore.cli import main

    monkeypatch.chdir(tmp_path)
    few = ("--preset", "fast", "--data", data, "--set", "steps=1", "size=32")
    call(capsys, "train", "baseline", *few, "--weights", "None", "--out", "random")
    assert json.loads(Path("random/config.json").read_text())["settings"]["weights"] is None
    main([str(a) for a in ("train", "baseline", *few, "--backbone", "resnet18", "--out", "other")])
    assert "resnet18 starts from random weights; give --weights imagenet, or a file" in capsys.readouterr().err
    paper = ("--preset", "paper", "--data", data)
    said = refuse(capsys, "train", "baseline", *paper, "--backbone", "light")
    assert "there are no ImageNet weights for backbone light; use face, none or a file" in said
    said = refuse(capsys, "train", "ada_df", *paper, "--weights", "none", "--set", "size=32")
    assert "the frozen stages would stay random: give --weights, or --settings freeze=False" in said


def test_preset_paper_takes_the_datasets_own_settings(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ("--preset", "paper", "--backbone", "light", "--weights", "none", "--size", "32", "--set", "steps=1")
    shutil.copytree(data, "mine")
    for name, experts in {"ferplus": 4, "rafdb": 2}.items():
        Path("mine/summary.json").write_text(json.dumps({"dataset": name}))
        call(capsys, "train", "leaf", *few, "--data", "mine", "--out", name)
        assert json.loads(Path(name, "config.json").read_text())["settings"]["n"] == experts


def test_as_printed_is_a_variant_of_its_own(data, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = (*QUICK, "--data", data, "--set", "steps=2", "--results", "r.csv")
    call(capsys, "train", "dmue", *few, "--as", "printed", "--out", "printed")
    assert json.loads(Path("printed/config.json").read_text())["settings"]["relative"] is False
    assert "as=printed" in read_results("r.csv")["variant"][0]


def test_bench_gives_ratios(data, monkeypatch, capsys):
    found = call(capsys, "bench", "baseline", "--data", data, "--size", "32", "--rounds", "5")
    assert set(found["baseline"]) == {"step_ratio", "epoch_ratio", "peak_mb", "images_per_s"}
    assert 0.3 < found["baseline"]["step_ratio"] < 3
    assert found["baseline"]["peak_mb"] > 4


def test_predict_and_evaluate_take_photographs(trained, capsys, tmp_path):
    from skimage import data as pictures
    from skimage.io import imsave

    imsave(tmp_path / "astronaut.png", pictures.astronaut())
    (tmp_path / "labels.csv").write_text("path,label\nastronaut.png,happiness\n")
    photo = call(capsys, "predict", trained, tmp_path / "astronaut.png")["photos"][0]
    assert Path(photo["path"]).name == "astronaut.png"
    (face,) = photo["faces"]
    assert len(face["box"]) == 4
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert max(face["probabilities"], key=face["probabilities"].get) == face["label"]
    figures = call(capsys, "evaluate", trained, "--data", tmp_path)
    assert (figures["n"], figures["faces_missed"]) == (1, 0)
    assert {"overall", "mean", "recall", "ece", "seconds"} <= set(figures)


def test_predict_draws_landmarks_with_a_method_that_knows_them(data, trained, monkeypatch, capsys, tmp_path):
    from skimage import data as pictures
    from skimage.io import imread, imsave

    monkeypatch.chdir(tmp_path)
    imsave("astronaut.png", pictures.astronaut())
    call(capsys, "train", "la_net", *QUICK, "--data", data, "--out", "la_net")
    (photo,) = call(capsys, "predict", "la_net", "astronaut.png", "--landmarks")["photos"]
    (face,) = photo["faces"]
    assert len(face["landmarks"]) == 68
    x, y, w, h = face["box"]
    eye = [sum(point[i] for point in face["landmarks"][36:42]) / 6 for i in (0, 1)]
    assert x < eye[0] < x + w / 2
    assert y < eye[1] < y + h
    assert photo["drawn"] == "landmarks/1-astronaut.png"
    drawn, plain = imread(photo["drawn"]), imread("astronaut.png")
    assert drawn.shape == plain.shape
    assert (drawn != plain).any(-1).sum() > 68
    said = refuse(capsys, "predict", trained, "astronaut.png", "--landmarks", "--out", "other")
    assert said == "fercore: this Baseline predicts no landmarks; train la_net or landmarks for them"
    assert "landmarks" not in call(capsys, "predict", "la_net", "astronaut.png")["photos"][0]["faces"][0]


def test_data_says_what_is_in_a_folder(data, monkeypatch, capsys):
    found = call(capsys, "data", data)
    assert set(found["splits"]) == {"train", "val", "test"}
    assert found["size"] == [32, 32]


def test_wrong_requests_end_in_one_sentence(data, trained, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "unknown method 'magic'; known are baseline" in refuse(capsys, "train", "magic")
    assert "'foo' is unknown" in refuse(capsys, "train", "baseline", "--condition", "foo")
    assert "unknown backbone 'vgg'" in refuse(capsys, "train", "baseline", "--backbone", "vgg", "--data", data)
    assert "is not a folder" in refuse(capsys, "train", "baseline", "--data", "nowhere")
    assert "no checkpoint at nowhere" in refuse(capsys, "evaluate", "nowhere", "--data", data)
    assert "has no setting 'depth'" in refuse(capsys, "train", "baseline", "--data", data, "--settings", "depth=3")
    said = refuse(capsys, "train", "cb", "--data", data, "--settings", "beta=big")
    assert said == "fercore: setting beta takes a finite number, not 'big'"
    assert "seed must be at least 0, not -1" in refuse(capsys, "train", "cb", "--data", data, "--seed", "-1")
    assert "write name=value" in refuse(capsys, "train", "baseline", "--data", data, "--settings", "depth")
    assert "write whole numbers" in refuse(capsys, "run", "--seeds", "a,b")
    assert "epochs must be above 0" in refuse(capsys, "train", "baseline", *QUICK, "--data", data, "--epochs", "0")
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"x": 1}))
    assert "pickles are never opened" in refuse(capsys, "evaluate", "model.safetensors", "--data", data)
    assert "neither faces.parquet" in refuse(capsys, "evaluate", trained, "--data", tmp_path)
    assert refuse(capsys, "predict", trained, "absent.jpg") == "fercore: absent.jpg: No such file or directory"
    assert "give at least one photo" in refuse(capsys, "predict", trained)
    out = ("--out", trained, "--resume", "--lr", "0.5")
    assert "belongs to another training" in refuse(capsys, "train", "baseline", *QUICK, "--data", data, *out)


def test_a_sentence_and_no_traceback_in_a_process_of_its_own(tmp_path):
    assert fercore("train", "magic", cwd=tmp_path, status=2).startswith("fercore: unknown method 'magic'")


def test_ctrl_c_ends_with_130_and_leaves_a_state(data):
    out = data.parent / "stopped"
    arguments = ["train", "baseline", *QUICK, "--epochs", "500", "--data", str(data), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fercore", *arguments],
        cwd=data.parent,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ""
    assert "Traceback" not in complaint
    assert "--resume" in complaint.splitlines()[-1]


def test_help_is_quick_because_torch_is_not_imported():
    code = "import sys, fercore.cli; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=True)
    assert done.stdout.split() == ["False", "False"]
