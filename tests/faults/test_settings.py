"""Settings of every method and of training: each value of another kind is refused by name, wherever it comes from."""

import json
import math
import re
from dataclasses import fields
from typing import get_type_hints

import pytest

from fercore.datasets.views import Augmentation
from fercore.methods import METHODS, build
from fercore.methods.base import NetworkConfig
from fercore.training.checkpoints import MODEL, load_method, load_tensors, save_model, save_tensors
from fercore.training.config import TrainConfig

HOSTILE = (None, math.inf, math.nan, "x", True, 1.5, [1], {}, (1.0, math.inf))


def allowed(hint: object, value: object) -> bool:
    """In words of one's own: what an annotation lets pass."""
    if value is None:
        return hint == (str | None)
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return type(value) is int
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return hint in (str, str | None) and isinstance(value, str)


CONFIGS = [*dict.fromkeys(method.config_class for method in METHODS.values()), TrainConfig, Augmentation]


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_setting_refuses_what_its_annotation_does_not_allow(kind):
    hints = get_type_hints(kind)
    for field in fields(kind):
        for value in HOSTILE:
            if not allowed(hints[field.name], value):
                with pytest.raises(ValueError, match=f"setting {field.name} takes "):
                    kind(**{field.name: value})


def test_none_is_written_in_words_too():
    for word in ("none", "None", None):
        assert NetworkConfig(weights=word).weights is None
    with pytest.raises(ValueError, match="setting size takes a whole number, not None"):
        NetworkConfig(size=None)


def test_the_training_s_settings_have_bounds_and_names():
    for name in ("min_steps", "weight_decay", "clip", "seed", "eval_every", "checkpoint_seconds", "warmup", "decay"):
        with pytest.raises(ValueError, match=name):
            TrainConfig(**{name: -1})
    method = METHODS["baseline"]
    with pytest.raises(ValueError, match="a recipe has no 'learning_rate'; it has epochs"):
        TrainConfig.preset("fast", method, learning_rate=1)
    with pytest.raises(ValueError, match="there is no recipe 'Fast'; known are"):
        TrainConfig.preset("Fast", method)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": -1}, "classes"),
        ({"classes": 10**9}, "classes"),
        ({"classes": 7.0}, "classes"),
        ({"settings": []}, "cannot build"),
        ({"settings": {"size": math.nan}}, "setting size takes"),
        ({"settings": {"size": 10**7}}, "size"),
        ({"settings": {"dropout": None}}, "setting dropout takes"),
        ({"settings": {"depth": 3}}, "no setting 'depth'"),
        ({"method": 3}, "none of fercore's own"),
        ("[" * 200_000, "cannot build"),
        ("3", "cannot build"),
    ],
)
def test_a_model_whose_header_was_edited_is_refused(tmp_path, change, words):
    method = build("baseline", weights=None, size=32)
    save_model(tmp_path, method)
    tensors, note = load_tensors(tmp_path / MODEL)
    how = json.loads(note["how"])
    if isinstance(change, dict):
        settings = change.get("settings")
        how |= change | ({"settings": how["settings"] | settings} if isinstance(settings, dict) else {})
    save_tensors(tmp_path / MODEL, tensors, {"how": change if isinstance(change, str) else json.dumps(how)})
    with pytest.raises(ValueError, match=words) as error:
        load_method(tmp_path)
    assert str(tmp_path / MODEL) in str(error.value)


def test_a_model_that_holds_nan_is_refused(tmp_path):
    method = build("baseline", weights=None, size=32)
    name, weight = next((name, value) for name, value in method.named_parameters() if value.ndim == 4)
    weight.data[0, 0] = math.nan
    save_model(tmp_path, method)
    with pytest.raises(ValueError, match=rf"holds weights that are not finite \({re.escape(name)}\)"):
        load_method(tmp_path)
    with pytest.raises(ValueError, match="not finite"):
        build("baseline", weights=str(tmp_path / MODEL))
