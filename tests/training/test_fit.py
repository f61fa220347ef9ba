import functools
import signal
import threading
from types import SimpleNamespace

import pytest
import torch

from fercore.methods import build
from fercore.training import TrainConfig, evaluate, fit, loop, predict, step
from fercore.training.checkpoints import MODEL, STATE, load_method, load_tensors
from tests.faces import toy_dataset

SIZE = 32
CONFIG = TrainConfig(epochs=3, batch_size=16, lr=3e-3)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=140, size=SIZE)


def make(**changes):
    return build("baseline", preset="fast", size=SIZE, dropout=0.2, **changes)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def without_seconds(history: list[dict]) -> list[dict]:
    def clean(entry):
        return {k: clean(v) if isinstance(v, dict) else v for k, v in entry.items() if k != "seconds"}

    return [clean(entry) for entry in history]


def test_training_learns(faces):
    method, few = make(), faces.where("train").select(range(48))
    history = fit(method, few, TrainConfig(epochs=20, batch_size=24, lr=3e-3))
    assert history[-1]["losses"]["cross_entropy"] < 0.7 * history[0]["losses"]["cross_entropy"]
    assert evaluate(method, few)["overall"] > 0.6


def test_the_same_training_twice_gives_the_same_bits(faces):
    runs = []
    for _ in range(2):
        torch.manual_seed(len(runs))  # the global state must not matter
        method = make()
        runs.append((method, fit(method, faces.where("train"), CONFIG, faces.where("val"))))
    assert same(runs[0][0], runs[1][0])
    assert without_seconds(runs[0][1]) == without_seconds(runs[1][1])
    assert [entry["epoch"] for entry in runs[0][1]] == [0, 1, 2]
    assert runs[0][1][0]["val"]["n"] == len(faces.where("val"))


class Killed(Exception):
    pass


@pytest.mark.parametrize(("optimiser", "stop_at"), [("adamw", 1), ("adamw", 4), ("adamw", 5), ("sgd", 14)])
def test_a_killed_training_resumes_to_the_same_bits(faces, tmp_path, monkeypatch, optimiser, stop_at):
    """Killed after any step (within an epoch, at its end), with the state of an earlier one on the disk."""
    config = TrainConfig(epochs=3, batch_size=16, lr=3e-3, optimiser=optimiser, checkpoint_seconds=0)
    train, val = faces.where("train"), faces.where("val")
    whole = make()
    expected = fit(whole, train, config, val)

    saves = iter(range(1000))

    def dying_save(*arguments):
        training_save(*arguments)
        if next(saves) == stop_at:
            raise Killed

    training_save = loop.save_state
    monkeypatch.setattr(loop, "save_state", dying_save)
    with pytest.raises(Killed):
        fit(make(), train, config, val, out=tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / MODEL).exists()

    resumed = make(seed=9)  # what it starts from is replaced
    history = fit(resumed, train, config, val, out=tmp_path, resume=True)
    assert same(whole, resumed)
    assert without_seconds(history) == without_seconds(expected)
    stored, _ = load_tensors(tmp_path / MODEL)
    assert all(torch.equal(value, stored[key]) for key, value in whole.state_dict().items())


def test_a_finished_training_is_not_trained_again(faces, tmp_path):
    method, again = make(), make(seed=3)
    history = fit(method, faces.where("train"), CONFIG, out=tmp_path)
    assert fit(again, faces.where("train"), CONFIG, out=tmp_path, resume=True) == history
    assert same(method, again)


def test_only_the_same_training_may_be_resumed(faces, tmp_path):
    fit(make(), faces.where("train"), TrainConfig(epochs=1, batch_size=16), out=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another training \(lr was 0\.002, now 0\.1\)"):
        fit(make(), faces.where("train"), TrainConfig(epochs=1, batch_size=16, lr=0.1), out=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"belongs to another training \(data was"):
        fit(make(), faces.where("val"), TrainConfig(epochs=1, batch_size=16), out=tmp_path, resume=True)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need the main thread")
def test_ctrl_c_leaves_a_state_from_which_training_goes_on(faces, tmp_path):
    train = faces.where("train")
    whole = make()
    fit(whole, train, CONFIG)
    method = make()
    steps = iter(range(1000))

    def interrupt_at_step_4(clock):
        if next(steps) == 4:
            signal.raise_signal(signal.SIGINT)

    method.after_step = interrupt_at_step_4
    with pytest.raises(KeyboardInterrupt):
        fit(method, train, CONFIG, out=tmp_path)
    assert (tmp_path / STATE).exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = make()
    fit(resumed, train, CONFIG, out=tmp_path, resume=True)
    assert same(whole, resumed)


def test_a_loss_that_is_no_number_ends_the_training(faces):
    method = make()
    with torch.no_grad():
        method.net.head.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"loss 'cross_entropy' is nan after step \d+; try a smaller learning rate"):
        fit(method, faces.where("train"), CONFIG)


