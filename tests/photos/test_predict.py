import json
import struct
import zlib
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fercore.datasets import BadImage
from fercore.emotions import class_names
from fercore.methods import build
from fercore.photos import classify_crops, crop_like_blendfer, find_faces, predict_photos
from tests.photos.portraits import ASTRONAUT, COFFEE, HOPPER, Fixed, read, side_by_side


class Sides(nn.Module):
    """p(surprise) grows with the light on the image's left, p(fear) with that on its right."""

    def forward(self, image):
        half = image.shape[3] // 2
        logits = torch.zeros(len(image), 7)
        logits[:, 0], logits[:, 1] = 9 * image[..., :half].mean((1, 2, 3)), 9 * image[..., half:].mean((1, 2, 3))
        return logits


@cache
def boxes(path) -> np.ndarray:
    return np.array([face["box"] for face in predict_photos(Fixed(*[0.0] * 7), [path])["photos"][0]["faces"]])


def test_contract():
    answer = predict_photos(build("baseline", preset="fast"), [ASTRONAUT, HOPPER])
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == ["photos"]
    for path, photo in zip((ASTRONAUT, HOPPER), answer["photos"], strict=True):
        assert photo["path"] == str(path)
        (face,) = photo["faces"]
        assert all(isinstance(number, int) for number in face["box"])
        assert tuple(face["probabilities"]) == class_names(7)
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert face["label"] == max(face["probabilities"], key=face["probabilities"].get)


def test_probabilities_are_the_methods_own():
    logits = [0.1, 2.0, -1.0, 0.4, 0.0, 0.3, -0.2, 0.9]
    (face,) = predict_photos(Fixed(*logits), [HOPPER])["photos"][0]["faces"]
    weights = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(face["probabilities"].values()), weights, rtol=1e-5)
    assert face["label"] == "fear"
    assert list(face["probabilities"])[-1] == "contempt"


def test_mirrored_copies_are_averaged_in():
    photo = read(HOPPER)
    crops = [crop_like_blendfer(photo, face) for face in find_faces(photo)]
    plain = classify_crops(Sides(), crops, tta=False)[0]
    both = classify_crops(Sides(), crops, tta=True)[0]
    assert abs(plain[0] - plain[1]) > 0.01
    assert both[0] == pytest.approx(both[1].item(), abs=1e-6)


def test_wider_and_tighter_cuts_are_averaged_in():
    seen = []

    class Notes(torch.nn.Module):
        """Says how bright the middle is: 1 pixel in 64 of a dark picture is white."""

        def forward(self, image):
            seen.append(image.mean((1, 2, 3)))
            return torch.stack([image.mean((1, 2, 3)), torch.zeros(len(image))], 1)

    crop = np.zeros((64, 64, 3), np.uint8)
    crop[28:36, 28:36] = 255
    found = classify_crops(Notes(), [crop])[0]
    area = 64 / 64**2
    assert [float(mean) for mean in seen] == pytest.approx(
        [area, area, area * 0.92**2, area * 0.92**2, area * 1.08**2, area * 1.08**2], rel=0.03
    )
    expected = np.mean([1 / (1 + np.exp(-float(mean))) for mean in seen])
    assert found[0] == pytest.approx(expected, abs=1e-6)


def test_many_crops_go_in_batches():
    crops = np.random.default_rng(0).integers(0, 256, (130, 64, 64, 3), np.uint8)
    together = classify_crops(Sides(), crops)
    assert together.shape == (130, 7)
    torch.testing.assert_close(together[[0, 64, 129]], classify_crops(Sides(), crops[[0, 64, 129]]))
    assert classify_crops(Sides(), []).shape == (0, 0)


def test_the_method_is_asked_in_evaluation_mode_and_left_as_it_was():
    method = build("baseline", preset="fast", dropout=0.9).train()
    first, second = (predict_photos(method, [HOPPER]) for _ in range(2))
    assert first == second
    assert method.training


def test_several_faces_and_no_face(tmp_path):
    Image.fromarray(side_by_side(read(ASTRONAUT), read(HOPPER))).save(tmp_path / "two.png")
    two, none = predict_photos(Fixed(*[0.0] * 7), [tmp_path / "two.png", COFFEE])["photos"]
    assert len(two["faces"]) == 2
    assert "message" not in two
    assert none["faces"] == []
    assert none["message"].startswith("coffee.png: no face was found")


def test_boxes_stay_inside_the_photo(tmp_path):
    Image.fromarray(read(HOPPER)[150:320, 180:350]).save(tmp_path / "tight.png")
    ((x, y, w, h),) = boxes(tmp_path / "tight.png")
    assert 0 <= x < x + w <= 170
    assert 0 <= y < y + h <= 170


@pytest.mark.parametrize("kind", ["alpha", "cmyk", "exif", "sixteen", "palette"])
def test_unusual_files_give_the_usual_answer(tmp_path, kind):
    image = Image.fromarray(read(ASTRONAUT))
    path = tmp_path / f"{kind}.png"
    if kind == "alpha":
        image.putalpha(255)
        image.save(path)
    elif kind == "cmyk":
        path = tmp_path / "cmyk.jpg"
        image.convert("CMYK").save(path, quality=95)
    elif kind == "exif":  # stored lying on its side, to be turned by 90 degrees when shown
        path = tmp_path / "exif.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=exif)
    elif kind == "sixteen":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)
    else:
        image.quantize(128).save(path)
    np.testing.assert_allclose(boxes(path), boxes(ASTRONAUT), atol=5)


def huge_png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (HOPPER.read_bytes()[:20_000], "truncated"),
        (b"not a picture", "no image"),
        (huge_png(), "million"),
    ],
)
def test_bad_files_end_in_one_sentence_that_names_them(tmp_path, content, words):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=words) as caught:
        predict_photos(Fixed(*[0.0] * 7), [path])
    assert "holiday.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        predict_photos(Fixed(*[0.0] * 7), [tmp_path / "nothing.jpg"])
