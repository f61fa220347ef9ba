import math

import pytest
import torch

from fercore.batch import UNLABELLED
from fercore.losses.alignment import align, shares
from fercore.losses.free_match import adaptive_thresholds, class_shares, fairness
from fercore.losses.pseudo import (
    LABELLED,
    adaptive_margins,
    confident,
    contrast,
    flexible_thresholds,
    masked_cross_entropy,
    masked_divergence,
    sharpen,
)
from fercore.losses.soft_match import soft_weights
from tests.oracles import pseudo as oracle
from tests.oracles.dmue import sharpen as sharpen_powers

C, N, D = 4, 6, 5


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_confidence_by_one_threshold_and_by_class():
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    label, mask = confident(p, 0.7)
    assert label.tolist() == [0, 1, 0]
    assert mask.tolist() == [True, True, False]
    assert confident(p, torch.tensor([0.5, 0.8]))[1].tolist() == [True, False, True]


def test_masked_losses_are_means_over_all_faces():
    logits, target, mask = random(N, C), random(N, C, seed=1).softmax(1), torch.tensor([True, False] * 3)
    log_p, hard = logits.log_softmax(1), target.argmax(1)
    cross_entropy = sum(-log_p[i, hard[i]] for i in range(N) if mask[i]) / N
    torch.testing.assert_close(masked_cross_entropy(logits, hard, mask), cross_entropy)
    divergence = sum((target[i] * (target[i].log() - log_p[i])).sum() for i in range(N) if mask[i]) / N
    torch.testing.assert_close(masked_divergence(logits, target, mask), divergence)
    none = torch.zeros(N, dtype=torch.bool)
    assert masked_cross_entropy(logits, hard, none) == 0
    assert masked_divergence(logits, target, none) == 0


def test_sharpening_raises_to_a_power():
    logits = random(N, C)
    for row, p in zip(sharpen(logits, 0.4).tolist(), logits.softmax(1).tolist(), strict=True):
        assert row == pytest.approx(sharpen_powers(p, 0.4))


@pytest.mark.parametrize("warm_up", [True, False])
@pytest.mark.parametrize(
    "assigned", [[None] * 6, [0, 1, 1, None, None, None], [0, 1, 1, 3, 1, 0], [None] * 5 + [2]], ids=str
)
def test_flexible_thresholds_are_flexmatch_s(assigned, warm_up):
    memory = torch.tensor([UNLABELLED if a is None else a for a in assigned] + [LABELLED] * 3)
    found = flexible_thresholds(memory, C, 0.95, warm_up)
    assert found.tolist() == pytest.approx(oracle.flexible_thresholds(assigned, C, 0.95, warm_up), rel=1e-6)


def test_adaptive_margins_by_hand():
    found = adaptive_margins(torch.tensor([1.8, 0.5, 0.0]), torch.tensor([2.0, 1.0, 0.0]), 1, 0.97, math.e, 0.8)
    rise = 0.97 / (1 + 1 / math.e)
    assert found.tolist() == pytest.approx([rise * 0.9, rise * 0.5, 0.8])
    later = adaptive_margins(torch.tensor([1.8]), torch.tensor([2.0]), 10_000, 0.97, math.e, 0.8)
    assert later.item() == pytest.approx(0.97 * 0.9)


@pytest.mark.parametrize("mask", [[1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0] * 6], ids=str)
def test_contrast_is_infonce_among_the_faces_of_the_mask(mask):
    first, second = random(N, D).requires_grad_(), random(N, D, seed=1).requires_grad_()
    mask = torch.tensor(mask, dtype=torch.bool)
    loss = contrast(first, second, mask, 0.2)
    expected = oracle.contrast(first.tolist(), second.tolist(), mask.tolist(), 0.2)
    assert loss.item() == pytest.approx(expected, rel=1e-6, abs=1e-12)
    loss.backward()
    assert first.grad.isfinite().all()
    assert not first.grad[~mask].any()


def test_contrast_is_as_exact_under_mixed_precision():
    first, second, mask = random(N, D).float(), random(N, D, seed=1).float(), torch.ones(N, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = contrast(first, second, mask, 0.07)
    torch.testing.assert_close(mixed, contrast(first, second, mask, 0.07))


def test_alignment_is_remixmatch_s():
    logits, mean = random(N, C), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    wanted = shares(torch.tensor([3, 0, 4, 2]))
    assert wanted.tolist() == pytest.approx([0.3, 0.1, 0.4, 0.2])  # a class without a face is not ruled out
    found = align(logits, mean, wanted).softmax(1)
    for row, p in zip(found.tolist(), logits.softmax(1).tolist(), strict=True):
        assert row == pytest.approx(oracle.aligned(p, mean.tolist(), wanted.tolist()))
    # what is guessed as often as it is wanted stays
    torch.testing.assert_close(align(logits, wanted, wanted), logits)


@pytest.mark.parametrize("mask", [[1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0] * 6], ids=str)
def test_fairness_is_freematch_s(mask):
    strong, weak = (2 * random(N, C)).requires_grad_(), (2 * random(N, C, seed=1)).softmax(1)
    mask = torch.tensor(mask, dtype=torch.bool)
    p, h = weak.mean(0), class_shares(weak).double()
    h[1] = 0  # a class that nothing was given to
    loss = fairness(strong, mask, p, h)
    expected = oracle.self_adaptive_fairness(strong.softmax(1).tolist(), mask.tolist(), p.tolist(), h.tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert strong.grad.isfinite().all()
    assert not strong.grad[~mask].any()


def test_thresholds_and_soft_weights_by_hand():
    found = adaptive_thresholds(torch.tensor(0.8), torch.tensor([0.5, 0.25, 0.125]))
    assert found.tolist() == pytest.approx([0.8, 0.4, 0.2])
    most, mean, variance = torch.tensor([0.2, 0.5, 0.69, 0.7, 0.95]), torch.tensor(0.7), torch.tensor(0.04)
    for sigmas in (1.0, 2.0):
        expected = [oracle.truncated_gaussian(value, 0.7, 0.04, sigmas) for value in most.tolist()]
        assert soft_weights(most, mean, variance, sigmas).tolist() == pytest.approx(expected, rel=1e-4)
