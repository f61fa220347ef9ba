import math
from dataclasses import replace

import pytest
import torch

from fercore.datasets import Loader
from fercore.losses.ramps import ramps
from fercore.methods import Clock, build
from tests.faces import toy_dataset
from tests.oracles import dmue as oracle

LATE = Clock(9, 2, 10, 3)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=160, size=32).where("train")


def make(**settings):
    return build("dmue", preset="fast", size=32, **settings)


def first_batch(method, faces, n=14):
    return next(Loader(faces, method.needs, n).epoch(0, 3))


def test_ramps_are_equations_11_and_12():
    assert ramps(0.0, 0.2)[0].item() == pytest.approx(0.36788, abs=1e-5)  # exp(-1)
    assert ramps(0.0, 0.2, 5)[0].item() == pytest.approx(0.0067379, abs=1e-7)  # the released factor
    assert ramps(0.1, 0.2)[0].item() == pytest.approx(0.77880, abs=1e-5)  # exp(-1/4)
    assert [weight.item() for weight in ramps(0.2, 0.2)] == [1.0, 1.0]
    assert ramps(0.4, 0.2)[1].item() == pytest.approx(0.77880, abs=1e-5)
    assert ramps(0.201, 0.2)[1].item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("stretched", [False, True])
def test_losses_are_the_paper_s_equations(faces, stretched):
    method = make(gamma=10.0, relative=False, stretched=stretched).eval()
    batch = first_batch(method, faces)
    label, image = batch.label.tolist(), batch.image
    with torch.no_grad():
        terms = method.losses(batch, LATE)
        shared = method.net.backbone.run(image, stop="stage3")
        target = method.net.pool(method.net.backbone.run(shared, start="stage4"))
        logits = method.net.head(target)
        features = [method.net.pool(branch(shared)) for branch in method.branches]
        aux = [head(f).tolist() for head, f in zip(method.heads, features, strict=True)]
        # what the branches' columns mean, written out: branch j leaves class j out
        named = [
            [dict(zip([k for k in range(7) if k != j], row, strict=True)) for row in rows] for j, rows in enumerate(aux)
        ]
        vector = torch.tensor(oracle.similarity_vector(target.tolist(), label, 7))
        if stretched:  # as the released code: each row from 0 to 1; the batch holds every class
            for row in vector[:, :7]:
                row.copy_((row - min(row)) / (max(row) - min(row)))
        first, prelu, last, _ = method.scorer
        hidden = vector @ first.weight.T
        hidden = torch.where(hidden > 0, hidden, prelu.weight * hidden)
        alpha = 1 / (1 + torch.exp(-(hidden @ last.weight.T)))[:, 0]
    up, down = 1.0, math.exp(-((1 - 0.15 / 0.9) ** 2))
    latent = []
    for n, y in enumerate(label):
        others = [k for k in range(7) if k != y]
        p = oracle.sharpen(oracle.softmax([named[y][n][k] for k in others]), 1.2)
        latent.append([p[others.index(k)] if k != y else 0.0 for k in range(7)])
    expected = {
        "cross_entropy": up * oracle.weighted_cross_entropy(logits.tolist(), alpha.tolist(), label),
        "latent": up * 0.5 * oracle.latent_l2(logits.softmax(1).tolist(), latent, label),
        "auxiliary": down * oracle.auxiliary_cross_entropy(named, label),
        "similarity": up
        * 10
        * oracle.similarity_preserving(
            oracle.relations(target.tolist()), [oracle.relations(f.tolist()) for f in features], label
        ),
    }
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(expected, rel=2e-3)


def test_the_released_ramp_starts_lower(faces):
    batch, start = first_batch(make(), faces), Clock(0, 0, 10, 3)
    paper, released = (make(ramp=ramp).eval().losses(batch, start) for ramp in (1.0, 5.0))
    assert (released["cross_entropy"] / paper["cross_entropy"]).item() == pytest.approx(math.exp(-4), rel=1e-4)
    assert torch.equal(released["auxiliary"], paper["auxiliary"])


