"""Who is in the picture: head, skin, hair, eyes, beard, make-up, and the face at rest. One seed, one person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np

from fercore.renderer.expressions import resting_face
from fercore.renderer.head import head, neutral_head

# Linear RGB, from pale to deep; hair from black to white, with one red; irises from brown to grey.
SKIN = np.array(
    [[0.93, 0.76, 0.66], [0.90, 0.70, 0.58], [0.85, 0.64, 0.50], [0.76, 0.54, 0.39],
     [0.64, 0.43, 0.30], [0.48, 0.31, 0.21], [0.34, 0.215, 0.15], [0.28, 0.18, 0.13]]
) ** 2.2  # fmt: skip
HAIR = np.array(
    [[0.05, 0.04, 0.035], [0.09, 0.06, 0.045], [0.17, 0.105, 0.07], [0.30, 0.19, 0.11], [0.48, 0.33, 0.19],
     [0.66, 0.52, 0.34], [0.40, 0.16, 0.08], [0.55, 0.54, 0.52], [0.75, 0.74, 0.72]]
) ** 1.6  # fmt: skip
IRIS = np.array(
    [[0.16, 0.09, 0.05], [0.24, 0.13, 0.06], [0.30, 0.22, 0.10], [0.22, 0.32, 0.40],
     [0.30, 0.42, 0.52], [0.25, 0.36, 0.22], [0.38, 0.40, 0.40]]
) ** 1.3  # fmt: skip

# Shapes that move the whole face, break it, or only touch what the crop never shows.
EXCLUDED = (
    "head-trans", "neck-trans", "mouth-trans", "nose-trans", "eye-trans", "head-angle", "ear-shape", "chin-triangle",
    "measure", "asym", "eye-push", "head-scale-vert", "neck-double", "laugh-lines", "eye-corner", "mouth-scale-depth",
    "mouth-dimples", "chin-cleft", "prognathism", "jaw-drop",
)  # fmt: skip
OPPOSITES = (
    ("incr", "decr"), ("up", "down"), ("in", "out"), ("forward", "backward"), ("convex", "concave"),
    ("uncompress", "compress"),
)  # fmt: skip
# These imitate an expression: they stay, because resting faces do differ so, but smaller.
DAMPED = {"mouth-angles": 0.6, "eyebrows-angle": 0.6, "eye-height": 0.6, "epicanthus": 0.6, "mouth": 0.8, "head-": 0.7}
STRENGTH = 0.20
"""Standard deviation of each local shape: 0.2 looks human, 0.4 is a caricature."""


@dataclass(frozen=True)
class Identity:
    """One person. Colours are linear RGB. ``age`` runs from 0 (child) over 1 (young adult) to 2 (old)."""

    seed: int
    weights: np.ndarray
    ancestry: tuple[float, float, float]  # African, Asian, European shares
    gender: float  # 0 female to 1 male
    age: float
    skin: np.ndarray
    skin_tone: float  # 0 pale to 1 deep
    hair: np.ndarray
    hair_kind: int  # 0 none, 1 short, 2 long
    hair_volume: float
    hair_length: float
    hairline: float
    iris: np.ndarray
    brow_alpha: float
    brow_thickness: float
    brow_height: float
    beard: float
    moustache: float
    lip: np.ndarray
    lip_alpha: float
    blush: float
    eye_bags: float
    freckles: float
    makeup: bool
    rest: np.ndarray  # (52,) face units of the face at rest

    @cached_property
    def neutral(self) -> np.ndarray:
        """Vertices (V, 3) of the head without expression."""
        return neutral_head(self.weights)


def _macro_weights(age, gender, ancestry, muscle, weight) -> dict[str, float]:
    """MakeHuman's macro targets: products of the shares of age, gender, ancestry, muscle and weight."""
    ages = {"child": max(0.0, 1 - age), "young": 1 - abs(age - 1), "old": max(0.0, age - 1)}
    genders = {"male": gender, "female": 1 - gender}
    ancestries = dict(zip(("african", "asian", "caucasian"), ancestry, strict=True))

    def thirds(kind: str, x: float) -> dict[str, float]:
        return {
            f"min{kind}": max(0.0, 1 - 2 * x),
            f"average{kind}": 1 - abs(2 * x - 1),
            f"max{kind}": max(0.0, 2 * x - 1),
        }

    muscles, weights = thirds("muscle", muscle), thirds("weight", weight)
    out = {}
    for name in head().names:
        if not name.startswith("mac:"):
            continue
        kind, *parts = name[4:].split("|")
        if kind == "race":
            out[name] = ancestries[parts[0]] * genders[parts[1]] * ages[parts[2]]
        else:
            out[name] = genders[parts[0]] * ages[parts[1]] * muscles[parts[2]] * weights[parts[3]]
    return out


