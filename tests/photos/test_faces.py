import numpy as np
import pytest
from PIL import Image

from fercore import renderer
from fercore.photos import find_faces
from tests.photos.portraits import ASTRONAUT, ASTRONAUT_EYES, COFFEE, HOPPER, HOPPER_EYES, read, side_by_side

PORTRAITS = [(ASTRONAUT, ASTRONAUT_EYES), (HOPPER, HOPPER_EYES)]


def assert_near(eyes: np.ndarray, truth: np.ndarray, share: float = 0.08) -> None:
    """Both eyes within ``share`` of the distance between them."""
    distance = np.linalg.norm(truth[1] - truth[0])
    assert np.linalg.norm(eyes - truth, axis=1).max() < share * distance, (eyes, truth)


@pytest.mark.parametrize(("path", "eyes"), PORTRAITS)
def test_finds_each_portrait_once_with_its_eyes(path, eyes):
    (face,) = find_faces(read(path))
    assert_near(face.eyes, eyes)
    x, y, w, h = face.box
    assert x < eyes[0, 0] < eyes[1, 0] < x + w
    assert y < eyes[:, 1].min() < y + h / 2


def test_two_faces_largest_first():
    astronaut, hopper = read(ASTRONAUT), read(HOPPER)
    first, second = find_faces(side_by_side(astronaut, hopper))
    assert_near(first.eyes, HOPPER_EYES + np.array([astronaut.shape[1], 0]))
    assert_near(second.eyes, ASTRONAUT_EYES)
    assert first.box[2] > second.box[2]


def test_mirrored_photo_gives_mirrored_eyes():
    photo = read(ASTRONAUT)
    (face,) = find_faces(np.ascontiguousarray(photo[:, ::-1]))
    truth = np.array([photo.shape[1], 0]) + ASTRONAUT_EYES[::-1] * (-1, 1)
    assert_near(face.eyes, truth)


@pytest.mark.parametrize("degrees", [-30, 45])
def test_leaning_head(degrees):
    photo = Image.fromarray(read(HOPPER))
    middle = np.array(photo.size) / 2
    (face,) = find_faces(np.asarray(photo.rotate(degrees, Image.Resampling.BILINEAR)))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = (HOPPER_EYES - middle) @ np.array([[c, s], [-s, c]]).T + middle  # counter-clockwise, y downwards
    assert_near(face.eyes, turned, 0.1)


@pytest.mark.parametrize("width", [120, 2000])
def test_small_and_large_photos(width):
    photo = Image.fromarray(read(HOPPER))
    scale = width / photo.width
    (face,) = find_faces(np.asarray(photo.resize((width, round(photo.height * scale)), Image.Resampling.LANCZOS)))
    assert_near(face.eyes, HOPPER_EYES * scale, 0.1)


def test_small_face_in_a_large_photo():
    photo = np.full((1000, 1400, 3), 90, np.uint8)
    small = np.asarray(Image.fromarray(read(HOPPER)).resize((128, 150), Image.Resampling.LANCZOS))
    photo[700:850, 900:1028] = small
    (face,) = find_faces(photo)
    assert_near(face.eyes, HOPPER_EYES / 4 + [900, 700], 0.15)


def test_face_that_fills_the_frame():
    tight = np.ascontiguousarray(read(HOPPER)[160:300, 185:345])
    for times in (1, 5):
        (face,) = find_faces(tight.repeat(times, 0).repeat(times, 1))
        assert_near(face.eyes / times, HOPPER_EYES - [185, 160], 0.1)


def test_rendered_face_agrees_with_its_landmarks():
    face = renderer.render({"neutral": 1.0}, identity=3, size=128)
    (found,) = find_faces(np.pad(face.image, ((40, 40), (40, 40), (0, 0)), mode="edge"))
    eyes = np.stack([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])  # iBUG
    assert_near(found.eyes - 40, eyes)


@pytest.mark.parametrize("photo", [read(COFFEE), np.zeros((300, 200, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)])
def test_no_face(photo):
    assert find_faces(photo) == []


def test_faces_below_the_smallest_size_are_left_out():
    photo = read(ASTRONAUT)
    (face,) = find_faces(photo)
    assert find_faces(photo, min_size=face.box[2] * 1.5) == []


@pytest.mark.parametrize("bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), [[1]]])
def test_refuses_other_arrays(bad):
    with pytest.raises(ValueError, match="uint8 array, not"):
        find_faces(bad)
