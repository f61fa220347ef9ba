import pytest
import torch

from fercore.losses.rank import rank_regularisation


@pytest.mark.parametrize("n", [2, 3, 7, 10])
@pytest.mark.parametrize("high", [0.1, 0.7, 0.95])
def test_it_is_the_gap_of_two_groups(n, high):
    weight = torch.rand(n, generator=torch.Generator().manual_seed(n))
    ordered = sorted(weight.tolist(), reverse=True)
    count = min(max(1, round(high * n)), n - 1)
    gap = sum(ordered[:count]) / count - sum(ordered[count:]) / (n - count)
    for margin in (0.0, 0.1, 0.9):
        assert rank_regularisation(weight, high, margin).item() == pytest.approx(max(0.0, margin - gap), abs=1e-6)


def test_equal_weights_cost_the_margin_and_a_single_face_nothing():
    assert rank_regularisation(torch.full((8,), 0.3), 0.7, 0.15).item() == pytest.approx(0.15)
    assert rank_regularisation(torch.tensor([0.4]), 0.7, 0.15) == 0


def test_order_does_not_matter():
    weight = torch.rand(9)
    order = torch.randperm(9)
    torch.testing.assert_close(rank_regularisation(weight[order], 0.7, 0.5), rank_regularisation(weight, 0.7, 0.5))