def test_every_batch_holds_every_class_and_an_absent_one_does_no_harm(faces):
    method = make()
    batch = first_batch(method, faces)
    assert set(batch.label.tolist()) == set(range(7))
    alone = replace(batch, label=torch.full_like(batch.label, 3))
    terms = method.losses(alone, LATE)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


def test_a_branch_learns_nothing_from_its_own_class(faces):
    method = make(omega=0.0, gamma=0.0)
    batch = first_batch(method, faces)
    alone = replace(batch, label=torch.full_like(batch.label, 3))
    method.losses(alone, LATE)["auxiliary"].backward()
    for j, head in enumerate(method.heads):
        assert (head.weight.grad.abs().sum() > 0) == (j != 3)


def test_the_target_branch_is_not_taught_by_the_auxiliary_loss(faces):
    method = make()
    method.losses(first_batch(method, faces), LATE)["auxiliary"].backward()
    assert all(p.grad is None for p in method.net.backbone.stages["stage4"].parameters())
    assert all(p.grad.abs().sum() > 0 for p in method.net.backbone.stages["stage3"].parameters())


def test_the_latent_term_does_not_teach_the_branches(faces):
    method = make()
    method.losses(first_batch(method, faces), LATE)["latent"].backward()
    assert all(p.grad is None for p in method.branches.parameters())


def test_the_averaged_rival_runs(faces):
    method = make(mining="LD-A")
    batch = first_batch(method, faces)
    sum(method.losses(batch, LATE).values()).backward()
    assert all(p.grad is not None for p in method.parameters())
    shown = method.eval().explain(batch)
    torch.testing.assert_close(shown["latent"].sum(1), torch.ones(14))


def test_components_can_be_taken_out(faces):
    batch = first_batch(make(), faces)
    assert "confidence" not in make(confidence=False).eval().explain(batch)  # nothing was learnt that could be shown
    terms = make(omega=0.0, gamma=0.0, confidence=False).losses(batch, LATE)
    assert terms["latent"] == 0
    assert "similarity" not in terms
    plain = make(omega=0.0, gamma=0.0, confidence=False).eval()
    logits = plain.net(batch.image).tolist()
    found = plain.losses(batch, LATE)["cross_entropy"].item()
    assert found == pytest.approx(oracle.weighted_cross_entropy(logits, [1.0] * 14, batch.label.tolist()), rel=1e-3)


@pytest.mark.parametrize(
    ("backbone", "split"), [("mobilenet_v2", "stage4"), ("shufflenet_v2", "stage3"), ("resnet50", "stage4")]
)
def test_other_backbones_and_split_points(backbone, split):
    faces = toy_dataset(n=60, size=64).where("train")
    method = build("dmue", preset="fast", backbone=backbone, size=64, split=split)
    sum(method.losses(first_batch(method, faces), LATE).values()).backward()
    assert all(p.grad is not None for p in method.parameters())


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="unknown split 'stem'; known are stage1"):
        make(split="stem")
    with pytest.raises(ValueError, match="temperature must be above 0"):
        make(temperature=0.0)


def test_no_class_can_be_distrusted_as_a_whole(faces):
    batch = first_batch(make(), faces, 28)
    for relative in (True, False):
        method = make(relative=relative).eval()
        with torch.no_grad():
            method.scorer[0].weight.zero_()
            method.scorer[0].weight[:, 7:] = -torch.eye(7)[
                2
            ]  # a faithless scorer: it only reads whether the label is 2
            method.scorer[1].weight.fill_(1.0)
            method.scorer[2].weight.fill_(1.5)
            alpha = method.explain(batch)["confidence"]
        of_two = alpha[batch.label == 2].mean().item()
        assert of_two == pytest.approx(1.0, abs=1e-5) if relative else of_two < 1e-3
