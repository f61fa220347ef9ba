"""Conditions: what is done to a training set on purpose, written as text.

``clean`` | ``noise:0.3`` | ``noise:0.3:asymmetric`` | ``imbalance:100`` | ``labels:100`` | ``annotators:A+B`` |
``annotators:NAME``, and combinations joined by ``+``, applied in the order written. A condition and a seed fix the
result; the global random state is neither read nor moved.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fercore.batch import UNLABELLED
from fercore.datasets.checks import check_other_labels
from fercore.datasets.face_dataset import FaceDataset
from fercore.emotions import NAMES

CONFUSION = Path(__file__).parent / "blendfer" / "confusion.csv"
"""How people confuse emotions, 8 x 8: the row is what is shown, the column what is said (estimated from FER+ votes)."""

POPULATIONS = ("A", "B")
OTHER = "label_"
"""Before NAME in the column that holds the labels of further annotators, ``annotators:NAME``."""
HELP = (
    "write clean, noise:RATE, noise:RATE:asymmetric, imbalance:FACTOR, labels:NUMBER, annotators:A+B or "
    "annotators:NAME, joined by '+'"
)

COMMON_FIRST = (3, 6, 4, 0, 2, 5, 1, 7)
"""Classes from most to fewest faces in RAF-DB's training set, happiness to fear; contempt, which it lacks, is last."""
BALANCED = 1.5
"""A dataset whose largest class has less than so many times the faces of its smallest counts as balanced."""


@dataclass(frozen=True)
class Noise:
    """Exactly round(rate * n) of the n labelled faces get another label, never their own.

    symmetric: each other class alike. asymmetric: drawn from the face's row of a confusion matrix whose diagonal is
    set to zero and whose rows are made to sum to one.
    """

    rate: float
    symmetric: bool = True


@dataclass(frozen=True)
class Imbalance:
    """Faces are dropped at random until class l keeps n_l mu^l (RAC+RSL, section 4.4).

    n_l is what class l has, l = 0..C-1 its rank in this dataset, most faces first, like many in the order
    ``COMMON_FIRST``. The paper leaves mu open and calls the largest class divided by the smallest the factor; so mu is
    taken such that what is *kept* has this factor: n_0 / (n_last mu^(C-1)) = factor. (The other reading, mu =
    factor^(-1/(C-1)), would leave two faces of disgust in FER+ at 50, a factor of 3,764.) Where the dataset's own
    factor is the larger one, mu is above 1 and all counts are divided by mu^(C-1): no class can keep more faces than
    it has, and then it is the common ones that lose.

    BlendFER is balanced on purpose, but for what people say of its faces (1,788 to 1,404): for such a set (see
    ``BALANCED``) all n_l count as equal, n_max, the largest for which every class has enough, in RAF-DB's order.

    Counts are rounded; faces without a label stay. Kept of the training faces:

    ============= ======== ======= ======= ========= ======= ===== ======= ======
    7 classes     surprise    fear disgust happiness sadness anger neutral    all
    ============= ======== ======= ======= ========= ======= ===== ======= ======
    BlendFER         1,739   1,404   1,413     1,695   1,560 1,610   1,788 11,209
    imbalance:50       240      34     125     1,695     460    65     883  3,502
    imbalance:100      170      17      79     1,695     365    37     787  3,150
    imbalance:150      138      11      60     1,695     319    26     735  2,984
    FER+             3,136     536     116     7,284   3,022 2,098   8,733 24,925
    imbalance:50     2,387     501     116     5,179   2,463 1,830   5,800 18,276
    imbalance:100    2,853     423      87     6,947   2,622 1,736   8,733 23,401
    imbalance:150    2,492     302      58     6,493   2,141 1,325   8,733 21,544
    ============= ======== ======= ======= ========= ======= ===== ======= ======
    """

    factor: float


@dataclass(frozen=True)
class Labels:
    """``number`` faces keep their label, alike many of each class; all others become UNLABELLED.

    If ``number`` is no multiple of C, the first classes in canonical order get one more each. A class with too few
    faces gives all it has, and the others share what is missing.
    """

    number: int


@dataclass(frozen=True)
class Annotators:
    """Each face is labelled anew by one person, who sees its true distribution and confuses what is seen.

    The populations label disjoint parts of the faces, alike many, drawn by lot: column ``annotators`` of the result's
    table says who labelled which. A confuses as ``CONFUSION`` says; B the other way round, taking surprise for fear
    about as often as A takes fear for surprise (the matrix transposed, its rows made to sum to one). So inconsistent
    are labels where datasets are merged (LA-Net, section 4.6).
    """

    populations: tuple[str, ...]


