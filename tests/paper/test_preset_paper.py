"""Preset paper of every method really trains: its settings and its paper's recipe on ResNet-18 (``make test-paper``).

Nightly, not part of ``make test``: a minute or two a method on a processor. Images and batches are smaller than the
papers', the faces cartoons, and the start random, for which no network is needed. PAPER_STEPS and PAPER_SIZE
make it longer or larger.
"""

import os

import pytest
import torch

from fercore.methods import METHODS, build
from fercore.runs.collapse import collapse
from fercore.training import TrainConfig, fit, predict
from tests.faces import toy_dataset

pytestmark = pytest.mark.skipif("PAPER_STEPS" not in os.environ, reason="make test-paper runs it")
STEPS, SIZE = int(os.environ.get("PAPER_STEPS", 0)), int(os.environ.get("PAPER_SIZE", 48))
FACES = toy_dataset(n=240, size=SIZE).where("train")


def surprise(method: torch.nn.Module) -> float:
    """Mean of -log p(label) of the deployed network: no ramp of a loss's weight changes its meaning."""
    return float(-predict(method, FACES).gather(1, FACES.label[:, None]).clamp(min=1e-9).log().mean())


@pytest.mark.parametrize("name", METHODS)
def test_it_learns_and_does_not_collapse(name):
    own = {"freeze": False} if name == "ada_df" else {}  # nothing is pretrained here
    method = build(name, preset="paper", size=SIZE, weights=None, **own)
    config = TrainConfig.preset("paper", method, steps=STEPS, batch_size=32, size=SIZE)
    before = surprise(method)
    history = fit(method, FACES, config)
    assert surprise(method) < 0.95 * before
    assert collapse(method, FACES, predict(method, FACES)) == ""
    assert sum(entry["lr"] > 0 for entry in history) >= len(history) - 1
