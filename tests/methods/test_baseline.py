import math

import pytest
import torch

from fercore.batch import Batch
from fercore.datasets import UNLABELLED
from fercore.methods import Clock, build


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


def test_bad_settings_are_named():
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
