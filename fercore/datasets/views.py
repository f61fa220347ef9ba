"""Augmentation of whole batches, on the device they are on.

Each face gets its own random numbers. Flip, rotation, scale and shift make one affine grid, so that the image is
interpolated once; brightness, contrast, saturation, hue and grey make one matrix, so that colours are multiplied once.
Nothing waits for the device, and no shape depends on data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fercore.datasets import view_ops
from fercore.datasets.parallel import run_pieces
from fercore.settings import check_values

Operation = Callable[..., Tensor]
Matrices = tuple[Tensor, ...]

PICKED = ("rotate", "scale", "shift", "brightness", "contrast", "saturation", "hue", "grey", "blur", "noise")
"""The parts among which ``Augmentation.pick`` chooses."""

CPU_PIECE = 16 * 64 * 64
"""On a CPU about so many pixels are worked on at a time: they fit into its cache, which makes it twice as fast."""


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
    erase: probability of painting a rectangle over, in a random colour.
    erase_area: smallest and largest share of the image that it covers.
    erase_aspect: its largest ratio of height to width or width to height.
    pick: how many of the PICKED parts each face gets, drawn for it alone; the others leave it as it is (RandAugment,
        Cubuk et al., 2020, whose N this is, with the operations that we have). 0: all of them.
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
    pick: int = 0

    def __post_init__(self):
        check_values(type(self), vars(self))
        for name, value in vars(self).items():
            if name in ("flip", "grey", "erase") and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability, from 0 to 1, not {value}.")
            if name != "erase_area" and value < 0:
                raise ValueError(f"{name} must be at least 0, not {value}.")
        if self.pick > len(self._parts):
            raise ValueError(f"pick: {self.pick} parts cannot be drawn from the {len(self._parts)} that are not 0.")
        if self.scale >= 1:
            raise ValueError(f"scale must be below 1, not {self.scale}, or the face may vanish.")
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1 or self.erase_aspect < 1:
            raise ValueError("erase_area must be two shares, the smaller first, and erase_aspect at least 1.")

    @property
    def _parts(self) -> list[str]:
        return [name for name in PICKED if getattr(self, name)]

    def __call__(
        self, images: Tensor, generator: torch.Generator | None = None, landmarks: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Augment a batch.

        :param images: (B, 3, H, W) uint8, or float in [0, 1]; left as they are.
        :param generator: on the images' device; the default one if None.
        :param landmarks: (B, 68, 2) float pixels; NaN stays NaN.
        :return: (B, 3, H, W) float32 in [0, 1], and the landmarks, moved as the image was.
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self._augment(images, generator, landmarks)

    def _augment(
        self, images: Tensor, generator: torch.Generator | None, landmarks: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        plan, movement = self._plan(_Draw(len(images), images.device, generator), images.shape[2:])
        on_cpu = images.device.type == "cpu"
        step = max(1, CPU_PIECE // (images.shape[2] * images.shape[3])) if on_cpu else len(images)
        result = torch.empty(images.shape, device=images.device)
        sources, targets = images.split(step), result.split(step)
        plan = [(operation, [values.split(step) for values in matrices]) for operation, matrices in plan]

        @torch.no_grad()  # which, as autocast, holds for one thread only
        def work(piece: int) -> None:
            # a tensor of our own, so that operations may work in place
            image = sources[piece].to(torch.float32, copy=True)
            if images.dtype == torch.uint8:
                image.mul_(1 / 255)
            for operation, matrices in plan:
                image = operation(image, *(values[piece] for values in matrices))
            torch.clamp(image, 0, 1, out=targets[piece])

        if on_cpu:
            run_pieces(work, len(sources))
        else:
            work(0)
        if landmarks is not None and movement:
            landmarks = view_ops.move_points(landmarks, images.shape[2:], *movement)
        return result, landmarks

    def _plan(self, draw: _Draw, size: tuple[int, int]) -> tuple[list[tuple[Operation, Matrices]], Matrices]:
        """The operations in their order with their matrices, one a face; and how the face moves."""
        plan, movement = [], ()
        has = draw.some_of(self._parts, self.pick)
        if self.flip or self.rotate or self.scale or self.shift:
            movement = (
                draw.chance(self.flip),
                draw.between(self.rotate) * (math.pi / 180) * has["rotate"],
                1 + draw.between(self.scale) * has["scale"],
                draw.between(self.shift) * size[1] * has["shift"],
                draw.between(self.shift) * size[0] * has["shift"],
            )
            plan.append((view_ops.move, view_ops.move_by(size, *movement)))
        if self.brightness or self.contrast or self.saturation or self.hue or self.grey:
            light = [1 + draw.between(getattr(self, name)) * has[name] for name in ("brightness", "contrast")]
            coloured = 1 - draw.chance(self.grey) * has["grey"]
            saturation = (1 + draw.between(self.saturation) * has["saturation"]) * coloured
            hue = draw.between(self.hue) * (2 * math.pi) * has["hue"]
            plan.append((view_ops.colour, view_ops.colour_by(*light, saturation, hue)))
        if self.blur:
            plan.append((view_ops.blur, view_ops.blur_by(size, draw.uniform(0, self.blur) * size[1] * has["blur"])))
        if self.noise:
            plan.append((view_ops.add_noise, (draw.normal(1, *size), draw.uniform(0, self.noise) * has["noise"])))
        if self.erase:
            rectangle = (
                draw.chance(self.erase),
                draw.uniform(*self.erase_area),
                torch.exp(draw.between(math.log(self.erase_aspect))),
                draw.uniform(0, 1),
                draw.uniform(0, 1),
                torch.stack([draw.uniform(0, 1) for _ in range(3)], dim=1),
            )
            plan.append((view_ops.erase, view_ops.erase_by(size, *rectangle)))
        return plan, movement


class _Draw:
    """Random numbers for B faces, from one generator; all uniform ones are drawn at once."""

    UNIFORM = 20

    def __init__(self, count: int, device: torch.device, generator: torch.Generator | None):
        self.count = count
        self.where = {"device": device, "generator": generator}
        self.left = iter(torch.rand(self.UNIFORM, count, **self.where).unbind())

    def uniform(self, low: float, high: float) -> Tensor:
        """(B,) in [low, high)."""
        return next(self.left) * (high - low) + low

    def between(self, strength: float) -> Tensor:
        """(B,) from -strength to strength."""
        return self.uniform(-strength, strength)

    def chance(self, probability: float) -> Tensor:
        """(B,) bool, true with this probability."""
        return next(self.left) < probability

    def some_of(self, parts: list[str], count: int) -> dict[str, Tensor | float]:
        """By part, (B,): 1 for the ``count`` parts that a face gets, 0 for the others; 0 of them: all faces get all."""
        if not count:
            return dict.fromkeys(PICKED, 1.0)
        rank = torch.rand(self.count, len(parts), **self.where).argsort(1).argsort(1)
        return dict.fromkeys(PICKED, 0.0) | dict(zip(parts, (rank < count).float().unbind(1), strict=True))

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), standard normal."""
        return torch.randn(self.count, *shape, **self.where)


