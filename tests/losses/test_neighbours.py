import pytest
import torch

from fercore.losses.fusion import kl_to_prediction
from fercore.losses.neighbours import aggregate, average_over_epochs, mean_of_views, neighbours
from fercore.models.pairs import PairScorer
from tests.oracles import la_net as oracle

N, C, D = 9, 4, 5
ONCE = torch.arange(N) + 3
TWICE = torch.tensor([3, 4, 5, 3, 6, 7, 3, 8, 4])
every_index = pytest.mark.parametrize("index", [ONCE, TWICE], ids=["each once", "some again"])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@every_index
@pytest.mark.parametrize("k", [1, 3, 6, 20])
def test_neighbours_are_equations_1_and_2(index, k):
    features = random(N, D)
    near, are = neighbours(features, index, k)
    assert near.shape == are.shape == (N, min(k, N))
    found = [row[known].tolist() for row, known in zip(near, are, strict=True)]
    assert found == oracle.neighbours(features.tolist(), index.tolist(), k)


@every_index
def test_nobody_is_a_neighbour_of_itself_even_if_all_are_alike(index):
    near, are = neighbours(torch.ones(N, D), index, N)
    assert not (are & (index[near] == index[:, None])).any()
    assert (are.sum(1) == (index != index[:, None]).sum(1)).all()


def test_length_does_not_matter_but_direction_does():
    """By hand: the first face points right; the second too, ten times as far; the third up; the fourth left."""
    features = torch.tensor([[1.0, 0.0], [10.0, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    near, _ = neighbours(features, torch.arange(4), 2)
    assert near[0].tolist() == [1, 2]
    assert neighbours(torch.zeros(3, 2), torch.arange(3), 2)[1].all()


def test_contributions_are_equation_3():
    scorer, features = PairScorer(D), random(N, D)
    near, _ = neighbours(features, ONCE, 3)
    layers = [
        (layer.weight.tolist(), layer.bias.tolist()) for layer in (scorer.g1[0], scorer.g2[0], scorer.f[0], scorer.f[2])
    ]
    rows = features.tolist()
    expected = [[oracle.contribution(rows[i], rows[k], layers) for k in row] for i, row in enumerate(near.tolist())]
    torch.testing.assert_close(scorer(features, near), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_aggregation_is_equation_4_and_sums_to_one():
    p, u, v = random(N, C).softmax(1), random(N, D), random(N, D, seed=1)
    c_u, c_v = random(N, 3).sigmoid(), random(N, 3, seed=1).sigmoid()
    (near_u, _), (near_v, _) = neighbours(u, ONCE, 3), neighbours(v, ONCE, 3)
    found = (aggregate(p, near_u, c_u) + aggregate(p, near_v, c_v)) / 2
    for i in range(N):
        spaces = [list(zip(near[i].tolist(), c[i].tolist(), strict=True)) for near, c in ((near_u, c_u), (near_v, c_v))]
        assert found[i].tolist() == pytest.approx(oracle.label_distribution(i, p.tolist(), spaces), rel=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(N))


def test_a_face_without_neighbours_keeps_its_own_opinion():
    p, near = random(2, C).softmax(1), torch.tensor([[1], [0]])
    contribution = torch.zeros(2, 1, requires_grad=True)
    found = aggregate(p, near, contribution)
    assert torch.equal(found, p)
    found.sum().backward()
    assert contribution.grad.isfinite().all()


def test_the_order_of_the_batch_changes_nothing():
    features, p, order = random(N, D), random(N, C).softmax(1), torch.randperm(N)
    scorer = PairScorer(D)

    def distribution(rows):
        near, are = neighbours(features[rows], TWICE[rows], 3)
        return aggregate(p[rows], near, torch.where(are, scorer(features[rows], near), 0))

    torch.testing.assert_close(distribution(order), distribution(torch.arange(N))[order])


def test_a_face_served_twice_has_one_distribution():
    values = random(N, C)
    found = mean_of_views(values, TWICE)
    for i in range(N):
        same = [j for j in range(N) if TWICE[j] == TWICE[i]]
        expected = [sum(values[j, y].item() for j in same) / len(same) for y in range(C)]
        assert found[i].tolist() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(mean_of_views(values, ONCE), values)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as in training
        torch.testing.assert_close(mean_of_views(values, ONCE), values)


def test_the_average_is_equation_5():
    before, now = random(N, C).softmax(1), random(N, C, seed=1).softmax(1)
    found = average_over_epochs(before, now, 0.9)
    for i in range(N):
        assert found[i].tolist() == pytest.approx(oracle.average(before[i].tolist(), now[i].tolist(), 0.9), rel=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(N))


def test_the_divergence_is_equation_7_and_its_gradient_finite_where_the_target_is_0():
    logits, target = random(N, C), torch.eye(C)[torch.arange(N) % C].requires_grad_()
    found = kl_to_prediction(target, logits, torch.zeros(N, dtype=torch.int64))
    expected = oracle.divergence(target.tolist(), logits.softmax(1).tolist())
    assert expected > 0
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert target.grad.isfinite().all()
