import io

import numpy as np
import pytest
from PIL import Image

from fercore.datasets import BadImage
from fercore.photos import predict_photos, read_photo
from tests.photos.portraits import HOPPER, Fixed, read

PHOTO = read(HOPPER)
GREY = np.repeat(np.asarray(Image.fromarray(PHOTO).convert("L"))[..., None], 3, 2)


def turned() -> Image.Image:
    """As a phone stores it: lying on its side, to be turned by 90 degrees when shown."""
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    return Image.open(stored)


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        (str(HOPPER), PHOTO),
        (HOPPER, PHOTO),
        (HOPPER.read_bytes(), PHOTO),
        (Image.fromarray(PHOTO), PHOTO),
        (turned(), PHOTO),
        (PHOTO, PHOTO),
        (PHOTO / 255, PHOTO),
        ((PHOTO / 255).astype(np.float32), PHOTO),
        (PHOTO[..., ::-1], PHOTO[..., ::-1]),  # OpenCV's frame has to be turned round so
        (np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)]), PHOTO),
        (GREY[..., 0], GREY),
        (GREY[..., :1], GREY),
        (GREY[..., 0] / 255, GREY),
    ],
)
def test_whatever_it_comes_as_it_is_the_same_photo(photo, expected):
    found = read_photo(photo)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("photo", "error", "words"),
    [
        (PHOTO.transpose(2, 0, 1), BadImage, r"shape \(3, 600, 512\); a photo is \(H, W, 3\) in RGB"),
        (np.zeros((0, 5, 3), np.uint8), BadImage, "shape"),
        (PHOTO.astype(np.float32), BadImage, r"must lie in \[0, 1\]; divide"),
        (np.full((4, 4), np.nan), BadImage, r"must lie in \[0, 1\]"),
        (PHOTO.astype(np.int64), BadImage, "is int64; a photo is uint8"),
        (b"", BadImage, "empty"),
        (7, TypeError, "not int"),
    ],
)
def test_what_is_no_photo_gets_one_sentence(photo, error, words):
    with pytest.raises(error, match=words):
        read_photo(photo)


def test_one_photo_needs_no_list():
    method = Fixed(*[0.0] * 7)
    (by_path,) = predict_photos(method, str(HOPPER))["photos"]
    assert by_path["path"] == str(HOPPER)
    first, second = predict_photos(method, [PHOTO, Image.fromarray(PHOTO)])["photos"]
    assert (first["path"], second["path"]) == ("photo 1", "photo 2")
    assert predict_photos(method, PHOTO)["photos"] == [first]
    assert first["faces"] == second["faces"] == by_path["faces"]
    (blank,) = predict_photos(method, np.zeros((90, 90, 3), np.uint8))["photos"]
    assert blank["message"].startswith("photo 1: no face was found")
    with pytest.raises(BadImage, match="photo 2 is int64"):
        predict_photos(method, [PHOTO, PHOTO.astype(np.int64)])
