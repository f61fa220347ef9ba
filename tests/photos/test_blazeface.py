"""The network against TensorFlow Lite.

The numbers were written down from ``ai_edge_litert.interpreter.Interpreter`` running the original
``face_detection_back.tflite`` on the astronaut, halved by 2 x 2 means and scaled to [-1, 1].
"""

import numpy as np
import torch

from fercore.photos.blazeface import load_blazeface
from tests.photos.portraits import ASTRONAUT, read

ANCHOR, CELL_CENTRE, SCORE = 111, np.array([120.0, 56.0]), 0.87749845
RAW = np.array(
    [
        [-7.674, 7.475],
        [52.643, 52.643],  # the size, which has no centre added
        [-18.7, -4.887],
        [3.759, -4.382],
        [-8.139, 8.082],
        [-8.397, 18.837],
        [-31.401, -0.256],
        [16.372, 1.234],
    ]
)


def halved() -> torch.Tensor:
    small = read(ASTRONAUT).reshape(256, 2, 256, 2, 3).mean((1, 3)) / 255
    return torch.from_numpy(small).permute(2, 0, 1)[None].float()


def test_equals_tensorflow_lite():
    scores, points = load_blazeface()(halved())
    assert scores.shape == (1, 896)
    assert points.shape == (1, 896, 8, 2)
    assert scores[0].argmax() == ANCHOR
    assert abs(scores[0, ANCHOR].item() - SCORE) < 1e-4
    expected = RAW + CELL_CENTRE
    expected[1] = RAW[1]
    np.testing.assert_allclose(points[0, ANCHOR].numpy(), expected, atol=5e-3)


def test_a_shifted_photo_gives_shifted_points():
    canvas = torch.zeros(1, 3, 320, 352)
    canvas[..., 32:288, 64:320] = halved()
    scores, points = load_blazeface()(canvas)
    before = load_blazeface()(halved())[1][0, ANCHOR]
    found = points[0, scores[0].argmax()]
    assert scores.max() > 0.8
    np.testing.assert_allclose((found - before)[[0, 2, 3]].numpy(), np.tile([64, 32], (3, 1)), atol=2)
