import math
from dataclasses import replace

import pytest
import torch

from fercore.datasets import UNLABELLED, Loader
from fercore.methods import Clock, build
from fercore.training import TrainConfig, fit, predict
from fercore.training.checkpoints import load_method
from tests.faces import toy_dataset

EARLY, LATE = Clock(0, 0, 12, 4), Clock(11, 3, 12, 4)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=160, size=32).where("train")


def make(faces, **settings):
    method = build("scn", preset="fast", size=32, **settings)
    method.before_training(faces)
    return method


def test_losses_by_hand(faces):
    """(1 - gamma) of the cross-entropy of logits times importance, gamma of the rank regularisation, in loops."""
    method = make(faces, gamma=0.3, high=0.6, margin=0.5).eval()
    batch = next(Loader(faces, method.needs, 10).epoch(0, 4))
    with torch.no_grad():
        method.scorer.weight.normal_()
        features = method.net.pool(method.net.backbone(batch.image))
        importance = [1 / (1 + math.exp(-score)) for score in method.scorer(features)[:, 0].tolist()]
        logits = method.net.head(features).tolist()
        terms = method.losses(batch, EARLY)
    total = 0.0
    for row, alpha, y in zip(logits, importance, batch.label.tolist(), strict=True):
        total += math.log(sum(math.exp(alpha * z) for z in row)) - alpha * row[y]
    ordered = sorted(importance, reverse=True)
    gap = sum(ordered[:6]) / 6 - sum(ordered[6:]) / 4
    assert 0 < gap < 0.5
    expected = {"cross_entropy": 0.7 * total / 10, "rank": 0.3 * (0.5 - gap)}
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(expected, rel=2e-3)


def test_only_unimportant_doubtful_faces_are_relabelled(faces):
    """Five faces, two of them unimportant (0.3 and 0.1); by hand."""
    method = make(faces, high=0.6, doubt=0.2)
    batch = next(Loader(faces, method.needs, 5).epoch(0, 4))
    label = torch.tensor([0, 1, 2, 3, 4])
    p = torch.full((5, 7), 0.02)
    p[0, 5] = 0.9  # doubtful, but important
    p[1, 1] = 0.9  # sure
    p[2, 2], p[2, 6] = 0.4, 0.5  # unimportant, but not doubtful enough
    p[3, 3], p[3, 0] = 0.1, 0.8  # relabelled as 0
    p[4, 4] = 0.5
    method.relabel(batch, label, p, torch.tensor([0.9, 0.8, 0.3, 0.1, 0.7]))
    expected = torch.full((len(faces),), UNLABELLED)
    expected[batch.index[3]] = 0
    assert torch.equal(method.relabelled, expected)
    assert method.current_label(replace(batch, label=label)).tolist() == [0, 1, 2, 0, 4]


def test_relabelling_starts_late_and_leaves_unlabelled_faces_alone(faces):
    method = make(faces, doubt=0.0)
    batch = next(Loader(faces, method.needs, 28).epoch(0, 4))
    method.losses(batch, EARLY)
    assert (method.relabelled == UNLABELLED).all()
    method.losses(replace(batch, label=torch.full_like(batch.label, UNLABELLED)), LATE)
    assert (method.relabelled == UNLABELLED).all()
    method.losses(batch, LATE)
    changed = torch.nonzero(method.relabelled != UNLABELLED).flatten()
    assert 0 < len(changed) <= 28 - round(0.7 * 28)
    assert set(changed.tolist()) <= set(batch.index.tolist())


def test_a_trained_model_is_loaded_with_its_memory(faces, tmp_path):
    method = make(faces)
    fit(method, faces, TrainConfig(epochs=1, batch_size=32), out=tmp_path)
    loaded = load_method(tmp_path)
    assert torch.equal(loaded.relabelled, method.relabelled)
    assert torch.equal(predict(loaded, faces), predict(method, faces))


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="high must lie in"):
        build("scn", high=1.0)
