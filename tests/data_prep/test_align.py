"""Where the eyes and the landmarks of a crop lie, from three origins: the owner, the detector, the box."""

import numpy as np
import pytest

from data_prep.align import (
    AS_PUBLISHED,
    BOX,
    CENTRE,
    FOUND,
    OWNER_EYES,
    box_frame,
    choose_frame,
    eye_frame,
    landmarks_in,
)
from data_prep.options import Options
from fercore.datasets.blendfer.geometry import EYES
from fercore.photos import crop_like_blendfer, find_faces
from fercore.photos.warp import warp
from tests.photos.portraits import ASTRONAUT, ASTRONAUT_EYES, COFFEE, read

ALIGN = Options(align=True)


def test_the_owners_eyes_come_first():
    eyes = np.array([[40.0, 50.0], [70.0, 60.0]])
    frame, why = choose_frame(np.zeros((90, 120, 3), np.uint8), ALIGN, eyes)
    assert why == OWNER_EYES
    turn, origin = frame
    np.testing.assert_allclose(np.array(EYES) * 112 @ turn.T + origin, eyes)
    assert choose_frame(np.zeros((90, 120, 3), np.uint8), Options(), eyes)[1] == AS_PUBLISHED


def test_a_portrait_is_found_and_cropped():
    photo = read(ASTRONAUT)
    frame, why = choose_frame(photo, ALIGN, np.full((2, 2), np.nan))
    assert why == FOUND
    eyes = landmarks_in(frame, ASTRONAUT_EYES - 0.5) + 0.5
    np.testing.assert_allclose(eyes, np.array(EYES) * 112, atol=8)  # the mouth has a say, too
    crop = warp(photo, *frame, 112)
    assert (crop == crop_like_blendfer(photo, find_faces(photo)[0], 112)).all()


def test_no_face_keeps_the_centre():
    photo = read(COFFEE)
    frame, why = choose_frame(photo, Options(align=True, size=224))
    assert why == CENTRE
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [224, 224]]) @ frame[0].T + frame[1]
    np.testing.assert_allclose(corners[:, 1], [0, height])
    np.testing.assert_allclose(corners[:, 0], [(width - height) / 2, (width + height) / 2])


def test_boxes():
    image = np.zeros((50, 60, 3), np.uint8)
    frame, why = choose_frame(image, Options(margin=0.5), box=np.array([10, 20, 8, 16]))
    assert why == BOX
    np.testing.assert_allclose(np.array([[0, 0], [112, 112]]) @ frame[0].T + frame[1], [[2, 16], [26, 40]])
    for box in (np.full(4, np.nan), np.array([1, 1, 0, 5])):
        assert choose_frame(image, Options(), box=box) == (None, AS_PUBLISHED)


def test_margin_shows_more_around_the_same_middle():
    eyes = np.array([[40.0, 50.0], [70.0, 60.0]])
    tight, wide = eye_frame(eyes, 112), eye_frame(eyes, 112, margin=0.5)
    middle = np.array([56, 56])
    np.testing.assert_allclose(middle @ tight[0].T + tight[1], middle @ wide[0].T + wide[1])
    np.testing.assert_allclose(wide[0], 1.5 * tight[0])


def test_landmarks_follow_their_pixels():
    """A bright dot at a landmark is bright at the landmark's place in the crop."""
    random = np.random.default_rng(0)
    frame = eye_frame(np.array([[40.0, 50.0], [75.0, 62.0]]), 112)
    for x, y in random.uniform((40, 45), (75, 75), (5, 2)):
        yy, xx = np.mgrid[:120, :130]
        image = (255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 8)).astype(np.uint8)
        crop = warp(np.repeat(image[..., None], 3, axis=2), *frame, 112)[..., 0].astype(float) ** 2
        yy, xx = np.mgrid[:112, :112]
        centre = np.array([(xx * crop).sum(), (yy * crop).sum()]) / crop.sum()
        np.testing.assert_allclose(landmarks_in(frame, np.array([[x, y]]))[0], centre, atol=0.25)
    again = landmarks_in(box_frame((10, 10, 112, 112), 112), np.array([[15.0, 20.0]]))
    np.testing.assert_allclose(again, [[5, 10]])


@pytest.mark.parametrize("wrong", [{"margin": -0.1}, {"margin": 3}, {"val": 0.6}])
def test_options_out_of_range(wrong):
    with pytest.raises(ValueError, match="must lie between"):
        Options(**wrong)
