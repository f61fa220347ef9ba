"""The live renderer: emotions, a person and a scene in, a face with its truth out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fercore.datasets.blendfer.geometry import EYES, MOUTH
from fercore.emotions import NAMES, index_of
from fercore.renderer.expressions import (
    NEUTRAL,
    VARIANTS,
    Expression,
    plain_expression,
    true_distribution,
    unit_index,
)
from fercore.renderer.head import Shape, express, hair_curtain, head
from fercore.renderer.overlays import add_cover, add_glasses, photograph
from fercore.renderer.people import Identity, sample_identity
from fercore.renderer.raster import Look, rasterise
from fercore.renderer.scenes import Scene, background, direction, rotation

PUPIL_DISTANCE = 0.616
"""Decimetres between the eyes of the average head."""
SAMPLES = 2
"""Each pixel is the mean of SAMPLES x SAMPLES points."""


@dataclass(frozen=True)
class Face:
    """One rendered face: image (S, S, 3) uint8 RGB, landmarks (68, 2) pixels, p(emotion | face) (8,)."""

    image: np.ndarray
    landmarks: np.ndarray
    distribution: np.ndarray


def _shares(emotions: Mapping[str, float]) -> np.ndarray:
    if not isinstance(emotions, Mapping) or not emotions:
        raise ValueError(
            f'emotions must map names to shares, such as {{"happiness": 0.7, "surprise": 0.3}}, not {emotions!r}'
        )
    shares = np.zeros(len(NAMES))
    for name, share in emotions.items():
        if not np.isfinite(share) or share < 0:
            raise ValueError(f"the share of {name} must be a number from 0 up, not {share!r}")
        shares[index_of(name)] = share
    if shares.sum() <= 0:
        raise ValueError("at least one emotion needs a share above 0")
    return shares / shares.sum()


def _hair(vertices: np.ndarray, person: Identity, body: Shape) -> np.ndarray:
    """Raise the scalp by the volume of the hair, and hang the curtain of long hair."""
    mesh, volume = head(), person.hair_volume * body.scale
    if person.hair_kind == 2:
        scalp = body.neutral[mesh.scalp_core]
        vertices[mesh.hair] = hair_curtain(
            scalp[:, 1].max() + 0.6 * volume,
            scalp[:, 2].min(),
            np.abs(scalp[:, 0]).max(),
            np.median(body.neutral[mesh.ear_core, 2]) + 0.05 * body.scale,
            person.hair_length * body.scale,
            volume,
            person.seed,
        )
    middle = body.neutral[mesh.landmarks[[36, 45]]].mean(0) + np.array([0, 0.1, -0.9 * body.scale], np.float32)
    outward = vertices - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-6
    tufts = 1 + 0.35 * np.sin(mesh.rest[:, 0] * 9 + person.seed) * np.cos(mesh.rest[:, 2] * 7 + person.seed * 0.7)
    return vertices + outward * (mesh.scalp * volume * tufts)[:, None]


def _project(vertices: np.ndarray, body: Shape, scene: Scene, side: int):
    """Posed vertices (V, 3) in face sizes, their pixels (V,), (V,), and pixels per decimetre.

    Framing comes from the neutral head alone: its size, and the middle of its eyes and mouth.
    """
    turn = rotation(scene).astype(np.float32)
    pivot = body.anchor - np.array([0, 0.35, 0.9], np.float32) * body.scale  # inside the head
    posed = (vertices - pivot) @ turn.T / body.size
    anchor = (body.anchor - pivot) @ turn.T / body.size
    pixels = side * (EYES[1][0] - EYES[0][0]) / PUPIL_DISTANCE * scene.zoom
    nearer = (scene.camera - anchor[2]) / (scene.camera - posed[:, 2])
    x = side * (0.5 + scene.dx) + (posed[:, 0] - anchor[0]) * nearer * pixels
    y = side * ((EYES[0][1] + MOUTH[1]) / 2 + scene.dy) - (posed[:, 1] - anchor[1]) * nearer * pixels
    return posed.astype(np.float32), x.astype(np.float32), y.astype(np.float32), pixels


def _look(person: Identity, units: np.ndarray, scene: Scene, scale: float) -> Look:
    """Colours, lines and lights of one picture."""
    index = unit_index()

    def mean(*names: str) -> float:
        return float(np.mean([units[index[name]] for name in names]))

    def both(name: str) -> float:
        return mean(f"{name}Left", f"{name}Right")

    def line(strength: float, depth: float) -> float:
        return float(np.clip(strength, 0, 1.2) * depth * scene.wrinkles)

    def colour(rgb) -> tuple[float, float, float]:
        return tuple(float(x) for x in rgb)

    old = max(0.0, person.age - 1.2)
    skin_age = 0.55 + 0.45 * min(max(0.0, person.age - 0.9), 1)
    sky = np.array([1 + scene.tint, 1, 1 - scene.tint]) * scene.ambient
    return Look(
        skin=colour(person.skin),
        lip=colour(person.lip),
        lip_alpha=person.lip_alpha,
        iris=colour(person.iris),
        pupil=0.026,
        brow=colour(person.hair * (0.6 if person.hair.mean() < 0.25 else 0.45)),
        brow_alpha=person.brow_alpha,
        brow_thickness=person.brow_thickness,
        brow_height=person.brow_height,
        hair=colour(person.hair),
        hair_kind=float(person.hair_kind),
        hairline=person.hairline,
        beard=person.beard,
        moustache=person.moustache,
        blush=person.blush,
        eye_bags=person.eye_bags,
        freckles=person.freckles,
        eye_shadow=0.45 if person.makeup else 0.12,
        wrinkle_forehead=line(skin_age * (0.75 * mean("browInnerUp") + 0.6 * both("browOuterUp")) + 0.35 * old, 0.8),
        wrinkle_glabella=line(both("browDown") + 0.15 * old, 0.8),
        wrinkle_nose=line(0.8 * both("noseSneer"), 0.75),
        wrinkle_nasolabial=line(
            0.55 * both("mouthSmile") + 0.5 * both("mouthUpperUp") + 0.5 * both("noseSneer") + 0.45 * old, 0.6
        ),
        wrinkle_crow=line(skin_age * 0.8 * both("cheekSquint") + 0.3 * old, 0.6),
        wrinkle_chin=line(0.9 * mean("mouthShrugLower"), 0.7),
        wrinkle_frown=line(0.5 * both("mouthFrown"), 0.7),
        seed=float(person.seed % 100_003),
        key_direction=direction(scene.key_azimuth, scene.key_elevation),
        key=colour(np.array([1 + scene.warmth, 1, 1 - scene.warmth]) * scene.key_strength),
        fill_direction=direction(scene.fill_azimuth, scene.fill_elevation),
        fill=float(scene.fill_strength),
        sky=colour(sky),
        ground=colour(np.array([1.1, 1, 0.9]) * scene.ambient * scene.ground),
        exponent=float(scene.gamma / 2.2),
        scale=float(scale),
    )


def render_units(
    units: np.ndarray, person: Identity, scene: Scene, size: int, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Image (size, size, 3) uint8 and landmarks (68, 2) of face units (52,)."""
    mesh = head()
    body = express(person.neutral, units)
    vertices = _hair(body.expressive.copy(), person, body)
    side = size * SAMPLES
    posed, x, y, scale = _project(vertices, body, scene, side)
    look = _look(person, units, scene, scale)
    image = rasterise(mesh, posed, x, y, look, background(scene.background, size), SAMPLES, threads)
    landmarks = (
        np.stack([x[mesh.landmarks], y[mesh.landmarks]], 1) / SAMPLES - 0.5
    )  # the centre of the first pixel is (0, 0)
    if scene.glasses != "none":
        image = add_glasses(image, landmarks, scene)
    if scene.cover != "none":
        image = add_cover(image, landmarks, scene, person.skin)
    return photograph(image, scene), landmarks.astype(np.float32)


