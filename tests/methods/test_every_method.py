"""What every entry of METHODS must hold, written once."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from fercore.batch import Batch
from fercore.datasets import UNLABELLED, Loader
from fercore.methods import METHODS, Clock, build, deploy
from fercore.models.experts import Experts
from fercore.training.config import TrainConfig, make_optimiser
from fercore.training.step import Step
from tests.faces import toy_dataset

SIZE = 32
CLOCKS = [Clock(0, 0, 12, 4), Clock(11, 3, 12, 4)]
TRAIN = toy_dataset(n=160, size=SIZE).where("train")
every_method = pytest.mark.parametrize("name", METHODS)
EXPERTS = {"semantic": True, "ema": 0.9}
OPTIONS = [
    ("dmue", {"mining": "LD-A", "relative": False}),
    ("dmue", {"confidence": False, "stretched": False, "gamma": 0.0}),
    ("ada_df", {"weighted": "logits", "target": "class", "detach": False}),
    ("la_net", {"components": "LD", "target_teaches": "everything"}),
    ("la_net", {"components": "LD+LM+EL", "landmark_head": "heatmap"}),
    ("leaf", {"reversed": True, "n": 8, "top_k": 1, "ema": 0.9}),
    ("leaf", {"scale": "softmax", "margin": 0.1, "n": 2}),
    ("leaf", {"consistency": "cross_entropy", "expert": "linear"}),
    ("flexmatch", {"instance": True, **EXPERTS}),
    ("adacm", EXPERTS),
    ("leaf", {"balance": 0.01, "noise_unit": "spread", "scaled": True, "align": "labels"}),
]


@pytest.fixture(scope="module")
def faces():
    return TRAIN


def make(name: str, seed: int = 0):
    method = build(name, preset="fast", size=SIZE, seed=seed)
    method.before_training(TRAIN)
    return method


def first_batch(method, faces, batch_size: int = 28) -> Batch:
    return next(Loader(faces, method.needs, batch_size).epoch(0, 4))


def map_tensors(batch: Batch, change) -> Batch:
    """The batch with ``change`` applied to each of its tensors."""
    values = {}
    for key, value in vars(batch).items():
        if isinstance(value, torch.Tensor):
            value = change(value)
        elif isinstance(value, tuple):
            value = tuple(change(v) for v in value)
        elif isinstance(value, Batch):
            value = map_tensors(value, change)
        values[key] = value
    return replace(batch, **values)


@every_method
def test_losses_are_finite_named_scalars_and_logits_have_a_column_a_class(name, faces):
    method = make(name)
    batch = first_batch(method, faces)
    for clock in CLOCKS:
        method.before_epoch(clock)
        terms = method.losses(batch, clock)
        assert terms
        assert all(isinstance(key, str) and term.shape == () and term.isfinite() for key, term in terms.items())
    assert method(batch.image).shape == (len(batch.image), 7)


@every_method
def test_every_trainable_tensor_is_optimised_gets_a_gradient_and_moves(name, faces):
    method = make(name)
    step = Step(method, TrainConfig(batch_size=28, lr=1e-2, warmup=0, schedule="constant", amp="no"))
    trainable = {key: p for key, p in method.named_parameters() if p.requires_grad}
    in_optimiser = [id(p) for group in step.optimiser.param_groups for p in group["params"]]
    assert sorted(in_optimiser) == sorted(id(p) for p in trainable.values())

    before = {key: p.detach().clone() for key, p in trainable.items()}
    touched = dict.fromkeys(trainable, False)
    for key, p in trainable.items():
        p.register_hook(lambda grad, key=key: touched.__setitem__(key, touched[key] or bool(grad.abs().sum() > 0)))
    batches = Loader(faces, method.needs, 28).epoch(0, 4)
    for number, clock in enumerate(CLOCKS):
        method.before_epoch(clock)
        step(next(batches), clock)
        if number == 0:
            moved_at_once = [key for key, p in trainable.items() if not torch.equal(p, before[key])]
    assert [key for key, was in touched.items() if not was] == []
    assert set(moved_at_once) == set(trainable)


@every_method
def test_equal_seeds_make_equal_methods_and_leave_the_random_state_alone(name):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second, other = make(name), make(name), make(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    a, b, c = first.state_dict(), second.state_dict(), other.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


@every_method
def test_the_deployed_module_is_slim_frozen_and_gives_equal_logits(name, faces):
    method = make(name)
    batch = first_batch(method, faces)
    method.train()
    method.losses(batch, CLOCKS[0])  # the norms' statistics are no longer their initial ones
    slim = deploy(method)
    method.eval()
    with torch.no_grad():
        assert torch.equal(slim(batch.image), method(batch.image))
    assert not slim.training
    assert not any(p.requires_grad for p in slim.parameters())
    size = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    experts = sum(size(module) for module in slim.modules() if isinstance(module, Experts))
    # the plain backbone and its head, no other branch; experts stand between them and cannot be left out
    assert size(slim) - experts <= 1.001 * size(make("baseline"))
    with torch.no_grad():  # a copy: training on does not change what was deployed
        logits = slim(batch.image)
        for p in method.parameters():
            p.zero_()
        assert torch.equal(slim(batch.image), logits)


@every_method
def test_each_face_is_judged_by_itself(name, faces):
    method = make(name).eval()
    image = first_batch(method, faces).image
    order = torch.randperm(len(image), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(method(image[order]), method(image)[order], rtol=1e-4, atol=1e-5)


@every_method
def test_explain_gives_finite_tensors_with_a_row_a_face(name, faces):
    method = make(name).eval()
    batch = first_batch(method, faces)
    with torch.no_grad():
        shown = method.explain(batch)
    assert shown
    for key, value in shown.items():
        assert isinstance(value, torch.Tensor), key
        assert not value.isnan().any(), key
    if "probabilities" in shown:
        torch.testing.assert_close(shown["probabilities"].sum(1), torch.ones(len(batch.image)))


@every_method
def test_its_distributions_are_named_and_nothing_else_is(name, faces):
    """Weights, similarities and sets may happen to sum to 1; what the truth is compared with must be said."""
    method = make(name).eval()
    with torch.no_grad():
        shown = method.explain(first_batch(method, faces))
    assert "probabilities" in method.distribution_names
    for key in method.distribution_names:
        torch.testing.assert_close(shown[key].sum(1), torch.ones(len(shown[key])), rtol=0, atol=1e-3)
    a_column_a_class = {k for k, v in shown.items() if v.ndim == 2 and v.shape[1] == 7 and v.is_floating_point()}
    assert {k for k in a_column_a_class if not k.startswith("gate")} == set(method.distribution_names)


@every_method
def test_landmarks_are_promised_where_they_are_predicted(name, faces):
    method = make(name).eval()
    image = first_batch(method, faces).image
    if method.predicts_landmarks:
        assert method.landmarks(image).shape == (len(image), 68, 2)
    else:
        with pytest.raises(ValueError, match="predicts no landmarks"):
            method.landmarks(image)


@every_method
def test_hidden_labels_are_no_class_and_a_batch_without_labels_is_no_nan(name, faces):
    method = make(name).eval()
    batch = first_batch(method, faces)
    half = torch.arange(len(batch.label)) % 2 == 0
    seen = method.losses(replace(batch, label=batch.label.masked_fill(half, UNLABELLED)), CLOCKS[1])
    # a label of class 0 in the hidden places would show if -1 were ever taken for a class
    known = replace(batch, label=batch.label.masked_fill(half, 0))
    assert any(not torch.equal(term, seen[key]) for key, term in method.losses(known, CLOCKS[1]).items())
    hidden = replace(batch, label=torch.full_like(batch.label, UNLABELLED))
    terms = method.losses(hidden, CLOCKS[1])
    assert all(term.isfinite() for term in terms.values())
    assert terms["cross_entropy"] == 0


@every_method
def test_its_memory_is_in_the_state_dict(name, faces):
    """Two steps, then the state loaded into a fresh method: the third step must be the same."""
    config = TrainConfig(batch_size=28, amp="no")
    method, fresh = make(name), build(name, preset="fast", size=SIZE, seed=1)  # it never sees the training set
    loader = Loader(faces, method.needs, 28)
    batches = [batch for _, batch in zip(range(3), loader.epoch(0, 4), strict=False)]
    step = Step(method, config)
    method.train()
    for number, batch in enumerate(batches[:-1]):
        step(batch, Clock(number, 0, 12, 4))
    fresh.load_state_dict(copy.deepcopy(method.state_dict()))
    last = Clock(len(batches) - 1, 0, 12, 4)
    expected = step(batches[-1], last)
    found = Step(fresh.train(), config)(batches[-1], last)
    assert {key: float(value) for key, value in found.items()} == pytest.approx(
        {key: float(value) for key, value in expected.items()}, rel=1e-5
    )


# --- ready for a GPU, shown without one -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in METHODS), *OPTIONS])
def test_losses_run_on_a_fake_gpu_without_host_sync_or_device_mix(name, settings, faces):
    """FakeTensorMode raises on .item(), nonzero, boolean masks, data-dependent shapes and mixed devices."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    real = first_batch(make(name), faces)
    with FakeTensorMode() as mode, torch.device("cuda"):
        method = build(name, preset="fast", size=SIZE, **settings)
        for key in method.memory:  # what training remembers of each face is there too
            empty = getattr(method, key)
            setattr(method, key, torch.zeros((len(TRAIN), *empty.shape[1:]), dtype=empty.dtype))
        batch = map_tensors(real, lambda t: mode.from_tensor(t).to("cuda"))
        for clock in CLOCKS:
            terms = method.losses(batch, clock)
            assert all(term.device.type == "cuda" and term.shape == () for term in terms.values())
            method.after_step(clock)
        assert {p.device.type for p in method.parameters()} == {"cuda"}
        assert {b.device.type for b in method.buffers()} <= {"cuda"}


