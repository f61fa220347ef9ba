"""The frame of a model's training faces goes with it, and its crops of photographs follow."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fercore.datasets.blendfer.geometry import BLENDFER
from fercore.datasets.frame import Frame
from fercore.methods import build
from fercore.models.together import Together
from fercore.photos import Face, cut_faces
from fercore.training import fit
from fercore.training.checkpoints import load_method
from fercore.training.config import TrainConfig
from tests.faces import toy_dataset

TIGHT = Frame(((0.25, 0.3), (0.75, 0.3)), (0.5, 0.8))


def marked() -> tuple[np.ndarray, Face]:
    """A photograph with white eyes and a white mouth, nothing else."""
    image = np.zeros((200, 200, 3), np.uint8)
    eyes, mouth = np.array([[80.0, 90.0], [120.0, 90.0]]), np.array([100.0, 130.0])
    for x, y in (*eyes, mouth):
        image[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = 255
    return image, Face((70, 70, 60, 70), eyes, mouth, 1.0)


def test_measured_on_landmarks_and_symmetric():
    points = np.full((20, 68, 2), 10.0)
    points[:, 36:42], points[:, 42:48], points[:, [48, 54]] = (11.5, 15.5), (31.5, 17.5), (23.5, 36.5)
    frame = Frame.measured(points, (48, 48))
    assert np.allclose(frame.eyes, [[0.5 - 10 / 48, 17 / 48], [0.5 + 10 / 48, 17 / 48]])
    assert frame.mouth == (0.5, pytest.approx(37 / 48))
    points[:15, 3] = np.nan
    assert Frame.measured(points, (48, 48)) is None


@pytest.mark.parametrize("frame", [BLENDFER, TIGHT], ids=["blendfer", "tight"])
def test_from_dataset_to_crop(tmp_path, frame):
    faces = replace(toy_dataset(64, size=32), frame=frame).where("train")
    method = build("baseline", preset="fast", size=32)
    fit(method, faces, TrainConfig.preset("fast", method, batch_size=16), out=tmp_path)
    loaded = load_method(tmp_path)
    assert loaded.frame == frame
    image, face = marked()
    (crop,) = cut_faces(loaded, image, [face], 64)
    for x, y in (*frame.eyes, frame.mouth):
        assert crop.pixels[round(y * 64) - 3 : round(y * 64) + 3, round(x * 64) - 3 : round(x * 64) + 3].max() > 100


def test_an_old_checkpoint_means_blendfers_frame():
    image, face = marked()
    (crop,) = cut_faces(torch.nn.Identity(), image, [face], 64)
    x, y = BLENDFER.eyes[0]
    assert crop.pixels[round(y * 64), round(x * 64)].max() > 100


def test_models_of_two_frames_are_not_asked_together():
    first, second = build("baseline", preset="fast"), build("baseline", preset="fast")
    second.frame = TIGHT
    with pytest.raises(ValueError, match="different frames"):
        Together([first, second])