@dataclass(frozen=True)
class OtherLabels:
    """Each face takes its label from the column ``label_NAME`` of the dataset: what somebody else said of it.

    The natural label noise of real faces: FER2013's own labels beside the ten people's of FER+. Faces for which the
    column is -1, or a class that the dataset was opened without, are left out; hidden labels stay hidden.
    """

    name: str


Step = Noise | Imbalance | Labels | Annotators | OtherLabels


def parse_condition(text: str) -> tuple[Step, ...]:
    """The steps that a condition names; none for ``clean``. Raises ValueError, saying what is wrong."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"the condition is empty; {HELP}.")
    words = [word.strip() for word in re.split(r"\+(?!\s*[A-Z])", text)]  # annotators:A+B is one word
    if "clean" in words:
        if len(words) > 1:
            raise ValueError(f"condition {text!r}: clean cannot be combined with anything; {HELP}.")
        return ()
    return tuple(_parse_step(word, text) for word in words)


def canonical_condition(text: str) -> str:
    """The same condition as it is always written: ``noise:0.30`` is ``noise:0.3``. Raises ValueError as the parser."""
    return "+".join(map(_written, parse_condition(text))) or "clean"


def _written(step: Step) -> str:
    match step:
        case Noise(rate, symmetric):
            return f"noise:{_plain(rate)}{'' if symmetric else ':asymmetric'}"
        case Imbalance(factor):
            return f"imbalance:{_plain(factor)}"
        case Labels(number):
            return f"labels:{number}"
        case Annotators(populations):
            return f"annotators:{'+'.join(populations)}"
        case OtherLabels(name):
            return f"annotators:{name}"


def _plain(value: float) -> str:
    """The shortest text that is read as the same number, without an exponent where that is short."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _parse_step(word: str, text: str) -> Step:
    kind, *options = word.split(":")
    value = _number(options[0]) if options else None
    if kind == "noise" and value is not None and options[1:] in ([], ["symmetric"], ["asymmetric"]):
        if not 0 <= value <= 1:
            raise ValueError(f"condition {text!r}: the noise rate must lie between 0 and 1, not be {value:g}.")
        return Noise(value, symmetric=options[1:] != ["asymmetric"])
    if kind == "imbalance" and value is not None and len(options) == 1:
        if not 1 <= value < math.inf:
            raise ValueError(f"condition {text!r}: the imbalance factor must be at least 1 and finite, not {value:g}.")
        return Imbalance(value)
    if kind == "labels" and value is not None and len(options) == 1:
        if not (value >= 1 and value.is_integer()):
            raise ValueError(f"condition {text!r}: the number of labels must be a whole number, not {value:g}.")
        return Labels(int(value))
    if kind == "annotators" and len(options) == 1:
        if re.fullmatch(r"[a-z][a-z0-9_]*", options[0].strip()):
            return OtherLabels(options[0].strip())
        populations = tuple(name.strip() for name in options[0].split("+"))
        if len(set(populations) & set(POPULATIONS)) < len(populations):
            raise ValueError(
                f"condition {text!r}: the annotators are A, B or A+B, not {options[0]} "
                f"(or, in small letters, NAME of a column {OTHER}NAME)."
            )
        return Annotators(populations)
    raise ValueError(f"condition {text!r}: {word!r} is unknown; {HELP}.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def apply_condition(
    train: FaceDataset,
    condition: str,
    seed: int = 0,
    matrix: np.ndarray | None = None,
    order: tuple[int, ...] | None = None,
) -> FaceDataset:
    """The training set under a condition; ``clean_label`` of the result holds the labels as they were.

    :param train: training faces only; validation and test sets are never to be changed.
    :param matrix: (C, C) or (8, 8) confusion for asymmetric noise, rows: true class; by default that of ``CONFUSION``.
    :param order: class numbers from most to fewest faces, for imbalance; by default by their numbers here.
    :raises ValueError: an unparsable condition, faces of other splits, a matrix or order that does not fit, too few
        faces, annotators where the true distributions are unknown, or labels that the dataset does not have.
    """
    steps = parse_condition(condition)
    if (train.split != "train").any():
        raise ValueError("conditions apply to training faces only; give the result of .where('train').")
    data = train.relabelled(train.label)
    for position, step in enumerate(steps):
        random = np.random.default_rng([seed, position])
        if isinstance(step, Noise):
            data = _add_noise(data, step, random, matrix)
        elif isinstance(step, Imbalance):
            data = _imbalance(data, step, random, order)
        elif isinstance(step, Annotators):
            data = _annotate(data, step, random)
        elif isinstance(step, OtherLabels):
            data = _take_labels(data, step)
        else:
            data = _hide(data, step, random)
    return data


