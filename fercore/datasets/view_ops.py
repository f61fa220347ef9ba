"""What an augmentation does to a batch, given each face's numbers: deterministic, and without waiting for the device.

Each operation comes in two halves. ``<name>_by`` turns parameters, (B,) tensors of one number a face, into the small
matrices that the operation multiplies with; ``<name>`` applies them to images (B, 3, H, W), float in [0, 1].
Coordinates are pixels from the image's centre, x to the right, y down.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from fercore.datasets.mirror import mirror_landmarks

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""


def move_by(
    size: tuple[int, int], mirrored: Tensor, angle: Tensor, scale: Tensor, dx: Tensor, dy: Tensor
) -> tuple[Tensor, Tensor]:
    """Point p of the face goes to scale * R(angle) * F p + (dx, dy), with F the mirror.

    :param size: height and width. mirrored: bool. angle: radians, clockwise as seen. dx, dy: pixels.
    :return: (B, H, 2) and (B, 2, 2 W), whose product says where each new pixel comes from.
    """
    height, width = size
    # the inverse, F R(-angle) / scale; grid_sample counts from -1 to 1 over a side
    flip = 1 - 2 * mirrored.float()
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    per_x = torch.stack([flip * cos / width, -sin / height], dim=1) * 2  # (B, 2): by one pixel to the right
    per_y = torch.stack([flip * sin / width, cos / height], dim=1) * 2  # (B, 2): by one pixel down
    x = _centred(width, angle.device) - dx[:, None]
    y = _centred(height, angle.device) - dy[:, None]
    # comes_from[y, x] = 1 * (x per_x) + y * per_y: a product of matrices is the fastest way to fill the grid
    rows = torch.stack([torch.ones_like(y), y], dim=2)
    columns = torch.stack([x[:, :, None] * per_x[:, None], per_y[:, None].expand(-1, width, -1)], dim=1)
    return rows, columns.flatten(2)


def move(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Mirror, turn, scale and shift in one bilinear interpolation; beyond the border its colours continue."""
    grid = torch.bmm(rows, columns).view(len(image), *image.shape[2:], 2)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def zoom(image: Tensor, factor: float) -> Tensor:
    """All images (B, C, H, W) enlarged about their middle (or made smaller); beyond the border its colours continue."""
    matrix = torch.eye(2, 3, device=image.device, dtype=image.dtype) / factor
    grid = functional.affine_grid(matrix.expand(len(image), 2, 3), image.shape, align_corners=False)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def move_points(
    points: Tensor, size: tuple[int, int], mirrored: Tensor, angle: Tensor, scale: Tensor, dx: Tensor, dy: Tensor
) -> Tensor:
    """Landmarks (B, 68, 2), in pixels of an image of ``size`` (H, W), moved as ``move_by`` says."""
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    points = torch.where(mirrored[:, None, None], mirror_landmarks(points), points)
    x = (points[..., 0] - centre_x) * (1 - 2 * mirrored.float())[:, None]
    y = points[..., 1] - centre_y
    cos, sin = (scale * torch.cos(angle))[:, None], (scale * torch.sin(angle))[:, None]
    new_x = cos * x - sin * y + dx[:, None] + centre_x
    new_y = sin * x + cos * y + dy[:, None] + centre_y
    return torch.stack([new_x, new_y], dim=2)


def colour_by(brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the hue, saturate, contrast about the image's mean grey, brighten: all linear, hence one matrix.

    :param brightness, contrast, saturation: factors, 1 for no change. hue: radians about the grey axis.
    :return: (B, 3, 3) by which colours are multiplied, and (B, 3) by which the mean colour gives what is then added.
    """
    eye = torch.eye(3, device=hue.device)
    luma = sum(weight * eye[channel] for channel, weight in enumerate(LUMA))  # (3,)
    saturation = saturation[:, None, None]
    matrix = (saturation * eye + (1 - saturation) * luma) @ _turn_hue(hue, eye)
    pivot = (brightness * (1 - contrast))[:, None] * (luma @ matrix)
    return (brightness * contrast)[:, None, None] * matrix, pivot


def colour(image: Tensor, matrix: Tensor, pivot: Tensor) -> Tensor:
    """Change all colours; the result is not clipped."""
    mean = image[:, :, ::4].mean(dim=(2, 3))  # every fourth row is as good and four times as fast
    offset = (pivot * mean).sum(dim=1)
    return torch.bmm(matrix, image.flatten(2)).view(image.shape).add_(offset[:, None, None, None])


def _turn_hue(angle: Tensor, eye: Tensor) -> Tensor:
    """Rotate colours about the grey axis (Rodrigues' formula): (B,) radians -> (B, 3, 3)."""
    cross = (eye.roll(1, 0) - eye.roll(-1, 0)) / math.sqrt(3)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * eye + sin * cross + (1 - cos) / 3


def blur_by(size: tuple[int, int], sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussian blur of ``sigma`` pixels, 0 for none: the weights (B, H, H) along y and (B, W, W) along x.

    Row i holds the weights of the pixels that make pixel i; they sum to one, so the border does not darken.
    """
    along_y = _gaussian(size[0], sigma)
    return along_y, along_y if size[0] == size[1] else _gaussian(size[1], sigma)


def blur(image: Tensor, along_y: Tensor, along_x: Tensor) -> Tensor:
    """Blur as one product of matrices along each axis."""
    lines = image.reshape(len(image), -1, image.shape[3])
    image = torch.bmm(lines, along_x.transpose(1, 2)).view(image.shape)
    return along_y[:, None] @ image


def _gaussian(side: int, sigma: Tensor) -> Tensor:
    at = _centred(side, sigma.device)
    exponent = (at[:, None] - at).square() / (2 * sigma.clamp(min=1e-3).square())[:, None, None]
    weight = torch.exp(-exponent.clamp(max=40))  # smaller ones would be denormal, with which CPUs are slow
    return weight / weight.sum(dim=2, keepdim=True)


def add_noise(image: Tensor, noise: Tensor, strength: Tensor) -> Tensor:
    """Add ``strength`` (B,) times the noise (B, 1, H, W) to all channels alike, in place."""
    return image.addcmul_(noise, strength[:, None, None, None])


def erase_by(
    size: tuple[int, int], erased: Tensor, area: Tensor, aspect: Tensor, left: Tensor, top: Tensor, fill: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where one rectangle covers each face for which ``erased`` (bool) is true, and its colour ``fill`` (B, 3).

    :param area: share of the image. aspect: height / width; a side longer than the image's is cut to it.
    :param left, top: place, from 0 (at that border) to 1 (at the opposite one).
    :return: (B, H) and (B, W), 1 in the rectangle's rows and columns and else 0; and ``fill``.
    """
    height, width = size
    pixels = area * (height * width)
    rows = _span(height, (pixels * aspect).sqrt(), top) * erased[:, None]
    return rows, _span(width, (pixels / aspect).sqrt(), left), fill


def erase(image: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    """Paint the rectangles, in place."""
    return image.lerp_(fill[:, :, None, None], rows[:, None, :, None] * columns[:, None, None, :])


def _span(side: int, length: Tensor, place: Tensor) -> Tensor:
    """(B, side) float: 1 for the pixels whose centre lies in a stretch of this length, else 0."""
    half = length.clamp(max=side) / 2
    middle = (place - 0.5) * (side - 2 * half)
    return ((_centred(side, length.device) - middle[:, None]).abs() < half[:, None]).float()


def _centred(side: int, device: torch.device) -> Tensor:
    """(side,) coordinates of the pixels' centres."""
    return torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
