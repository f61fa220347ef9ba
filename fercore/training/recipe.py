"""The recipe: how anything is trained, whatever the method. Two methods are compared under one recipe.

A recipe is chosen by its name (a file in ``recipes``) or is a TOML file of one's own: fields of ``Recipe`` and of its
augmentation, each ``name = value``, and on request ``base``, the recipe that it changes.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import torch

from fercore.datasets.views import AUGMENTATIONS, Augmentation
from fercore.settings import check_values

OPTIMISERS = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
SCHEDULES = ("cosine", "linear", "exponential", "step", "constant")
FOLDER = Path(__file__).with_name("recipes")
RECIPES = tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))
"""Names of the recipes that come with the package: a preset's, the search's ``full``, and the papers' own."""


@dataclass(frozen=True)
class Recipe:
    """What a training does to any method.

    epochs: how often the training set is gone through.
    min_steps: a small training set is gone through more often, until there are so many steps.
    steps: exactly so many steps, whatever ``epochs`` and ``min_steps`` say; 0: they decide.
    batch_size: labelled faces a step.
    optimiser: adamw, adam or sgd. momentum: SGD's, or Adam's beta_1. weight_decay: of weights; biases and
        normalisation are spared. clip: largest norm of the gradient; 0 switches clipping off.
    lr: the largest learning rate. warmup: share of all steps over which it rises from 0.
    schedule: how it then falls: cosine or linear (to 0), exponential (by ``decay`` an epoch), step (to a tenth
        after a quarter of the training, to a hundredth after half of it), or constant.
    average: decay of the moving average of the weights, which is what is evaluated and deployed; 0: the last weights
        are. See ``fercore.training.average``.
    size: side of the images that the network sees; 0: as the method's preset has it.
    augmentation: of every view that a method calls weak; "erase" is the same with a patch always erased. Views called
        strong are the method's own. Its fields are set like the recipe's: ``erase=0.4``.
    """

    epochs: int = 3
    min_steps: int = 0
    steps: int = 0
    batch_size: int = 64
    optimiser: str = "adamw"
    lr: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup: float = 0.15
    decay: float = 0.9
    clip: float = 5.0
    average: float = 0.0
    size: int = 0
    augmentation: Augmentation = field(default=AUGMENTATIONS["weak"])

    def __post_init__(self):
        check_values(type(self), vars(self))
        for name, known in {"optimiser": OPTIMISERS, "schedule": SCHEDULES}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        for name in ("epochs", "batch_size", "lr", "decay"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("min_steps", "steps", "weight_decay", "clip", "size"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a share of all steps, from 0 to 1, not {self.warmup}")
        for name in ("average", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not be {getattr(self, name)}")

    def steps_of(self, an_epoch: int) -> int:
        """How many steps there are in all, of ``an_epoch`` each epoch."""
        return self.steps or max(self.epochs, math.ceil(self.min_steps / an_epoch)) * an_epoch

    def changed(self, **values: Any) -> Self:
        """With other values of its fields or of its augmentation's; raises ValueError naming what is wrong.

        Epochs that are asked for are not made more, and steps that are asked for are exact.
        """
        if "epochs" in values:
            values = {"min_steps": 0, "steps": 0, **values}
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "augmentation"}
        view = vars(self.augmentation)
        for name, value in values.items():
            if name not in own and name not in view:
                raise ValueError(f"a recipe has no {name!r}; it has {', '.join([*recipe_fields(), *view])}")
            if isinstance(value, list) and all(isinstance(number, int | float) for number in value):
                value = values[name] = tuple(value)
            if value is None:
                raise ValueError(f"{name} is empty; write {name} = VALUE")
            check_values(type(self) if name in own else Augmentation, {name: value})
        look = replace(self.augmentation, **{name: value for name, value in values.items() if name in view})
        return replace(self, **{name: value for name, value in values.items() if name in own}, augmentation=look)

    def sized(self, settings: dict[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The recipe and a method's settings, agreed on the size of the images: the settings' if they name one."""
        if "size" in settings:
            return replace(self, size=0), settings
        return self, {"size": self.size, **settings} if self.size else settings

    @classmethod
    def named(cls, name: str | Path) -> Self:
        """A recipe by its name, or from a file ``*.toml``. Raises ValueError for an unknown or a broken one."""
        return cls().changed(**read_recipe(name))

    def __str__(self) -> str:
        values = {name: getattr(self, name) for name in recipe_fields()}
        return ", ".join(f"{key}={value}" for key, value in {**values, **vars(self.augmentation)}.items())


def recipe_fields() -> list[str]:
    """Names of the recipe's own fields, without its augmentation's."""
    return [f.name for f in fields(Recipe) if f.name != "augmentation"]


def read_recipe(name: str | Path) -> dict[str, Any]:
    """What a recipe changes of ``Recipe()``, by field; what it says itself comes before what its base says.

    Raises ValueError for an unknown name, a file that is not there or not TOML, or fields that no recipe has.
    """
    file = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not file.is_file():
        raise ValueError(f"there is no recipe {str(name)!r}; known are {', '.join(RECIPES)}, or give a file MINE.toml")
    try:
        values = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not TOML ({error}); write one field a line, e.g. lr = 1e-3") from error
    base = values.pop("base", None)
    if base not in (None, *RECIPES):
        raise ValueError(f"recipe {name} changes {base!r}; base must be one of {', '.join(RECIPES)}")
    try:
        Recipe().changed(**values)
    except ValueError as error:
        raise ValueError(f"recipe {name}: {error}") from error
    return values if base is None else {**read_recipe(base), **values}


def recipe_name(name: str | Path) -> str:
    """What results call a recipe: its name, or its file's."""
    return Path(name).stem if str(name).endswith(".toml") else str(name)
