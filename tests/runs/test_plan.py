"""The plan of the experiments: what it lists, in which order, and that it and the rows know of each other."""

from pathlib import Path

import pytest

from fercore.runs import matrix
from fercore.runs.plan import keys, read_plan
from fercore.runs.results import put_row, read_results

RESULTS = Path(__file__).parents[2] / "notebooks" / "results"
PLAN = """
[data]
mine = "somewhere/mine"

[[runs]]
name = "start"
why = "a start"
tags = ["starts"]
methods = ["landmarks"]
conditions = ["clean"]
seeds = 2

[[runs]]
why = "from it"
tags = ["few"]
methods = ["baseline", "leaf"]
conditions = ["labels:100"]
seeds = 2
weights = "run:start"
settings = [{}, { size = 32 }]

[[runs]]
why = "elsewhere"
tags = ["other"]
methods = ["baseline"]
conditions = ["clean"]
seeds = 1
data = "mine"

[[runs]]
why = "gone"
tags = ["other"]
methods = ["scn"]
conditions = ["clean"]
seeds = 1
dropped = "too dear"
"""


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return file


def test_no_row_without_a_plan():
    planned = {cell.key for cell in read_plan(RESULTS / "plan.toml")}
    assert not keys(read_results(RESULTS / "runs.csv")) - planned


def test_every_table_gets_its_first_seed_before_any_gets_its_second(plan):
    cells = read_plan(plan)
    seeds = [cell.experiment.seed for cell in cells]
    assert seeds == sorted(seeds)
    variants = [cell.experiment.variant for cell in cells if cell.experiment.method == "leaf"]
    assert variants == ["weights=start", "weights=start,size=32"] * 2
    assert cells[0].experiment.method == "landmarks"
    assert {cell.entry.why for cell in read_plan(plan, "few")} == {"from it"}


def test_a_missing_start_is_trained_first_and_what_is_there_is_skipped(plan, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    ran = []

    def pretend(experiment, out, *_, **__):
        ran.append((experiment.method, experiment.seed, experiment.variant))
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.safetensors").touch()
        return {**experiment.key, "overall": 0.5, "mean": 0.5}

    monkeypatch.setattr(matrix, "run_experiment", pretend)
    monkeypatch.setattr(matrix, "open_data", lambda *_: None)
    monkeypatch.setattr(matrix, "record", lambda result, file: put_row(file, result))
    file = tmp_path / "r.csv"
    done = matrix.run_plan(plan, file, "few")
    assert (done["done"], done["skipped"]) == (8, 0)
    assert [method for method, seed, _ in ran if seed == 1] == ["landmarks", "baseline", "baseline", "leaf", "leaf"]
    assert "landmarks" not in set(read_results(file)["method"])
    ran.clear()
    done = matrix.run_plan(plan, file)  # "mine" is not here, scn is dropped
    assert [run[:2] for run in ran] == [("landmarks", 0), ("landmarks", 1)]
    assert "somewhere/mine not here" in capsys.readouterr().err
    assert len(read_results(file)) == 10


def test_what_is_wrong_with_a_plan_is_said_with_its_entry(plan):
    with pytest.raises(ValueError, match="no runs with the tag 'nothing'; its tags are few, other, starts"):
        read_plan(plan, "nothing")
    for old, new, said in (
        ('why = "gone"', "", "entry 4: .*why"),
        ('methods = ["scn"]', 'methods = ["scm"]', "entry 4: unknown method 'scm'"),
        ('"run:start"', '"run:begin"', "entry 2: weights 'run:begin': no entry has the name 'begin'"),
        ('data = "mine"', 'data = "yours"', "entry 3: data 'yours' is not in the table data"),
        ("dropped", "droped", "entry 4: unknown droped"),
    ):
        plan.write_text(PLAN.replace(old, new))
        with pytest.raises(ValueError, match=said):
            read_plan(plan)
