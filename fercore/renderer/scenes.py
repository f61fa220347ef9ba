"""Where and how the picture is taken: pose, framing, light, background, accessories and what the camera did to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from scipy.ndimage import gaussian_filter

GLASSES = ("none", "clear", "sun")
COVERS = ("none", "mask", "hand", "thing")


@dataclass(frozen=True)
class Scene:
    """One picture's conditions. Angles in degrees, lengths as fractions of the picture, strengths relative to 1.

    yaw: to the image's right, pitch: up, roll: counter-clockwise. zoom, dx, dy: error of the face alignment.
    camera: distance in decimetres. key and fill lights: azimuth to the image's right, elevation. warmth: of the key
    light; tint: of the ambient light. glasses: one of GLASSES; cover: one of COVERS, its place and form from
    ``cover_seed``. blur: standard deviation as a fraction of the picture; noise: standard deviation of pixel values in
    [0, 1]; grey: without colour; jpeg: quality, 0 for none. background: seed of the background, -1 for plain grey.
    wrinkles: strength of the painted lines (0 leaves them out).
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    camera: float = 9.0
    key_azimuth: float = 23.0
    key_elevation: float = 27.0
    key_strength: float = 1.0
    warmth: float = 0.04
    ambient: float = 0.43
    tint: float = -0.02
    ground: float = 0.55
    fill_azimuth: float = -63.0
    fill_elevation: float = 6.0
    fill_strength: float = 0.35
    gamma: float = 1.0
    glasses: str = "none"
    glasses_seed: int = 0
    cover: str = "none"
    cover_seed: int = 0
    blur: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    grey: bool = False
    jpeg: int = 0
    background: int = -1
    wrinkles: float = 1.0

    def __post_init__(self):
        limits = {
            "yaw": (-60, 60), "pitch": (-40, 40), "roll": (-180, 180), "zoom": (0.3, 3), "dx": (-0.5, 0.5),
            "dy": (-0.5, 0.5), "camera": (3, 100), "key_strength": (0, 4), "ambient": (0, 2), "fill_strength": (0, 3),
            "gamma": (0.3, 3), "blur": (0, 0.2), "noise": (0, 1), "jpeg": (0, 100), "wrinkles": (0, 2),
        }  # fmt: skip
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("glasses", "cover"):
                known = GLASSES if field.name == "glasses" else COVERS
                if value not in known:
                    raise ValueError(f"scene.{field.name} must be one of {', '.join(known)}, not {value!r}")
            elif not isinstance(value, (int, float, bool, np.number)) or not np.isfinite(value):
                raise ValueError(f"scene.{field.name} must be a finite number, not {value!r}")
            elif field.name in limits and not limits[field.name][0] <= value <= limits[field.name][1]:
                low, high = limits[field.name]
                raise ValueError(f"scene.{field.name} must lie between {low} and {high}, not {value!r}")

    def as_dict(self) -> dict:
        """Field name -> value, the columns of the dataset's table."""
        return asdict(self)


def _bounded_normal(rng: np.random.Generator, spread: float, largest: float) -> float:
    return float(np.clip(rng.normal(0, spread), -largest, largest))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A scene as varied as photographs from the web are; nothing in it depends on the emotion."""
    cover = str(rng.choice(COVERS, p=[0.91, 0.02, 0.035, 0.035]))
    return Scene(
        yaw=_bounded_normal(rng, 13, 45),
        pitch=_bounded_normal(rng, 6, 20),
        roll=_bounded_normal(rng, 5, 15),
        zoom=float(rng.uniform(0.92, 1.1)),
        dx=_bounded_normal(rng, 0.018, 0.06),
        dy=_bounded_normal(rng, 0.018, 0.06),
        camera=float(rng.uniform(6, 16)),
        key_azimuth=float(rng.uniform(-60, 60)),
        key_elevation=float(rng.uniform(-5, 60)),
        key_strength=float(rng.uniform(0.55, 1.25)),
        warmth=float(rng.uniform(-0.12, 0.12)),
        ambient=float(rng.uniform(0.3, 0.65)),
        tint=float(rng.uniform(-0.06, 0.06)),
        ground=float(rng.uniform(0.4, 0.8)),
        fill_azimuth=float(rng.uniform(-180, 180)),
        fill_elevation=float(rng.uniform(-17, 30)),
        fill_strength=float(rng.uniform(0, 0.8)),
        gamma=float(rng.uniform(0.88, 1.12)),
        glasses=str(rng.choice(GLASSES, p=[0.85, 0.125, 0.025])),
        glasses_seed=int(rng.integers(1 << 30)),
        cover=cover,
        cover_seed=int(rng.integers(1 << 30)),
        blur=float(rng.uniform(0.003, 0.011)) if rng.random() < 0.25 else 0.0,
        noise=float(rng.uniform(0, 0.03)) if rng.random() < 0.3 else 0.0,
        noise_seed=int(rng.integers(1 << 30)),
        grey=bool(rng.random() < 0.15),
        jpeg=int(rng.integers(55, 96)) if rng.random() < 0.4 else 0,
        background=int(rng.integers(1 << 30)),
    )


def rotation(scene: Scene) -> np.ndarray:
    """(3, 3) rotation of the head: yaw, then pitch, then roll."""
    yaw, pitch, roll = np.radians([scene.yaw, -scene.pitch, scene.roll])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return tilt @ nod @ turn


def direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Unit vector towards a light, angles in degrees."""
    a, e = np.radians([azimuth, elevation])
    return float(np.sin(a) * np.cos(e)), float(np.sin(e)), float(np.cos(a) * np.cos(e))


def background(seed: int, size: int) -> np.ndarray:
    """(size, size, 3) linear RGB: a gradient with soft patches, or plain grey for seed -1."""
    if seed < 0:
        return np.full((size, size, 3), 0.35, np.float32)
    rng = np.random.default_rng([7, seed])
    y, x = np.mgrid[0:size, 0:size] / size
    # Rooms, walls and skies are mostly pale or dull: colours lean to their own grey.
    colours = rng.uniform(0.02, 0.85, (12, 3))
    colours = colours.mean(1, keepdims=True) + (colours - colours.mean(1, keepdims=True)) * rng.uniform(0.1, 0.8)
    angle = rng.uniform(0, 2 * np.pi)
    share = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)[..., None]
    picture = colours[0] * (1 - share) + colours[1] * share
    kind = rng.integers(0, 4)
    for colour in colours[2 : 2 + (rng.integers(2, 9) if kind else 0)]:
        left, top, width, height = rng.uniform(-0.2, 1, 4) * [1, 1, 0.6, 0.9]
        if rng.random() < 0.6:
            inside = (x > left) & (x < left + abs(width)) & (y > top) & (y < top + abs(height))
        else:
            inside = (x - left) ** 2 + (y - top) ** 2 < rng.uniform(0.05, 0.35) ** 2
        picture = np.where(inside[..., None], 0.3 * picture + 0.7 * colour, picture)
    if kind >= 2:
        spread = rng.uniform(0.01, 0.06) * size
        picture = gaussian_filter(picture, (spread, spread, 0))
    return (np.clip(picture, 0, 1) ** 1.5).astype(np.float32)
