"""The network against TensorFlow Lite, and the landmarks made of it.

The numbers were written down from ``ai_edge_litert.interpreter.Interpreter`` running the original
``face_landmark.tflite`` on what ``rendered`` and ``noise`` draw: every 26th of the 468 points.
"""

import numpy as np
import pytest
import torch

from fercore.datasets import blendfer
from fercore.photos import MIN_SCORE, mesh_landmarks
from fercore.photos.face_mesh import CANVAS, load_face_mesh

RENDERED = np.array(
    [
        [105.816, 118.078, -25.03],
        [72.446, 82.404, 2.795],
        [56.26, 59.427, -0.996],
        [75.729, 133.529, -17.624],
        [46.431, 50.677, 9.216],
        [43.575, 79.436, 3.066],
        [29.169, 75.764, 7.956],
        [84.713, 149.504, -21.207],
        [92.174, 162.668, -24.428],
        [9.593, 104.279, 35.345],
        [128.853, 73.668, 29.584],
        [110.667, 72.301, 20.344],
        [109.234, 125.05, -19.007],
        [106.037, 39.267, 28.524],
        [134.495, 145.342, 22.257],
        [126.4, 81.765, 28.81],
        [138.501, 129.594, 24.963],
        [116.148, 67.136, 20.138],
    ]
)
NOISE = np.array(
    [
        [90.904, 123.468, -9.709],
        [78.479, 75.549, -0.382],
        [62.559, 57.315, -8.053],
        [68.276, 126.118, 6.3],
        [59.416, 45.116, -2.438],
        [55.768, 70.986, 6.54],
        [47.631, 63.743, 11.426],
        [74.803, 137.659, 1.345],
        [79.52, 150.852, 3.611],
        [43.428, 78.428, 49.39],
        [136.632, 68.668, -1.738],
        [117.091, 67.771, -2.91],
        [96.793, 128.453, -3.944],
        [115.893, 34.937, -12.336],
        [133.607, 133.979, 22.187],
        [131.624, 75.555, 0.621],
        [139.108, 119.985, 17.27],
        [122.222, 63.533, -7.007],
    ]
)
NOISE_SCORE = 1.842e-05
IN_PIXELS = CANVAS * 1e-3


@pytest.fixture(scope="module")
def faces():
    return blendfer.open(split="test").select(range(24))


def noise() -> torch.Tensor:
    blocks = np.random.default_rng(0).uniform(size=(3, 12, 12)).repeat(16, 1).repeat(16, 2)
    return torch.from_numpy(blocks.astype(np.float32))[None]


def test_equals_tensorflow_lite(faces):
    rendered = faces.images[:1].repeat_interleave(3, 2).repeat_interleave(3, 3) / 255
    points, score = load_face_mesh()(torch.cat([rendered, noise()]))
    assert points.shape == (2, 468, 3)
    np.testing.assert_allclose(points[:, ::26].numpy(), [RENDERED, NOISE], atol=IN_PIXELS)
    np.testing.assert_allclose(score.numpy(), [1, NOISE_SCORE], atol=1e-5)


def test_landmarks_of_rendered_faces(faces):
    points, score = mesh_landmarks(faces.images)
    assert points.shape == (24, 68, 2)
    assert (score > MIN_SCORE).all()
    apart = (faces.landmarks[:, 36] - faces.landmarks[:, 45]).norm(dim=1)
    error = (points - faces.landmarks).norm(dim=2) / apart[:, None]
    # Both have their own idea of where brows and jaw are; of eyes, nose and mouth less so.
    assert error.mean() < 0.09
    assert error[:, 27:].mean() < 0.05


def test_landmarks_turn_with_the_picture(faces):
    upright, _ = mesh_landmarks(faces.images)
    mirrored, _ = mesh_landmarks(faces.images.flip(3))
    outer = torch.stack([63 - mirrored[:, [45, 36], 0], mirrored[:, [45, 36], 1]], 2)
    assert (outer - upright[:, [36, 45]]).norm(dim=2).mean() < 1.5  # 64 px
    larger, _ = mesh_landmarks(faces.images.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert (larger - (upright * 2 + 0.5)).norm(dim=2).mean() < 1


def test_no_face_scores_low():
    _, score = mesh_landmarks(noise())
    assert score < MIN_SCORE


def test_wrong_and_empty_input():
    assert mesh_landmarks(torch.zeros(0, 3, 48, 48, dtype=torch.uint8))[0].shape == (0, 68, 2)
    with pytest.raises(ValueError, match="must be"):
        mesh_landmarks(torch.zeros(3, 48, 48))
