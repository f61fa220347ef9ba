"""The head: its mesh, its shape targets, its 68 landmarks, and the vertices of one person with one expression.

Lengths are decimetres; y points up, z to the camera, +x to the subject's left, which is the image's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

ASSET = Path(__file__).with_name("head.npz")
SKIN, EYE, TEETH, TONGUE, LASH, HAIR = range(6)
CURTAIN_COLUMNS, CURTAIN_ROWS = 29, 13

# fmt: off
LANDMARKS_ORIGINAL = (
    5202, 5092, 910, 895, 741, 743, 921, 746, 991, 7466, 7623, 7463, 7461, 7597, 7612, 11707, 11813,
    262, 232, 222, 208, 228, 7001, 6983, 6996, 7005, 7031, 133, 131, 164, 5134, 5055, 275, 302, 7044, 11672,
    29, 4849, 56, 1157, 45, 39, 7849, 6840, 11467, 6813, 6823, 6829,
    3703, 448, 460, 455, 7219, 7208, 10371, 7166, 7241, 492, 486, 406, 502, 471, 474, 7227, 7251, 7279, 493, 534,
)
# fmt: on
EYE_CORNERS, MOUTH_CORNERS = (36, 45), (48, 54)


@dataclass(frozen=True)
class Head:
    """The mesh and everything that is computed from it once.

    rest: (V, 3) the average neutral head. triangles: (M, 3). material: (M,). targets: (K, V*3). names: their K names.
    units: names of the face units, which are the first targets. masks: (V, 5) lips, eyelids, inside of the mouth, ears,
    face. scalp: (V,) how hairy. canon: (V, 3) rest positions with the long hair in place, in which paint is defined.
    neighbours: CSR pointers and indices of the edges. eyes: (2, 3) centres. landmarks: (68,) vertices. hair: slice.
    """

    rest: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...]
    units: tuple[str, ...]
    masks: np.ndarray
    scalp: np.ndarray
    canon: np.ndarray
    neighbours: tuple[np.ndarray, np.ndarray]
    eyes: np.ndarray
    landmarks: np.ndarray
    hair: slice
    scalp_core: np.ndarray
    ear_core: np.ndarray


def smooth(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def hair_curtain(top, back, half_width, middle, length, volume, seed) -> np.ndarray:
    """Vertices of long hair: a curved curtain round the back and sides of the head, open to the front."""
    angle = np.linspace(-1.95, 1.95, CURTAIN_COLUMNS)[None]
    down = np.linspace(0, 1, CURTAIN_ROWS)[:, None]
    crown = np.sqrt(np.clip(1 - (1 - np.minimum(down * 3.2, 1)) ** 2, 0.05, 1))  # round above, straight below
    wave = 1 + 0.04 * np.sin(angle * 9 + seed) * down + 0.05 * np.sin(angle * 4 + seed * 1.7 + down * 5)
    radius = (half_width + volume) * crown * wave * (1 + 0.12 * down)
    depth = (middle - back + volume) * crown * wave
    x, z = radius * np.sin(angle), middle - depth * np.cos(angle)
    y = np.broadcast_to(top - 0.10 - length * down, x.shape)
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)


def _edges(triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.concatenate([triangles[:, [i, j]] for i in range(3) for j in range(3) if i != j])
    pairs = np.unique(pairs, axis=0)
    pointers = np.zeros(count + 1, np.int32)
    pointers[1:] = np.cumsum(np.bincount(pairs[:, 0], minlength=count))
    return pointers, pairs[:, 1].astype(np.int32)


def _scalp(rest: np.ndarray, original: np.ndarray, ears: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """How much hair grows at each vertex: above a hairline that runs from the nape over the ears to the forehead."""
    depth = [-1.0, -0.6, -0.3, 0.05, 0.3, 0.55, 0.8, 1.0, 1.15, 1.5]
    line = np.interp(rest[:, 2], depth, [6.75, 6.8, 6.85, 7.1, 7.15, 7.25, 7.62, 7.82, 7.97, 8.02])
    scalp = smooth(-0.07, 0.10, rest[:, 1] - line) * (1 - np.clip(ears * 1.5, 0, 1)) * (1 - np.clip(inside, 0, 1))
    return np.where(original < 13380, scalp, 0).astype(np.float32)


@cache
def head() -> Head:
    """The head, read and prepared once per process (about 0.3 s)."""
    with np.load(ASSET) as asset:
        data = dict(asset)
    original = data["original"]
    where = {int(o): i for i, o in enumerate(original)}

    def part(first: int, end: int) -> np.ndarray:
        return np.flatnonzero((original >= first) & (original < end))

    rest = data["vertices"].astype(np.float32)
    eyes = np.stack([(rest[e].min(0) + rest[e].max(0)) / 2 for e in (part(14598, 14670), part(14670, 14742))])
    teeth = part(14992, 15128)
    rest[teeth, 0] *= 0.90  # otherwise they poke through the lip corners
    rest[teeth, 2] -= 0.05

    first = int(part(18722, 19150)[0])
    hair = slice(first, first + CURTAIN_COLUMNS * CURTAIN_ROWS)
    grid = first + np.arange(CURTAIN_COLUMNS * CURTAIN_ROWS).reshape(CURTAIN_ROWS, CURTAIN_COLUMNS)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    curtain = np.stack([a, b, c, a, c, d], -1).reshape(-1, 3)
    keep = data["materials"] != HAIR  # MakeHuman's own hair helper has gaps: the curtain takes its place
    triangles = np.concatenate([data["triangles"][keep], curtain]).astype(np.int32)
    material = np.concatenate([data["materials"][keep], np.full(len(curtain), HAIR)]).astype(np.int32)

    masks = [data[f"mask_{name}"] for name in ("lips", "eyelids", "inside_mouth", "ears", "face")]
    masks = np.stack(masks, 1).astype(np.float32)
    scalp = _scalp(rest, original, masks[:, 3], masks[:, 2])
    canon = rest.copy()
    canon[hair] = hair_curtain(8.5, -1.0, 0.85, 0.2, 2.3, 0.1, 0.0)
    names = tuple(str(name) for name in data["names"])
    return Head(
        rest=rest,
        triangles=triangles,
        material=material,
        targets=data["targets"].astype(np.float32).reshape(len(names), -1),
        names=names,
        units=tuple(name[3:] for name in names if name.startswith("fu:")),
        masks=masks,
        scalp=scalp,
        canon=canon,
        neighbours=_edges(triangles, len(rest)),
        eyes=eyes.astype(np.float32),
        landmarks=np.array([where[o] for o in LANDMARKS_ORIGINAL]),
        hair=hair,
        scalp_core=np.flatnonzero(scalp > 0.8),
        ear_core=np.flatnonzero((masks[:, 3] > 0.8) & (original < 13380)),
    )


@dataclass(frozen=True)
class Shape:
    """One person's head: neutral (V, 3), with an expression (V, 3), and how large it is beside the average."""

    neutral: np.ndarray
    expressive: np.ndarray
    scale: float

    @property
    def anchor(self) -> np.ndarray:
        """Middle of the neutral eyes and mouth: (3,)."""
        corners = head().landmarks[list(EYE_CORNERS + MOUTH_CORNERS)]
        return self.neutral[corners].mean(0)

    @property
    def size(self) -> float:
        """Size of the neutral face, 1 for the average: mean of eye-mouth distance and distance of the eyes."""
        mesh = head()
        eyes = self.neutral[mesh.landmarks[list(EYE_CORNERS)]]
        mouth = self.neutral[mesh.landmarks[list(MOUTH_CORNERS)]]
        return float(
            0.5 * (np.linalg.norm(eyes.mean(0) - mouth.mean(0)) / 0.67 + np.linalg.norm(eyes[0] - eyes[1]) / 0.90)
        )


def neutral_head(weights: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) of a person without expression, from target weights (K,)."""
    mesh, used = head(), np.flatnonzero(weights)
    return (mesh.rest + (weights[used] @ mesh.targets[used]).reshape(-1, 3)).astype(np.float32)


def express(neutral: np.ndarray, units: np.ndarray) -> Shape:
    """A person (V, 3) with an expression (face unit weights (52,)), in proportion to the size of the head."""
    mesh = head()
    left, right = mesh.landmarks[list(EYE_CORNERS)]
    scale = np.linalg.norm(neutral[left] - neutral[right]) / np.linalg.norm(mesh.rest[left] - mesh.rest[right])
    moved = np.flatnonzero(units)
    offsets = (units[moved] @ mesh.targets[moved]).reshape(-1, 3) * scale
    return Shape(neutral, (neutral + offsets).astype(np.float32), float(scale))
