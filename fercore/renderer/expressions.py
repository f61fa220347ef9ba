"""What a face shows: each emotion in several variants of face units, blends of two, and the true distribution.

Face units follow the facial action coding system (Ekman and Friesen): FACS names the actions that belong to an emotion,
and people show the same emotion with different subsets of them. ``*`` means both sides. Weights above 1 make up for
units that are weak in the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fercore.emotions import NAMES, index_of
from fercore.renderer.head import head

# fmt: off
VARIANTS: dict[str, tuple[dict[str, float], ...]] = {
    "surprise": (
        {"browInnerUp": 1.2, "browOuterUp*": 1.1, "eyeWide*": 1.2, "jawOpen": .62, "mouthFunnel": .12},
        {"browInnerUp": 1.0, "browOuterUp*": 1.0, "eyeWide*": .9, "jawOpen": .30},
        {"browInnerUp": .8, "browOuterUp*": .7, "eyeWide*": 1.0, "jawOpen": .60, "mouthFunnel": .45},
        {"browInnerUp": 1.2, "browOuterUp*": 1.2, "eyeWide*": 1.2, "jawOpen": .12, "mouthPucker": .15},
    ),
    "fear": (
        {"browInnerUp": 1.5, "browOuterUp*": .45, "browDown*": .35, "eyeWide*": 1.4, "mouthStretch*": 1.2,
         "mouthLowerDown*": .65, "jawOpen": .22, "mouthFrown*": .35},
        {"browInnerUp": 1.4, "browOuterUp*": .3, "browDown*": .35, "eyeWide*": 1.4, "mouthStretch*": 1.0,
         "mouthLowerDown*": .4, "jawOpen": .45, "mouthFrown*": .2},
        {"browInnerUp": 1.5, "browDown*": .5, "eyeWide*": 1.2, "mouthStretch*": 1.2, "mouthPress*": .35,
         "mouthFrown*": .3},
        {"browInnerUp": 1.3, "browOuterUp*": .3, "browDown*": .2, "eyeWide*": 1.5, "mouthStretch*": .7,
         "mouthLowerDown*": .75, "jawOpen": .10, "mouthShrugLower": .2},
    ),
    "disgust": (
        {"noseSneer*": 1.4, "mouthUpperUp*": 1.0, "browDown*": .7, "eyeSquint*": .75, "cheekSquint*": .6,
         "mouthFrown*": .55, "mouthShrugLower": .35, "mouthLowerDown*": .2, "jawOpen": .05},
        {"noseSneer*": 1.5, "browDown*": .6, "eyeSquint*": .6, "cheekSquint*": .5, "mouthShrugUpper": .55,
         "mouthFrown*": .4, "mouthPress*": .2},
        {"noseSneer*": 1.1, "mouthUpperUp*": 1.15, "browDown*": .4, "eyeSquint*": .6, "cheekSquint*": .5,
         "jawOpen": .28, "mouthLowerDown*": .45},
        {"noseSneerLeft": 1.5, "noseSneerRight": .9, "mouthUpperUpLeft": 1.3, "mouthUpperUpRight": .5, "browDown*": .6,
         "eyeSquint*": .7, "cheekSquint*": .5, "mouthFrown*": .4, "mouthShrugLower": .3},
    ),
    "happiness": (
        {"mouthSmile*": 1.0, "cheekSquint*": .9, "mouthUpperUp*": .55, "eyeSquint*": .45, "jawOpen": .20,
         "mouthDimple*": .15, "mouthLowerDown*": .15},
        {"mouthSmile*": 1.0, "cheekSquint*": .65, "mouthDimple*": .3, "eyeSquint*": .3, "mouthPress*": .15},
        {"mouthSmile*": .9, "cheekSquint*": 1.0, "eyeSquint*": .7, "mouthUpperUp*": .55, "mouthLowerDown*": .3,
         "jawOpen": .45},
        {"mouthSmile*": .75, "mouthDimple*": .35, "cheekSquint*": .4, "eyeSquint*": .15},
        {"mouthSmile*": .95, "mouthUpperUp*": .9, "mouthLowerDown*": .35, "cheekSquint*": .7, "eyeSquint*": .3,
         "jawOpen": .05},
        {"mouthSmileLeft": 1.1, "mouthSmileRight": .8, "mouthUpperUp*": .35, "cheekSquint*": .6, "eyeSquint*": .35,
         "jawOpen": .1},
    ),
    "sadness": (
        {"browInnerUp": 1.5, "browOuterUp*": -.55, "browDown*": .25, "eyeSquint*": .35, "eyeBlink*": .18,
         "eyeLookDown*": .35, "mouthFrown*": 1.2, "mouthShrugLower": .75, "mouthShrugUpper": .25, "mouthPucker": .12},
        {"browInnerUp": 1.3, "browDown*": .35, "eyeSquint*": .6, "cheekSquint*": .4, "mouthStretch*": .4,
         "mouthFrown*": 1.2, "mouthShrugLower": .5, "mouthLowerDown*": .3, "jawOpen": .10},
        {"browInnerUp": 1.1, "browOuterUp*": -.3, "eyeLookDown*": .6, "eyeBlink*": .32, "mouthFrown*": .9,
         "mouthShrugLower": .3},
        {"browInnerUp": 1.0, "browOuterUp*": -.3, "eyeSquint*": .2, "mouthShrugLower": 1.0, "mouthPucker": .3,
         "mouthFrown*": .9, "mouthRollUpper": .2},
    ),
    "anger": (
        {"browDown*": 1.45, "eyeSquint*": .55, "eyeWide*": .35, "noseSneer*": .35, "mouthPress*": .7,
         "mouthRollLower": .35, "mouthRollUpper": .35, "mouthFrown*": .5, "mouthShrugLower": .35, "jawForward": .5},
        {"browDown*": 1.45, "eyeWide*": .55, "noseSneer*": .55, "mouthUpperUp*": .45, "mouthLowerDown*": .75,
         "mouthFunnel": .3, "jawOpen": .42},
        {"browDown*": 1.55, "eyeSquint*": .75, "mouthPress*": .85, "mouthRollLower": .5, "mouthRollUpper": .5},
        {"browDown*": 1.3, "eyeSquint*": .35, "noseSneer*": .7, "mouthLowerDown*": .9, "mouthUpperUp*": .3,
         "mouthStretch*": .35, "jawForward": .4},
    ),
    "neutral": ({},),
    "contempt": (
        {"mouthSmileLeft": .75, "mouthDimpleLeft": .9, "mouthPressLeft": .5, "cheekSquintLeft": .35,
         "mouthUpperUpLeft": .25, "browOuterUpLeft": .35, "eyeSquintLeft": .35, "eyeSquintRight": .25,
         "eyeBlink*": .08, "mouthLeft": .25},
        {"mouthDimpleLeft": 1.2, "mouthPressLeft": .8, "mouthPressRight": .3, "mouthSmileLeft": .45, "eyeBlink*": .18,
         "mouthShrugLower": .2},
        {"mouthUpperUpLeft": .8, "noseSneerLeft": .5, "mouthSmileLeft": .5, "mouthDimpleLeft": .6,
         "browOuterUpLeft": .7, "browDownRight": .4, "eyeSquint*": .3},
    ),
}

# How far a face at rest may sit from the average one: people look a little stern, tired or amused without being so.
RESTING: dict[str, float] = {
    "mouthFrown*": .40, "mouthSmile*": .22, "browDown*": .40, "browInnerUp": .35, "browOuterUp*": .35,
    "eyeSquint*": .35, "eyeWide*": .30, "eyeBlink*": .20, "mouthPress*": .35, "mouthShrugLower": .30,
    "mouthPucker": .25, "mouthRollLower": .30, "mouthRollUpper": .25, "mouthStretch*": .25, "mouthDimple*": .25,
    "mouthUpperUp*": .15, "mouthLowerDown*": .15, "jawOpen": .07, "jawForward": .4, "cheekSquint*": .2,
}
# fmt: on

NEUTRAL = index_of("neutral")
HALF_VISIBLE, VISIBILITY_WIDTH = 0.27, 0.065
"""At this intensity half of p(emotion | face) is neutral; the width of the logistic step around it."""
SHARPENING = 1.6
"""Exponent of the two emotions' shares: a blend of 70 and 30 % looks more like the first than 70 %."""


