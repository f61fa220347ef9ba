import pytest
import torch

from fercore.methods import build
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


def test_landmarks_are_averaged_if_all_know_them():
    methods = [build("la_net", 7, "fast", seed).eval() for seed in (0, 1)]
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        together = Together(methods).landmarks(image)
        torch.testing.assert_close(together, sum(method.landmarks(image) for method in methods) / 2)
    with pytest.raises(ValueError, match="predicts no landmarks"):
        Together([*methods, build("baseline", 7, "fast", 0)]).landmarks(image)