@cache
def _local_shapes() -> tuple[tuple[float, tuple[int, ...], tuple[int, ...]], ...]:
    """Each shape that varies between people: (relative strength, targets when positive, targets when negative)."""
    names = {name[4:]: i for i, name in enumerate(head().names) if name.startswith("loc:")}

    def both_sides(name: str) -> tuple[int, ...]:
        sides = (name, f"r-{name[2:]}") if name.startswith("l-") else (name,)
        return tuple(names[side] for side in sides)

    shapes, seen = [], set()
    for name in names:
        if name in seen or name.startswith("r-") or any(word in name for word in EXCLUDED):
            continue
        strength = next((factor for word, factor in DAMPED.items() if word in name), 1.0)
        opposite = ()
        for plus, minus in OPPOSITES:
            partner = f"{name.removesuffix(plus)}{minus}"
            if name.endswith(f"-{minus}") and f"{name.removesuffix(minus)}{plus}" in names:
                partner = f"{name.removesuffix(minus)}{plus}"
            elif not (name.endswith(f"-{plus}") and partner in names):
                continue
            opposite = both_sides(partner)
            seen.add(partner)
            break
        shapes.append((strength, both_sides(name), opposite))
    return tuple(shapes)


def _shape_weights(rng: np.random.Generator, age, gender, ancestry) -> np.ndarray:
    mesh = head()
    index = {name: i for i, name in enumerate(mesh.names)}
    weights = np.zeros(len(mesh.names), np.float32)
    weight = float(np.clip(rng.normal(0.5, 0.2), 0.05, 0.95))
    for name, x in _macro_weights(age, gender, ancestry, rng.uniform(0.25, 0.75), weight).items():
        weights[index[name]] += x
    for strength, positive, negative in _local_shapes():
        x = float(np.clip(rng.normal(0, STRENGTH * strength), -1, 1))
        for i in negative if x < 0 and negative else positive:
            weights[i] += abs(x)
    for name, i in index.items():
        if name.startswith("loc:asym") and rng.random() < 0.25:
            weights[i] += rng.uniform(0, 0.35)
    return weights


@lru_cache(maxsize=256)
def _cached(seed: int) -> Identity:
    rng = np.random.default_rng([20_260, seed])
    ancestry = rng.dirichlet([0.45] * 3)
    gender = float(np.clip(rng.beta(0.5, 0.5), 0.02, 0.98))
    age = float(rng.choice([rng.uniform(0.35, 0.9), rng.uniform(0.8, 1.25), rng.uniform(1.2, 1.9)], p=[0.2, 0.5, 0.3]))
    weights = _shape_weights(rng, age, gender, ancestry)
    male = gender > 0.5

    tone = float(np.clip(ancestry @ [0.86, 0.34, 0.10] + rng.normal(0, 0.12), 0, 1))
    step, share = divmod(tone * (len(SKIN) - 1), 1)
    pale = SKIN[int(step)]
    skin = (pale + (SKIN[min(int(step) + 1, len(SKIN) - 1)] - pale) * share) * rng.uniform(0.96, 1.04, 3)
    skin = skin.mean() * 0.18 + skin * 0.82
    dark = ancestry[0] + ancestry[1] > rng.uniform(0.3, 0.8)
    grey = age > 1.55 and rng.random() < 0.7
    hair = HAIR[rng.integers(7, 9) if grey else rng.integers(0, 3) if dark else rng.integers(1, 7)]
    kind = int(rng.choice(3, p=[0.12, 0.78, 0.10] if male else [0.02, 0.38, 0.60]))
    makeup = bool(not male and age > 0.8 and rng.random() < 0.35)
    painted = np.array([rng.uniform(0.35, 0.62), rng.uniform(0.06, 0.18), rng.uniform(0.08, 0.2)])
    painted *= min(1.0, 0.35 + 1.3 * skin.mean())
    beard = rng.choice([0, rng.uniform(0.1, 0.35), rng.uniform(0.6, 0.95)], p=[0.5, 0.25, 0.25])
    return Identity(
        seed=seed,
        weights=weights,
        ancestry=tuple(float(x) for x in ancestry),
        gender=gender,
        age=age,
        skin=skin,
        skin_tone=tone,
        hair=hair * rng.uniform(0.85, 1.2),
        hair_kind=kind,
        hair_volume=float(rng.uniform(0.04, 0.17)) if kind else 0.0,
        hair_length=float(rng.uniform(1.5, 3.0)),
        hairline=float(rng.uniform(-0.12, 0.25)),
        iris=IRIS[rng.integers(0, 3 if dark else 7)] * rng.uniform(0.9, 1.2),
        brow_alpha=float(rng.uniform(0.6, 0.97) if male else rng.uniform(0.5, 0.92)),
        brow_thickness=float(rng.uniform(0.85, 1.35) if male else rng.uniform(0.6, 1.05)),
        brow_height=float(rng.normal(0, 0.010)),
        beard=float(beard) if male and age > 0.9 else 0.0,
        moustache=float(rng.random() < 0.7),
        lip=painted if makeup else skin * np.array([0.95, 0.60, 0.62]),
        lip_alpha=float(rng.uniform(0.45, 0.85)),
        blush=float(rng.uniform(0.1, 0.8)),
        eye_bags=float(rng.uniform(0.2, 0.8) + (0.3 if age > 1.4 else 0)),
        freckles=float(rng.uniform(0.2, 0.8)) if rng.random() < 0.15 else 0.0,
        makeup=makeup,
        rest=resting_face(rng),
    )


def sample_identity(seed: int) -> Identity:
    """The person of a seed (a non-negative whole number); the same seed is the same person, always."""
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"identity must be a whole number from 0 up, or an Identity, not {seed!r}")
    return _cached(int(seed))
