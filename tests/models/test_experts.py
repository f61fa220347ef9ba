import pytest
import torch

from fercore.models.experts import EXPERTS, Experts, gate_weights, imbalance, spread
from tests.oracles import leaf as oracle

DIM = 6


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make(seed: int = 0, **settings) -> Experts:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Experts(DIM, **settings)


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize(("n", "top_k"), [(1, 1), (2, 2), (4, 1), (4, 2), (5, 5), (8, 3)])
def test_gate_and_mixture_are_equations_2_to_5(kind, n, top_k):
    experts, x = make(kind=kind, n=n, top_k=top_k).eval(), random(9, DIM, seed=1)
    with torch.no_grad():
        mixed, weights = experts(x)
        for face, found, gates in zip(x, mixed, weights, strict=True):
            expected = oracle.gate((experts.gate.weight @ face).tolist(), top_k)
            assert gates.tolist() == pytest.approx(expected, abs=1e-6)
            outputs = [expert(face).tolist() for expert in experts.experts]
            assert found.tolist() == pytest.approx(oracle.mixture(expected, outputs), abs=1e-5)


@pytest.mark.parametrize("scores", [random(50, 7), torch.zeros(3, 7), 1e4 * random(5, 7), -1e4 * torch.ones(2, 7)])
def test_dropped_experts_weigh_exactly_nothing(scores):
    weights = gate_weights(scores, 3)
    assert ((weights == 0).sum(1) >= 4).all()  # ties are no exception
    torch.testing.assert_close(weights.sum(1), torch.ones(len(scores)))


def test_noise_is_for_training_only_and_the_choice_depends_on_the_face():
    experts, x = make(n=8), random(64, DIM)
    experts.eval()
    assert torch.equal(experts(x)[1], experts(x)[1])
    assert len({tuple(row.nonzero().flatten().tolist()) for row in experts(x)[1]}) > 3
    experts.train()
    assert not torch.equal(experts(x)[1], experts(x)[1])
    experts = make(n=8, noise=0.0).train()
    assert torch.equal(experts(x)[1], experts(x)[1])


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize(("n", "top_k"), [(2, 2), (4, 2), (8, 2), (8, 5)])
def test_every_expert_and_the_gate_learn(kind, n, top_k):
    experts = make(kind=kind, n=n, top_k=top_k).train()
    torch.manual_seed(0)
    mixed, _ = experts(random(84, DIM))
    mixed.square().sum().backward()
    assert [name for name, p in experts.named_parameters() if not p.grad.abs().sum() > 0] == []
    weights = [next(expert.parameters()) for expert in experts.experts]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])  # distinct experts


def test_with_one_chosen_expert_the_gate_cannot_learn():
    """Softmax over one score is 1 whatever the score: its derivative is 0. The released code has K = 1."""
    experts = make(n=4, top_k=1).train()
    torch.manual_seed(0)
    mixed, weights = experts(random(84, DIM))
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    mixed.square().sum().backward()
    assert not experts.gate.weight.grad.any()
    assert all(p.grad.any() for p in experts.experts.parameters())


def test_a_dropped_expert_gets_no_gradient_from_that_face():
    experts = make(n=4, top_k=2).eval()
    mixed, weights = experts(random(1, DIM))
    mixed.sum().backward()
    for expert, weight in zip(experts.experts, weights[0], strict=True):
        assert all(p.grad.any() == (weight > 0) for p in expert.parameters())


def test_the_load_follows_how_often_an_expert_is_chosen():
    experts, x = make(n=4, top_k=2, noise=0.0), random(32, DIM)
    experts.eval()
    _, weights = experts(x)
    assert experts.load.tolist() == [0.5] * 4  # looking changes nothing
    experts.train()
    for _ in range(1500):
        experts(x)
    torch.testing.assert_close(experts.load, (weights > 0).float().mean(0), rtol=0, atol=1e-4)
    assert experts.load.sum() == pytest.approx(2, abs=1e-3)
    assert "load" in experts.state_dict()


def test_impossible_mixtures_are_refused():
    with pytest.raises(ValueError, match="unknown expert 'magic'; known are linear, bottleneck, residual"):
        make(kind="magic")
    for top_k in (0, 5):
        with pytest.raises(ValueError, match="top_k must lie between 1 and the 4 experts"):
            make(top_k=top_k)
    with pytest.raises(ValueError, match="noise must be at least 0"):
        make(noise=-1.0)


def test_residual_experts_start_close_to_what_they_are_given():
    x = random(50, DIM)
    with torch.no_grad():
        for kind, close in (("residual", True), ("bottleneck", False)):
            mixed, _ = make(kind=kind).eval()(x)
            assert ((mixed - x).norm() < 0.1 * x.norm()) == close


def test_imbalance_is_switch_s_load_balancing_loss():
    experts = make(n=5, top_k=2).eval()
    _, weights, shares = experts.look(random(20, DIM))
    expected = 0.0
    for j in range(5):
        chosen = sum(row[j] > 0 for row in weights.tolist()) / (20 * 2)
        expected += 5 * chosen * sum(row[j] for row in shares.tolist()) / 20
    assert imbalance(weights, shares).item() == pytest.approx(expected, rel=1e-5)
    alike, one = torch.full((8, 4), 0.25), torch.eye(4)[[0] * 8]
    assert imbalance(alike, alike) == 1
    assert imbalance(one, one) == 4
    torch.testing.assert_close(shares.sum(1), torch.ones(20))


def test_balance_draws_in_experts_that_no_face_has():
    """Two of four experts have every face; there is no noise. The gate learns to use all four."""
    experts, x = make(n=4, top_k=2, noise=0.0), random(64, DIM).abs()
    with torch.no_grad():
        experts.gate.weight.copy_(torch.tensor([[0.2], [0.2], [0.0], [0.0]]).expand(4, DIM))
    assert (experts(x)[1] > 0).float().mean(0).tolist() == [1, 1, 0, 0]
    optimiser = torch.optim.SGD(experts.gate.parameters(), lr=0.2)
    load = torch.zeros(4)
    for _ in range(60):
        _, weights, shares = experts.look(x)
        load += (weights > 0).float().mean(0) / 60
        imbalance(weights, shares).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert load.min() > 0.2


def test_noise_in_units_of_the_scores_spread_does_not_drown_them():
    scores = torch.tensor([[0.0, 2.0], [5.0, 3.0]])
    assert spread(scores).item() == pytest.approx(1.0)  # each face's scores lie 1 from their mean
    x = random(256, DIM)
    chosen = {}
    for scale in (1.0, 0.01):  # scores a hundred times smaller
        for unit in ("absolute", "spread"):
            experts = make(n=4, top_k=1, noise=0.1, noise_unit=unit).train()
            with torch.no_grad():
                experts.gate.weight.mul_(scale)
                torch.manual_seed(0)
                noisy = experts(x)[1].argmax(1)
                calm = experts.eval()(x)[1].argmax(1)
            chosen[scale, unit] = (noisy == calm).float().mean().item()
    assert chosen[1.0, "spread"] == chosen[0.01, "spread"] > 0.85
    assert chosen[0.01, "absolute"] < 0.4


def test_the_start_of_residual_experts_is_a_setting():
    x = random(9, DIM)
    nothing, whole = make(start=0.0).eval(), make(start=1.0).eval()
    torch.testing.assert_close(nothing(x)[0], x)
    tenth = make().eval()
    with torch.no_grad():
        gap = lambda experts: experts.experts[0](x) - x  # noqa: E731
        torch.testing.assert_close(gap(tenth), 0.1 * gap(whole))
