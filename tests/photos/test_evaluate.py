import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from fercore.datasets.images import read_image
from fercore.datasets.labels_csv import EYES
from fercore.emotions import NAMES
from fercore.methods import NetworkConfig
from fercore.models.together import Together
from fercore.photos import cut_faces, evaluate_photos, find_faces, find_landmarks
from tests.photos.portraits import ASTRONAUT, COFFEE, HOPPER, Fixed, read

ASTRONAUT_LOGITS = torch.tensor([2.0, 0, 0, 1.0, 0, 0, 0.5])  # surprise, but rather happy than neutral
HOPPER_LOGITS = torch.tensor([0.0, 0, 0, 0.2, 0, 0, 3.0])


class KnowsBoth(nn.Module):
    """Tells the two portraits apart by their colour: the admiral's skin is much redder than blue."""

    classes, predicts_landmarks = 7, False

    def forward(self, image):
        red = (image[:, 0] - image[:, 2]).mean((1, 2), keepdim=True)[:, 0] > 0.21
        return torch.where(red, HOPPER_LOGITS, ASTRONAUT_LOGITS)


@pytest.fixture
def folder(tmp_path):
    """Call it with (photo, label) pairs; it writes them and returns the folder."""

    def write(*photos):
        rows = ["path,label"]
        for number, (photo, label) in enumerate(photos):
            Image.fromarray(read(photo)).reduce(2).save(tmp_path / f"{number}.png")
            rows.append(f"{number}.png,{label}")
        (tmp_path / "labels.csv").write_text("\n".join(rows))
        return tmp_path

    return write


def test_by_hand(folder):
    """Right: astronaut, hopper. Wrong: hopper taken for neutral, coffee without a face."""
    data = folder((ASTRONAUT, "surprise"), (HOPPER, "neutral"), (HOPPER, "anger"), (COFFEE, "neutral"))
    found = evaluate_photos(KnowsBoth(), data)
    assert json.loads(json.dumps(found)) == found
    assert (found["n"], found["faces_missed"]) == (4, 1)
    assert found["overall"] == pytest.approx(2 / 4)
    assert found["recall"]["surprise"] == 1
    assert found["recall"]["neutral"] == 0.5
    assert found["recall"]["anger"] == 0
    assert found["recall"]["fear"] is None
    assert found["mean"] == pytest.approx((1 + 0.5 + 0) / 3)
    first, second = ASTRONAUT_LOGITS.softmax(0).max().item(), HOPPER_LOGITS.softmax(0).max().item()
    # two bins of confidence: |1 - first| for one face, |1/2 - second| for two
    assert found["ece"] == pytest.approx((1 - first + 2 * abs(0.5 - second)) / 3, abs=1e-5)
    assert found["seconds"] > 0
    assert "smile_vs_neutral_balanced" not in found


def test_smile_against_neutral_looks_at_these_two_only(folder):
    data = folder((ASTRONAUT, "happiness"), (HOPPER, "neutral"), (COFFEE, "neutral"))
    found = evaluate_photos(KnowsBoth(), data)
    assert found["recall"]["happiness"] == 0  # its argmax is surprise
    assert found["smile_vs_neutral_balanced"] == pytest.approx((1 + 0.5) / 2)


def test_not_one_face(folder):
    found = evaluate_photos(Fixed(*[0.0] * 7), folder((COFFEE, "fear")))
    assert (found["overall"], found["mean"], found["ece"], found["faces_missed"]) == (0, 0, None, 1)
    assert list(found["recall"]) == list(NAMES[:7])


def test_contempt_needs_a_method_that_knows_it(folder):
    data = folder((HOPPER, "contempt"))
    with pytest.raises(ValueError, match="contempt"):
        evaluate_photos(Fixed(*[0.0] * 7), data)
    assert evaluate_photos(Fixed(*[0.0] * 7, 1.0), data)["overall"] == 1


def test_smile_against_neutral_without_a_face(folder):
    found = evaluate_photos(Fixed(*[0.0] * 7), folder((COFFEE, "neutral"), (COFFEE, "happiness")))
    assert found["smile_vs_neutral_balanced"] == 0


def test_without_labels(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels\.csv"):
        evaluate_photos(Fixed(*[0.0] * 7), tmp_path)


def sized(method: Fixed) -> Fixed:
    method.config, method.distribution_names = NetworkConfig(), ()
    return method


class Pointing(Fixed):
    """Says that every landmark lies in the middle of the crop."""

    predicts_landmarks = True

    def landmarks(self, image):
        return torch.full((len(image), 68, 2), (image.shape[3] - 1) / 2)


def test_eyes_are_measured_where_pupils_are_known_and_landmarks_predicted(folder):
    data = folder((HOPPER, "neutral"), (HOPPER, "neutral"))
    table = pd.read_csv(data / "labels.csv")
    photo = read_image(data / "0.png")
    (face,) = find_faces(photo)
    method = Pointing(*[0.0] * 7)
    middle = find_landmarks(method, cut_faces(method, photo, [face]))[0][0]
    for name, value in zip(EYES, (middle[0] - 30, middle[1], middle[0] + 30, middle[1] + 40), strict=True):
        table[name] = [value, None]  # the second photograph's pupils are not known
    table.to_csv(data / "labels.csv", index=False)
    # off by 30 and by 50, at a distance of hypot(60, 40)
    found = evaluate_photos(Pointing(*[0.0] * 7), data)
    assert found["eye_error"] == pytest.approx(40 / np.hypot(60, 40), abs=1e-3)
    assert "eye_error" not in evaluate_photos(Fixed(*[0.0] * 7), data)
    together = Together([sized(Pointing(*[0.0] * 7)), sized(Fixed(*[0.0] * 7))])  # keeps what one of them can do
    assert evaluate_photos(together, data)["eye_error"] == found["eye_error"]
    table[EYES[0]] = ["here", None]
    table.to_csv(data / "labels.csv", index=False)
    with pytest.raises(ValueError, match="row 1: 'here' is no place of an eye"):
        evaluate_photos(Fixed(*[0.0] * 7), data)
    for name, value in zip(EYES, (70, 10, 30, 10), strict=True):
        table[name] = [value, None]
    table.to_csv(data / "labels.csv", index=False)
    with pytest.raises(ValueError, match="row 1: the left eye, at 70, must lie left of the right one, at 30"):
        evaluate_photos(Fixed(*[0.0] * 7), data)
