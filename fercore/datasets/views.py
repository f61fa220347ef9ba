"""Augmentation of whole batches, on the device they are on.

Each face gets its own random numbers, all drawn at once. Flip, rotation, scale and shift make one affine grid, so the
image is interpolated once; brightness, contrast, saturation, hue and grey make one 3x4 colour matrix, so the colours
are multiplied once. Nothing waits for the device, and no shape depends on data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fercore.datasets.landmarks import mirror_landmarks

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class Augmentation:
    """Strengths; 0 switches a part off.

    flip: probability of mirroring.
    rotate: largest angle either way, degrees.
    scale: face larger or smaller by a factor in [1 - scale, 1 + scale].
    shift: largest shift along each axis, as a share of the side.
    brightness, contrast, saturation: factors in [1 - s, 1 + s].
    hue: largest turn of the hue either way, in full turns.
    grey: probability of losing all colour.
    blur: largest standard deviation of the blur, as a share of the width; each face draws its own between 0 and this.
    noise: largest standard deviation of luminance noise, image in [0, 1]; each face draws its own.
    erase: probability of painting over a rectangle, in a random colour.
    erase_area: smallest and largest share of the image it covers.
    erase_aspect: its largest ratio of height to width or width to height.
    """

    flip: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.25)
    erase_aspect: float = 3.0

    def __call__(
        self, images: Tensor, generator: torch.Generator | None = None, landmarks: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Augment a batch.

        :param images: (B, 3, H, W) uint8, or float in [0, 1].
        :param generator: on the images' device; the default one if None.
        :param landmarks: (B, 68, 2) float pixels; NaN stays NaN.
        :return: (B, 3, H, W) float32 in [0, 1], and the landmarks, moved as the image was.
        """
        with torch.no_grad():
            draw = _Draw(len(images), images.device, generator)
            image = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
            if self.flip or self.rotate or self.scale or self.shift:
                image, landmarks = self._move(image, draw, landmarks)
            if self.brightness or self.contrast or self.saturation or self.hue or self.grey:
                image = self._colour(image, draw)
            if self.blur:
                image = _blur(image, draw.uniform(0, self.blur) * image.shape[3])
            if self.noise:
                image = image + draw.normal_like(image[:, :1]) * draw.uniform(0, self.noise)[:, None, None, None]
            if self.erase:
                image = self._erase(image, draw)
            return image.clamp(0, 1), landmarks

    def _move(self, image: Tensor, draw: _Draw, landmarks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Face points x go to A x + t, pixels from the image's centre; A = scale * rotation * mirror."""
        height, width = image.shape[2:]
        mirrored = draw.chance(self.flip)
        mirror = 1 - 2 * mirrored.float()
        angle = draw.uniform(-self.rotate, self.rotate) * (math.pi / 180)
        scale = draw.uniform(1 - self.scale, 1 + self.scale)
        dx, dy = draw.uniform(-self.shift, self.shift) * width, draw.uniform(-self.shift, self.shift) * height
        cos, sin = torch.cos(angle), torch.sin(angle)
        # the inverse, mirror * rotation^T / scale, tells each new pixel where it comes from;
        # grid coordinates run from -1 to 1 over the side, hence the aspect
        xx, xy, yx, yy = mirror * cos / scale, mirror * sin / scale, -sin / scale, cos / scale
        aspect = height / width
        to_x = torch.stack([xx, xy * aspect, -(xx * dx + xy * dy) * (2 / width)], dim=1)
        to_y = torch.stack([yx / aspect, yy, -(yx * dx + yy * dy) * (2 / height)], dim=1)
        grid = functional.affine_grid(torch.stack([to_x, to_y], dim=1), image.shape, align_corners=False)
        image = functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
        if landmarks is None:
            return image, None
        points = torch.where(mirrored[:, None, None], mirror_landmarks(landmarks), landmarks)
        cx, cy = (width - 1) / 2, (height - 1) / 2
        x, y = (points[..., 0] - cx) * mirror[:, None], points[..., 1] - cy
        cos, sin = (scale * cos)[:, None], (scale * sin)[:, None]
        return image, torch.stack([cos * x - sin * y + cx + dx[:, None], sin * x + cos * y + cy + dy[:, None]], dim=2)

    def _colour(self, image: Tensor, draw: _Draw) -> Tensor:
        """Brightness, contrast, saturation, hue: each is linear in (r, g, b, 1), so their product is one matrix."""
        luma = torch.stack([torch.full_like(draw.ones, weight) for weight in LUMA], dim=1)  # (B, 3)
        eye = torch.eye(3, device=image.device)
        grey = luma[:, None, :].expand(-1, 3, -1)  # (B, 3, 3), each row gives the grey value
        matrix = eye.expand(len(image), 3, 3)
        saturation = draw.uniform(1 - self.saturation, 1 + self.saturation)
        saturation = torch.where(draw.chance(self.grey), 0.0, saturation)[:, None, None]
        matrix = saturation * matrix + (1 - saturation) * grey
        if self.hue:
            matrix = matrix @ _turn_hue(draw.uniform(-self.hue, self.hue) * (2 * math.pi), eye)
        contrast = draw.uniform(1 - self.contrast, 1 + self.contrast)[:, None]
        brightness = draw.uniform(1 - self.brightness, 1 + self.brightness)[:, None]
        # contrast is taken about the image's mean grey, here from every fourth pixel each way
        mean = (image[:, :, ::4, ::4].mean(dim=(2, 3)) * luma).sum(dim=1, keepdim=True)
        offset = (brightness * (1 - contrast) * mean).expand(-1, 3)[:, :, None]
        matrix = (brightness * contrast)[:, :, None] * matrix
        return torch.baddbmm(offset, matrix, image.flatten(2)).view(image.shape)

    def _erase(self, image: Tensor, draw: _Draw) -> Tensor:
        height, width = image.shape[2:]
        area = draw.uniform(*self.erase_area) * (height * width)
        aspect = torch.exp(draw.uniform(-1, 1) * math.log(self.erase_aspect))
        half_h = ((area * aspect).sqrt() / 2).clamp(max=height / 2)
        half_w = ((area / aspect).sqrt() / 2).clamp(max=width / 2)
        top = draw.uniform(0, 1) * (height - 2 * half_h)
        left = draw.uniform(0, 1) * (width - 2 * half_w)
        erased = draw.chance(self.erase)
        y = torch.arange(height, device=image.device) + 0.5
        x = torch.arange(width, device=image.device) + 0.5
        rows = (y - (top + half_h)[:, None]).abs() < half_h[:, None]
        columns = (x - (left + half_w)[:, None]).abs() < half_w[:, None]
        mask = (rows[:, :, None] & columns[:, None, :] & erased[:, None, None])[:, None]
        colour = torch.stack([draw.uniform(0, 1) for _ in range(3)], dim=1)[:, :, None, None]
        return torch.where(mask, colour, image)


class _Draw:
    """Random numbers, one a face, from one generator."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator | None):
        self.count, self.device, self.generator = count, device, generator
        self.ones = torch.ones(count, device=device)

    def uniform(self, low: float, high: float) -> Tensor:
        """(B,) in [low, high)."""
        return torch.rand(self.count, device=self.device, generator=self.generator) * (high - low) + low

    def chance(self, probability: float) -> Tensor:
        """(B,) bool."""
        return self.uniform(0, 1) < probability

    def normal_like(self, image: Tensor) -> Tensor:
        return torch.randn(image.shape, device=self.device, generator=self.generator)


def _turn_hue(angle: Tensor, eye: Tensor) -> Tensor:
    """Turn colours about the grey axis (Rodrigues' formula): (B,) radians -> (B, 3, 3)."""
    cross = (eye.roll(1, 0) - eye.roll(-1, 0)) / math.sqrt(3)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * eye + sin * cross + (1 - cos) / 3


def _blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, (B,) standard deviations in pixels, as products with a banded matrix for each axis."""
    return _gaussian(image.shape[2], sigma) @ image @ _gaussian(image.shape[3], sigma).transpose(2, 3)


def _gaussian(side: int, sigma: Tensor) -> Tensor:
    """(B, 1, side, side), rows summing to one; a deviation of 0 leaves the image as it is."""
    at = torch.arange(side, device=sigma.device, dtype=torch.float32)
    distance = (at[:, None] - at).square()
    weight = torch.exp(-distance / (2 * sigma.clamp(min=1e-3).square())[:, None, None])
    return (weight / weight.sum(dim=2, keepdim=True))[:, None]


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "weak": Augmentation(
        flip=0.5, rotate=8, scale=0.08, shift=0.04, brightness=0.15, contrast=0.15, saturation=0.15
    ),
    "strong": Augmentation(
        flip=0.5, rotate=15, scale=0.15, shift=0.08, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05,
        grey=0.2, blur=0.02, noise=0.08, erase=0.5,
    ),
    "erase": Augmentation(
        flip=0.5, rotate=8, scale=0.08, shift=0.04, brightness=0.15, contrast=0.15, saturation=0.15, erase=1.0
    ),
}  # fmt: skip
"""Named strengths: ``Needs.views`` asks for them by name."""