def render(
    emotions: Mapping[str, float] | Expression,
    intensity: float = 1.0,
    identity: int | Identity = 0,
    scene: Scene | None = None,
    size: int = 128,
    variants: Mapping[str, int] | None = None,
) -> Face:
    """Render one face; the same arguments give the same pixels.

    Args:
        emotions: shares by name, such as ``{"happiness": 0.7, "surprise": 0.3}`` (normalised to 1), or a whole
            ``Expression`` (then ``intensity`` and ``variants`` are its own).
        intensity: 0 (the face at rest) to 1.
        identity: a seed, or a person from ``sample_identity``.
        scene: pose, light and camera; the plain studio if None.
        size: side of the image in pixels, 16 to 1024.
        variants: which variant of an emotion to show, by name; the first if left out.

    Raises:
        ValueError: for unknown emotions, shares below 0, an intensity outside 0..1, a size outside its range, or a
            variant that does not exist; the sentence names the argument.

    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 16 <= size <= 1024:
        raise ValueError(f"size must be a whole number of pixels from 16 to 1024, not {size!r}")
    person = identity if isinstance(identity, Identity) else sample_identity(identity)
    expression = emotions
    if not isinstance(emotions, Expression):
        if not np.isfinite(intensity) or not 0 <= intensity <= 1:
            raise ValueError(f"intensity must lie between 0 and 1, not {intensity!r}")
        chosen = np.zeros(len(NAMES), int)
        for name, variant in (variants or {}).items():
            if not 0 <= variant < len(VARIANTS[NAMES[index_of(name)]]):
                raise ValueError(f"{name} has variants 0 to {len(VARIANTS[name]) - 1}, not {variant!r}")
            chosen[index_of(name)] = variant
        shares = _shares(emotions)
        expression = plain_expression(shares, 0.0 if shares[NEUTRAL] == 1 else float(intensity), chosen)
    image, landmarks = render_units(expression.units(person.rest), person, scene or Scene(), int(size), threads=2)
    return Face(image, landmarks, true_distribution(expression.shares, expression.intensity))
