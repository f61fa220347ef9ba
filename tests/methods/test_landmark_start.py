"""The pretext task: landmarks from faces without labels, and the start that it gives to other methods."""

from dataclasses import replace

import pytest
import torch

from fercore.datasets import UNLABELLED, Loader, apply_condition
from fercore.methods import Clock, build
from fercore.training import TrainConfig, fit
from tests.faces import toy_dataset

START = Clock(0, 0, 10, 3)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=210, size=32).where("train")


@pytest.fixture
def method(faces):
    method = build("landmarks", preset="fast", size=32)
    method.before_training(faces)
    return method


def test_no_gradient_of_a_label_reaches_the_trunk(method, faces):
    batch = next(Loader(faces, method.needs, 14).epoch(0, 3))
    terms = method.losses(batch, START)
    trunk = [*method.net.backbone.parameters()]
    assert all(
        g is None for g in torch.autograd.grad(terms["cross_entropy"], trunk, retain_graph=True, allow_unused=True)
    )
    assert all(g.any() for g in torch.autograd.grad(terms["landmarks"], trunk))


def test_the_error_is_in_units_of_the_landmarks_variance_over_all_faces_of_the_step(method, faces):
    batch = next(Loader(faces, method.needs, 6).epoch(0, 3))
    batch.unlabelled.landmarks[2, 5] = torch.nan
    error = method.eval().losses(batch, START)["landmarks"].item()
    spread = ((faces.landmarks.double() - 15.5) / 32).var(0).mean()
    total, count = 0.0, 0
    for part in (batch, batch.unlabelled):
        with torch.no_grad():
            _, seen = method.look(part.image)
        for found, true in zip(seen.double(), part.landmarks.double(), strict=True):
            for point in range(68):
                for axis in range(2):
                    if not torch.isnan(true[point, axis]):
                        total += (found[point, axis] - (true[point, axis] - 15.5) / 32).item() ** 2
                        count += 1
    assert count == 2 * 6 * 136 - 2
    assert error == pytest.approx(total / count / spread.item(), rel=1e-3)


def test_it_learns_the_landmarks_of_faces_without_labels_and_is_a_start(method, faces, tmp_path):
    few = apply_condition(faces, "labels:14", 0)
    hidden = few.label == UNLABELLED
    assert hidden.sum() == len(few) - 14
    config = TrainConfig(epochs=25, batch_size=28, lr=5e-3)
    fit(method, few, config, out=tmp_path)
    unseen = faces.select(torch.nonzero(hidden).flatten().tolist())
    batch = unseen.batch(range(len(unseen)))
    with torch.no_grad():
        off = (method.eval().landmarks(batch.image) - batch.landmarks).norm(dim=2).mean()
    mean = (batch.landmarks.mean(0) - batch.landmarks).norm(dim=2).mean()
    assert off < 0.7 * mean

    learner = build("baseline", preset="fast", size=32, weights=str(tmp_path / "model.safetensors"))
    theirs, ours = method.net.backbone.state_dict(), learner.net.backbone.state_dict()
    assert all(torch.equal(theirs[name].cpu(), value) for name, value in ours.items())


@pytest.mark.parametrize("known", [0, 1])
def test_landmarks_that_are_not_known_are_not_learnt_in_silence(faces, known):
    points = faces.landmarks.clone()
    points[known:, 7] = torch.nan
    with pytest.raises(ValueError, match=rf"all 68 landmarks; of this dataset's {known} have them"):
        build("landmarks", preset="fast", size=32).before_training(replace(faces, landmarks=points))


def test_what_the_landmarks_are_read_from_has_dimensions():
    with pytest.raises(ValueError, match="feature must be at least 1, not 0"):
        build("landmarks", preset="fast", size=32, feature=0)
