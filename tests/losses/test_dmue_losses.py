import math

import pytest
import torch

from fercore.batch import UNLABELLED
from fercore.losses.latent import (
    auxiliary_cross_entropy,
    averaged_cross_entropy,
    averaged_distribution,
    latent_distribution,
    latent_l2,
)
from fercore.losses.similarity import (
    relations,
    relative_confidence,
    similarity_preserving,
    similarity_vector,
    weighted_cross_entropy,
)
from tests.oracles import dmue as oracle

C, N, D = 4, 6, 5
LABELS = {
    "all classes": [0, 1, 2, 3, 1, 0],
    "a class is absent": [0, 1, 1, 3, 1, 0],
    "one class only": [2, 2, 2, 2, 2, 2],
}
every_label = pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def branch_logits(seed: int = 0) -> torch.Tensor:
    logits = random(C, N, C, seed=seed)
    logits[range(C), :, range(C)] = -torch.inf
    return logits


def as_dicts(logits):
    return [[{k: row[k] for k in range(C) if k != j} for row in logits[j].tolist()] for j in range(C)]


@every_label
def test_auxiliary_cross_entropy_is_equations_1_and_2(label):
    logits = branch_logits().requires_grad_()
    loss = auxiliary_cross_entropy(logits, torch.tensor(label))
    assert loss.item() == pytest.approx(oracle.auxiliary_cross_entropy(as_dicts(logits.detach()), label), rel=1e-5)
    loss.backward()
    assert logits.grad.isfinite().all()
    for n, y in enumerate(label):
        assert (logits.grad[y, n] == 0).all()  # a face does not train its own class's branch


@every_label
def test_the_latent_distribution_is_the_own_branch_sharpened(label):
    logits = branch_logits()
    found = latent_distribution(logits, torch.tensor(label), 1.2)
    for row, n, y in zip(found.tolist(), range(N), label, strict=True):
        others = [k for k in range(C) if k != y]
        expected = oracle.sharpen(oracle.softmax([logits[y, n, k].item() for k in others]), 1.2)
        assert row[y] == 0
        assert [row[k] for k in others] == pytest.approx(expected, rel=1e-5)


def test_a_high_temperature_flattens_and_no_gradient_flows():
    logits = branch_logits().requires_grad_()
    label = torch.tensor(LABELS["all classes"])
    flat = latent_distribution(logits, label, 1e6)
    assert torch.allclose(flat[flat > 0], torch.tensor(1 / (C - 1)), atol=1e-4)
    assert not flat.requires_grad


@every_label
def test_the_averaged_rival_by_loops(label):
    logits = random(C, N, C)
    found = averaged_distribution(logits, torch.tensor(label), 1.2)
    total = 0.0
    for n, y in enumerate(label):
        p = [oracle.softmax(logits[j, n].tolist()) for j in range(C)]
        total -= sum(math.log(row[y]) for row in p)
        others = [k for k in range(C) if k != y]
        mean = [sum(row[k] for row in p) / C for k in others]
        expected = oracle.sharpen(mean, 1.2)
        assert found[n, y] == 0
        assert found[n, others].tolist() == pytest.approx(expected, rel=1e-4)
    loss = averaged_cross_entropy(logits, torch.tensor(label)).item()
    assert loss == pytest.approx(total / (C * N), rel=1e-5)


def test_mined_distributions_carry_no_gradient():
    logits = random(C, N, C).requires_grad_()
    for mine in (latent_distribution, averaged_distribution):
        assert not mine(logits, torch.tensor(LABELS["all classes"]), 1.2).requires_grad


def test_latent_l2_is_equation_4():
    label = LABELS["all classes"]
    p, soft = random(N, C).softmax(1), random(N, C, seed=1).softmax(1)
    found = latent_l2(p, soft, torch.tensor(label)).item()
    assert found == pytest.approx(oracle.latent_l2(p.tolist(), soft.tolist(), label), rel=1e-6)