def confusion_matrix(path: Path = CONFUSION) -> np.ndarray:
    """(8, 8) confusion in canonical order, from a CSV whose header and first column name the emotions."""
    table = pd.read_csv(path, index_col=0)
    return table.loc[list(NAMES), list(NAMES)].to_numpy(dtype=float)


def flip_probabilities(matrix: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) p(new label | label): the matrix's first C rows and columns, zero diagonal, rows summing to one.

    :raises ValueError: wrong shape, negative or not finite, or a class that is never taken for another.
    """
    matrix = np.array(matrix, dtype=float)
    if matrix.shape not in ((classes, classes), (len(NAMES), len(NAMES))):
        raise ValueError(f"the confusion matrix must be {classes} x {classes} (or 8 x 8), not {matrix.shape}.")
    flips = matrix[:classes, :classes]
    if not np.isfinite(flips).all() or (flips < 0).any():
        raise ValueError("the confusion matrix must hold finite numbers of at least 0.")
    np.fill_diagonal(flips, 0)
    total = flips.sum(axis=1, keepdims=True)
    if (total == 0).any():
        name = NAMES[int(np.argmax(total == 0))]
        raise ValueError(f"the confusion matrix never takes {name} for another class, so its labels cannot be flipped.")
    return flips / total


def _add_noise(data: FaceDataset, step: Noise, random: np.random.Generator, matrix: np.ndarray | None) -> FaceDataset:
    classes = len(data.classes)
    if step.symmetric:
        flips = flip_probabilities(np.ones((classes, classes)), classes)
    else:
        flips = flip_probabilities(confusion_matrix() if matrix is None else matrix, classes)
    label = data.label.numpy().copy()
    labelled = np.flatnonzero(label != UNLABELLED)
    rows = random.choice(labelled, _round(step.rate * len(labelled)), replace=False)
    label[rows] = _draw(flips[label[rows]], random)
    return data.relabelled(torch.from_numpy(label))


def _imbalance(
    data: FaceDataset, step: Imbalance, random: np.random.Generator, order: tuple[int, ...] | None
) -> FaceDataset:
    classes = len(data.classes)
    if order is not None and sorted(order) != list(range(classes)):
        raise ValueError(f"the order of classes must name each of 0..{classes - 1} once, not {order}.")
    order, wanted = imbalanced_counts(data.counts.numpy(), step.factor, order)
    if min(wanted) < 1:
        raise ValueError(f"imbalance:{step.factor:g} would leave a class without faces; the training set is too small.")
    label = data.label.numpy()
    keep = [np.flatnonzero(label == UNLABELLED)]
    for c, count in zip(order, wanted, strict=True):
        keep.append(random.choice(np.flatnonzero(label == c), count, replace=False))
    return data.select(np.sort(np.concatenate(keep)))


def imbalanced_counts(
    available: np.ndarray, factor: float, order: tuple[int, ...] | None = None
) -> tuple[list[int], list[int]]:
    """Classes from most to fewest faces, and how many each keeps of those ``available`` (C,); see ``Imbalance``."""
    classes = len(available)
    balanced = available.max() < BALANCED * available.min()
    ranked = [c for c in COMMON_FIRST if c < classes]
    if not balanced:
        ranked.sort(key=lambda c: -available[c])  # stable: ties stay as they are
    ranked = ranked if order is None else list(order)
    available = available[ranked]
    if min(available) < 1:
        return ranked, [0] * classes
    if balanced:
        share = factor ** (-np.arange(classes) / (classes - 1))
        kept = int((available / share).min() + 1e-9) * share
    else:
        mu = (available[0] / (factor * available[-1])) ** (1 / (classes - 1))
        kept = available * mu ** np.arange(classes) / max(1.0, mu ** (classes - 1))
    return ranked, [min(_round(count), int(n)) for count, n in zip(kept, available, strict=True)]


def annotator_matrix(population: str, classes: int) -> np.ndarray:
    """(C, C), rows summing to one: what a population says (column) of what a face shows (row); see ``Annotators``."""
    matrix = confusion_matrix()[:classes, :classes]
    matrix = matrix.T if population == "B" else matrix
    return matrix / matrix.sum(axis=1, keepdims=True)


def _annotate(data: FaceDataset, step: Annotators, random: np.random.Generator) -> FaceDataset:
    if data.distribution is None:
        raise ValueError("annotators need the true distribution of each face, which this dataset does not have.")
    turn = random.permutation(len(data)) % len(step.populations)
    label = data.label.numpy().copy()
    for number, population in enumerate(step.populations):
        theirs = (turn == number) & (label != UNLABELLED)
        says = data.distribution.numpy()[theirs].astype(float) @ annotator_matrix(population, len(data.classes))
        label[theirs] = _draw(says, random)
    table = data.table.assign(annotators=np.array(step.populations)[turn])
    return replace(data.relabelled(torch.from_numpy(label)), table=table)


def other_labels(data: FaceDataset) -> dict[str, np.ndarray]:
    """The columns of ``annotators:NAME`` by NAME: (N,) canonical numbers, -1 where nobody labelled the face.

    :raises ValueError: a column holds something else.
    """
    where = "the dataset" if data.source is None else str(data.source)
    names = [name for name in data.table.columns if str(name).startswith(OTHER)]
    return {
        name.removeprefix(OTHER): check_other_labels(data.table[name].to_numpy(), NAMES, f"{where}: {name}")
        for name in names
    }


def _take_labels(data: FaceDataset, step: OtherLabels) -> FaceDataset:
    known = other_labels(data)
    if step.name not in known:
        has = ", ".join(f"annotators:{name}" for name in known) or "none"
        raise ValueError(
            f"annotators:{step.name} needs a column {OTHER}{step.name}, which this dataset does not have (it has "
            f"{has}); python -m data_prep ... --labels FILE adds one."
        )
    label, theirs = data.label.numpy(), known[step.name]
    told = (theirs >= 0) & (theirs < len(data.classes))
    had = data.counts
    data = data.relabelled(torch.from_numpy(np.where(label == UNLABELLED, label, theirs))).select(told)
    lost = [data.classes[number] for number in np.flatnonzero((had > 0) & (data.counts == 0))]
    if lost:
        more = ", so open it with 7 classes (--classes 7)" if lost == ["contempt"] else ""
        raise ValueError(f"annotators:{step.name} leaves no face labelled {', '.join(lost)} in this dataset{more}.")
    return data


def agreement(data: FaceDataset, theirs: np.ndarray) -> dict[str, object]:
    """How often further labels (N,), -1 where there is none, are the dataset's own: n, overall and by emotion."""
    told = (theirs >= 0) & (theirs < len(data.classes)) & (data.label.numpy() != UNLABELLED)
    label = data.label.numpy()[told]
    same = theirs[told] == label
    by_emotion = {
        name: round(float(same[label == number].mean()), 4)
        for number, name in enumerate(data.classes)
        if (label == number).any()
    }
    return {"n": int(told.sum()), "overall": round(float(same.mean()), 4) if len(same) else None, "agree": by_emotion}


