"""The semi-supervised methods: what they share, and what each makes of the unlabelled faces."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fercore.datasets import UNLABELLED, Loader, apply_condition
from fercore.losses.pseudo import LABELLED
from fercore.methods import METHODS, Clock, build, deploy
from fercore.methods.semi import SemiSupervised
from fercore.training import TrainConfig, fit, predict
from fercore.training.checkpoints import load_method
from fercore.training.step import Step
from tests.faces import toy_dataset
from tests.oracles import pseudo as oracle

LATE = Clock(9, 2, 10, 3)
SEMI = [name for name, kind in METHODS.items() if issubclass(kind, SemiSupervised)]
every_semi = pytest.mark.parametrize("name", SEMI)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=160, size=32).where("train")


def make(name, faces=None, **settings):
    method = build(name, preset="fast", size=32, **settings)
    if faces is not None:
        method.before_training(faces)
    return method


def first_batch(method, faces, n=14):
    return next(Loader(faces, method.needs, n).epoch(0, 3))


def all_faces_teach(name):
    """Settings with which no unlabelled face is below a threshold."""
    if name in ("pseudo_label", "uda", "fixmatch", "flexmatch"):
        return {"tau": 0.0}
    return {"start": 0.0} if name == "adacm" else {}


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@every_semi
def test_labelled_faces_and_all_views_take_one_pass(name, faces):
    method = make(name, faces, mu=2)
    batch = first_batch(method, faces)
    seen = []
    method.net.backbone.register_forward_hook(lambda module, given, result: seen.append(len(given[0])))
    method.losses(batch, LATE)
    through = len(batch.unlabelled.views[: method.through_network])
    assert seen == [14 + 28 * through]


@every_semi
def test_unlabelled_faces_teach_without_their_labels(name, faces):
    settings = all_faces_teach(name)
    method = make(name, faces, **settings).eval()
    other = copy.deepcopy(method)
    batch = first_batch(method, faces)
    assert (batch.unlabelled.label == UNLABELLED).all()  # although all labels are known
    terms = method.losses(batch, LATE)
    told = replace(batch, unlabelled=replace(batch.unlabelled, label=torch.zeros_like(batch.unlabelled.label)))
    assert other.losses(told, LATE) == terms
    hidden = replace(batch, label=torch.full_like(batch.label, UNLABELLED))
    learner = make(name, faces, **settings).eval()
    unlabelled = learner.losses(hidden, LATE)
    sum(unlabelled.values()).backward()
    assert sum(value.abs() for value in unlabelled.values()) > 0
    assert learner.net.head.weight.grad.any()
    assert all(unlabelled[key] == terms[key] for key in terms if key != "cross_entropy")


@every_semi
def test_it_trains_where_labels_are_scarce_and_is_loaded_again(name, faces, tmp_path):
    scarce = apply_condition(faces, "labels:14", 0)
    method = make(name, ema=0.9)
    history = fit(method, scarce, TrainConfig(epochs=1, batch_size=14), out=tmp_path)
    assert history[0]["losses"]["cross_entropy"] > 0
    loaded = load_method(tmp_path)
    assert torch.equal(predict(loaded, faces), predict(method, faces))
    assert torch.equal(predict(deploy(loaded), faces), predict(method, faces))


@every_semi
def test_lambda_rises_over_the_ramp(name, faces):
    settings = all_faces_teach(name)
    method = make(name, ramp=0.5, **settings).eval()
    batch = first_batch(method, faces)
    at = lambda step: copy.deepcopy(method).losses(batch, Clock(step, 0, 100, 1))  # noqa: E731
    start, middle, half, end = (at(step) for step in (0, 25, 50, 99))
    for key in start:
        if key == "cross_entropy":
            assert start[key] == end[key]
        else:
            assert start[key] == 0
            assert (2 * middle[key]).item() == pytest.approx(half[key].item(), rel=1e-5)
            assert half[key] == end[key]


def test_the_average_is_deployed_and_never_trained(faces):
    method = make("fixmatch", ema=0.5).train()
    assert not method.average.training
    batch = first_batch(method, faces)
    step = Step(method, TrainConfig(batch_size=14, lr=1e-2, warmup=0, amp="no"))
    optimised = {id(p) for group in step.optimiser.param_groups for p in group["params"]}
    assert not optimised & {id(p) for p in method.average.parameters()}
    weights = []
    for number in range(2):
        step(batch, Clock(number, 0, 10, 1))
        weights.append(method.net.head.weight.detach().clone())
    torch.testing.assert_close(method.average.head.weight, (weights[0] + weights[1]) / 2)
    method.eval()
    with torch.no_grad():
        assert torch.equal(method(batch.image), method.average(batch.image))
        assert torch.equal(deploy(method)(batch.image), method(batch.image))
        assert not torch.equal(method(batch.image), method.net(batch.image))


def test_the_teacher_judges_another_view(faces):
    method = make("mean_teacher").eval()
    batch = first_batch(method, faces)
    with torch.no_grad():
        method.average.head.bias += 1 - torch.arange(7) / 3
        student, teacher = method.net(batch.unlabelled.views[0]), method(batch.unlabelled.views[1])
        expected = 50 * F.mse_loss(student.softmax(1), teacher.softmax(1))
        assert method.losses(batch, LATE)["consistency"].item() == pytest.approx(expected.item(), rel=1e-4)
    with pytest.raises(ValueError, match="ema must be above 0"):
        make("mean_teacher", ema=0.0)


def test_fixmatch_learns_from_confident_weak_views_only():
    weak, strong = (4 * random(20, 7)).requires_grad_(), random(20, 7, seed=1).requires_grad_()
    term = make("fixmatch", tau=0.8).unlabelled_terms([weak, strong], [], None)["pseudo_label"]
    p = weak.softmax(1)
    sure = [i for i in range(20) if p[i].max() >= 0.8]
    assert 0 < len(sure) < 20
    expected = sum(F.cross_entropy(strong[i], p[i].argmax()) for i in sure) / 20
    torch.testing.assert_close(term, expected)
    term.backward()
    assert weak.grad is None
    assert strong.grad.any(1).nonzero().flatten().tolist() == sure


def test_pseudo_label_and_uda_by_hand():
    weak, strong = (4 * random(20, 7)).requires_grad_(), random(20, 7, seed=1)
    p = weak.detach().softmax(1)
    sure = [i for i in range(20) if p[i].max() >= 0.8]
    found = make("pseudo_label", tau=0.8).unlabelled_terms([weak], [], None)["pseudo_label"]
    torch.testing.assert_close(found, sum(-p[i].max().log() for i in sure) / 20)
    found = make("uda").unlabelled_terms([weak, strong], [], None)["consistency"]
    log_q, expected = strong.log_softmax(1), 0
    for i in sure:
        sharp = p[i] ** 2.5 / (p[i] ** 2.5).sum()  # T = 0.4
        expected += (sharp * (sharp.log() - log_q[i])).sum() / 20
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


def test_flexmatch_remembers_faces_and_lowers_thresholds(faces):
    scarce = apply_condition(faces, "labels:14", 0)
    method = make("flexmatch", scarce, tau=0.9)
    assert torch.equal(method.assigned == LABELLED, scarce.label != UNLABELLED)
    p = torch.full((4, 7), 0.01)
    p[0, 2] = p[1, 2] = p[2, 5] = 0.94
    p[3, 5] = 0.6
    rows = (scarce.label == UNLABELLED).nonzero().flatten()[:4]
    batch = replace(first_batch(method, scarce), index=rows)
    method.thresholds(p, batch)
    assert method.assigned[rows].tolist() == [2, 2, 5, UNLABELLED]
    without = make("flexmatch", scarce, tau=0.9, warm_up=False)
    found = without.thresholds(p, batch)
    assert found.tolist() == pytest.approx([0, 0, 0.9, 0, 0, 0.9 * 0.5 / 1.5, 0])
    p[0, 2], p[0, 1] = 0.5, 0.44  # no longer sure: the last sure word counts
    without.thresholds(p, batch)
    assert without.assigned[rows[0]] == 2
    assert (make("flexmatch", faces).assigned == UNLABELLED).all()  # every label known: all faces are served


def test_adacm_learns_margins_from_recognised_faces_and_contrasts_the_others():
    method = make("adacm")
    logits = torch.eye(7)[[0, 0, 1, 2, 3]] * 5
    label = torch.tensor([0, 0, 1, 6, UNLABELLED])  # the fourth is mistaken, the fifth unknown
    method.watch(logits, label)
    assert method.counts.tolist() == [2, 1, 0, 0, 0, 0, 0]
    method.before_epoch(Clock(10, 1, 20, 2))
    confidence = logits.softmax(1).amax(1)[0].item()
    learnt = 0.97 / (1 + 1 / 2.718281828) * confidence
    assert method.margins.tolist() == pytest.approx([learnt] * 2 + [0.8] * 5, rel=1e-5)
    assert not method.counts.any()
    assert make("adacm", floor=0.8).margins.tolist() == pytest.approx([0.8] * 7)

    first, strong, features = torch.eye(7) * 9, random(7, 7), [random(7, 5), random(7, 5, seed=1)]
    terms = method.unlabelled_terms([first, first, strong], features, None)
    assert terms["contrast"] == 0  # all are confident
    torch.testing.assert_close(terms["pseudo_label"], F.cross_entropy(strong, torch.arange(7)))
    terms = method.unlabelled_terms([first, -first, strong], features, None)  # the two views disagree
    assert terms["pseudo_label"] == 0
    assert terms["contrast"] > 0


@every_semi
def test_experts_plug_in_by_one_flag(name, faces):
    method = make(name, faces, experts=True, **all_faces_teach(name)).train()
    batch = first_batch(method, faces)
    torch.manual_seed(0)
    sum(method.losses(batch, LATE).values()).backward()
    for level in (method.net.semantic, method.net.instance):
        assert [key for key, p in level.named_parameters() if not p.grad.any()] == []
    shown = method.eval().explain(batch)
    assert {"gate_semantic", "gate_instance"} <= set(shown)
    assert "cams" not in shown


def test_impossible_settings_are_named():
    for name, settings, message in (
        ("fixmatch", {"tau": 1.2}, "tau must lie in"),
        ("pseudo_label", {"tau": -0.1}, "tau must lie in"),
        ("uda", {"temperature": 0.0}, "temperature must be above 0"),
        ("adacm", {"start": 2.0}, "start must lie in"),
        ("adacm", {"gamma": 0.5}, "gamma must be at least 1"),
        ("flexmatch", {"mu": 0}, "mu at least 1"),
        ("flexmatch", {"ema": 1.0}, r"ema in \[0, 1\)"),
        ("fixmatch", {"balance": -1.0}, "lam and balance must be at least 0"),
        ("uda", {"strong": "stronger"}, "unknown strong 'stronger'; known are none, weak"),
        ("uda", {"align": "magic"}, "unknown align 'magic'; known are none, uniform, labels"),
        ("leaf", {"noise_unit": "metres"}, "unknown noise_unit 'metres'; known are absolute, spread"),
        ("leaf", {"residual_start": -0.5}, "residual_start must be at least 0"),
        ("freematch", {"keep": 1.5}, "keep must lie in"),
        ("freematch", {"fair": -1.0}, "fair must be at least 0"),
        ("softmatch", {"sigmas": 0.0}, "sigmas must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(name, **settings)


# --- one protocol for all ---------------------------------------------------------------------------------------------


@every_semi
def test_under_the_protocol_all_see_the_same_views_as_often(name):
    method = build(name, preset="semi", weights=None, size=32)
    alike = ("mu", "ramp", "weak", "strong", "noise", "noise_unit", "balance", "weights", "backbone", "size")
    reference = build("fixmatch", preset="semi", weights=None, size=32)
    assert {key: getattr(method.config, key) for key in alike} == {key: getattr(reference.config, key) for key in alike}
    assert method.config.lam == build(name, weights=None, size=32).config.lam  # the method's own
    assert method.needs.views == build("baseline", preset="semi", weights=None, size=32).needs.views
    assert set(method.needs.unlabelled_views) <= {"weak", "readable"}
    assert (method.average is not None) == (name == "mean_teacher")  # else the recipe averages


def test_the_two_words_weak_and_strong_can_mean_other_views():
    method = make("adacm", weak="none", strong="randaugment")
    assert method.needs.views == ("none",)
    assert method.needs.unlabelled_views == ("none", "none", "randaugment")


ORDER = {"pseudo_label": "w", "mean_teacher": "ww", "adacm": "wws"}
"""Weak and strong views in the order in which ``unlabelled_terms`` takes them apart; "ws" for all others."""


@every_semi
def test_views_come_in_the_order_in_which_they_are_taken_apart(name, faces):
    method = make(name, weak="none", strong="strong")
    served = first_batch(method, faces).unlabelled
    plain = faces.images[served.index] / 255
    found = "".join("w" if (view - plain).abs().max() < 1e-6 else "s" for view in served.views)
    assert found == ORDER.get(name, "ws")


@every_semi
def test_lambda_can_be_scaled_to_the_cross_entropy(name, faces):
    settings = all_faces_teach(name)
    plain, scaled = (make(name, faces, scaled=s, lam=0.5, **settings).eval() for s in (False, True))
    batch = first_batch(plain, faces)
    before, after = plain.losses(batch, LATE), scaled.losses(batch, LATE)
    others = [key for key in before if key != "cross_entropy"]
    assert sum(after[key] for key in others).item() == pytest.approx(0.5 * before["cross_entropy"].item(), rel=1e-4)
    factor = after[others[0]] / before[others[0]]
    for key in others:
        torch.testing.assert_close(after[key], factor * before[key])
    sum(after[key] for key in others).backward()
    sum(before[key] for key in others).backward()
    torch.testing.assert_close(scaled.net.head.weight.grad, factor * plain.net.head.weight.grad)  # a detached factor


@every_semi
def test_guesses_are_aligned_with_the_labelled_faces(name, faces):
    skewed = apply_condition(faces, "imbalance:4", 0)
    method = make(name, skewed, align="labels").eval()
    counts = skewed.counts.float()
    torch.testing.assert_close(method.wanted, counts / counts.sum())
    logits = 2 * random(200, 7) + torch.tensor([3.0, 0, 0, 0, 0, 0, 0])
    for _ in range(600):
        guess = method.guess(logits)
    assert not guess.requires_grad
    gap = lambda p: (p.softmax(1).mean(0) - method.wanted).abs().sum()  # noqa: E731
    assert gap(guess) < 0.5 * gap(logits)
    torch.testing.assert_close(method.guessed, logits.softmax(1).mean(0), atol=2e-3, rtol=0)
    fresh = make(name, skewed, align="none")
    assert torch.equal(fresh.guess(logits), logits)
    assert not hasattr(fresh, "guessed")


def test_freematch_follows_the_paper_over_several_steps():
    method = make("freematch", keep=0.5, fair=0.3)
    steps = [(3 * random(12, 7, seed=s), 3 * random(12, 7, seed=s + 9)) for s in range(3)]
    for weak, strong in steps:
        terms = method.unlabelled_terms([weak, strong], [], None)
    probabilities = [weak.softmax(1).tolist() for weak, _ in steps]
    tau, p, h = oracle.self_adaptive_thresholds(probabilities, 0.5)
    last, log_q = probabilities[-1], strong.log_softmax(1)
    label = [q.index(max(q)) for q in last]
    mask = [max(q) >= tau[c] for q, c in zip(last, label, strict=True)]
    assert 0 < sum(mask) < 12
    expected = sum(-log_q[i, c].item() for i, c in enumerate(label) if mask[i]) / 12
    assert terms["pseudo_label"].item() == pytest.approx(expected, rel=1e-5)
    fair = oracle.self_adaptive_fairness(strong.softmax(1).tolist(), mask, p, h)
    assert terms["fairness"].item() == pytest.approx(0.3 * fair, rel=1e-4)


def test_softmatch_follows_the_paper_over_several_steps():
    method = make("softmatch", keep=0.2, sigmas=1.0)
    mean, variance, guessed = 1 / 7, 1.0, [1 / 7] * 7
    for step in range(3):
        weak, strong = 3 * random(12, 7, seed=step), random(12, 7, seed=step + 9)
        term = method.unlabelled_terms([weak, strong], [], None)["pseudo_label"]
        p = weak.softmax(1).tolist()
        guessed = [0.99 * g + 0.01 * sum(q[c] for q in p) / 12 for c, g in enumerate(guessed)]
        most = [max(oracle.aligned(q, guessed, [1 / 7] * 7)) for q in p]
        mean = 0.2 * mean + 0.8 * sum(most) / 12
        variance = 0.2 * variance + 0.8 * torch.tensor(most).var().item()
    weight = [oracle.truncated_gaussian(m, mean, variance, 1.0) for m in most]
    log_q = strong.log_softmax(1)
    # the pseudo-label is the network's own word, not the aligned one
    expected = sum(-w * log_q[i, weak[i].argmax()].item() for i, w in enumerate(weight)) / 12
    assert min(weight) < 0.9 < max(weight)
    assert term.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["freematch", "softmatch"])
def test_no_gradient_reaches_the_weak_view(name):
    weak, strong = random(12, 7).requires_grad_(), random(12, 7, seed=1).requires_grad_()
    sum(make(name).unlabelled_terms([weak, strong], [], None).values()).backward()
    assert weak.grad is None
    assert strong.grad.any()


@every_semi
def test_balance_is_a_term_where_there_are_experts(name, faces):
    method = make(name, faces, experts=True, balance=0.5)
    batch = first_batch(method, faces)
    term = method.losses(batch, LATE)["balance"]
    assert 0.5 * 2 * 0.9 < term < 0.5 * 2 * 2  # two levels, each from about 1 (alike) to n / K
    term.backward()
    for level in (method.net.semantic, method.net.instance):
        assert level.gate.weight.grad.any()
    without = make(name, faces, balance=0.5, semantic=False, instance=False)
    assert "balance" not in without.losses(batch, LATE)
