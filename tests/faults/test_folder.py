"""A run's folder: who may write into it, and what stays there, byte for byte, whatever is refused or cut off."""

import json
import os
from pathlib import Path

import pytest

from fercore.datasets import FaceDataset
from fercore.files import check_room, locked
from fercore.runs import folder as folders
from fercore.runs.experiment import Experiment, run_experiment
from fercore.runs.folder import CONFIG, FILES, LOCK, RESULT, UNFINISHED, claimed
from fercore.training import loop
from fercore.training.checkpoints import MODEL, STATE
from tests.faces import toy_dataset

SMALL = {"weights": None, "size": 32}


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return toy_dataset(n=120, size=32)


def experiment(method: str = "baseline", settings: dict | None = None, **changes) -> Experiment:
    training = {"batch_size": 16, **changes.pop("training", {})}
    return Experiment(method, preset="fast", settings={**SMALL, **(settings or {})}, training=training, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(faces, tmp_path) -> Path:
    run_experiment(experiment(), tmp_path / "run", faces=faces)
    return tmp_path / "run"


class Cut(Exception):
    """As if the process ended here."""


def test_what_is_refused_leaves_a_finished_run_as_it_is(faces, finished):
    before = contents(finished)
    assert set(before) == set(FILES)
    bare = toy_dataset(n=120, size=32)
    object.__setattr__(bare, "landmarks", None)
    with pytest.raises(ValueError, match="a seed is a whole number from 0 to"):
        experiment(seed=2**64)
    requests = (
        ("la_net", {}, {}, bare, "needs landmarks"),
        ("dmue", {}, {"batch_size": 3}, faces, "a batch of 3 faces cannot hold"),
        ("baseline", {}, {"lr": float("inf")}, faces, "lr"),
        ("rac_rsl", {"lam": float("inf")}, {}, faces, "lam"),
        ("baseline", {"size": 1_000_000}, {}, faces, "size"),
    )
    for method, settings, training, data, words in requests:
        for overwrite in (False, True):
            with pytest.raises(ValueError, match=words):
                run_experiment(
                    experiment(method, settings, training=training), finished, faces=data, overwrite=overwrite
                )
            assert contents(finished) == before, words


def test_a_finished_run_stays_until_the_new_one_is_finished(faces, finished, monkeypatch):
    before = contents(finished)
    other = experiment(seed=1, training={"epochs": 3})
    saves = iter(range(1000))

    def dying_save(*arguments):
        save_state(*arguments)
        if next(saves) == 1:
            raise Cut

    save_state = loop.save_state
    monkeypatch.setattr(loop, "save_state", dying_save)
    with pytest.raises(Cut):
        run_experiment(other, finished, faces=faces)
    monkeypatch.undo()
    assert {name: value for name, value in contents(finished).items() if name in FILES} == before
    with pytest.raises(ValueError, match="go on with --resume, begin anew with --overwrite"):
        run_experiment(other, finished, faces=faces)
    with pytest.raises(ValueError, match="belongs to another training"):
        run_experiment(experiment(seed=2), finished, faces=faces, resume=True)
    run_experiment(other, finished, faces=faces, resume=True)
    assert set(contents(finished)) == set(FILES)
    assert json.loads((finished / CONFIG).read_text())["seed"] == 1
    straight = finished.parent / "straight"
    run_experiment(other, straight, faces=faces)
    assert (finished / MODEL).read_bytes() == (straight / MODEL).read_bytes()


def test_a_move_that_was_cut_off_is_ended_by_the_next_command(faces, finished, monkeypatch):
    replace, moved = os.replace, []

    def dying_replace(source, target):
        replace(source, target)
        if Path(source).parent.name == UNFINISHED and Path(target).parent == finished:
            moved.append(Path(target).name)
            if len(moved) == 2:
                raise Cut

    monkeypatch.setattr(os, "replace", dying_replace)
    with pytest.raises(Cut):
        run_experiment(experiment(seed=1), finished, faces=faces)
    monkeypatch.undo()
    with claimed(finished):
        assert json.loads((finished / RESULT).read_text())["seed"] == 1
        assert not (finished / UNFINISHED).exists()
    assert set(contents(finished)) == set(FILES)


def test_overwrite_begins_anew(faces, finished):
    (finished / RESULT).unlink()  # an unfinished one, then
    with pytest.raises(ValueError, match="unfinished training"):
        run_experiment(experiment(seed=1), finished, faces=faces)
    run_experiment(experiment(seed=1), finished, faces=faces, overwrite=True)
    assert json.loads((finished / RESULT).read_text())["seed"] == 1
    with pytest.raises(ValueError, match="give one of them"):
        run_experiment(experiment(), finished, faces=faces, overwrite=True, resume=True)


def test_resume_needs_the_state_of_the_model_beside_it(faces, finished):
    (finished / STATE).unlink()
    before = contents(finished)
    with pytest.raises(ValueError, match=r"holds a model but no state\.safetensors to resume from"):
        run_experiment(experiment(), finished, faces=faces, resume=True)
    assert contents(finished) == before


@pytest.mark.parametrize("name", [*FILES, "thesis.txt"])
def test_files_of_others_are_left_alone(faces, tmp_path, name):
    (tmp_path / name).write_text('{"name": "mine"}')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=f"{name}(,| was not written by fercore)"):
            run_experiment(experiment(), tmp_path, faces=faces, overwrite=overwrite)
    assert contents(tmp_path) == {name: b'{"name": "mine"}'}


