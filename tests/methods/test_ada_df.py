import math

import pytest
import torch

from fercore.datasets import Loader
from fercore.methods import Clock, build
from fercore.training import TrainConfig, fit
from tests.faces import toy_dataset
from tests.oracles import ada_df as oracle

EARLY, LATE = Clock(0, 0, 12, 4), Clock(11, 3, 12, 4)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=160, size=32).where("train")


def make(**settings):
    return build("ada_df", preset="fast", size=32, **settings)


def first_batch(method, faces, n=14):
    return next(Loader(faces, method.needs, n).epoch(0, 3))


@pytest.mark.parametrize("weighted", ["features", "logits"])
def test_losses_are_the_paper_s_equations(faces, weighted):
    method = make(beta=0.5, weighted=weighted).eval()
    with torch.no_grad():
        for head in (method.net.head, method.branch_head):
            head.bias.normal_()  # which the weights leave alone (features) or not (logits)
    batch = first_batch(method, faces)
    label = batch.label.tolist()
    method.distributions.copy_(torch.eye(7) * 0.65 + 0.05)
    with torch.no_grad():
        backbone, net = method.net.backbone, method.net
        shared = backbone.run(batch.image, stop="stage1")
        f, g = net.pool(backbone.run(shared, start="stage2")), net.pool(method.branch(shared))
        w = net.attention(f).sigmoid(), method.branch_attention(g).sigmoid()
        if weighted == "features":
            target, auxiliary = net.head(f * w[0]), method.branch_head(g * w[1])
        else:
            target, auxiliary = net.head(f) * w[0], method.branch_head(g) * w[1]
        terms = method.losses(batch, LATE)
    mean = ((w[0] + w[1]) / 2)[:, 0].tolist()
    weight = oracle.normalise(mean, 0.2)
    of_face = auxiliary.softmax(1).tolist()
    fused = [
        oracle.fuse(method.distributions[y].tolist(), d, a) for y, d, a in zip(label, of_face, weight, strict=True)
    ]
    done = LATE.step / LATE.steps
    rising, falling = 1.0, math.exp(-((1 - 0.5 / done) ** 2))
    ordered = sorted(mean, reverse=True)
    gap = sum(ordered[:10]) / 10 - sum(ordered[10:]) / 4
    expected = {
        "cross_entropy": falling
        * -sum(torch.tensor(d[y]).log().item() for d, y in zip(of_face, label, strict=True))
        / 14,
        "divergence": rising * oracle.divergence(fused, target.softmax(1).tolist()),
        "rank": max(0.0, 0.07 - gap),
    }
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(expected, rel=2e-3, abs=1e-5)


def test_class_distributions_gather_during_the_epoch(faces):
    method = make(threshold=0.05)
    method.before_training(faces)
    method.before_epoch(EARLY)
    gathered, labels = [], []
    for batch in Loader(faces, method.needs, 14).epoch(0, 3):
        with torch.no_grad():
            method.eval()
            gathered += method.look(batch.image)["auxiliary"].softmax(1).tolist()
            method.losses(batch, EARLY)
        labels += batch.label.tolist()
    method.before_epoch(Clock(4, 1, 12, 4))
    expected = torch.tensor(oracle.class_distributions(gathered, labels, 7, 0.05))
    torch.testing.assert_close(method.distributions, expected, rtol=1e-3, atol=1e-4)
    assert method.counts.sum() == 0


def test_a_second_pass_sees_every_face_once_as_it_is(faces):
    method = make(threshold=0.05, second_pass=True)
    method.before_training(faces)
    method.before_epoch(Clock(4, 1, 12, 4))
    with torch.no_grad():
        batch = faces.batch(torch.arange(len(faces)))
        of_face = method.eval().look(batch.image)["auxiliary"].softmax(1).tolist()
    expected = torch.tensor(oracle.class_distributions(of_face, batch.label.tolist(), 7, 0.05))
    torch.testing.assert_close(method.distributions, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("target", ["fused", "class", "label"])
def test_all_rows_are_distributions_in_every_epoch(faces, target):
    """Absent classes included: only three emotions are left in the training set."""
    import numpy as np

    few = faces.select(np.flatnonzero(faces.label.numpy() < 3))
    method = make(target=target, threshold=0.05)  # low enough for the means themselves to be used
    fit(method, few, TrainConfig(epochs=2, batch_size=16))
    shown = method.eval().explain(first_batch(method, few))
    for name in ("label_distribution", "class_distribution", "fused"):
        torch.testing.assert_close(shown[name].sum(1), torch.ones(14))
    torch.testing.assert_close(method.distributions.sum(1), torch.ones(7))


def test_frozen_stages_stay_as_they_were_norms_included(faces):
    method = build("ada_df", preset="quick", size=32, freeze=True)
    before = {key: value.clone() for key, value in method.net.backbone.stages["stem"].state_dict().items()}
    fit(method, faces, TrainConfig(epochs=1, batch_size=16))
    after = method.net.backbone.stages["stem"].state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_what_is_detached_is_a_choice(faces):
    batch = first_batch(make(), faces)
    for detach in (False, True):
        method = make(detach=detach)
        method.losses(batch, LATE)["divergence"].backward()
        reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in method.branch.parameters()]
        assert any(reached) is not detach


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="unknown target 'truth'; known are fused, class, label"):
        make(target="truth")
    with pytest.raises(ValueError, match="unknown split"):
        make(split="stem")
    with pytest.raises(ValueError, match="threshold must lie"):
        make(threshold=1.5)


def test_beta_counts_in_shares_epochs_or_steps_and_the_history_tells_the_trusted_classes(faces, tmp_path):
    clock = Clock(30, 3, 100, 10)
    terms = []
    for beta, unit in ((0.4, "share"), (4.0, "epochs"), (40.0, "steps")):
        method = make(beta=beta, unit=unit).eval()
        terms.append(method.losses(first_batch(method, faces), clock)["divergence"].item())
    assert terms == pytest.approx([terms[0]] * 3)
    assert make(beta=5.0, unit="epochs").config.beta == 5
    with pytest.raises(ValueError, match="beta must be above 0 and, as a share, at most 1"):
        make(beta=5.0)
    method = make(threshold=0.5, relative=True)
    history = fit(method, faces, TrainConfig(epochs=2, batch_size=28, amp="no"))
    assert history[0]["notes"]["trusted_classes"] == 0
    assert history[1]["notes"]["trusted_classes"] >= 1  # the surest class itself, at least
