"""A table of results: one row a run, whoever writes; what is broken is named, and nothing is written beside it."""

import csv
import json
from pathlib import Path

import pytest

from fercore.datasets.corruptions import canonical_condition, parse_condition
from fercore.files import locked
from fercore.runs import matrix
from fercore.runs.experiment import Experiment, record, run_experiment
from fercore.runs.folder import RESULT
from fercore.runs.results import COLUMNS, check_results, has_row, insights_file, put_row, read_results
from tests.faces import toy_dataset

KEY = {"method": "scn", "variant": "", "condition": "noise:0.3", "preset": "fast", "seed": 0}
GOOD = {**KEY, "overall": 0.5, "mean": 0.25, "date": "2026-01-31"}


def cells(file: Path) -> list[list[str]]:
    with file.open(newline="") as stream:
        return list(csv.reader(stream))


def test_a_run_has_one_row_with_its_insights(tmp_path):
    file = tmp_path / "r.csv"
    put_row(file, GOOD, {"js/labels": 0.5})
    put_row(file, {**GOOD, "seed": 1}, {"js/labels": 0.25})
    put_row(file, {**GOOD, "condition": " noise:0.30", "overall": 0.75}, {"js/labels": 0.125, "auroc/confidence": 1.0})
    table = read_results(file)
    assert table["seed"].tolist() == [0, 1]
    assert table["overall"].tolist() == [0.75, 0.5]
    found = [(line[4], line[7], line[8]) for line in cells(insights_file(file))[1:]]
    assert found == [("0", "js/labels", "0.125"), ("0", "auroc/confidence", "1"), ("1", "js/labels", "0.25")]
    put_row(file, GOOD)  # found out nothing this time: what an older run of this key found is no longer true
    assert [line[4] for line in cells(insights_file(file))[1:]] == ["1"]


@pytest.mark.parametrize("word", ["NA", "None", "nan", "null", "", " fast", "=1+1", "a,b", 'say "x"', "007"])
def test_text_stays_text(tmp_path, word):
    file = tmp_path / "r.csv"
    put_row(file, {**GOOD, "variant": word, "commit": "0012345"})
    put_row(file, {**GOOD, "variant": "other"})
    table = read_results(file)
    assert table["variant"].tolist() == [word, "other"]
    assert table["commit"].tolist() == ["0012345", ""]
    assert has_row(table, {**KEY, "variant": word})
    put_row(file, {**GOOD, "variant": word})
    assert len(read_results(file)) == 2


def test_what_is_broken_is_named_and_left_alone(tmp_path):
    file = tmp_path / "r.csv"
    for seed in range(3):
        put_row(file, {**GOOD, "seed": seed})
    whole = file.read_text()
    lines = whole.splitlines()
    edits = {
        "line 4 has 5 cells": [*lines[:3], ",".join(lines[3].split(",")[:5])],  # torn behind its key
        "line 3 has 27 cells, not 26": [*lines[:2], lines[2].replace("0.5", "0,5"), *lines[3:]],
        "line 3: overall is 'good'": [*lines[:2], lines[2].replace("0.5", "good"), *lines[3:]],
        "line 3: overall is 'nan'": [*lines[:2], lines[2].replace("0.5", "nan"), *lines[3:]],
        "line 2: seed is 'x'": [lines[0], lines[1].replace("fast,0", "fast,x"), *lines[2:]],
        "line 4: condition 'noise': ": [*lines[:3], lines[3].replace("noise:0.3", "noise")],
        "line 2 does not say which": [lines[0], lines[1].replace(",fast,", ", fast,"), *lines[2:]],
        "line 4: condition 'condition'": [*lines[:3], lines[0]],
        "line 5 is of a run that has a line already": [*lines, lines[2]],
        "line 4: date is '2026-0'": [*lines[:3], lines[3].replace("2026-01-31", "2026-0")],
        "has no column seed": [line.replace("seed", "sead") for line in lines],
    }
    for words, edited in edits.items():
        file.write_text("\n".join(edited) + "\n")
        before = file.read_bytes()
        for use in (read_results, check_results, lambda file: put_row(file, GOOD)):
            with pytest.raises(ValueError, match=words) as error:
                use(file)
            assert str(file) in str(error.value)
        assert file.read_bytes() == before
    file.write_text(whole)
    for content in (b"", b"\xff\xfe\x00binary"):
        insights_file(file).write_bytes(content)
        with pytest.raises(ValueError, match=r"r_insights\.csv is not a readable table"):
            check_results(file)
        with pytest.raises(ValueError, match=r"r_insights\.csv is not a readable table"):
            put_row(file, GOOD, {"js/labels": 0.5})
    assert file.read_text() == whole