def test_a_note_beside_a_run_is_no_obstacle(faces, finished):
    (finished / "notes.txt").write_text("keep")
    run_experiment(experiment(seed=1), finished, faces=faces)
    run_experiment(experiment(seed=2), finished, faces=faces, overwrite=True)
    assert (finished / "notes.txt").read_text() == "keep"


def test_a_folder_in_use_is_refused_and_says_by_whom(faces, finished):
    before = contents(finished)
    with claimed(finished), pytest.raises(ValueError, match=f"in use.*process {os.getpid()} on .*choose another --out"):
        run_experiment(experiment(), finished, faces=faces)
    assert contents(finished) == before
    (finished / LOCK).write_text("process 1 on nowhere")  # of a process that was killed
    run_experiment(experiment(), finished, faces=faces)


def test_a_refused_run_leaves_no_new_folder(faces, tmp_path):
    bare = toy_dataset(n=120, size=32)
    object.__setattr__(bare, "landmarks", None)
    with pytest.raises(ValueError, match="needs landmarks"):
        run_experiment(experiment("la_net"), tmp_path / "a" / "b", faces=bare)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; a run needs a folder"):
        run_experiment(experiment(), tmp_path / "file", faces=faces)


def test_files_may_be_read_by_whom_the_umask_allows(finished):
    old = os.umask(0)
    os.umask(old)
    assert {path.name: path.stat().st_mode & 0o777 for path in finished.iterdir()} == dict.fromkeys(FILES, 0o666 & ~old)


def test_weights_that_are_not_finite_are_no_result(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_read", lambda sums, clock: {name: 0.0 for name in sums})
    with pytest.raises(ValueError, match=r"weights that are not finite .*try a smaller learning rate"):
        run_experiment(experiment(training={"lr": 1e30, "clip": 0.0}), tmp_path / "run", faces=faces)
    assert not (tmp_path / "run" / MODEL).exists()


def test_a_disk_without_room_is_told_before_training(faces, tmp_path, monkeypatch):
    free = folders.shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: free)
    with pytest.raises(ValueError, match=r"about [\d.]+ MB are needed, but the disk has 1.0 MB free; make room"):
        run_experiment(experiment(), tmp_path / "run", faces=faces)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="choose"):
        check_room(tmp_path / "not" / "yet", 2_000_000, "choose another disk")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_state_is_not_mapped_while_it_is_replaced(faces, finished, monkeypatch):
    """Windows refuses to replace a file that is mapped."""
    longer, seen = experiment(training={"epochs": 2}), []

    def dying_save(*arguments):
        save_state(*arguments)
        raise Cut

    def watching_save(*arguments):
        seen.append(str(finished / STATE) in Path("/proc/self/maps").read_text())
        save_state(*arguments)

    save_state = loop.save_state
    monkeypatch.setattr(loop, "save_state", dying_save)
    with pytest.raises(Cut):
        run_experiment(longer, finished, faces=faces, overwrite=True)
    monkeypatch.setattr(loop, "save_state", watching_save)
    run_experiment(longer, finished, faces=faces, resume=True)
    assert seen == [False]


def test_a_lock_waits_as_long_as_it_is_told(tmp_path):
    def hold(patience: float):
        return locked(tmp_path / "l", "in use", "go away", patience)

    with hold(0), pytest.raises(ValueError, match=r"in use .*go away"):
        hold(0.1).__enter__()
    assert not list(tmp_path.iterdir())
