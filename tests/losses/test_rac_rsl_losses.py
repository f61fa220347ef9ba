import pytest
import torch

from fercore.batch import UNLABELLED
from fercore.losses.attention import attention_consistency
from fercore.losses.rebalance import class_weights, smooth_labels, soft_cross_entropy
from fercore.models.attention_maps import attention_maps
from tests.oracles import rac_rsl as oracle

N, C, L, H, W = 3, 4, 5, 2, 3
COUNTS = [1290, 281, 717, 4772, 1982, 705, 2524]  # RAF-DB's training set


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_maps_are_equation_2():
    features, weight = random(N, C, H, W), random(L, C, seed=1)
    expected = torch.tensor(oracle.attention_map(features.tolist(), weight.tolist()))
    torch.testing.assert_close(attention_maps(features, weight), expected)


def test_the_mean_of_a_map_and_the_bias_are_the_logit():
    features, head = random(N, C, H, W), torch.nn.Linear(C, L)
    torch.testing.assert_close(
        attention_maps(features, head.weight).mean((2, 3)) + head.bias, head(features.mean((2, 3)))
    )


def test_consistency_is_equations_3_and_5():
    maps, flipped = random(N, L, H, W), random(N, L, H, W, seed=1)
    balance = torch.tensor([0.1, 2.0, 0.5, 1.0, 1.4])
    expected = oracle.consistency(maps.tolist(), flipped.tolist(), balance.tolist())
    found = attention_consistency(maps.flip(-1), flipped, balance, squared=False)
    assert found.shape == (N,)
    assert found.mean().item() == pytest.approx(expected, rel=1e-6)


def test_squared_consistency_by_hand():
    """Two classes, one place: 2 (3 - 1)^2 and 1 (5 - 2)^2, their mean."""
    maps, other = torch.tensor([[[[3.0]], [[5.0]]]]), torch.tensor([[[[1.0]], [[2.0]]]])
    assert attention_consistency(maps, other, torch.tensor([2.0, 1.0])).tolist() == [(2 * 4 + 9) / 2]


def test_a_weight_of_zero_takes_a_class_out():
    maps, other = random(N, L, H, W), random(N, L, H, W, seed=1)
    weight = torch.ones(L)
    weight[2] = 0
    changed = other.clone()
    changed[:, 2] += 100
    same = attention_consistency(maps, other, weight), attention_consistency(maps, changed, weight)
    assert torch.equal(*same)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_raw_weights_are_equation_4(beta):
    counts = [1, 2, 50, 400]
    expected = [oracle.class_weight(beta, n) for n in counts]
    assert class_weights(torch.tensor(counts), beta, "raw").tolist() == pytest.approx(expected, rel=1e-6)


def test_effective_weights_sum_to_the_number_of_classes_and_keep_the_proportions():
    counts = torch.tensor(COUNTS)
    raw, effective = class_weights(counts, rule="raw"), class_weights(counts)
    assert effective.sum().item() == pytest.approx(7, rel=1e-6)
    torch.testing.assert_close(effective / raw, (effective / raw)[:1].expand(7))
    # computed once by hand for RAF-DB, see ../shared/peers.md
    assert effective.tolist() == pytest.approx([0.671, 2.932, 1.174, 0.214, 0.452, 1.193, 0.364], abs=1e-3)


def test_inverse_weights_are_the_released_constants_up_to_their_factor():
    released = [0.95124031, 4.36690391, 1.71143654, 0.25714585, 0.6191221, 1.74056738, 0.48617274]
    found = 0.7 * class_weights(torch.tensor(COUNTS), rule="inverse")
    assert found.tolist() == pytest.approx(released, rel=1e-6)


@pytest.mark.parametrize("rule", ["effective", "raw", "inverse"])
def test_weights_follow_a_permutation_and_an_absent_class_has_none(rule):
    counts = torch.tensor([5, 0, 100, 7])
    order = torch.tensor([2, 3, 0, 1])
    weights = class_weights(counts, 0.99, rule)
    torch.testing.assert_close(class_weights(counts[order], 0.99, rule), weights[order])
    assert weights[1] == 0
    assert (weights[[0, 2, 3]] > 0).all()
    assert weights[0] > weights[3] > weights[2]


def test_equal_counts_give_equal_weights_of_one():
    assert class_weights(torch.full((4,), 30)).tolist() == pytest.approx([1, 1, 1, 1])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"unknown rule 'magic'.* effective, raw, inverse"):
        class_weights(torch.ones(2), rule="magic")
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\), not 1"):
        class_weights(torch.ones(2), beta=1)


def test_smooth_labels_are_equation_8():
    label, balance = torch.tensor([3, 0, 4]), class_weights(torch.tensor([9, 1, 30, 4, 4]), 0.99)
    expected = [oracle.smooth_label(int(y), balance.tolist(), 0.3) for y in label]
    found = smooth_labels(label, balance, 0.3)
    torch.testing.assert_close(found, torch.tensor(expected))
    torch.testing.assert_close(found.sum(1), torch.ones(3))


def test_without_smoothing_labels_are_one_hot_and_unlabelled_rows_are_empty():
    found = smooth_labels(torch.tensor([1, UNLABELLED]), torch.tensor([1.0, 1.0]), 0.0)
    assert found.tolist() == [[0, 1], [0, 0]]
    assert smooth_labels(torch.tensor([UNLABELLED]), torch.tensor([1.0, 1.0]), 0.5).tolist() == [[0, 0]]


def test_soft_cross_entropy_is_equation_7():
    logits = random(4, L)
    target = random(4, L, seed=1).softmax(1)
    expected = [oracle.cross_entropy(z, t) for z, t in zip(logits.tolist(), target.tolist(), strict=True)]
    assert soft_cross_entropy(logits, target).tolist() == pytest.approx(expected, rel=1e-5)
    assert soft_cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.5, 0.5]])).isfinite().all()
