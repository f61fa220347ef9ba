"""What each batch must hold, epoch by epoch."""

import numpy as np
import pytest
import torch

from fercore.datasets.samplers import SAMPLERS, every_class, progressive, shuffle

COUNTS = [129, 28, 3, 477, 198, 70, 95]  # 1000 faces, imbalanced
LABEL = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_shapes_and_purity(name):
    sampler = SAMPLERS[name]
    batches = sampler(LABEL, 64, 2, 10, 0)
    assert batches.shape == (15, 64)  # the 40 faces left over wait for another epoch
    assert batches.dtype == torch.int64
    assert batches.min() >= 0
    assert batches.max() < 1000
    torch.manual_seed(1)
    assert (sampler(LABEL, 64, 2, 10, 0) == batches).all()
    assert (sampler(LABEL, 64, 3, 10, 0) != batches).any()
    assert (sampler(LABEL, 64, 2, 10, 1) != batches).any()
    assert sampler(LABEL, 2000, 0, 10, 0).shape == (1, 1000)  # fewer faces than a batch: one batch of all
    with pytest.raises(ValueError, match="at least 1"):
        sampler(LABEL, 0, 0, 10, 0)


def test_shuffle_shows_each_face_once():
    batches = shuffle(LABEL, 50, 0, 1, 0)
    assert sorted(batches.flatten().tolist()) == list(range(1000))


@pytest.mark.parametrize("batch_size", [14, 32, 64])
def test_every_class_in_every_batch(batch_size):
    batches = every_class(LABEL, batch_size, 0, 10, 0)
    for batch in batches:
        counts = np.bincount(LABEL[batch], minlength=7)
        assert counts.min() >= 2
        assert len(set(batch.tolist())) == batch_size  # each class has at least 2 faces, so none is repeated


def test_every_class_leaves_the_rest_as_it_was():
    """At 128 a batch nearly always holds what is asked for but the rarest class: little may change."""
    plain, full = shuffle(LABEL, 125, 4, 10, 7), every_class(LABEL, 125, 4, 10, 7)
    assert (plain == full).float().mean() > 0.97


def test_every_class_with_absent_and_tiny_classes():
    label = torch.tensor([0] * 30 + [5] * 1 + [2] * 9)
    for batch in every_class(label, 10, 0, 1, 0):
        counts = np.bincount(label[batch], minlength=7)
        assert counts[[0, 2, 5]].min() >= 2  # the one face of class 5 comes twice
        assert counts.sum() == counts[[0, 2, 5]].sum() == 10
    for batch in every_class(LABEL, 64, 0, 10, 0, per_class=3):
        assert np.bincount(LABEL[batch], minlength=7).min() >= 3
    with pytest.raises(ValueError, match="use batches of at least 6"):
        every_class(label, 5, 0, 1, 0)


@pytest.mark.parametrize("epoch", [0, 3, 5, 9])
def test_progressive_counts(epoch):
    """Kang et al. 2020, equation 3, by class."""
    batches = progressive(LABEL, 50, epoch, 10, 0)
    share = epoch / 10
    counts = np.bincount(LABEL[batches.flatten()], minlength=7)
    for c in range(7):
        expected = ((1 - share) * COUNTS[c] / 1000 + share / 7) * 1000
        assert abs(counts[c] - expected) < 1
    drawn = np.bincount(batches.flatten(), minlength=1000)
    for c in range(7):  # within a class all faces come equally often, give or take one
        members = drawn[LABEL.numpy() == c]
        assert members.max() - members.min() <= 1


def test_progressive_starts_as_a_shuffle():
    assert sorted(progressive(LABEL, 50, 0, 10, 0).flatten().tolist()) == list(range(1000))


def test_progressive_mixes_classes_within_batches():
    batches = progressive(LABEL, 50, 5, 10, 0)
    happy = (LABEL[batches] == 3).float().mean(dim=1)
    assert happy.min() > 0.1
    assert happy.max() < 0.6