_PLACE = {"flip": 0.5, "rotate": 8.0, "scale": 0.08, "shift": 0.04}
_LIGHT = {"brightness": 0.15, "contrast": 0.15, "saturation": 0.15}

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "weak": Augmentation(**_PLACE, **_LIGHT),
    "erase": Augmentation(**_PLACE, **_LIGHT, erase=1.0),
    "strong": Augmentation(
        flip=0.5,
        rotate=15.0,
        scale=0.15,
        shift=0.08,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.05,
        grey=0.2,
        blur=0.02,
        noise=0.08,
        erase=0.5,
    ),
    # What the net still reads: noise, which costs most, and the rectangle are milder, and no colour is taken wholly. A
    # baseline (BlendFER, preset quick, 900 validation faces) is right about 70 % of plain, 67 % of weak, 56 % of
    # readable, 59 % of randaugment, but 35 % of strong views.
    "readable": Augmentation(
        flip=0.5,
        rotate=12,
        scale=0.12,
        shift=0.06,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.03,
        blur=0.01,
        noise=0.015,
        erase=0.5,
        erase_area=(0.02, 0.1),
    ),
    # FixMatch's RandAugment (two operations a face) and a hole, within what the net reads
    "randaugment": Augmentation(
        flip=0.5,
        rotate=20,
        scale=0.2,
        shift=0.1,
        brightness=0.5,
        contrast=0.5,
        saturation=0.8,
        hue=0.06,
        grey=0.5,
        blur=0.02,
        noise=0.03,
        pick=2,
        erase=0.5,
        erase_area=(0.02, 0.1),
    ),
}
"""Named strengths; ``Needs.views`` asks for them by name."""