def describe_change(before: FaceDataset, after: FaceDataset) -> str:
    """One sentence on what a condition did to the training faces: how many are left, hidden, and labelled otherwise."""
    labelled = after.label != UNLABELLED
    words = [f"{len(after):,} of {len(before):,} training faces"]
    if not bool(labelled.all()):
        words.append(f"{int(labelled.sum()):,} of them labelled")
    if after.clean_label is not None and bool((changed := (after.label != after.clean_label) & labelled).any()):
        words.append(f"{float(changed[labelled].float().mean()):.1%} of the labels are not the dataset's own")
    return ", ".join(words)


def _draw(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One class a row of (N, C) probabilities: the first whose cumulated probability exceeds a draw."""
    cumulated = probabilities.cumsum(axis=1)
    cumulated /= cumulated[:, -1:]  # the last may fall short of one by rounding
    return (random.random(len(cumulated))[:, None] >= cumulated).sum(axis=1)


def _hide(data: FaceDataset, step: Labels, random: np.random.Generator) -> FaceDataset:
    classes, available = len(data.classes), data.counts.numpy()
    if step.number < classes:
        raise ValueError(f"labels:{step.number} leaves a class without labels; keep at least {classes}.")
    if step.number > available.sum():
        raise ValueError(f"labels:{step.number} asks for more labels than the {available.sum()} there are.")
    label = data.label.numpy()
    hidden = np.full_like(label, UNLABELLED)
    for c, count in enumerate(balanced_quota(available, step.number)):
        rows = random.choice(np.flatnonzero(label == c), count, replace=False)
        hidden[rows] = c
    return data.relabelled(torch.from_numpy(hidden))


def balanced_quota(available: np.ndarray, number: int) -> np.ndarray:
    """How many of each class to take so that they sum to ``number`` and are as equal as ``available`` allows."""
    quota = np.zeros_like(available)
    while (left := number - quota.sum()) > 0:
        open_classes = np.flatnonzero(quota < available)
        share, extra = divmod(left, len(open_classes))
        more = share + (np.arange(len(open_classes)) < extra)
        quota[open_classes] = np.minimum(quota[open_classes] + more, available[open_classes])
    return quota


def _round(value: float) -> int:
    """Half goes up, so that counts do not depend on Python's rounding to even."""
    return int(np.floor(value + 0.5 + 1e-9))