@cache
def unit_index() -> dict[str, int]:
    """Number of each face unit."""
    return {name: i for i, name in enumerate(head().units)}


def units_of(weights: dict[str, float]) -> np.ndarray:
    """Face unit weights (52,) of a description, ``*`` standing for both sides."""
    index, out = unit_index(), np.zeros(len(unit_index()), np.float32)
    for name, weight in weights.items():
        for side in (name[:-1] + "Left", name[:-1] + "Right") if name.endswith("*") else (name,):
            out[index[side]] += weight
    return out


def mirrored(units: np.ndarray) -> np.ndarray:
    """The same expression on the other side of the face."""
    index, out = unit_index(), units.copy()
    for name, i in index.items():
        if name.endswith("Left"):
            j = index[name[:-4] + "Right"]
            out[i], out[j] = units[j], units[i]
    return out


def resting_face(rng: np.random.Generator) -> np.ndarray:
    """Face units (52,) of one person at rest: a few of the small deviations that people have."""
    out = np.zeros(len(unit_index()), np.float32)
    for name, largest in RESTING.items():
        if rng.random() < 0.35:
            out += units_of({name: rng.uniform(0, largest)})
    return out


@dataclass(frozen=True)
class Expression:
    """What a face shows.

    shares: (8,) shares of the emotions in the canonical order, summing to 1. intensity: 0 (at rest) to 1.
    variants: (8,) which variant of each emotion. flipped: whether one-sided variants are on the other side.
    jitter: (52,) factors around 1. extra: (52,) units that belong to no emotion (talking, gaze, blinks).
    """

    shares: np.ndarray
    intensity: float
    variants: np.ndarray
    flipped: bool
    jitter: np.ndarray
    extra: np.ndarray

    def units(self, rest: np.ndarray) -> np.ndarray:
        """Face units (52,) of a person whose resting face is ``rest``."""
        shown = np.zeros_like(rest)
        # Both emotions of a blend move the face: at equal shares each shows at 0.7, not at half, of its strength.
        amounts = self.shares / max(np.linalg.norm(self.shares), 1e-12)
        for share, name, variant in zip(amounts, NAMES, self.variants, strict=True):
            if share > 0:
                shown += share * units_of(VARIANTS[name][int(variant)])
        if self.flipped:
            shown = mirrored(shown)
        # A strong expression overrides the face at rest.
        units = self.intensity * shown * self.jitter + (1 - self.intensity) * rest + self.extra
        index = unit_index()
        units[index["mouthClose"]] = 0  # it only corrects jawOpen: alone it tears the lips
        units[index["jawOpen"]] = min(units[index["jawOpen"]], 0.68)
        for side in ("Left", "Right"):
            blink, squint = index[f"eyeBlink{side}"], index[f"eyeSquint{side}"]
            units[blink] = min(units[blink], 0.9)
            units[squint] = min(units[squint], max(0.0, 1.1 - units[blink]))
        return np.clip(units, -0.8, 1.6)


