import multiprocessing

import pandas as pd
import pytest

from fercore.datasets.identity import data_name
from fercore.runs.experiment import Experiment
from fercore.runs.results import COLUMNS, has_row, put_row, read_results
from tests.faces import write_dataset

KEY = {"method": "baseline", "variant": "", "condition": "noise:0.3", "preset": "quick", "seed": 0}
KEY |= {"data": "blendfer", "recipe": ""}


def test_rows_come_back_as_they_were_written(tmp_path):
    file = tmp_path / "results" / "runs.csv"
    assert len(read_results(file)) == 0
    put_row(file, {**KEY, "overall": 0.8125, "commit": "0012345", "recall_contempt": None})
    put_row(file, {**KEY, "seed": 1, "variant": "lr=0.1,epochs=3"})
    first = file.read_text()
    assert first.splitlines()[0] == ",".join(COLUMNS)
    table = read_results(file)
    assert list(table["variant"]) == ["", "lr=0.1,epochs=3"]
    assert table["commit"][0] == "0012345"
    assert table["overall"][0] == 0.8125
    assert has_row(table, KEY)
    assert not has_row(table, {**KEY, "variant": "x"})
    assert not has_row(table, {**KEY, "seed": 2})
    put_row(file, {**KEY, "seed": 2})
    assert file.read_text().startswith(first)  # what was there stays as it was


def test_the_columns_are_the_contract():
    text = (
        "method, variant, condition, preset, seed, data, recipe, overall, mean, recall_<emotion>..., ece, js_truth, "
        "seconds, params, commit, torch, device, date, warning"
    )
    named = [c for c in COLUMNS if not c.startswith("recall_")]
    assert named == [c for c in text.split(", ") if not c.startswith("recall_")]
    assert sum(c.startswith("recall_") for c in COLUMNS) == 8


def test_unknown_columns_and_broken_files_are_named(tmp_path):
    file = tmp_path / "runs.csv"
    with pytest.raises(ValueError, match="have no column speed"):
        put_row(file, {**KEY, "speed": 3})
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has no column method"):
        put_row(file, KEY)
    assert file.read_text() == "a,b\n1,2\n"


def test_processes_that_append_at_once_lose_no_row(tmp_path):
    file = tmp_path / "runs.csv"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=put_row, args=(file, {**KEY, "seed": seed})) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(read_results(file)["seed"]) == list(range(8))
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_a_file_from_before_there_were_datasets_is_blendfers(tmp_path):
    file = tmp_path / "runs.csv"
    put_row(file, {**KEY, "overall": 0.5})
    table = pd.read_csv(file).drop(columns=["data", "recipe", "warning"])
    table.to_csv(file, index=False)
    assert has_row(read_results(file), KEY)
    put_row(file, KEY | {"data": "ferplus@0a1b2c3d", "recipe": "long", "warning": "one class for all"})
    table = read_results(file)
    assert table["data"].tolist() == ["blendfer", "ferplus@0a1b2c3d"]
    assert table["recipe"].tolist() == ["", "long"]
    assert table["warning"].tolist() == ["", "one class for all"]


def test_two_folders_called_alike_are_two_datasets(tmp_path):
    one, two = (write_dataset(tmp_path / name / "mine", n=8, size=8, seed=seed) for seed, name in enumerate("ab"))
    names = [Experiment("baseline", data=folder).key["data"] for folder in (one, two, one / ".." / "mine")]
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("mine@") for name in names)
    (one / "summary.json").write_text('{"dataset": "rafdb"}')
    assert data_name(one).partition("@")[::2] == ("rafdb", names[0].partition("@")[2])
    assert Experiment("baseline").key == {**KEY, "condition": "clean"}
