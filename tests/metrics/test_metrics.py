"""Against scikit-learn, scipy, and the formulas as loops."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, mutual_info_score, recall_score
from sklearn.neighbors import KNeighborsClassifier

from fercore import metrics
from fercore.datasets import UNLABELLED
from fercore.emotions import class_names

N, C = 200, 7


@pytest.fixture
def sample():
    g = torch.Generator().manual_seed(0)
    label = torch.randint(0, C, (N,), generator=g)
    logits = torch.randn(N, C, generator=g) + 2 * torch.nn.functional.one_hot(label, C)
    truth = torch.randn(N, C, generator=g).softmax(1)
    return logits.softmax(1), label, truth


def test_accuracies_against_scikit_learn(sample):
    probabilities, label, _ = sample
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion(label, predicted, C)
    assert np.array_equal(matrix.numpy(), confusion_matrix(label, predicted, labels=range(C)))
    np.testing.assert_allclose(metrics.recall(matrix), recall_score(label, predicted, average=None))
    assert metrics.mean_accuracy(matrix) == pytest.approx(balanced_accuracy_score(label, predicted))
    assert metrics.overall_accuracy(matrix) == pytest.approx((label == predicted).double().mean().item())


def test_an_absent_class_is_left_out_of_the_mean():
    label = torch.tensor([0, 0, 1, 1])
    predicted = torch.tensor([0, 2, 1, 1])
    matrix = metrics.confusion(label, predicted, 3)
    assert metrics.mean_accuracy(matrix) == pytest.approx(0.75)
    assert math.isnan(metrics.recall(matrix)[2])


def test_calibration_error_against_the_loop(sample):
    probabilities, label, _ = sample
    confidence, predicted = probabilities.max(1)
    error = 0.0
    for low in range(15):
        inside = [i for i in range(N) if low / 15 < confidence[i] <= (low + 1) / 15]
        if inside:
            accuracy = sum(int(predicted[i] == label[i]) for i in inside) / len(inside)
            mean = sum(float(confidence[i]) for i in inside) / len(inside)
            error += len(inside) / N * abs(accuracy - mean)
    assert metrics.calibration_error(probabilities, label) == pytest.approx(error, abs=1e-5)


def test_divergences_against_scipy_and_the_loop(sample):
    probabilities, _, truth = sample
    js = metrics.js_divergence(probabilities, truth)
    expected = jensenshannon(probabilities.numpy(), truth.numpy(), axis=1) ** 2
    np.testing.assert_allclose(js, expected, rtol=1e-4, atol=1e-6)
    p, q = probabilities[0].tolist(), truth[0].tolist()
    kl = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert metrics.kl_divergence(probabilities, truth)[0] == pytest.approx(kl, rel=1e-4)


def test_divergence_of_certainties():
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    q = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(metrics.js_divergence(p, q), [math.log(2), 0.0], atol=1e-7)


def test_report_skips_hidden_labels_and_has_no_nan(sample):
    probabilities, label, truth = sample
    label = label.clone()
    label[label == 5] = 0  # no anger at all
    hidden = label.clone()
    hidden[:50] = UNLABELLED
    found = metrics.report(probabilities, hidden, class_names(C), truth)
    expected = metrics.report(probabilities[50:], label[50:], class_names(C), truth[50:])
    assert found == expected
    assert found["n"] == 150
    assert found["recall"]["anger"] is None
    right = (probabilities[50:].argmax(1) == truth[50:].argmax(1)).double().mean().item()
    assert found["overall_truth"] == pytest.approx(right)
    assert metrics.report(probabilities, label, class_names(C))["js_truth"] is None
    with pytest.raises(ValueError, match="no face of this set has a label"):
        metrics.report(probabilities, torch.full((N,), UNLABELLED), class_names(C))


def test_mutual_information_against_scikit_learn_and_by_hand():
    g = torch.Generator().manual_seed(0)
    group, choice = torch.randint(0, C, (2, N), generator=g)
    choice = torch.where(choice < 3, group, choice)
    hard = torch.nn.functional.one_hot(choice, C).float()
    assert metrics.mutual_information(hard, group, C) == pytest.approx(mutual_info_score(group, choice))
    pair = torch.tensor([0, 0, 1, 1])
    soft = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert metrics.mutual_information(soft, pair, 3) == pytest.approx(by_hand)
    assert metrics.mutual_information(torch.full((4, 5), 0.2), pair, 2) == pytest.approx(0)


def test_neighbour_agreement_against_scikit_learn(sample):
    probabilities, label, _ = sample
    hits = 0
    for i in range(N):
        others = [j for j in range(N) if j != i]
        model = KNeighborsClassifier(5).fit(probabilities[others], label[others])
        hits += int(model.predict(probabilities[i : i + 1])[0] == label[i])
    assert metrics.neighbour_agreement(probabilities, label, 5) == pytest.approx(hits / N)


def test_landmarks_are_off_by_a_share_of_the_distance_between_the_eyes():
    """By hand: eyes 20 pixels apart; one point of 68 is off by 3 and 4 pixels, so by 5."""
    true = torch.zeros(2, 68, 2)
    true[:, 42:48, 0] = 20
    predicted = true.clone()
    predicted[0, 8] += torch.tensor([3.0, 4.0])
    true[1, 5] = torch.nan
    first, second = metrics.landmark_nme(predicted, true).tolist()
    assert first == pytest.approx(5 / 68 / 20)
    assert math.isnan(second)
