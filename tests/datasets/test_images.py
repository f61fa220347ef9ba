"""Every kind of image ends as upright RGB or as one clear sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fercore.datasets import BadImage, read_image
from tests.faces import SHAPES, draw_face, encode


@pytest.fixture
def picture():
    return draw_face(SHAPES[3], 96, np.random.default_rng(0))[0]


def save(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def one_sentence(error):
    text = str(error.value)
    return text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP"])
def test_common_formats(picture, form):
    read = read_image(encode(picture, form))
    assert read.dtype == np.uint8
    assert read.shape == picture.shape
    close = {"PNG": 0, "BMP": 0, "TIFF": 0}.get(form, 12)
    assert np.abs(read.astype(int) - picture).mean() <= close


def test_path_and_bytes_agree(picture, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
    assert (read_image(tmp_path / "a.png") == picture).all()
    assert (read_image(str(tmp_path / "a.png")) == picture).all()


def test_transparency_lies_over_white(picture):
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 128
    read = read_image(save(Image.fromarray(np.dstack([picture, alpha])), "PNG"))
    share = alpha[..., None] / 255
    np.testing.assert_allclose(read, share * picture + (1 - share) * 255, atol=1)


def test_grey_alpha_and_palette_transparency(picture):
    grey = Image.fromarray(picture).convert("LA")
    assert np.abs(read_image(save(grey, "PNG")) - np.asarray(grey)[..., :1].astype(int)).max() <= 1
    palette = Image.fromarray(picture).quantize(16)
    expected = np.asarray(palette.convert("RGB")).copy()
    hole = np.asarray(palette) == 3
    expected[hole] = 255
    assert hole.any()
    assert (read_image(save(palette, "PNG", transparency=3)) == expected).all()


def test_cmyk_jpeg(picture):
    read = read_image(save(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(read.astype(int) - picture).mean() < 6


def test_16_bit_grey_keeps_its_whole_range():
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    for form in ("PNG", "TIFF"):
        read = read_image(save(Image.fromarray(ramp), form))
        assert (read == np.rint(ramp / 257).astype(np.uint8)[..., None]).all()


def test_16_bit_rgb_png():
    values = np.linspace(0, 65535, 8 * 8 * 3).reshape(8, 8, 3).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert np.abs(read_image(data).astype(float) - values.astype(float) / 257).max() <= 1


@pytest.mark.parametrize(
    ("tag", "turn"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.transpose(1, 0, 2)),
        (6, lambda x: np.rot90(x, 1)),
        (7, lambda x: x[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda x: np.rot90(x, -1)),
    ],
)
def test_exif_orientation(picture, tag, turn):
    """The file holds the upright picture turned back; what is read must be upright. Written without Pillow's helper."""
    upright = picture[:, :32]
    exif = Image.Exif()
    exif[0x0112] = tag
    stored = Image.fromarray(np.ascontiguousarray(turn(upright)))
    assert (read_image(save(stored, "PNG", exif=exif)) == upright).all()


def test_float_images():
    values = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    assert (read_image(save(Image.fromarray(values), "TIFF")) == np.rint(values * 255)[..., None]).all()
    assert (read_image(save(Image.fromarray(values * 200 + 2), "TIFF")) == np.rint(values * 200 + 2)[..., None]).all()
    for bad in (np.nan, np.inf):
        values[2, 3] = bad
        with pytest.raises(BadImage, match="NaN or infinite") as error:
            read_image(save(Image.fromarray(values), "TIFF"), "x.tif")
        assert one_sentence(error)
    with pytest.raises(BadImage, match="rescale"):
        read_image(save(Image.fromarray(np.full((2, 2), -5, np.float32)), "TIFF"))


def test_empty_truncated_and_foreign_files(picture, tmp_path):
    jpeg, png, webp = (encode(picture, form) for form in ("JPEG", "PNG", "WEBP"))
    for data, words in (
        (b"", "is empty"),
        (b"%PDF-1.4 no picture at all", "no image"),
        (b"\x80\x04\x95cposix\nsystem", "no image"),
        (jpeg[: len(jpeg) // 2], "is cut short or damaged"),
        (jpeg[:-100], "is cut short or damaged"),
        (jpeg[:20], "is cut short"),
        (png[: len(png) // 2], "is cut short or damaged"),
        (webp[: len(webp) // 2], "is cut short"),
    ):
        file = tmp_path / "bad.jpg"
        file.write_bytes(data)
        with pytest.raises(BadImage, match=words) as error:
            read_image(file)
        assert str(file) in str(error.value)
        assert one_sentence(error)
    with pytest.raises(BadImage, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 9_000), (8_001, 8_000)])
def test_huge_headers_are_refused_before_decoding(width, height):
    """A few bytes that claim gigabytes: a PNG header with no pixels behind it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(BadImage, match="million") as error:
        read_image(data, "bomb.png")
    assert str(error.value).startswith("bomb.png claims")
    assert one_sentence(error)