def test_other_writings_of_the_table_are_read(tmp_path):
    file = tmp_path / "r.csv"
    put_row(file, GOOD)
    text = file.read_text()
    for data in (text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode(), text.strip().encode()):
        file.write_bytes(data)
        assert has_row(read_results(file), KEY)


def test_a_full_disk_changes_neither_file(tmp_path, monkeypatch):
    file = tmp_path / "r.csv"
    put_row(file, GOOD, {"js/labels": 0.5})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    writes = iter(range(10))

    def full(self, path, **options):
        if next(writes) == 1:  # the second of the two files
            raise OSError(28, "No space left on device")
        Path(path).write_text("new")

    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    with pytest.raises(OSError, match=r"No space left on device .*free.*r\.csv"):
        put_row(file, {**GOOD, "seed": 1}, {"js/labels": 0.5})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_written_is_told_first(tmp_path):
    with pytest.raises(ValueError, match="is no file of results"):
        check_results(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_results(tmp_path / "file" / "r.csv")
    with locked(tmp_path / ".r.csv.lock", "", ""), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fercore.runs.results.LOCK_PATIENCE", 0.1)
        with pytest.raises(ValueError, match=r"r\.csv is in use \(process"):
            check_results(tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("noise:0.30", "noise:0.3"),
        ("noise:.3", "noise:0.3"),
        ("noise:3e-1:symmetric", "noise:0.3"),
        ("noise:0.3\n", "noise:0.3"),
        ("noise:0.1234567", "noise:0.1234567"),
        ("imbalance:100.0 + labels:1e2", "imbalance:100+labels:100"),
        ("noise:0.3:asymmetric", "noise:0.3:asymmetric"),
        (" clean ", "clean"),
        ("annotators:A+B", "annotators:A+B"),
    ],
)
def test_a_condition_is_always_written_alike(written, canonical):
    assert canonical_condition(written) == canonical
    assert parse_condition(written) == parse_condition(canonical)
    assert Experiment("baseline", written).key["condition"] == canonical


def test_a_matrix_trains_each_run_once_and_takes_the_row_of_a_finished_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces = toy_dataset(n=120, size=32)
    base = Experiment(
        "baseline", preset="fast", data=faces, settings={"weights": None, "size": 32}, training={"batch_size": 16}
    )
    conditions = ["noise:0.3", "noise:0.30", "noise:.3"]
    trained = []

    def fit(*arguments, **options):
        trained.append(1)
        return real(*arguments, **options)

    import fercore.runs.experiment as module

    real = module.fit
    monkeypatch.setattr(module, "fit", fit)
    experiments = matrix.combinations(base, ["baseline", "baseline"], conditions, [0, 0])
    results = Path("r.csv")
    assert matrix.run_matrix(experiments, results)["done"] == 1
    row = results.read_text()
    assert len(row.splitlines()) == 2
    assert len(trained) == 1
    for file in (results, insights_file(results)):
        file.unlink()  # as if the disk had been full
    assert matrix.run_matrix(experiments, results)["done"] == 1
    assert len(trained) == 1
    assert results.read_text() == row
    assert matrix.run_matrix(experiments, results)["skipped"] == 1
    (folder,) = Path("runs").iterdir()
    result = json.loads((folder / RESULT).read_text())
    record(result, results)
    record(run_experiment(experiments[0], folder, resume=True, faces=faces), results)
    assert len(read_results(results)) == 1
    assert list(read_results(results).columns) == list(COLUMNS)