def test_evaluation_leaves_the_mode_and_the_weights_alone(faces):
    method = make().train()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    figures = evaluate(method, faces.where("test"), batch_size=7, probabilities=True)
    assert method.training
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    torch.testing.assert_close(figures["probabilities"], predict(method, faces.where("test")), rtol=1e-4, atol=1e-5)
    assert figures["n"] == len(faces.where("test"))


def test_compiled_training_gives_the_same_weights(faces, monkeypatch):
    """The graph is what is tested; the slow code generator behind it is left out."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    plain, compiled = make(), make()
    settings = {"epochs": 1, "batch_size": 32, "amp": "no"}
    fit(plain, faces.where("train"), TrainConfig(**settings))
    fit(compiled, faces.where("train"), TrainConfig(compile=True, **settings))
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-4)


def test_a_checkpoint_gives_back_the_method(faces, tmp_path):
    method = make()
    fit(method, faces.where("train"), TrainConfig(epochs=1, batch_size=32), out=tmp_path)
    for path in (tmp_path, tmp_path / MODEL):
        loaded = load_method(path)
        assert not loaded.training
        assert type(loaded) is type(method)
        assert torch.equal(predict(loaded, faces.where("test")), predict(method, faces.where("test")))


def test_after_epoch_is_told_of_every_epoch(faces):
    told = []
    history = fit(make(), faces.where("train"), CONFIG, after_epoch=told.append)
    assert told == history


def test_a_small_training_set_is_gone_through_more_often(faces):
    few = faces.where("train").select(range(40))  # two steps of 16
    history = fit(make(), few, TrainConfig(epochs=1, min_steps=5, batch_size=16))
    assert len(history) == 3
    assert TrainConfig.preset("quick", make()).steps_of(10_000) == 30_000
    assert TrainConfig.preset("quick", make(), epochs=2).steps_of(1) == 2


def test_steps_that_are_asked_for_are_exact_and_resume_to_the_same_bits(faces, tmp_path, monkeypatch):
    config = TrainConfig(steps=8, batch_size=16, lr=3e-3, average=0.9, checkpoint_seconds=0)  # an epoch has five
    whole = make()
    expected = fit(whole, faces.where("train"), config, faces.where("val"))
    assert [entry["epoch"] for entry in expected] == [0, 1]
    assert expected[-1]["lr"] == pytest.approx(0, abs=1e-9)

    def dying_save(*arguments):
        training_save(*arguments)
        if arguments[3].epoch == 1 and arguments[3].step == 2:
            raise Killed

    training_save = loop.save_state
    monkeypatch.setattr(loop, "save_state", dying_save)
    with pytest.raises(Killed):
        fit(make(), faces.where("train"), config, faces.where("val"), out=tmp_path)
    monkeypatch.undo()
    resumed = make(seed=9)
    history = fit(resumed, faces.where("train"), config, faces.where("val"), out=tmp_path, resume=True)
    assert same(whole, resumed)
    assert without_seconds(history) == without_seconds(expected)
    again = make(seed=3)  # a finished one gives the average as well
    fit(again, faces.where("train"), config, faces.where("val"), out=tmp_path, resume=True)
    assert same(whole, again)


def test_a_recipe_for_another_size_is_refused(faces):
    with pytest.raises(ValueError, match="the recipe is for 48 pixels, the method for 32"):
        fit(make(), faces.where("train"), TrainConfig(epochs=1, size=48))


@pytest.mark.parametrize("name", ["la_net", "scn", "flexmatch"])
def test_a_memory_of_faces_is_not_split_among_processes(name, monkeypatch):
    accelerator = SimpleNamespace(device=torch.device("cpu"), process_index=1, num_processes=2)
    monkeypatch.setattr(step, "make_accelerator", lambda config: accelerator)
    with pytest.raises(ValueError, match="train it on one GPU"):
        step.Step(build(name, preset="fast", size=32), TrainConfig())
