import math

import pytest
import torch

from fercore.losses.landmark_contrast import AMBIGUOUS, landmark_contrast, positive_pairs, pseudo_labels
from fercore.models.bank import EMPTY, MemoryBank
from tests.oracles import la_net as oracle

N, M, D = 6, 10, 4
LABEL = torch.tensor([0, 2, AMBIGUOUS, 0, AMBIGUOUS, 1])
INDEX = torch.tensor([0, 11, 12, 13, 14, 15])
BANK_LABEL = torch.tensor([0, 1, 2, AMBIGUOUS, AMBIGUOUS, 0, 2, 1, AMBIGUOUS, 0])
BANK_INDEX = torch.tensor([13, 15, 21, 12, 22, 23, 24, 25, 14, 26])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loss(query, key, bank, label=LABEL, index=INDEX, bank_label=BANK_LABEL, bank_index=BANK_INDEX, tau=0.2):
    positive = positive_pairs(label, index, label, index)
    left_out = positive_pairs(label, index, bank_label, bank_index) | (bank_index == EMPTY)
    return landmark_contrast(query, key, torch.nn.functional.normalize(bank, dim=1), positive, left_out, tau)


def test_pseudo_labels_are_equation_8():
    d = (3 * random(50, 5)).softmax(1)
    found = pseudo_labels(d, 0.7).tolist()
    assert found == [oracle.pseudo_label(row, 0.7) for row in d.tolist()]
    assert {AMBIGUOUS, 0} < set(found)
    assert pseudo_labels(torch.tensor([[0.7, 0.3]]), 0.7).tolist() == [AMBIGUOUS]  # more, not as much


def test_pairs_are_equation_9_and_an_ambiguous_face_0_is_not_of_class_0():
    found = positive_pairs(LABEL, INDEX, BANK_LABEL, BANK_INDEX)
    for i in range(N):
        for m in range(M):
            names = (LABEL[i].item(), INDEX[i].item(), BANK_LABEL[m].item(), BANK_INDEX[m].item())
            assert found[i, m].item() == oracle.belong(*names)
    ambiguous, certain = torch.tensor([AMBIGUOUS, 0]), torch.tensor([0, 1])
    assert torch.equal(positive_pairs(ambiguous, certain, ambiguous, certain), torch.eye(2, dtype=torch.bool))


@pytest.mark.parametrize("index", [INDEX, torch.tensor([0, 11, 12, 13, 12, 11])], ids=["each once", "some again"])
def test_the_loss_is_equation_11_with_the_complement_in_the_denominator(index):
    query, key, bank = random(N, D), random(N, D, seed=1), random(M, D, seed=2)
    batch = list(zip(LABEL.tolist(), index.tolist(), strict=True))
    entries = list(zip(bank.tolist(), BANK_LABEL.tolist(), BANK_INDEX.tolist(), strict=True))
    expected = oracle.contrast(query.tolist(), key.tolist(), batch, entries, 0.2)
    assert loss(query, key, bank, index=index).item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """One positive at cosine 1, one negative at cosine 0, tau = 1: -log(e / (e + 1))."""
    query = key = torch.tensor([[2.0, 0.0]])
    own = torch.zeros(1, dtype=torch.int64)
    found = loss(query, key, torch.tensor([[0.0, 5.0]]), own, own, own + 1, own + 1, tau=1.0)
    assert found.item() == pytest.approx(math.log(1 + 1 / math.e))


def test_neither_the_order_of_the_bank_nor_that_of_the_batch_matters():
    query, key, bank = random(N, D), random(N, D, seed=1), random(M, D, seed=2)
    whole, order, other = loss(query, key, bank), torch.randperm(N), torch.randperm(M)
    shuffled = loss(query, key, bank[other], bank_label=BANK_LABEL[other], bank_index=BANK_INDEX[other])
    torch.testing.assert_close(shuffled, whole)
    torch.testing.assert_close(loss(query[order], key[order], bank, LABEL[order], INDEX[order]), whole)


def test_empty_places_of_the_bank_are_no_negatives():
    query, key, bank = random(N, D), random(N, D, seed=1), random(M, D, seed=2)
    part = loss(query, key, bank[:4], bank_label=BANK_LABEL[:4], bank_index=BANK_INDEX[:4])
    index = torch.where(torch.arange(M) < 4, BANK_INDEX, EMPTY)
    torch.testing.assert_close(loss(query, key, bank, bank_index=index), part)


def test_without_negatives_it_is_0_and_its_gradient_finite():
    query = random(N, D).requires_grad_()
    found = loss(query, random(N, D, seed=1), torch.zeros(M, D), bank_index=torch.full((M,), EMPTY))
    found.backward()
    assert found == 0
    assert query.grad.isfinite().all()


def test_the_bank_keeps_the_newest_keys_whatever_the_batches():
    keys, index = random(2, 23, D), torch.arange(23)
    bank = MemoryBank(2, 8, D)
    for rows in index.split([5, 3, 7, 8]):
        bank.push(keys[:, rows], rows)
    assert sorted(bank.index.tolist()) == list(range(15, 23))
    torch.testing.assert_close(bank.keys, torch.nn.functional.normalize(keys[:, bank.index], dim=2))
    young = MemoryBank(2, 8, D)
    young.push(keys[:, :5], index[:5])
    assert (young.index == EMPTY).sum() == 3
    with pytest.raises(ValueError, match="a memory bank of 8 keys cannot hold a batch of 9"):
        bank.push(keys[:, :9], index[:9])


def test_a_large_bank_costs_less_than_40_megabytes():
    """128 anchors, 8,192 keys of 64 numbers, both directions, forward and backward; one matrix of them is 4.2 MB."""
    from torch.profiler import ProfilerActivity, profile

    n, m, d = 128, 8192, 64
    queries, keys, banks = random(2, n, d).requires_grad_(), random(2, n, d, seed=1), random(2, m, d, seed=2)
    label, index = torch.arange(n) % 7, torch.arange(n)
    bank_label, bank_index = torch.arange(m) % 7, torch.arange(m)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        positive = positive_pairs(label, index, label, index)
        left_out = positive_pairs(label, index, bank_label, bank_index) | (bank_index == EMPTY)
        both = [landmark_contrast(*x, positive, left_out, 0.1) for x in zip(queries, keys, banks, strict=True)]
        sum(both).backward()
    now = most = 0
    for event in sorted(record.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    assert 4 * n * m < most < 40e6, most
