"""The script for a GPU, tried on a processor with tiny numbers."""

from pathlib import Path

from fercore.runs.results import read_results
from notebooks.tools.gpu import METHODS, Gpu, commands, run
from tests.faces import write_dataset

TINY = {"backbone": "light", "size": 32, "at_once": 2, "change": ("steps=1", "batch_size=16")}


def test_it_adds_a_row_a_method_and_does_nothing_twice(tmp_path, monkeypatch):
    data = write_dataset(tmp_path / "faces", n=120, size=32)
    repository = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(repository))
    places = {"data": data, "results": tmp_path / "gpu.csv", "out": tmp_path / "runs"}
    wanted = Gpu(methods="baseline", seconds=300, **places, **TINY)
    found = run(wanted)
    assert (sorted(found["done"]), found["failed"], found["unfinished"]) == (["baseline"], {}, [])
    table = read_results(tmp_path / "gpu.csv")
    assert list(table["method"]) == ["baseline"]
    assert set(table["recipe"]) == {"full"}
    assert run(wanted)["done"] == []
    out_of_time = run(Gpu(methods="cb", seconds=0, **places, **TINY))
    assert out_of_time["unfinished"] == ["cb"]


def test_all_methods_have_a_command_without_landmarks_or_weights_too(tmp_path):
    data = write_dataset(tmp_path / "faces", n=60, size=32, landmarks=None)
    found = commands(Gpu(data=data))
    assert set(found) == set(METHODS)
    assert next(iter(found)) == "dmue"
    assert "freeze=False" in found["ada_df"]
    assert "components=LD" in found["la_net"]
    assert "freeze=False" not in commands(Gpu(data=data, weights="imagenet"))["ada_df"]