def test_relations_are_equations_14_and_15():
    features = random(N, D)
    torch.testing.assert_close(
        relations(features), torch.tensor(oracle.relations(features.tolist())), rtol=1e-4, atol=1e-5
    )
    assert relations(torch.zeros(3, 2)).isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as in training
        halved = relations(features)
    torch.testing.assert_close(halved, relations(features))


@every_label
def test_similarity_preserving_is_equations_16_and_17(label):
    target, auxiliary = random(N, N), random(C, N, N, seed=1)
    found = similarity_preserving(target, auxiliary, torch.tensor(label)).item()
    assert found == pytest.approx(oracle.similarity_preserving(target.tolist(), auxiliary.tolist(), label), rel=1e-6)


@every_label
def test_the_similarity_vector_is_equations_6_and_7(label):
    features = random(N, D)
    expected = torch.tensor(oracle.similarity_vector(features.tolist(), label, C))
    torch.testing.assert_close(
        similarity_vector(features, torch.tensor(label), C), expected.float(), rtol=1e-4, atol=1e-5
    )


def test_weighted_cross_entropy_is_equation_9():
    logits, alpha, label = random(N, C), random(N, seed=1).sigmoid(), LABELS["all classes"]
    found = weighted_cross_entropy(logits, alpha, torch.tensor(label)).item()
    assert found == pytest.approx(oracle.weighted_cross_entropy(logits.tolist(), alpha.tolist(), label), rel=1e-5)
    unsure = weighted_cross_entropy(logits, torch.zeros(N), torch.tensor(label)).item()
    assert unsure == pytest.approx(math.log(C), rel=1e-6)


def test_permuting_faces_changes_nothing():
    label, order = torch.tensor(LABELS["all classes"]), torch.tensor([3, 0, 5, 1, 4, 2])
    logits, features = branch_logits(), random(N, D)
    assert torch.allclose(
        auxiliary_cross_entropy(logits, label), auxiliary_cross_entropy(logits[:, order], label[order])
    )
    moved = similarity_vector(features[order], label[order], C)
    torch.testing.assert_close(moved, similarity_vector(features, label, C)[order])
    a, b = relations(features), relations(random(C, N, D, seed=2))
    assert torch.allclose(
        similarity_preserving(a, b, label),
        similarity_preserving(a[order][:, order], b[:, order][:, :, order], label[order]),
    )


def test_permuting_classes_permutes_the_results():
    label, order = torch.tensor(LABELS["all classes"]), torch.tensor([2, 0, 3, 1])  # new class k is old class order[k]
    new = order.argsort()[label]
    logits, features = branch_logits(), random(N, D)
    permuted = logits[order][:, :, order]
    assert torch.allclose(auxiliary_cross_entropy(logits, label), auxiliary_cross_entropy(permuted, new))
    torch.testing.assert_close(latent_distribution(permuted, new), latent_distribution(logits, label)[:, order])
    vector = similarity_vector(features, label, C).view(N, 2, C)
    torch.testing.assert_close(similarity_vector(features, new, C).view(N, 2, C), vector[:, :, order])


def test_unlabelled_faces_take_no_part():
    label = torch.tensor([0, 1, 2, 3, UNLABELLED, UNLABELLED])
    logits, features = branch_logits(), random(N, D)
    p, soft = random(N, C).softmax(1), random(N, C, seed=1).softmax(1)
    a, b = random(N, N), random(C, N, N, seed=1)
    whole = [
        auxiliary_cross_entropy(logits, label),
        latent_l2(p, soft, label),
        similarity_preserving(a, b, label),
        weighted_cross_entropy(p, torch.ones(N), label),
    ]
    part = [
        auxiliary_cross_entropy(logits[:, :4], label[:4]),
        latent_l2(p[:4], soft[:4], label[:4]),
        similarity_preserving(a[:4, :4], b[:, :4, :4], label[:4]),
        weighted_cross_entropy(p[:4], torch.ones(4), label[:4]),
    ]
    torch.testing.assert_close(torch.stack(whole), torch.stack(part))
    torch.testing.assert_close(similarity_vector(features, label, C)[:4], similarity_vector(features[:4], label[:4], C))
    none = torch.full((N,), UNLABELLED)
    assert auxiliary_cross_entropy(logits, none) == 0
    assert similarity_preserving(a, b, none) == 0


