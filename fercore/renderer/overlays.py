"""What lies over the face and what the camera does: glasses, masks, hands, blur, noise, grey, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from fercore.renderer.scenes import Scene


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size].astype(float)  # the centre of the first pixel is (0, 0)
    return x, y


def _segment(x, y, a, b) -> np.ndarray:
    along = b - a
    t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along @ along + 1e-9), 0, 1)
    return np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])


def _blend(image: np.ndarray, mask: np.ndarray, colour) -> np.ndarray:
    return image * (1 - mask[..., None]) + np.asarray(colour) * mask[..., None]


def add_glasses(image: np.ndarray, landmarks: np.ndarray, scene: Scene) -> np.ndarray:
    """Glasses on the eyes of ``landmarks`` (68, 2); dark lenses for ``scene.glasses == "sun"``."""
    rng = np.random.default_rng([11, scene.glasses_seed])
    size = len(image)
    x, y = _grid(size)
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    across = eyes[1] - eyes[0]
    narrowed = max(np.cos(np.radians(scene.yaw)), 0.5)
    distance = np.linalg.norm(across) / narrowed
    across = across / np.linalg.norm(across)
    down = np.array([-across[1], across[0]])
    high, wide = distance * rng.uniform(0.20, 0.30), distance * rng.uniform(0.30, 0.38) * narrowed
    thick = size * rng.uniform(0.006, 0.014)
    power = rng.choice([2, 2.6, 4])
    colour = rng.uniform(0, 0.35, 3) * rng.choice([0.15, 1])
    frame, lens = np.zeros((size, size)), np.zeros((size, size))
    for eye in eyes:
        centre = eye + down * high * 0.12
        u = ((x - centre[0]) * across[0] + (y - centre[1]) * across[1]) / wide
        v = ((x - centre[0]) * down[0] + (y - centre[1]) * down[1]) / high
        edge = ((np.abs(u) ** power + np.abs(v) ** power) ** (1 / power) - 1) * high
        frame = np.maximum(frame, np.clip(1.2 - np.abs(edge) / thick, 0, 1))
        lens = np.maximum(lens, np.clip(0.5 - edge, 0, 1))
    bars = [(eyes[0] + across * wide, eyes[1] - across * wide)]
    if scene.yaw > -15:
        bars.append((eyes[0] - across * wide, landmarks[0]))
    if scene.yaw < 15:
        bars.append((eyes[1] + across * wide, landmarks[16]))
    for a, b in bars:
        frame = np.maximum(frame, np.clip(1.2 - _segment(x, y, a, b) / thick, 0, 1))
    if scene.glasses == "sun":
        image = _blend(image, lens * 0.9, (0.04, 0.04, 0.05))
    else:
        glint = np.clip(1 - ((x - y) % (size * 0.3)) / (size * 0.05), 0, 1)
        image = image * (1 - 0.10 * lens[..., None]) + (0.05 * lens * glint)[..., None]
    return _blend(image, frame, colour)


def add_cover(image: np.ndarray, landmarks: np.ndarray, scene: Scene, skin: np.ndarray) -> np.ndarray:
    """A face mask, a hand, or some thing in front of part of the face."""
    rng = np.random.default_rng([13, scene.cover_seed])
    size = len(image)
    x, y = _grid(size)
    if scene.cover == "mask":
        outline = np.concatenate([landmarks[2:15], landmarks[28:29]])
        mask = _polygon(outline, size)
        mask = gaussian_filter(mask, size * 0.006)
        folds = 0.92 + 0.08 * np.sin((y - landmarks[28, 1]) / size * 55)
        colour = rng.choice([(0.75, 0.82, 0.88), (0.85, 0.85, 0.85), (0.12, 0.12, 0.14), (0.45, 0.62, 0.70)])
        return image * (1 - mask[..., None]) + mask[..., None] * folds[..., None] * colour
    place = landmarks[rng.choice([8, 30, 33, 48, 54, 57, 36, 45, 21])] + rng.normal(0, 0.06, 2) * size
    angle = rng.uniform(0, np.pi)
    u = (x - place[0]) * np.cos(angle) + (y - place[1]) * np.sin(angle)
    v = -(x - place[0]) * np.sin(angle) + (y - place[1]) * np.cos(angle)
    if scene.cover == "thing":
        power = rng.choice([2, 6])
        reach = (np.abs(u) / (size * rng.uniform(0.08, 0.26))) ** power
        reach = reach + (np.abs(v) / (size * rng.uniform(0.06, 0.15))) ** power
        shade = 0.8 + 0.2 * np.sin(u / size * 40 + v / size * 13)
        mask = np.clip((1.1 - reach) * 6, 0, 1)
        return image * (1 - mask[..., None]) + mask[..., None] * shade[..., None] * rng.uniform(0.03, 0.85, 3)
    # A hand: four fingers side by side, rounded at their ends, in the person's own skin.
    finger, length = size * rng.uniform(0.028, 0.042), size * rng.uniform(0.14, 0.24)
    tone = np.clip(skin, 0, 1) ** (1 / 2.2) * rng.uniform(0.75, 1.0)
    for k in range(4):
        centre = (k - 1.5) * finger * 1.9
        start = size * 0.5
        tip = length * (1 - 0.12 * abs(k - 1.4))
        edge = np.hypot(np.maximum(np.maximum(u - tip, -u - start), 0), v - centre) - finger
        round_ = 0.72 + 0.28 * np.sqrt(np.clip(1 - ((v - centre) / finger) ** 2, 0, 1))
        image = _blend(image, np.clip(0.5 - edge, 0, 1), tone * round_[..., None])
    return image


def _polygon(points: np.ndarray, size: int) -> np.ndarray:
    """1 inside the closed polygon (even-odd rule), 0 outside."""
    x, y = _grid(size)
    inside = np.zeros((size, size), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0 + 1e-12) + x0)
    return inside.astype(float)


def photograph(image: np.ndarray, scene: Scene) -> np.ndarray:
    """Blur, grey, noise and JPEG of ``scene``: (S, S, 3) in [0, 1] -> (S, S, 3) uint8."""
    if scene.blur > 0:
        spread = scene.blur * len(image)
        image = gaussian_filter(image, (spread, spread, 0))
    if scene.grey:
        image = np.repeat((image @ [0.299, 0.587, 0.114])[..., None], 3, -1)
    if scene.noise > 0:
        rng = np.random.default_rng([17, scene.noise_seed])
        grain = rng.normal(0, scene.noise, image.shape[:2] + ((1,) if scene.grey else (3,)))
        image = image + grain
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    if scene.jpeg > 0:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(scene.jpeg))
        pixels = np.asarray(Image.open(buffer))
    return pixels
