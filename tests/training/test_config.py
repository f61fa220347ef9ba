import itertools
import math

import pytest
import torch
from torch import nn

from fercore.methods import Clock, build, method_class
from fercore.training.config import TrainConfig, lr_factor, make_optimiser
from fercore.training.recipe import SCHEDULES
from fercore.training.step import Step


def factors(**settings) -> list[float]:
    config = TrainConfig(epochs=10, **settings)
    return [lr_factor(config, Clock(step, step // 10, 100, 10)) for step in range(100)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_rises_over_the_warm_up_and_never_leaves_0_to_1(schedule):
    values = factors(schedule=schedule, warmup=0.2)
    assert values[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert all(0 < value <= 1 for value in values)
    assert all(a >= b for a, b in itertools.pairwise(values[20:]))


def test_schedules_by_hand():
    cosine = factors(schedule="cosine", warmup=0)
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.5)
    assert cosine[75] == pytest.approx((1 + math.cos(math.pi * 0.75)) / 2)
    assert factors(schedule="linear", warmup=0)[25] == pytest.approx(0.75)
    assert factors(schedule="exponential", warmup=0, decay=0.9)[37] == pytest.approx(0.9**3)
    step = factors(schedule="step", warmup=0)
    assert [step[n] for n in (0, 24, 25, 49, 50, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_biases_and_norms_do_not_decay():
    method = build("baseline", preset="fast")
    groups = make_optimiser(method, TrainConfig(weight_decay=0.1)).param_groups
    spared = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert {id(module.weight), id(module.bias)} <= spared
        elif isinstance(module, nn.Conv2d):
            assert id(module.weight) not in spared


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="unknown optimiser 'lion'; known are adamw"):
        TrainConfig(optimiser="lion")
    with pytest.raises(ValueError, match="unknown schedule"):
        TrainConfig(schedule="zigzag")
    with pytest.raises(ValueError, match="epochs must be above 0"):
        TrainConfig(epochs=0)


def test_preset_paper_is_what_the_papers_say():
    """DMUE, section 4.2; Ada-DF, section 4.2 and Table 1; LEAF, section 5.2 and Figure 6; LA-Net, section 4.2."""
    for name, rows in {"dmue": (40, 72, 1e-3, "step"), "ada_df": (75, 64, 1e-3, "exponential")}.items():
        config = TrainConfig.preset("paper", method_class(name))
        assert (config.epochs, config.batch_size, config.lr, config.schedule, config.optimiser) == (*rows, "adam")
    assert TrainConfig.preset("paper", method_class("ada_df")).decay == 0.9
    assert TrainConfig.preset("paper", method_class("dmue")).weight_decay == 1e-4
    config = method_class("ada_df").config_class
    assert [(c.threshold, c.size) for c in (config.paper(), config.paper("affectnet"))] == [(0.7, 100), (0.5, 100)]
    assert [75 * c.beta for c in (config.paper(), config.paper("sfew"))] == pytest.approx([3, 5])
    experts = method_class("leaf").config_class
    assert (experts.paper().n, experts.paper("ferplus").n) == (2, 4)
    with pytest.raises(ValueError, match="unknown dataset 'mine'; the papers' settings are for rafdb"):
        experts.paper("mine")


def test_a_preset_has_a_recipe_which_the_method_and_the_caller_change():
    method = build("baseline", preset="fast")
    config = TrainConfig.preset("quick", method, lr=0.5, epochs=None)
    assert (config.epochs, config.min_steps, config.lr) == (3, 500, 0.5)
    assert TrainConfig.preset("paper", method) == TrainConfig.named("paper")
    assert TrainConfig.preset("paper", method_class("dmue")) == TrainConfig.named("dmue")
    assert TrainConfig.preset("paper", method_class("eac"), "dmue") == TrainConfig.named("dmue")


def test_one_process_may_ask_for_both_precisions():
    """accelerate by itself refuses the second."""
    for amp in ("no", "auto", "no"):
        Step(build("baseline", preset="fast"), TrainConfig(amp=amp))


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_clipping_bounds_the_step(optimiser):
    from tests.faces import toy_dataset

    faces = toy_dataset(n=60, size=32).where("train")
    method = build("baseline", preset="fast", size=32)
    config = TrainConfig(
        optimiser=optimiser, clip=1e-3, amp="no", lr=1.0, warmup=0, schedule="constant", weight_decay=0
    )
    step = Step(method, config)
    norms = []
    step.optimiser.register_step_pre_hook(
        lambda opt, *_: norms.append(torch.stack([p.grad.norm() for g in opt.param_groups for p in g["params"]]).norm())
    )
    step(faces.batch(range(20)), Clock(0, 0, 10, 1))
    assert norms[0] <= 1.001e-3