def test_stretched_similarities_run_from_0_to_1_in_each_row():
    features, label = random(N, 5).abs() + 3, torch.tensor(LABELS["all classes"])
    plain, stretched = (similarity_vector(features, label, C, s)[:, :C] for s in (False, True))
    for before, after in zip(plain.tolist(), stretched.tolist(), strict=True):
        expected = [(v - min(before)) / (max(before) - min(before)) for v in before]
        assert after == pytest.approx(expected, abs=1e-3)
    absent = [y if y != 1 else 0 for y in LABELS["all classes"]]
    plain, stretched = (similarity_vector(features, torch.tensor(absent), C, s)[:, :C] for s in (False, True))
    for before, after in zip(plain.tolist(), stretched.tolist(), strict=True):
        there = [v for j, v in enumerate(before) if j != 1]
        expected = [(v - min(there)) / (max(there) - min(there)) if j != 1 else 0 for j, v in enumerate(before)]
        assert after == pytest.approx(expected, abs=1e-3)
    equal = similarity_vector(torch.ones(4, 5), torch.tensor([0, 1, 2, 3]), 4, True)
    assert equal.isfinite().all()


def test_relative_confidence_is_1_on_average_in_each_class():
    alpha, label = torch.tensor([0.2, 0.6, 0.5, 0.9]), torch.tensor([0, 0, 1, -1])
    found = relative_confidence(alpha, label, 3)
    torch.testing.assert_close(found, torch.tensor([0.5, 1.5, 1.0, 0.9]))  # the unlabelled face keeps its own


@pytest.mark.parametrize("name", LABELS)
def test_the_face_itself_can_be_left_out_of_its_class(name):
    features, label = random(N, D), torch.tensor(LABELS[name])
    found = similarity_vector(features, label, C, own=False)
    expected = torch.tensor(oracle.similarity_vector(features.tolist(), label.tolist(), C, own=False))
    torch.testing.assert_close(found, expected.to(found), atol=1e-5, rtol=1e-4)


def auroc(score: torch.Tensor, positive: torch.Tensor) -> float:
    """Share of the pairs of a positive and a negative one in which the positive one has the higher score."""
    gap = score[positive][:, None] - score[~positive]
    return ((gap > 0).float() + (gap == 0).float() / 2).mean().item()


def test_without_itself_a_flipped_face_is_found_by_its_likeness():
    """Clusters of faces, about three of a class in a batch, 30 % of the labels flipped; similarities stretched."""
    generator = torch.Generator().manual_seed(0)
    classes, dim, flipped = 7, 64, []
    doubt, deceived = {True: [], False: []}, {True: [], False: []}
    centres = torch.randn(classes, dim, generator=generator)
    for _ in range(60):
        true = torch.arange(classes).repeat(3)
        flip = torch.rand(len(true), generator=generator) < 0.3
        other = (true + torch.randint(1, classes, true.shape, generator=generator)) % classes
        label = torch.where(flip, other, true)
        features = centres[true] + 1.2 * torch.randn(len(true), dim, generator=generator)
        for own in doubt:
            similarity = similarity_vector(features, label, classes, stretched=True, own=own)[:, :classes]
            doubt[own].append(-similarity.gather(1, label[:, None])[:, 0])
            deceived[own].append(similarity.argmax(1) == label)
        flipped.append(flip)
    flipped = torch.cat(flipped)
    assert auroc(torch.cat(doubt[False]), flipped) > 0.9 > 0.8 > auroc(torch.cat(doubt[True]), flipped)
    # of the flipped faces, how many are likest to the class that they are wrongly said to be of
    share = {own: torch.cat(parts)[flipped].float().mean() for own, parts in deceived.items()}
    assert share[False] < 0.1 < 0.4 < share[True]