@every_method
def test_losses_compile_as_one_graph_forward_and_backward(name, faces):
    method = make(name)
    batch = first_batch(method, faces)
    reference = copy.deepcopy(method)
    torch._dynamo.reset()
    compiled = torch.compile(method.losses, fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)
    found = compiled(batch, CLOCKS[1])
    sum(found.values()).backward()
    torch.manual_seed(0)
    expected = reference.losses(batch, CLOCKS[1])
    sum(expected.values()).backward()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-4)
    for (key, p), q in zip(method.named_parameters(), reference.named_parameters(), strict=True):
        assert (p.grad is None) == (q[1].grad is None), key
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q[1].grad, rtol=1e-2, atol=1e-3 * q[1].grad.abs().max().item() + 1e-6)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())


@every_method
def test_a_training_needs_few_graphs(name, faces):
    """A schedule that reads the clock must not make a new graph of every step."""
    method, graphs = make(name), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(method.losses, fullgraph=True, backend=count)
    batch = first_batch(method, faces)
    with torch.no_grad():
        for step in range(20):
            compiled(batch, Clock(step, step // 5, 20, 4))
    assert len(graphs) <= 5  # the first step, numbers as variables, and the branches of the ramps


class _Choosing(nn.Module):
    """A method as it must not be: how many faces it keeps depends on the labels."""

    def losses(self, batch, clock):
        return {"bad": batch.image[batch.label == 3].mean()}


class _Asking(nn.Module):
    """A method as it must not be: it asks the device for a number."""

    def losses(self, batch, clock):
        return {"bad": batch.image.mean() * batch.label.float().mean().item()}


def test_the_fake_gpu_check_can_fail(faces):
    from torch._subclasses.fake_tensor import FakeTensorMode

    real = first_batch(make("baseline"), faces)
    with FakeTensorMode() as mode, torch.device("cuda"):
        batch = map_tensors(real, lambda t: mode.from_tensor(t).to("cuda"))
        for bad in (_Choosing(), _Asking()):
            with pytest.raises(Exception, match=r"(?i)dynamic|data.dependent|nonzero|local_scalar"):
                bad.losses(batch, CLOCKS[0])
        with pytest.raises(Exception, match="device"):
            batch.image + mode.from_tensor(real.image)


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match="unknown method 'magic'; known are baseline"):
        build("magic")
    with pytest.raises(ValueError, match="baseline has no setting 'depth'; it has backbone"):
        build("baseline", preset="fast", depth=3)
    for key, value in {"lam": "two", "size": 64.5, "both_views": 1, "transform": [1], "weights": 3}.items():
        with pytest.raises(ValueError, match=f"setting {key} takes "):
            build("rac_rsl", preset="quick", **{key: value})
    with pytest.raises(ValueError, match="unknown preset 'slow'"):
        build("baseline", preset="slow")


@every_method
def test_presets_work_and_the_printed_settings_are_at_hand(name):
    """What failed here is in no preset (notebooks/results/*_validation.csv), but has a name."""
    config = METHODS[name].config_class
    failed = {"dmue": {"relative": False}, "ada_df": {"detach": False}, "leaf": {"reversed": False}}.get(name, {})
    for preset in (config.quick(), config.paper()):
        assert all(getattr(preset, key) != value for key, value in failed.items())
        printed = preset.printed()
        assert all(getattr(printed, key) == value for key, value in failed.items())
        assert printed.printed() == printed
        network = ("backbone", "weights", "size")
        assert all(getattr(printed, key) == getattr(preset, key) for key in network)
    assert build(name, preset="fast", size=SIZE, printed=True).config == replace(config.fast().printed(), size=SIZE)


def test_the_learning_rate_can_differ_by_part():
    method = make("baseline")
    method.lr_scale = {"net.head.": 10.0}
    groups = make_optimiser(method, TrainConfig()).param_groups
    head = {id(p) for p in method.net.head.parameters()}
    for group in groups:
        assert {group["lr_scale"] == 10.0} == {id(p) in head for p in group["params"]}
