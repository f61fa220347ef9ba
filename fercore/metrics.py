"""How good a set of predictions is: accuracies, calibration, and closeness to the true distributions.

N faces, C classes. Divergences are in nats (natural logarithm). Classes that the data does not hold give NaN and are
left out of means.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import UNLABELLED

CALIBRATION_BINS = 15


def confusion(label: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """(N,), (N,) -> (C, C) counts; row: the label, column: the prediction."""
    return torch.bincount(label * classes + predicted, minlength=classes * classes).view(classes, classes)


def recall(matrix: Tensor) -> Tensor:
    """(C, C) confusion -> (C,) share of each class's faces that were recognised; NaN for a class without faces."""
    return matrix.diagonal().double() / matrix.sum(1)


def overall_accuracy(matrix: Tensor) -> float:
    """Share of all faces that were recognised."""
    return float(matrix.diagonal().sum().double() / matrix.sum())


def mean_accuracy(matrix: Tensor) -> float:
    """Mean of the classes' recalls (balanced accuracy), over the classes that have faces."""
    return float(recall(matrix).nanmean())


def calibration_error(probabilities: Tensor, label: Tensor) -> float:
    """Expected calibration error (Guo et al., 2017, eq. 3), 15 equal bins of confidence; torchmetrics computes it."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    classes = probabilities.shape[1]
    return float(multiclass_calibration_error(probabilities, label, classes, n_bins=CALIBRATION_BINS, norm="l1"))


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """(N, C), (N, C) -> (N,) sum_c p log(p / q), in nats; 0 log 0 = 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1)


def js_divergence(p: Tensor, q: Tensor) -> Tensor:
    """(N, C), (N, C) -> (N,) Jensen-Shannon: (KL(p, m) + KL(q, m)) / 2 with m = (p + q) / 2; nats, from 0 to log 2."""
    middle = (p + q) / 2
    return (kl_divergence(p, middle) + kl_divergence(q, middle)) / 2


def mutual_information(weights: Tensor, group: Tensor, groups: int) -> float:
    """How much a soft choice tells of a face's group (or the group of the choice), in nats; 0: nothing.

    :param weights: (N, n), rows sum to 1: with which probability each of n things is chosen for a face.
    :param group: (N,), from 0 to ``groups`` - 1.
    """
    joint = F.one_hot(group, groups).double().T @ weights.double()
    joint = joint / joint.sum()
    alone = joint.sum(1, keepdim=True) * joint.sum(0)
    return float((torch.xlogy(joint, joint) - torch.xlogy(joint, alone)).sum())


def neighbour_agreement(features: Tensor, label: Tensor, k: int = 10) -> float:
    """For which share of the faces most of the k nearest others have its label. (N, d), (N,); N > k."""
    near = torch.cdist(features, features).fill_diagonal_(torch.inf).topk(k, largest=False).indices
    return float((label[near].mode(1).values == label).double().mean())


def landmark_nme(predicted: Tensor, true: Tensor) -> Tensor:
    """Normalised mean error of landmarks (N, 68, 2): (N,), shares of the distance between the true eyes' centres.

    The mean over the 68 points of how far each is off; NaN for a face with unknown landmarks.
    """
    eyes = true[:, 36:42].mean(1) - true[:, 42:48].mean(1)
    return (predicted - true).norm(dim=2).mean(1) / eyes.norm(dim=1)


def report(
    probabilities: Tensor, label: Tensor, names: tuple[str, ...], distribution: Tensor | None = None
) -> dict[str, object]:
    """All figures of one evaluation, over the faces whose label is known; what cannot be known is None.

    probabilities: (N, C). label: (N,), UNLABELLED where hidden. distribution: (N, C) true p(emotion | face).
    Keys: n, overall, mean, recall (by emotion), ece, js_truth (mean, nats), overall_truth (against the true argmax).
    Raises ValueError if no face has a label.
    """
    known = label != UNLABELLED
    if not known.any():
        raise ValueError("no face of this set has a label; there is nothing to evaluate")
    probabilities, label = probabilities[known].double(), label[known]
    predicted = probabilities.argmax(1)
    matrix = confusion(label, predicted, len(names))
    by_class = recall(matrix)
    figures = {
        "n": len(label),
        "overall": overall_accuracy(matrix),
        "mean": mean_accuracy(matrix),
        "recall": {name: None if value.isnan() else float(value) for name, value in zip(names, by_class, strict=True)},
        "ece": calibration_error(probabilities, label),
        "js_truth": None,
        "overall_truth": None,
    }
    if distribution is not None:
        truth = distribution[known].double()
        figures["js_truth"] = float(js_divergence(probabilities, truth).mean())
        figures["overall_truth"] = float((predicted == truth.argmax(1)).double().mean())
    return figures
