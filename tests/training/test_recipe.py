"""Recipes by name and from files, the average of the weights, and the weak view that is the recipe's for everybody."""

from dataclasses import fields

import pytest
import torch
from torch import nn

from fercore.datasets import Loader
from fercore.datasets.views import AUGMENTATIONS, Augmentation
from fercore.methods import METHODS, Clock, Needs, build
from fercore.training import TrainConfig, fit
from fercore.training.average import Average
from fercore.training.recipe import RECIPES, Recipe, read_recipe
from fercore.training.step import Step
from tests.faces import toy_dataset

TRAIN = toy_dataset(n=120, size=32).where("train")


def test_fast_and_quick_train_as_they_always_did():
    """Written down before there were recipes; rows of results rest on it."""
    known = {
        "epochs": 1, "min_steps": 0, "steps": 0, "batch_size": 64, "optimiser": "adamw", "lr": 2e-3, "momentum": 0.9,
        "weight_decay": 0.05, "schedule": "cosine", "warmup": 0.15, "decay": 0.9, "clip": 5.0, "average": 0.0,
        "size": 0,
    }  # fmt: skip
    weak = Augmentation(flip=0.5, rotate=8, scale=0.08, shift=0.04, brightness=0.15, contrast=0.15, saturation=0.15)
    assert vars(Recipe.named("fast")) == {**known, "augmentation": weak}
    assert vars(Recipe.named("quick")) == {**known, "epochs": 3, "min_steps": 500, "augmentation": weak}


def test_every_recipe_is_whole_and_every_method_knows_one_for_its_paper():
    assert {"fast", "quick", "full", "semi", "paper", "rac_rsl", "dmue", "ada_df", "la_net", "leaf"} <= set(RECIPES)
    for name in RECIPES:
        assert TrainConfig.named(name).batch_size > 0
    assert {method.paper_recipe for method in METHODS.values()} <= set(RECIPES)


