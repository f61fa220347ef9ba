import json
import pickle
from pathlib import Path

import pytest
import torch

from fercore.files import write_atomically, write_json
from fercore.training.checkpoints import load_method, load_tensors, save_tensors


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("pwned"),))


def test_a_pickle_posing_as_a_checkpoint_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.safetensors", "model.pt"):
        torch.save({"x": Evil()}, tmp_path / name)
        with pytest.raises(ValueError, match=r"is not a safetensors checkpoint .* pickles are never opened"):
            load_method(tmp_path / name)
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ValueError, match="pickles are never opened"):
            load_method(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def test_damaged_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        load_method(tmp_path)
    file = tmp_path / "model.safetensors"
    x = {"x": torch.zeros(1000)}
    save_tensors(file, x)
    with pytest.raises(ValueError, match="does not say how to build its method"):
        load_method(file)
    foreign = ({}, {"method": "magic", "settings": {}, "classes": 7}, {"method": "baseline", "settings": {"x": 1}})
    for text in ("{oops", *map(json.dumps, foreign)):
        save_tensors(file, x, {"how": text})
        with pytest.raises(ValueError, match="holds a method that this version cannot build"):
            load_method(file)
    save_tensors(file, x, {"how": json.dumps({"method": "baseline", "settings": {}, "classes": 7})})
    with pytest.raises(ValueError, match="does not fit this method"):
        load_method(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is not a safetensors checkpoint"):
        load_tensors(file)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})

    def half(temporary):
        temporary.write_text("{")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, half)
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
