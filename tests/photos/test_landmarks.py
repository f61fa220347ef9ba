import numpy as np
import pytest
import torch
from torch import nn

from fercore.datasets.landmarks import MIRROR_68, mirror_landmarks
from fercore.photos import crop_like_blendfer, draw_landmarks, find_faces, find_landmarks, frame_like_blendfer
from fercore.photos.warp import similarity
from tests.photos.portraits import HOPPER, read

PLACES = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * 64 - 0.5


class Pointing(nn.Module):
    """Says that the landmarks of every crop are at PLACES, except that it sees through mirrors if told to."""

    def __init__(self, honest: bool):
        super().__init__()
        self.honest, self.asked = honest, []

    def landmarks(self, image):
        self.asked.append(image)
        points = PLACES.expand(len(image), -1, -1).clone()
        if self.honest and len(self.asked) == 1:  # the mirrored crop comes first
            points = mirror_landmarks(points)
            points[..., 0] = image.shape[3] - 1 - points[..., 0]
        return points


@pytest.fixture(scope="module")
def face():
    return find_faces(read(HOPPER))[0]


def test_places_of_the_crop_are_found_again_in_the_photograph(face):
    """The crop's own eyes, by definition of the frame, are the photograph's."""
    photo, method = read(HOPPER), Pointing(honest=True)
    (points,) = find_landmarks(method, photo, [face], 64)
    mirrored, plain = method.asked
    assert torch.equal(mirrored.flip(3), plain)
    np.testing.assert_array_equal((plain[0] * 255).round().byte().permute(1, 2, 0), crop_like_blendfer(photo, face, 64))
    # where the crop has two marks, the photograph has them: a similarity through these two carries all others
    turn, origin = similarity(PLACES.numpy()[:2] + 0.5, points[:2])
    np.testing.assert_allclose(points, (PLACES.numpy() + 0.5) @ turn.T + origin, atol=1e-2)
    middle = np.array([[0.5, (0.37 + 0.735) / 2]]) * 64
    np.testing.assert_allclose(middle @ turn.T + origin, [(face.eyes.mean(0) + face.mouth) / 2], atol=0.5)


def test_the_mirrored_crop_is_averaged_in(face):
    """What takes no notice of the mirror comes out symmetric in the crop."""
    (points,) = find_landmarks(Pointing(honest=False), read(HOPPER), [face], 64)
    turn, origin = frame_like_blendfer(face, 64)
    places = (points - origin) @ np.linalg.inv(turn.T)
    np.testing.assert_allclose(places[:, 0] + places[list(MIRROR_68), 0], 64, atol=1e-3)
    np.testing.assert_allclose(places[:, 1], places[list(MIRROR_68), 1], atol=1e-3)


def test_without_faces_there_are_no_landmarks():
    assert find_landmarks(Pointing(True), np.zeros((9, 9, 3), np.uint8), []) == []


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