def test_a_file_of_ones_own_changes_a_base(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "full"\nlr = 1\nerase = 0.2\nerase_area = [0.02, 0.1]\n')
    mine, full = Recipe.named(file), Recipe.named("full")
    assert (mine.lr, mine.epochs, mine.augmentation.erase) == (1, full.epochs, 0.2)
    assert mine.augmentation.erase_area == (0.02, 0.1)
    assert mine.augmentation.shift == full.augmentation.shift
    wrong = {
        "epoch = 3": "recipe .*mine.toml: a recipe has no 'epoch'; it has epochs, min_steps",
        "lr = ": "is not TOML",
        "lr = 'high'": "setting lr takes a finite number, not 'high'",
        "lr = -1.0": "lr must be above 0",
        "average = 1.0": r"average must lie in \[0, 1\)",
        "flip = 2.0": "flip is a probability",
        "erase_area = ['a']": "setting erase_area takes 2 values, each a finite number",
        "seed = 3": "a recipe has no 'seed'",
        "base = 'mine'": "base must be one of",
    }
    for text, complaint in wrong.items():
        file.write_text(text)
        with pytest.raises(ValueError, match=complaint):
            Recipe.named(file)
    with pytest.raises(ValueError, match=r"there is no recipe 'slow'; known are .*quick.*, or give a file MINE.toml"):
        read_recipe("slow")


def test_changes_reach_the_recipe_or_its_view():
    recipe = Recipe.named("quick").changed(epochs=2, warmup=0.1, erase=0.4, rotate=0)
    assert (recipe.epochs, recipe.min_steps, recipe.warmup) == (2, 0, 0.1)
    assert (recipe.augmentation.erase, recipe.augmentation.rotate, recipe.augmentation.flip) == (0.4, 0, 0.5)
    assert recipe.changed(steps=7).steps_of(100) == 7
    assert recipe.changed(steps=7).changed(epochs=3).steps_of(100) == 300
    names = [f.name for f in fields(Augmentation)]
    assert not {f.name for f in fields(TrainConfig)} & set(names)  # a name means one thing


def test_the_average_by_hand():
    """Weights of a plain layer: after step t, decay min(d, (1 + t) / (10 + t)); a frozen one is left alone."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1), nn.Linear(1, 1))
    module[2].requires_grad_(False)
    module.register_buffer("memory", torch.zeros(3))
    average = Average(module, decay=0.3)
    assert set(average.mean) == {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    expected = module[0].weight.item()
    for step, value in enumerate([1.0, 5.0, -2.0, 3.0, 8.0]):
        with torch.no_grad():
            module[0].weight.fill_(value)
        average.follow(step)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.mean["0.weight"].item() == pytest.approx(expected, rel=1e-6)
    with average.in_place():
        assert module[0].weight.item() == pytest.approx(expected, rel=1e-6)
    assert module[0].weight.item() == 8
    average.take_over()
    assert module[0].weight.item() == pytest.approx(expected, rel=1e-6)


def test_what_is_deployed_and_evaluated_is_the_average():
    settings = {"epochs": 2, "batch_size": 28, "amp": "no"}
    plain, averaged = (build("baseline", preset="fast", size=32) for _ in range(2))
    fit(plain, TRAIN, TrainConfig(**settings))
    history = fit(averaged, TRAIN, TrainConfig(average=0.99, **settings), TRAIN)
    assert not torch.equal(plain.net.head.weight, averaged.net.head.weight)

    again = build("baseline", preset="fast", size=32)  # the loop by hand: the training itself is not changed
    config, steps = TrainConfig(average=0.99, **settings), 0
    step, loader = Step(again, config), Loader(TRAIN, again.needs, 28)
    again.train()
    for epoch in range(2):
        for batch in loader.epoch(epoch, 2):
            step(batch, Clock(steps, epoch, 2 * loader.steps, 2))
            steps += 1
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), plain.parameters(), strict=True))
    with step.as_deployed():
        assert all(torch.equal(p, q) for p, q in zip(again.parameters(), averaged.parameters(), strict=True))
    from fercore.training import evaluate

    assert history[-1]["val"]["overall"] == evaluate(averaged, TRAIN)["overall"]


@pytest.mark.parametrize("name", ["eac", "la_net", "fixmatch", "mean_teacher"])
def test_the_weak_view_is_the_recipes_for_every_method(name):
    """With everything switched off in the recipe, weak views are the faces themselves; strong ones are not."""
    method = build(name, preset="fast", size=32)
    loader = Loader(TRAIN, method.needs, 28, weak=Augmentation())
    batch = next(loader.epoch(0, 1))
    plain = TRAIN.batch(batch.index).image
    if name == "eac":  # its patch is always erased, and nothing else is done
        changed = ((batch.image - plain).abs() > 1e-5).flatten(1).float().mean(1)
        assert changed.min() > 0
        assert changed.max() < 0.3
    else:
        torch.testing.assert_close(batch.image, plain)
    if batch.unlabelled is not None:
        plain = TRAIN.batch(batch.unlabelled.index).image
        for view, seen in zip(method.needs.unlabelled_views, batch.unlabelled.views, strict=True):
            assert torch.allclose(seen, plain, atol=1e-5) == (view == "weak")


def test_the_default_weak_view_is_the_named_one():
    first, second = (
        next(Loader(TRAIN, Needs(views=("weak", "erase")), 28, **weak).epoch(0, 1))
        for weak in ({}, {"weak": AUGMENTATIONS["weak"]})
    )
    assert all(torch.equal(a, b) for a, b in zip(first.views, second.views, strict=True))
    by_hand = Loader(TRAIN, Needs(views=(AUGMENTATIONS["weak"], AUGMENTATIONS["erase"])), 28)
    assert torch.equal(first.views[1], next(by_hand.epoch(0, 1)).views[1])
