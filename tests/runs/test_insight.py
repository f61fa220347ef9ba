import math

import pytest
import torch
from torch import nn

from fercore.datasets import FaceDataset
from fercore.runs.insight import has_flipped_labels, insight
from fercore.runs.results import insights_file, put_row

TRUTH = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
TRUTH = torch.cat([TRUTH, torch.zeros(4, 4)], 1)


class Oracle(nn.Module):
    """Says of each face what the table holds; the face's brightness is its row."""

    def __init__(self, **table):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.table = table
        self.distribution_names = ("probabilities", "exact", "other", "latent")

    def explain(self, batch):
        rows = (batch.image[:, 0, 0, 0] * 255).round().long()
        return {name: values[rows] for name, values in self.table.items()}


@pytest.fixture
def faces():
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 3, 8, 8).contiguous()
    data = FaceDataset.from_arrays(images, [0, 1, 1, 2], distribution=TRUTH.numpy())
    object.__setattr__(data, "clean_label", torch.tensor([0, 1, 1, 2]))
    object.__setattr__(data, "label", torch.tensor([0, 1, 1, 0]))  # the last one flipped
    return data


def test_distributions_are_compared_with_the_truth(faces):
    figures = insight(Oracle(exact=TRUTH, other=torch.full((4, 7), 1 / 7), weights=torch.full((4, 7), 1 / 7)), faces)
    assert figures["js/exact"] == 0
    assert figures["kl_others/exact"] == pytest.approx(0, abs=1e-6)
    assert "js/weights" not in figures
    latent = TRUTH * (1 - torch.eye(7)[faces.label])  # what is mined for a face leaves its label's class out
    latent = latent / latent.sum(1, keepdim=True).clamp(min=1e-8)
    latent[0] = torch.eye(7)[1]
    gates = insight(Oracle(gate_semantic=torch.full((4, 7), 1 / 7), latent=latent), faces)
    assert not {"js/gate_semantic", "kl_others/gate_semantic", "js/latent"} & set(gates)
    assert gates["kl_others/latent"] == pytest.approx(0, abs=1e-6)

    def js(p, q):
        def kl(a, b):
            return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

        m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
        return (kl(p, m) + kl(q, m)) / 2

    one_hot = torch.eye(7)[faces.label].tolist()
    assert figures["js/labels"] == pytest.approx(sum(map(js, one_hot, TRUTH.tolist())) / 4, abs=1e-6)
    # Without the own class: 1 of 1, 2 of 0, and 2 and 0 whole; each is certain, against a sixth.
    assert figures["kl_others/other"] == pytest.approx(math.log(6), abs=1e-5)


def test_confidence_is_the_chance_that_a_right_label_is_trusted_more(faces):
    figures = insight(Oracle(confidence=torch.tensor([0.9, 0.8, 0.2, 0.3])), faces)
    assert figures["auroc/confidence"] == pytest.approx(2 / 3)


def test_noise_learnt_by_heart_shows_in_the_answers_to_flipped_faces(faces):
    object.__setattr__(faces, "label", torch.tensor([1, 1, 2, 0]))  # all but the second flipped, from 0, 1, 1, 2
    answers = torch.eye(7)[torch.tensor([1, 1, 1, 5])]  # its label, right, right, neither
    figures = insight(Oracle(probabilities=answers), faces)
    assert figures["flipped/label"] == pytest.approx(1 / 3)
    assert figures["auroc/probability"] == pytest.approx(5 / 6)  # 1 against 1 (a half), 0 and 0
    assert figures["flipped/truth"] == pytest.approx(1 / 3)


def test_votes_are_the_truth_where_there_is_no_other(faces):
    votes = torch.cat([(TRUTH * 10).round().long(), torch.tensor([[0], [0], [3], [0]])], 1)  # 8 classes
    object.__setattr__(faces, "votes", votes)
    known = insight(Oracle(exact=TRUTH, probabilities=TRUTH), faces)
    object.__setattr__(faces, "distribution", None)
    assert insight(Oracle(exact=TRUTH, probabilities=TRUTH), faces) == pytest.approx(known, abs=1e-6)
    object.__setattr__(faces, "votes", None)
    blind = insight(Oracle(exact=TRUTH, probabilities=TRUTH), faces)
    assert blind == {name: known[name] for name in blind}
    assert set(blind) == {"noise/rate", "auroc/probability", "flipped/label", "flipped/truth"}
    assert blind["noise/rate"] == 0.25


def test_nothing_to_find_out_without_flipped_labels(faces):
    object.__setattr__(faces, "label", faces.clean_label)
    assert not has_flipped_labels(faces)
    assert insight(Oracle(exact=TRUTH), faces) == {}
    object.__setattr__(faces, "label", torch.tensor([0, 1, 1, -1]))  # hidden is not flipped
    assert not has_flipped_labels(faces)


def test_faces_whose_label_is_hidden_are_left_out(faces):
    object.__setattr__(faces, "label", torch.tensor([0, -1, 1, 0]))
    figures = insight(Oracle(exact=TRUTH, confidence=torch.tensor([0.9, 0.0, 0.2, 0.3])), faces)
    assert figures["js/exact"] == 0
    assert figures["auroc/confidence"] == 0.5  # of the two right labels one is trusted more than the flipped one


def test_insights_are_kept_beside_the_results(tmp_path):
    import pandas as pd

    file = tmp_path / "new" / "runs.csv"
    key = {"method": "dmue", "variant": "", "condition": "noise:0.3", "preset": "quick", "seed": 0}
    put_row(file, key, {})
    assert not insights_file(file).exists()
    put_row(file, key, {"js/labels": 0.25, "auroc/confidence": 0.5})
    put_row(file, key | {"seed": 1}, {"js/labels": 0.5})
    table = pd.read_csv(tmp_path / "new" / "runs_insights.csv")
    assert table["value"].tolist() == [0.25, 0.5, 0.5]
    assert table["seed"].tolist() == [0, 0, 1]
