"""What an augmentation does to a batch, given each face's numbers: deterministic, and without waiting for the device.

Coordinates are pixels from the image's centre, x to the right, y down. Parameters are (B,) tensors, one number a face.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from fercore.datasets.landmarks import mirror_landmarks

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""


def move(image: Tensor, mirrored: Tensor, angle: Tensor, scale: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Point p of the face goes to scale * R(angle) * F p + (dx, dy), with F the mirror: one interpolation for all.

    :param image: (B, 3, H, W) float; beyond its border the border's colours continue.
    :param mirrored: (B,) bool. angle: radians, clockwise as seen. dx, dy: pixels.
    """
    height, width = image.shape[2:]
    # the inverse, F R(-angle) / scale, tells where each new pixel comes from; grid_sample counts from -1 to 1
    flip = 1 - 2 * mirrored.float()
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    per_x = torch.stack([flip * cos / width, -sin / height], dim=1) * 2  # (B, 2): by one pixel to the right
    per_y = torch.stack([flip * sin / width, cos / height], dim=1) * 2  # (B, 2): by one pixel down
    x = _centred(width, image.device) - dx[:, None]
    y = _centred(height, image.device) - dy[:, None]
    # from[y, x] = x * per_x + y * per_y as a product of matrices, which is the fastest way to fill the grid
    rows = torch.stack([torch.ones_like(y), y], dim=2)  # (B, H, 2)
    columns = torch.stack([x[:, :, None] * per_x[:, None], per_y[:, None].expand(-1, width, -1)], dim=1)
    grid = torch.bmm(rows, columns.flatten(2)).view(-1, height, width, 2)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def move_points(
    points: Tensor, size: tuple[int, int], mirrored: Tensor, angle: Tensor, scale: Tensor, dx: Tensor, dy: Tensor
) -> Tensor:
    """Landmarks (B, 68, 2), in pixels of an image of ``size`` (H, W), moved as ``move`` moves that image."""
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    points = torch.where(mirrored[:, None, None], mirror_landmarks(points), points)
    x = (points[..., 0] - centre_x) * (1 - 2 * mirrored.float())[:, None]
    y = points[..., 1] - centre_y
    cos, sin = (scale * torch.cos(angle))[:, None], (scale * torch.sin(angle))[:, None]
    new_x = cos * x - sin * y + dx[:, None] + centre_x
    new_y = sin * x + cos * y + dy[:, None] + centre_y
    return torch.stack([new_x, new_y], dim=2)


def colour(image: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Turn the hue, saturate, contrast about the mean grey, brighten: all linear, hence one matrix a face.

    :param image: (B, 3, H, W) float in [0, 1]; the result is not clipped.
    :param brightness, contrast, saturation: factors, 1 for no change. hue: radians about the grey axis.
    """
    eye = torch.eye(3, device=image.device)
    luma = sum(weight * eye[channel] for channel, weight in enumerate(LUMA))  # (3,)
    grey = luma.expand(3, 3)  # takes a colour to its grey, three times
    saturation = saturation[:, None, None]
    matrix = (saturation * eye + (1 - saturation) * grey) @ _turn_hue(hue, eye)
    # the mean grey, taken from every fourth pixel each way, which is as good and 16 times as fast
    mean = (matrix @ image[:, :, ::4, ::4].mean(dim=(2, 3))[:, :, None]).squeeze(2) @ luma
    offset = brightness * (1 - contrast) * mean
    matrix = (brightness * contrast)[:, None, None] * matrix
    return torch.bmm(matrix, image.flatten(2)).view(image.shape).add_(offset[:, None, None, None])


def _turn_hue(angle: Tensor, eye: Tensor) -> Tensor:
    """Rotate colours about the grey axis (Rodrigues' formula): (B,) radians -> (B, 3, 3)."""
    cross = (eye.roll(1, 0) - eye.roll(-1, 0)) / math.sqrt(3)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * eye + sin * cross + (1 - cos) / 3


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur; ``sigma`` in pixels, 0 for none. One product with a banded matrix along each axis.

    The weights of each pixel sum to one within the image, so its border does not darken.
    """
    count, channels, height, width = image.shape
    along_x = image.reshape(count, channels * height, width) @ _gaussian(width, sigma).transpose(1, 2)
    return _gaussian(height, sigma)[:, None] @ along_x.view(image.shape)


def _gaussian(side: int, sigma: Tensor) -> Tensor:
    """(B, side, side): row i holds the weights of the pixels that make pixel i."""
    at = _centred(side, sigma.device)
    squared = (at[:, None] - at).square()
    exponent = squared / (2 * sigma.clamp(min=1e-3).square())[:, None, None]
    weight = torch.exp(-exponent.clamp(max=40))  # smaller ones would be denormal, with which CPUs are slow
    return weight / weight.sum(dim=2, keepdim=True)


def add_noise_(image: Tensor, noise: Tensor, strength: Tensor) -> Tensor:
    """Add ``strength`` times the noise (B, 1, H, W) to all channels alike, in place."""
    return image.addcmul_(noise, strength[:, None, None, None])


def erase_(
    image: Tensor, erased: Tensor, area: Tensor, aspect: Tensor, left: Tensor, top: Tensor, fill: Tensor
) -> Tensor:
    """Paint one rectangle over each face for which ``erased`` (B,) bool is true, in place.

    :param area: share of the image. aspect: height / width; a side longer than the image's is cut to it.
    :param left, top: place, from 0 (at that border) to 1 (at the opposite one).
    :param fill: (B, 3) colour.
    """
    height, width = image.shape[2:]
    pixels = area * (height * width)
    rows = _span(height, (pixels * aspect).sqrt(), top)
    columns = _span(width, (pixels / aspect).sqrt(), left)
    mask = (rows * erased[:, None])[:, None, :, None] * columns[:, None, None, :]
    return image.lerp_(fill[:, :, None, None], mask)


def _span(side: int, length: Tensor, place: Tensor) -> Tensor:
    """(B, side) float: 1 for the pixels whose centre lies in a stretch of this length, else 0."""
    half = length.clamp(max=side) / 2
    middle = (place - 0.5) * (side - 2 * half)
    return ((_centred(side, length.device) - middle[:, None]).abs() < half[:, None]).float()


def _centred(side: int, device: torch.device) -> Tensor:
    """(side,) coordinates of the pixels' centres."""
    return torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
