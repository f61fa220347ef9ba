import numpy as np
import pytest
from PIL import Image

from fercore import renderer
from fercore.datasets.blendfer.geometry import EYES, MOUTH
from fercore.photos import Face, crop_like_blendfer
from fercore.photos.warp import similarity
from tests.photos.portraits import HOPPER, HOPPER_EYES, read


def face_at(*eyes, longer: float = 1.0) -> Face:
    """A face whose mouth is where BlendFER's proportions have it, or ``longer`` times as far from the eyes."""
    eyes = np.array(eyes, float)
    across = eyes[1] - eyes[0]
    down = np.array([-across[1], across[0]]) * (MOUTH[1] - EYES[0][1]) / (EYES[1][0] - EYES[0][0])
    return Face((0.0, 0.0, 1.0, 1.0), eyes, eyes.mean(0) + longer * down, 1.0)


def peak(channel: np.ndarray) -> np.ndarray:
    """Centre of brightness (x, y), in pixels whose first centre is 0.5."""
    weight = channel.astype(float) ** 2
    y, x = np.mgrid[: len(channel), : len(channel)] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("eyes", [((80, 90), (110, 90)), ((60, 120), (150, 60)), ((140, 100), (90, 130))])
@pytest.mark.parametrize("size", [64, 112])
def test_marked_eyes_land_where_blendfer_has_them(eyes, size):
    photo = np.zeros((200, 220, 3), np.uint8)
    y, x = np.mgrid[:200, :220] + 0.5
    for channel, (ex, ey) in zip((0, 2), eyes, strict=True):
        photo[..., channel] = 255 * np.exp(-((x - ex) ** 2 + (y - ey) ** 2) / 50)
    crop = crop_like_blendfer(photo, face_at(*eyes), size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_allclose(peak(crop[..., 0]), np.array(EYES[0]) * size, atol=0.35)
    np.testing.assert_allclose(peak(crop[..., 2]), np.array(EYES[1]) * size, atol=0.35)


def test_eyes_already_in_place_change_nothing():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(photo).resize((8, 8)).resize((64, 64), Image.Resampling.BICUBIC))
    crop = crop_like_blendfer(smooth, face_at(*(np.array(EYES) * 64)))
    assert np.abs(crop.astype(int) - smooth).mean() < 1.5


def test_downscaling_averages():
    """Noise of one pixel shrinks with the square root of the pixels averaged; a sampler that skips keeps it."""
    photo = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    crop = crop_like_blendfer(photo, face_at((200, 220), (400, 230)))
    scale = np.hypot(200, 10) / ((EYES[1][0] - EYES[0][0]) * 64)
    assert crop[8:-8, 8:-8].std() < 1.3 * photo.std() / scale


def test_agrees_with_pillow_on_a_photo():
    """Oracle: the same similarity by Pillow, eight times as large, then averaged."""
    photo = read(HOPPER)
    (x0, y0), (x1, y1) = HOPPER_EYES
    (u0, v0), (u1, _) = np.array(EYES) * 512
    scale = np.hypot(x1 - x0, y1 - y0) / (u1 - u0)
    angle = np.arctan2(y1 - y0, x1 - x0)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = (c, -s, x0 - c * u0 + s * v0, s, c, y0 - s * u0 - c * v0)
    large = Image.fromarray(photo).transform((512, 512), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    expected = np.asarray(large.reduce(8)).astype(int)
    crop = crop_like_blendfer(photo, face_at(*HOPPER_EYES)).astype(int)
    assert np.abs(crop - expected).mean() < 2


def test_beyond_the_border_it_is_repeated():
    photo = np.zeros((50, 50, 3), np.uint8)
    photo[:, 0] = (200, 10, 60)
    crop = crop_like_blendfer(photo, face_at((1, 25), (21, 25)))
    np.testing.assert_allclose(crop[:, 0], np.tile([200, 10, 60], (64, 1)), atol=1)


def test_similarity_turns_without_mirroring():
    turn, origin = similarity(np.array([[0, 0], [1, 0]]), np.array([[5, 5], [5, 7]]))
    assert np.linalg.det(turn) == pytest.approx(4)
    np.testing.assert_allclose(np.array([[0, 1]]) @ turn.T + origin, [[3, 5]])


def test_a_long_face_keeps_its_middle_and_shares_the_difference():
    """Eyes 34 apart, the mouth 1.2 times as far down as on BlendFER's average face: 110 pixels are seen, not 100.

    The mean of 1 and 1.2 is 1.1, so in the crop the eyes are 0.34 / 1.1 apart and the mouth 0.365 * 1.2 / 1.1 below.
    """
    face = face_at((83, 90), (117, 90), longer=1.2)
    marks = [*face.eyes, face.mouth]
    photo = np.zeros((200, 220, 3), np.uint8)
    y, x = np.mgrid[:200, :220] + 0.5
    for channel, (mx, my) in enumerate(marks):
        photo[..., channel] = 255 * np.exp(-((x - mx) ** 2 + (y - my) ** 2) / 20)
    left, right, mouth = (peak(crop) / 64 for crop in crop_like_blendfer(photo, face).transpose(2, 0, 1))
    np.testing.assert_allclose(right - left, [0.34 / 1.1, 0], atol=0.008)
    np.testing.assert_allclose(mouth - (left + right) / 2, [0, 0.365 * 1.2 / 1.1], atol=0.008)
    np.testing.assert_allclose((mouth + (left + right) / 2) / 2, [0.5, (0.37 + 0.735) / 2], atol=0.008)


def test_a_rendered_head_is_cropped_as_the_dataset_frames_it():
    """The renderer's own framing is the oracle: a head drawn small is found, cropped, and compared with it drawn large.

    Its landmarks stand in for the detector, which would add its own error.
    """

    for identity in (3, 11, 40):
        large = renderer.render({"neutral": 1.0}, identity=identity, size=64)
        small = renderer.render({"neutral": 1.0}, identity=identity, size=256, scene=renderer.Scene(zoom=0.6, dx=0.1))
        points = small.landmarks + 0.5
        eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
        face = Face((0.0, 0.0, 1.0, 1.0), eyes, points[[48, 54]].mean(0), 1.0)
        crop = crop_like_blendfer(small.image, face).astype(int)
        inner = (slice(14, 54), slice(12, 52))
        assert np.abs(crop[inner] - large.image.astype(int)[inner]).mean() < 8


def test_coinciding_eyes_are_refused():
    with pytest.raises(ValueError, match="same place"):
        crop_like_blendfer(np.zeros((9, 9, 3), np.uint8), face_at((3, 3), (3, 3)))
