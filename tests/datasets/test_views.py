"""Augmentation: landmarks follow pixels, each face its own randomness, nothing that a GPU would have to wait for."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fercore.datasets import AUGMENTATIONS, Augmentation, view_ops, views
from fercore.datasets.mirror import MIRROR_68, mirror_landmarks
from tests.faces import toy_dataset

DATA = toy_dataset(48, size=64)
IMAGES, LANDMARKS = DATA.images[:24], DATA.landmarks[:24]
EVERYTHING = Augmentation(
    flip=0.5, rotate=20, scale=0.2, shift=0.1, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1, grey=0.3,
    blur=0.02, noise=0.1, erase=0.7,
)  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def dots(points, height, width):
    """(B, 1, H, W): a soft dot (sigma 1.2 px) at each of (B, 2) points."""
    y = torch.arange(height)[None, :, None] - points[:, 1, None, None]
    x = torch.arange(width)[None, None, :] - points[:, 0, None, None]
    return torch.exp(-(x**2 + y**2) / (2 * 1.2**2))[:, None]


def centre(images):
    """(B, 2): centre of mass of the first channel."""
    mass = images[:, 0]
    y, x = torch.arange(mass.shape[1]), torch.arange(mass.shape[2])
    total = mass.sum(dim=(1, 2))
    return torch.stack([(mass * x).sum((1, 2)) / total, (mass * y[:, None]).sum((1, 2)) / total], dim=1)


@pytest.mark.parametrize("size", [(64, 64), (48, 96)])
def test_landmarks_follow_pixels(size):
    """A dot drawn at a point is found where the point says that it went."""
    height, width = size
    augment = Augmentation(flip=0.5, rotate=20, scale=0.2, shift=0.1)
    spread = torch.rand(40, 2, generator=seeded(5)) - 0.5
    points = spread * torch.tensor([width, height]) * 0.5 + torch.tensor([width - 1, height - 1]) / 2
    image = dots(points, height, width).expand(-1, 3, -1, -1)
    landmarks = points[:, None].expand(-1, 68, -1)  # all 68 at one place: the order does not matter here
    moved_image, moved = augment(image, seeded(), landmarks)
    assert (moved == moved[:, :1]).all()
    assert ((moved[:, 0] - points).abs().max(dim=1).values > 1).float().mean() > 0.8  # it did move
    torch.testing.assert_close(centre(moved_image), moved[:, 0], atol=0.06, rtol=0)


def test_flip_swaps_sides_and_indices():
    image, landmarks = Augmentation(flip=1)(IMAGES, seeded(), LANDMARKS)
    assert (image - IMAGES.flip(3).float() / 255).abs().max() < 1e-4
    expected = LANDMARKS[:, list(MIRROR_68)].clone()
    expected[..., 0] = 63 - expected[..., 0]
    torch.testing.assert_close(landmarks, expected)
    # in a mirrored face the jaw still starts at the left, and brows, eyes and mouth keep their sides
    for left, right in ((0, 16), (17, 26), (36, 45), (39, 42), (48, 54), (31, 35), (60, 64)):
        assert (landmarks[:, left, 0] < landmarks[:, right, 0]).all()
    # upper points stay above lower ones: lids and lips
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46), (51, 57), (62, 66)):
        assert (landmarks[:, upper, 1] <= landmarks[:, lower, 1]).all()


def test_mirrored_indices_by_hand():
    """The pairs of the iBUG scheme, written out."""
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    expected = list(range(68))
    for left, right in pairs:
        expected[left], expected[right] = right, left
    assert list(MIRROR_68) == expected
    with pytest.raises(ValueError, match="68 points"):
        mirror_landmarks(torch.zeros(1, 5, 2))


def test_flip_twice_is_identity():
    flip = Augmentation(flip=1)
    image, landmarks = flip(*_with_generator(flip(IMAGES, seeded(), LANDMARKS)))
    assert (image - IMAGES.float() / 255).abs().max() < 1e-4
    torch.testing.assert_close(landmarks, LANDMARKS)


def _with_generator(result):
    image, landmarks = result
    return image, seeded(1), landmarks


def test_none_is_identity():
    image, landmarks = AUGMENTATIONS["none"](IMAGES, seeded(), LANDMARKS)
    assert (image - IMAGES.float() / 255).abs().max() <= 1e-6
    assert landmarks is LANDMARKS
    still = Augmentation(flip=1e-12, blur=1e-12, noise=1e-12, brightness=1e-12, erase=1e-12)  # every part runs
    image, _ = still(IMAGES, seeded())
    assert (image - IMAGES.float() / 255).abs().max() <= 1 / 255


def test_inputs_stay_as_they_are():
    images, floats = IMAGES.clone(), IMAGES.float() / 255
    kept = floats.clone()
    from_bytes, _ = EVERYTHING(images, seeded())
    from_floats, _ = EVERYTHING(floats, seeded())
    assert (images == IMAGES).all()
    assert (floats == kept).all()
    torch.testing.assert_close(from_bytes, from_floats, atol=1e-5, rtol=0)
    AUGMENTATIONS["none"](floats, seeded())[0].zero_()
    assert (floats == kept).all()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_range_and_seed(name):
    augment = AUGMENTATIONS[name]
    image, landmarks = augment(IMAGES, seeded(3), LANDMARKS)
    assert image.shape == IMAGES.shape
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert image.max() <= 1
    again, landmarks_again = augment(IMAGES, seeded(3), LANDMARKS)
    assert (again == image).all()
    assert (landmarks_again == landmarks).all()
    if name != "none":
        assert (augment(IMAGES, seeded(4))[0] != image).any()
    assert augment(IMAGES, seeded(3))[1] is None


def test_threads_and_pieces_change_nothing(monkeypatch):
    images = IMAGES.repeat(3, 1, 1, 1)
    one = EVERYTHING(images, seeded())[0]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert (EVERYTHING(images, seeded())[0] == one).all()
    torch.set_num_threads(before)
    assert torch.get_num_threads() == before
    monkeypatch.setattr(views, "CPU_PIECE", 7 * 64 * 64)
    torch.testing.assert_close(EVERYTHING(images, seeded())[0], one, atol=1e-5, rtol=0)


PARTS = {
    "flip": 0.5, "rotate": 15, "scale": 0.2, "shift": 0.1, "brightness": 0.3, "contrast": 0.3, "saturation": 0.5,
    "hue": 0.1, "grey": 0.5, "blur": 0.03, "noise": 0.1, "erase": 0.8,
}  # fmt: skip


def test_every_strength_is_tried_here():
    assert set(PARTS) == {field.name for field in fields(Augmentation)} - {"erase_area", "erase_aspect", "pick"}


@pytest.mark.parametrize("part", PARTS)
def test_each_face_draws_its_own(part):
    """The same face 12 times comes out in several ways: in two for a yes or no, in as many as faces else."""
    same = IMAGES[:1].expand(12, -1, -1, -1)
    image, _ = Augmentation(**{part: PARTS[part]})(same, seeded(1))
    ways = len({row.numpy().tobytes() for row in image})
    assert ways == 2 if part in ("flip", "grey") else ways >= 8


def test_each_face_gets_as_many_parts_as_are_picked():
    """Parts that shine through: brightness scales all colours, saturation 0 makes grey, noise roughens a flat image."""
    flat = torch.full((3000, 3, 4, 4), 0.5)
    flat[:, 0] = 0.3
    augment = Augmentation(brightness=0.2, grey=1.0, noise=0.2, pick=1)
    image, _ = augment(flat, seeded())
    grey = (image[:, 0] - image[:, 1]).abs().amax((1, 2)) < 1e-4
    rough = image.std((2, 3)).amax(1) > 1e-5
    brighter = ((image - flat).abs().amax((1, 2, 3)) > 1e-5) & ~grey & ~rough
    assert ((grey.int() + rough.int() + brighter.int()) == 1).all()
    for part in (grey, rough, brighter):
        assert part.float().mean() == pytest.approx(1 / 3, abs=0.03)
    everything, _ = Augmentation(brightness=0.2, grey=1.0, noise=0.2, pick=3)(flat, seeded())
    assert ((everything[:, 0] - everything[:, 1]).abs() < 1e-4).all()
    with pytest.raises(ValueError, match="pick: 3 parts cannot be drawn from the 2 that are not 0"):
        Augmentation(flip=0.5, hue=0.1, blur=0.01, pick=3)


@pytest.mark.parametrize("part", ["flip", "grey", "erase"])
def test_probabilities(part):
    same = IMAGES[:1, :, ::4, ::4].expand(4000, -1, -1, -1)
    image, _ = Augmentation(**{part: 0.3})(same, seeded())
    changed = ((image - same / 255).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean()
    assert changed == pytest.approx(0.3, abs=0.03)


def test_move_agrees_with_a_loop():
    """Each new pixel by hand: go back through shift, scale, rotation and mirror, then interpolate."""
    image = torch.rand(1, 1, 7, 9, generator=seeded())
    mirrored, angle, scale, dx, dy = True, 0.4, 1.3, 1.7, -0.6
    how = [torch.tensor([value]) for value in (mirrored, angle, scale, dx, dy)]
    result = view_ops.move(image, *view_ops.move_by((7, 9), *how))
    pixels = image[0, 0].numpy()

    def at(y, x):
        return pixels[min(max(y, 0), 6), min(max(x, 0), 8)]

    for row in range(7):
        for column in range(9):
            u, v = (column - 4 - dx) / scale, (row - 3 - dy) / scale
            u, v = math.cos(angle) * u + math.sin(angle) * v, -math.sin(angle) * u + math.cos(angle) * v
            x, y = min(max(4 - u, 0), 8), min(max(3 + v, 0), 6)  # mirrored; beyond the border the border goes on
            x0, y0 = math.floor(x), math.floor(y)
            a, b = x - x0, y - y0
            expected = (1 - b) * ((1 - a) * at(y0, x0) + a * at(y0, x0 + 1))
            expected += b * ((1 - a) * at(y0 + 1, x0) + a * at(y0 + 1, x0 + 1))
            assert float(result[0, 0, row, column]) == pytest.approx(float(expected), abs=1e-5)


def colour(image, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    return view_ops.colour(
        image, *view_ops.colour_by(*(torch.tensor([v]) for v in (brightness, contrast, saturation, hue)))
    )


def test_colours_by_hand():
    image = (torch.rand(1, 3, 8, 8, generator=seeded()) * 0.5 + 0.2)[:, :, :1].expand(-1, -1, 8, -1)  # rows alike
    grey = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    torch.testing.assert_close(colour(image), image)
    torch.testing.assert_close(colour(image, brightness=1.4), image * 1.4)
    torch.testing.assert_close(colour(image, saturation=0.0), grey[:, None].expand(-1, 3, -1, -1))
    torch.testing.assert_close(colour(image, saturation=1.5), grey[:, None] + 1.5 * (image - grey[:, None]))
    torch.testing.assert_close(colour(image, contrast=0.5), grey.mean() + 0.5 * (image - grey.mean()))
    both = grey.mean() + 0.5 * (image - grey.mean())
    torch.testing.assert_close(colour(image, brightness=1.2, contrast=0.5), 1.2 * both)
    # a third of a turn takes red to green, green to blue, blue to red
    torch.testing.assert_close(colour(image, hue=2 * math.pi / 3), image.roll(1, 1))


def test_blur_against_scipy():
    from scipy.ndimage import gaussian_filter

    image = torch.rand(2, 3, 40, 30, generator=seeded())
    result = view_ops.blur(image, *view_ops.blur_by((40, 30), torch.tensor([0.0, 1.5])))
    torch.testing.assert_close(result[0], image[0])
    expected = np.stack([gaussian_filter(channel, 1.5, truncate=8) for channel in image[1].numpy()])
    inner = (slice(None), slice(10, -10), slice(10, -10))  # borders differ on purpose
    np.testing.assert_allclose(result[1].numpy()[inner], expected[inner], atol=1e-4)
    flat = view_ops.blur(torch.ones(1, 3, 9, 9), *view_ops.blur_by((9, 9), torch.tensor([3.0])))
    torch.testing.assert_close(flat, torch.ones(1, 3, 9, 9))


def test_erased_rectangles():
    image = torch.zeros(500, 3, 32, 32)
    result, _ = Augmentation(erase=1.0, erase_area=(0.1, 0.2), erase_aspect=2.0)(image + 0.5, seeded())
    changed = (result != 0.5).any(dim=1)
    share = changed.float().mean(dim=(1, 2))
    assert share.min() > 0.07  # a pixel's width more or less
    assert share.max() < 0.23
    for mask in changed[:50]:
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        height, width = len(rows), len(columns)
        assert int(mask.sum()) == height * width  # it is one rectangle
        assert 0.4 < height / width < 2.5
        assert int(rows[-1] - rows[0]) + 1 == height
    assert changed[:, 0].any()  # it reaches the borders
    assert changed[:, :, -1].any()


def test_nan_landmarks_stay_unknown():
    landmarks = LANDMARKS.clone()
    landmarks[:, 36] = float("nan")
    _, moved = Augmentation(flip=1, rotate=10)(IMAGES, seeded(), landmarks)
    assert moved[:, 45].isnan().all()  # the right eye's corner is now the left eye's
    assert int(moved.isnan().any(dim=2).sum()) == len(IMAGES)


@pytest.mark.parametrize("name", ["everything", *AUGMENTATIONS])
def test_nothing_waits_for_the_device(name):
    """On a fake GPU: reading a value, a boolean index or a tensor left on the CPU raises."""
    augment = EVERYTHING if name == "everything" else AUGMENTATIONS[name]
    with FakeTensorMode():
        images = torch.empty(8, 3, 64, 64, dtype=torch.uint8, device="cuda")
        image, landmarks = augment(images, None, torch.empty(8, 68, 2, device="cuda"))
    assert image.shape == (8, 3, 64, 64)
    assert image.device.type == landmarks.device.type == "cuda"


def test_no_gradient_and_autograd_state():
    images = (IMAGES.float() / 255).requires_grad_()
    assert not EVERYTHING(images, seeded())[0].requires_grad
    assert torch.is_grad_enabled()


def test_autocast_does_not_reach_colours_and_grids():
    plain = EVERYTHING(IMAGES, seeded())[0]
    threads = torch.get_num_threads()
    for count in {1, threads}:
        torch.set_num_threads(count)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(EVERYTHING(IMAGES, seeded())[0], plain)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("strengths", "words"),
    [
        ({"flip": 1.5}, "flip is a probability"),
        ({"rotate": -3}, "rotate must be at least 0"),
        ({"scale": 1.0}, "scale must be below 1"),
        ({"erase_area": (0.3, 0.1)}, "erase_area must be two shares"),
        ({"erase_aspect": 0.5}, "erase_aspect at least 1"),
    ],
)
def test_impossible_strengths(strengths, words):
    with pytest.raises(ValueError, match=words):
        Augmentation(**strengths)
