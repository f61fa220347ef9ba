"""A model that answers with few classes, or whose gate does not choose, says so in its row and on the screen."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from fercore.cli import main
from fercore.methods import build
from fercore.runs.collapse import collapse
from tests.faces import toy_dataset, write_dataset

FACES = toy_dataset(n=80, size=32)


def answers(classes: list[int]) -> torch.Tensor:
    """Each face is said to be one of these, in turn."""
    return torch.eye(7)[torch.tensor(classes)[torch.arange(len(FACES)) % len(classes)]]


class Gated(nn.Module):
    """Prefers expert 1, but for every ``n``-th face."""

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def explain(self, batch):
        other = batch.index % self.n == 0
        return {"gate_semantic": torch.where(other[:, None], torch.tensor([0.6, 0.4]), torch.tensor([0.4, 0.6]))}


def test_less_than_two_thirds_of_the_classes_is_a_collapse():
    method = build("baseline", preset="fast", size=32)
    assert collapse(method, FACES, answers([0, 1, 2, 3, 6])) == ""
    said = collapse(method, FACES, answers([0, 1, 3, 6]))
    assert said == "has collapsed: it answers with 4 of 7 classes, never with disgust, sadness, anger"
    few = FACES.select(FACES.label < 3)  # only classes that there are count
    assert collapse(method, few, answers([0, 1, 3])[: len(few)]) == ""
    assert "1 of 3 classes, never with fear, disgust" in collapse(method, few, answers([0])[: len(few)])


def test_a_gate_that_always_chooses_the_same_expert_is_told():
    sound = answers(list(range(7)))
    assert collapse(Gated(4), FACES, sound) == ""
    said = collapse(Gated(1000), FACES, sound)
    assert said == f"has an idle gate: gate_semantic prefers expert 1 for {1 - 1 / len(FACES):.0%} of the faces"
    assert collapse(build("leaf", preset="fast", size=32, n=1, top_k=1), FACES, sound) == ""  # nothing to choose


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_it_is_in_the_result_and_on_the_screen(tmp_path, monkeypatch, capsys, command):
    """A rate that breaks the network: it answers with one class."""
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "faces", n=120, size=32)
    few = ("--preset", "fast", "--size", "32", "--data", str(data), "--set", "batch_size=64", "lr=1e-9", "--out", "run")
    main(["train", "baseline", "--weights", "none", *few])
    said = capsys.readouterr()
    if command == "evaluate":
        main(["evaluate", "run", "--data", str(data)])
        said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert result["warning"].startswith("has collapsed: it answers with ")
    assert f"{result['warning']}" in said.err
    if command == "train":
        assert json.loads(Path("run/result.json").read_text())["warning"] == result["warning"]
