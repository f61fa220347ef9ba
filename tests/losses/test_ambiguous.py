import pytest
import torch

from fercore.losses.ambiguous import ambiguous_consistency, positive_set
from tests.oracles import leaf as oracle

N, K = 40, 7


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_mask(sets) -> torch.Tensor:
    return torch.tensor([[k in chosen for k in range(K)] for chosen in sets])


PREDICTIONS = {
    "random": (3 * random(N, K)).softmax(1),
    "flat": (0.1 * random(N, K)).softmax(1),
    "tied": torch.full((2, 8), 1 / 8, dtype=torch.float64),  # eighths: their sums are exact
    "tied in pairs": torch.tensor([[0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0.0]], dtype=torch.float64),
    "one-hot": torch.eye(K, dtype=torch.float64),
}


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("p", PREDICTIONS.values(), ids=PREDICTIONS)
def test_the_split_is_equation_8(p, threshold):
    positive = positive_set(p, threshold)
    for row, chosen in zip(p.tolist(), positive, strict=True):
        assert set(chosen.nonzero().flatten().tolist()) == oracle.positive_set(row, threshold)
        # what the equation asks: the sum reaches T, and without the last class it would not
        inside = [y for y, c in zip(row, chosen.tolist(), strict=True) if c]
        outside = [y for y, c in zip(row, chosen.tolist(), strict=True) if not c]
        assert sum(inside) >= threshold - 1e-12
        assert len(inside) == 1 or sum(inside) - min(inside) < threshold
        assert not outside or min(inside) >= max(outside)


def test_the_split_by_hand():
    p = torch.tensor([[0.05, 0.6, 0.35], [0.3, 0.4, 0.3], [0.92, 0.05, 0.03]])
    # 0.6 falls short of 0.9 and 0.35 crosses it: the class that crosses is in, where the released code leaves it out
    assert positive_set(p, 0.9).tolist() == [[False, True, True], [True, True, True], [True, False, False]]
    assert positive_set(torch.full((1, 4), 0.25), 0.5).tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_the_loss_is_equation_14_in_both_forms(margin):
    scores, sets = 4 * random(N, K, seed=1), [oracle.positive_set(p, 0.9) for p in (3 * random(N, K)).softmax(1)]
    sets = [chosen if len(chosen) < K else {0} for chosen in sets]
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        found = ambiguous_consistency(scores.to(dtype), as_mask(sets), margin)
        for value, row, chosen in zip(found.tolist(), scores.tolist(), sets, strict=True):
            logarithms = oracle.consistency_by_logarithms(row, chosen, margin)
            products = oracle.consistency_by_products(row, chosen, margin)
            assert logarithms == pytest.approx(products, rel=1e-6)
            assert value == pytest.approx(products, rel=max(tolerance, 2e-6), abs=1e-6)


@pytest.mark.parametrize("margin", [0.0, 5.0])
def test_far_apart_it_is_the_hinge_of_equation_10(margin):
    """Equations 11 to 13 smooth by log k at most; beside scores in the hundreds that is nothing."""
    scores, sets = 300 * random(N, K, seed=2), [{0, 3}, {1, 2, 5, 6}] * (N // 2)
    found = ambiguous_consistency(scores, as_mask(sets), margin)
    for value, row, chosen in zip(found.tolist(), scores.tolist(), sets, strict=True):
        assert value == pytest.approx(oracle.hard_consistency(row, chosen, margin), abs=5)


def test_it_stays_finite_at_huge_logits_and_for_every_split():
    rows = torch.tensor([[1e4, -1e4, 1e4, 0.0, -1e4, 1e4, -1e4]]).repeat(5, 1).requires_grad_()
    sets = [{0, 2, 5}, {1, 4, 6}, {3}, set(range(K)), {0}]
    loss = ambiguous_consistency(rows, as_mask(sets), 1.0)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert rows.grad.isfinite().all()
    assert loss[0] == 0
    assert loss[1].item() == pytest.approx(2e4 + 1, abs=10)
    assert loss[3] == 0  # nothing is negative,
    assert not rows.grad[3].any()  # and nothing is learnt


def test_it_pushes_the_positive_classes_up_and_the_others_down():
    scores = random(N, K).requires_grad_()
    positive = as_mask([{0, 3}] * N)
    ambiguous_consistency(scores, positive).sum().backward()
    assert (scores.grad[positive] < 0).all()
    assert (scores.grad[~positive] > 0).all()
    wider = ambiguous_consistency(scores.detach(), positive, 1.0)
    assert (wider > ambiguous_consistency(scores.detach(), positive)).all()
