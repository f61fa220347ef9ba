import math

import pytest
import torch

from fercore.batch import Batch
from fercore.datasets import UNLABELLED, Loader
from fercore.methods import Clock, build
from tests.faces import toy_dataset


def batch_of(label: list[int]) -> Batch:
    image = torch.rand(len(label), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(image, torch.tensor(label), torch.arange(len(label)))


def test_the_loss_is_the_mean_surprise_at_the_known_labels():
    method = build("baseline", preset="fast", size=32).eval()
    label = [3, UNLABELLED, 6, 0]
    batch = batch_of(label)
    found = method.losses(batch, Clock(0, 0, 1, 1))["cross_entropy"]
    rows = method(batch.image).tolist()
    terms = []
    for row, y in zip(rows, label, strict=True):
        if y != UNLABELLED:
            terms.append(math.log(sum(math.exp(z) for z in row)) - row[y])
    assert abs(found.item() - sum(terms) / len(terms)) < 1e-5


def by_hand(rows: list[list[float]], label: list[int], smoothing: float, weight: list[float]) -> float:
    """Each view's cross-entropy with (1 - s) of the label and s / C of every class, times its class's weight."""
    terms = []
    for row, y in zip(rows, label, strict=True):
        if y != UNLABELLED:
            log_sum = math.log(sum(math.exp(z) for z in row))
            surprise = [log_sum - z for z in row]
            spread = sum(surprise) / len(row)
            terms.append(weight[y] * ((1 - smoothing) * surprise[y] + smoothing * spread))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", ["baseline", "cb"])
@pytest.mark.parametrize("views", [1, 2])
def test_controls_two_views_and_smoothed_labels(name, views):
    """Two weak views of each face, the mean of both losses: what a method that looks twice is compared with."""
    method = build(name, preset="fast", size=32, views=views, smoothing=0.2).eval()
    assert method.needs.views == ("weak",) * views
    if name == "cb":
        method.balance.copy_(torch.arange(1.0, 8.0))
    label = [3, UNLABELLED, 6, 0]
    batch = batch_of(label)
    batch.views = (batch.image, batch.image.flip(3))[:views]
    rows = [method(view).tolist() for view in batch.views]
    weight = list(range(1, 8)) if name == "cb" else [1] * 7
    expected = sum(by_hand(each, label, 0.2, weight) for each in rows) / views
    found = method.losses(batch, Clock(0, 0, 1, 1))["cross_entropy"]
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_two_views_of_a_face_differ():
    method = build("baseline", preset="fast", size=32, views=2)
    first, second = next(Loader(toy_dataset(n=60, size=32).where("train"), method.needs, 16).epoch(0, 1)).views
    assert not torch.equal(first, second)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="views must be at least 1"):
        build("baseline", preset="fast", views=0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
        build("baseline", preset="fast", smoothing=2.0)
    with pytest.raises(ValueError, match="unknown view 'blurry'; known are none, weak"):
        build("baseline", preset="fast", view="blurry")
    with pytest.raises(ValueError, match="unknown rule 'magic'"):
        build("cb", preset="fast", rule="magic")


def test_class_activation_maps_average_to_the_logits():
    """Zhou et al.: the mean of a class's map over places is its logit, but for the bias."""
    method = build("baseline", preset="fast", size=64).eval()
    batch = Batch(torch.rand(3, 3, 64, 64), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    with torch.no_grad():
        cams = method.explain(batch)["cams"]
        assert cams.shape == (3, 7, 4, 4)
        logits = method(batch.image)
    torch.testing.assert_close(cams.mean((2, 3)) + method.net.head.bias, logits, rtol=1e-4, atol=1e-5)
