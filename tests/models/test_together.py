import pytest
import torch

from fercore.batch import UNLABELLED, Batch
from fercore.methods import Method, build, deploy
from fercore.models.together import Together
from fercore.training.checkpoints import load_together, save_model


def test_the_answer_is_the_mean_of_the_answers():
    methods = [build("baseline", 7, "fast", seed).eval() for seed in (0, 1, 2)]
    image = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        together = Together(methods)(image).softmax(1)
        alone = [method(image).softmax(1) for method in methods]
    torch.testing.assert_close(together, sum(alone) / 3)


def test_one_that_is_certain_leaves_the_answer_finite():
    method = build("baseline", 7, "fast", 0).eval()
    with torch.no_grad():
        method.net.head.bias[0] = 1e4
    assert Together([method, method])(torch.rand(2, 3, 64, 64)).isfinite().all()


def test_methods_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="7 and 8 emotions"):
        Together([build("baseline", classes, "fast", 0) for classes in (7, 8)])


def test_loaded_alone_or_together(tmp_path):
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        save_model(tmp_path / str(seed), build("baseline", 7, "fast", seed))
    assert not isinstance(load_together([tmp_path / "0"]), Together)
    assert len(load_together([tmp_path / "0", tmp_path / "1"]).methods) == 2


@pytest.fixture(scope="module")
def mixed() -> list[Method]:
    return [build(name, 7, "fast", seed).eval() for seed, name in enumerate(("la_net", "la_net", "baseline"))]


def test_landmarks_are_averaged_over_those_that_know_them(mixed):
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        together = Together(mixed)
        expected = (mixed[0].landmarks(image) + mixed[1].landmarks(image)) / 2
        torch.testing.assert_close(together.landmarks(image), expected)
    assert together.predicts_landmarks
    alone = Together([mixed[2], mixed[2]])
    assert not alone.predicts_landmarks
    with pytest.raises(ValueError, match="predicts no landmarks"):
        alone.landmarks(image)


def test_what_all_name_as_distributions_is_averaged(mixed):
    image, number = torch.rand(3, 3, 64, 64), torch.arange(3)
    batch = Batch(image, torch.full_like(number, UNLABELLED), -1 - number)
    with torch.inference_mode():
        shown = Together(mixed).explain(batch)
        assert list(shown) == ["probabilities"]
        torch.testing.assert_close(shown["probabilities"], Together(mixed)(image).softmax(1))
        both = Together(mixed[:2])
        assert set(both.explain(batch)) == {"probabilities", "label_distribution"}
        assert set(both.explain(batch)) <= set(both.distribution_names)


def test_deployed_together_they_say_the_same(mixed):
    image = torch.rand(2, 3, 64, 64)
    slim = deploy(Together(mixed))
    assert not any(parameter.requires_grad for parameter in slim.parameters())
    with torch.inference_mode():
        assert torch.equal(slim(image), Together(mixed)(image))
