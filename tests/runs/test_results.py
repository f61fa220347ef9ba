import multiprocessing

import pytest

from fercore.runs.results import COLUMNS, append_row, has_row, read_results

KEY = {"method": "baseline", "variant": "", "condition": "noise:0.3", "preset": "quick", "seed": 0}


def test_rows_come_back_as_they_were_written(tmp_path):
    file = tmp_path / "results" / "runs.csv"
    assert len(read_results(file)) == 0
    append_row(file, {**KEY, "overall": 0.8125, "commit": "0012345", "recall_contempt": None})
    append_row(file, {**KEY, "seed": 1, "variant": "lr=0.1,epochs=3"})
    first = file.read_text()
    assert first.splitlines()[0] == ",".join(COLUMNS)
    table = read_results(file)
    assert list(table["variant"]) == ["", "lr=0.1,epochs=3"]
    assert table["commit"][0] == "0012345"
    assert table["overall"][0] == 0.8125
    assert has_row(table, KEY)
    assert not has_row(table, {**KEY, "variant": "x"})
    assert not has_row(table, {**KEY, "seed": 2})
    append_row(file, {**KEY, "seed": 2})
    assert file.read_text().startswith(first)  # what was there stays as it was


def test_the_columns_are_the_contract():
    text = (
        "method, variant, condition, preset, seed, overall, mean, recall_<emotion>..., ece, js_truth, seconds, params, "
        "commit, torch, device, date"
    )
    named = [c for c in COLUMNS if not c.startswith("recall_")]
    assert named == [c for c in text.split(", ") if not c.startswith("recall_")]
    assert sum(c.startswith("recall_") for c in COLUMNS) == 8


def test_unknown_columns_and_broken_files_are_named(tmp_path):
    file = tmp_path / "runs.csv"
    with pytest.raises(ValueError, match="have no column speed"):
        append_row(file, {**KEY, "speed": 3})
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has no column method"):
        append_row(file, KEY)
    assert file.read_text() == "a,b\n1,2\n"


def test_processes_that_append_at_once_lose_no_row(tmp_path):
    file = tmp_path / "runs.csv"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_row, args=(file, {**KEY, "seed": seed})) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(read_results(file)["seed"]) == list(range(8))
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]
