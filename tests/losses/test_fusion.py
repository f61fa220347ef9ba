import pytest
import torch

from fercore.batch import UNLABELLED
from fercore.losses.fusion import class_distributions, fuse, kl_to_prediction, normalise_weights, trusted_classes
from tests.oracles import ada_df as oracle

N, C = 12, 4


def distributions(seed: int, sharp: float = 1.0) -> torch.Tensor:
    return (sharp * torch.randn(N, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).softmax(1)


@pytest.mark.parametrize("t", [0.2, 0.3, 0.9])
@pytest.mark.parametrize("label", [[0, 1, 2, 3] * 3, [0, 0, 1, 1, 3, 3] * 2], ids=["all", "one absent"])
def test_class_distributions_are_equations_4_to_7(t, label):
    d = distributions(0)
    y = torch.tensor(label)
    member = torch.nn.functional.one_hot(y, C).double()
    found = class_distributions(member.T @ d, member.sum(0), t)
    torch.testing.assert_close(found, torch.tensor(oracle.class_distributions(d.tolist(), label, C, t)).to(found))
    torch.testing.assert_close(found.sum(1), torch.ones(C, dtype=found.dtype))


def test_before_anything_is_known_the_threshold_stands_in():
    """t = 0.7 and four classes, by hand: 0.7 and three times 0.1."""
    found = class_distributions(torch.zeros(C, C), torch.zeros(C), 0.7)
    expected = torch.full((C, C), 0.1)
    expected.fill_diagonal_(0.7)
    torch.testing.assert_close(found, expected)


def test_normalised_weights_are_equation_11():
    weight = torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = normalise_weights(weight, 0.2)
    assert found.tolist() == pytest.approx(oracle.normalise(weight.tolist(), 0.2), rel=1e-6)
    assert (found.min().item(), found.max().item()) == (pytest.approx(0.2), 1.0)


def test_equal_weights_are_no_nan_and_have_a_finite_gradient():
    weight = torch.full((5,), 0.3, requires_grad=True)
    found = normalise_weights(weight, 0.2)
    found.sum().backward()
    assert found.tolist() == [1.0] * 5
    assert weight.grad.isfinite().all()


def test_fusion_is_equation_12_with_its_limits():
    a, b, w = distributions(0), distributions(1), torch.linspace(0, 1, N, dtype=torch.float64)
    expected = [oracle.fuse(x, y, z) for x, y, z in zip(a.tolist(), b.tolist(), w.tolist(), strict=True)]
    torch.testing.assert_close(fuse(a, b, w), torch.tensor(expected).to(a))
    assert torch.equal(fuse(a, b, torch.ones(N)), a)
    assert torch.equal(fuse(a, b, torch.zeros(N)), b)
    torch.testing.assert_close(fuse(a, b, w).sum(1), torch.ones(N, dtype=a.dtype))


def test_divergence_is_equation_13_and_zero_only_at_the_target():
    target, logits = distributions(0), torch.randn(N, C, generator=torch.Generator().manual_seed(1))
    label = torch.zeros(N, dtype=torch.int64)
    expected = oracle.divergence(target.tolist(), logits.softmax(1).tolist())
    assert kl_to_prediction(target.float(), logits, label).item() == pytest.approx(expected, rel=1e-5)
    assert kl_to_prediction(target.float(), target.float().log(), label).item() == pytest.approx(0, abs=1e-6)
    one_hot = torch.eye(C)[torch.arange(N) % C]
    assert kl_to_prediction(one_hot, logits, label).isfinite()
    hidden = torch.full((N,), UNLABELLED)
    hidden[:3] = 0
    part = kl_to_prediction(target[:3].float(), logits[:3], hidden[:3])
    torch.testing.assert_close(kl_to_prediction(target.float(), logits, hidden), part)


def test_trust_can_be_relative_to_the_surest_class():
    sums = torch.tensor([[1.6, 0.2, 0.2], [0.5, 1.0, 0.5], [0.5, 0.4, 0.1]])
    counts = torch.tensor([2.0, 2.0, 1.0])  # own: .8, .5, .1
    assert trusted_classes(sums, counts, 0.7).tolist() == [True, False, False]
    assert trusted_classes(sums, counts, 0.6, relative=True).tolist() == [True, True, False]  # from .48 on
    assert not trusted_classes(torch.zeros(3, 3), torch.zeros(3), 0.6, relative=True).any()
    found = class_distributions(sums, counts, 0.6, relative=True)
    torch.testing.assert_close(found[:2], sums[:2] / 2)
    torch.testing.assert_close(found[2], torch.tensor([0.2, 0.2, 0.6]))
