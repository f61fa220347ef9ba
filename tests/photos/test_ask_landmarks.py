import numpy as np
import pytest
import torch
from torch import nn

from fercore.photos import crop_like_blendfer, cut_faces, draw_landmarks, find_faces, find_landmarks
from fercore.photos.warp import similarity
from tests.photos.portraits import HOPPER, read

PLACES = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * 64 - 0.5


class Pointing(nn.Module):
    """Says that the landmarks of every crop are at PLACES."""

    def landmarks(self, image):
        self.asked = image
        return PLACES.expand(len(image), -1, -1)


@pytest.fixture(scope="module")
def face():
    return find_faces(read(HOPPER))[0]


def test_places_of_the_crop_are_found_again_in_the_photograph(face):
    """The crop's own eyes, by definition of the frame, are the photograph's."""
    photo, method = read(HOPPER), Pointing()
    (points,) = find_landmarks(method, cut_faces(method, photo, [face]))
    np.testing.assert_array_equal(
        (method.asked[0] * 255).round().byte().permute(1, 2, 0), crop_like_blendfer(photo, face, 64)
    )
    # where the crop has two marks, the photograph has them: a similarity through these two carries all others
    turn, origin = similarity(PLACES.numpy()[:2] + 0.5, points[:2])
    np.testing.assert_allclose(points, (PLACES.numpy() + 0.5) @ turn.T + origin, atol=1e-2)
    middle = np.array([[0.5, (0.37 + 0.735) / 2]]) * 64
    np.testing.assert_allclose(middle @ turn.T + origin, [(face.eyes.mean(0) + face.mouth) / 2], atol=0.5)


def test_without_faces_there_are_no_landmarks():
    assert find_landmarks(Pointing(), cut_faces(Pointing(), np.zeros((9, 9, 3), np.uint8), [])) == []


def test_a_dot_stands_where_its_landmark_is():
    photo = np.full((100, 120, 3), 128, np.uint8)
    points = np.full((68, 2), [[20.5, 40.5]])
    points[1] = 100.5, 70.5
    drawn = np.asarray(draw_landmarks(photo, [points])).astype(int)
    y, x = np.nonzero((drawn != 128).any(-1))
    for column, row in ((20, 40), (100, 70)):
        near = np.hypot(x - column, y - row) < 3
        assert near.any()
        np.testing.assert_allclose([x[near].mean(), y[near].mean()], [column, row], atol=0.5)
    assert (np.minimum(np.hypot(x - 20, y - 40), np.hypot(x - 100, y - 70)) < 3).all()
    assert (photo == 128).all()