def true_distribution(shares: np.ndarray, intensity: float) -> np.ndarray:
    """p(emotion | face) (8,): how much of each emotion there is to see.

    With intensity t and shares s over the emotions other than neutral:
    p(neutral) = 1 - sigmoid((t' - 0.27) / 0.065), where t' = t (1 - s_neutral), and
    p(e) = (1 - p(neutral)) s_e^1.6 / sum_k s_k^1.6.
    """
    shares = np.asarray(shares, np.float64)
    others = np.where(np.arange(len(shares)) == NEUTRAL, 0, shares) ** SHARPENING
    visible = intensity * (1 - shares[NEUTRAL])
    seen = 1 / (1 + np.exp(-(visible - HALF_VISIBLE) / VISIBILITY_WIDTH)) if others.sum() > 0 else 0.0
    out = seen * others / max(others.sum(), 1e-12)
    out[NEUTRAL] = 1 - seen
    return out.astype(np.float32)


def plain_expression(shares: np.ndarray, intensity: float, variants: np.ndarray | None = None) -> Expression:
    """An expression without jitter, gaze or blinks."""
    count = len(unit_index())
    variants = np.zeros(len(NAMES), int) if variants is None else variants
    return Expression(shares, intensity, variants, False, np.ones(count, np.float32), np.zeros(count, np.float32))


def sample_expression(rng: np.random.Generator, emotion: int) -> Expression:
    """A face meant to show ``emotion`` most: its intensity, an admixture of a second emotion, and chance movements."""
    shares = np.zeros(len(NAMES))
    second = int(rng.choice([e for e in range(len(NAMES)) if e not in (emotion, NEUTRAL)]))
    if emotion == NEUTRAL:
        shares[second], intensity = 1.0, rng.uniform(0, 0.18)
    else:
        blend = rng.uniform(0.1, 0.48) if rng.random() < 0.6 else 0.0
        shares[emotion], shares[second] = 1 - blend, blend
        intensity = rng.uniform(0.5, 1.0)
    variants = np.array([rng.integers(len(VARIANTS[name])) for name in NAMES])

    index = unit_index()
    jitter = rng.uniform(0.85, 1.15, len(index))
    extra = np.zeros(len(index))
    for name, i in index.items():
        if name.endswith("Left"):
            jitter[index[name[:-4] + "Right"]] = jitter[i] * rng.uniform(0.92, 1.08)
    for _ in range(rng.integers(0, 2)):
        name = str(rng.choice([n for n in index if "tongue" not in n]))
        amount = rng.uniform(0, 0.25)
        extra[index[name]] += amount
        if name.endswith("Left"):
            extra[index[name[:-4] + "Right"]] += amount * rng.uniform(0.6, 1)
    if rng.random() < 0.15:
        extra[index["jawOpen"]] += rng.uniform(0, 0.12)  # talking
    across, upward, blink = rng.normal(0, 0.3), rng.normal(0, 0.2), rng.uniform(0, 0.15)
    for side, turn in (("Left", across), ("Right", -across)):
        extra[index[f"eyeLookOut{side}" if turn > 0 else f"eyeLookIn{side}"]] += min(abs(turn), 1)
        extra[index[f"eyeLookUp{side}" if upward > 0 else f"eyeLookDown{side}"]] += min(abs(upward), 0.8)
        extra[index[f"eyeBlink{side}"]] += blink
    return Expression(
        shares.astype(np.float32),
        float(intensity),
        variants,
        bool(rng.random() < 0.5),
        jitter.astype(np.float32),
        extra.astype(np.float32),
    )
