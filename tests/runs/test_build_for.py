"""What follows from the dataset: classes, the size that the network sees, the papers' settings."""

import json

import pytest
import torch

from fercore.datasets import FaceDataset
from fercore.runs.build_for import build_for
from fercore.runs.experiment import Experiment, check_classes, default_classes, open_data
from tests.faces import write_dataset


def faces(side: int, label: list[int] = (0, 1)) -> FaceDataset:
    return FaceDataset.from_arrays(torch.zeros(len(label), 3, side, side, dtype=torch.uint8), label)


@pytest.mark.parametrize(("side", "size"), [(8, 48), (48, 48), (64, 64), (100, 64)])
def test_the_network_sees_faces_at_their_own_size(side, size):
    assert build_for(faces(side), "baseline", "fast", 0, {}).config.size == size
    assert build_for(faces(side), "baseline", "fast", 0, {"size": 40}).config.size == 40


def test_preset_paper_has_the_papers_settings_for_this_dataset(tmp_path):
    folder = write_dataset(tmp_path / "mine", n=8, size=8)
    random = {"backbone": "light", "weights": None}
    other = build_for(open_data(folder), "ada_df", "paper", 0, random)
    (folder / "summary.json").write_text(json.dumps({"dataset": "AffectNet"}))
    affectnet = build_for(open_data(folder), "ada_df", "paper", 0, random)
    assert (other.config.threshold, affectnet.config.threshold) == (0.7, 0.5)
    assert other.config.size == affectnet.config.size == 100


def test_classes_are_those_that_the_dataset_has(tmp_path):
    eight = write_dataset(tmp_path / "eight", n=16, size=8)
    seven = write_dataset(tmp_path / "seven", n=16, size=8, label=[row % 7 for row in range(16)])
    assert [default_classes(folder) for folder in (eight, seven, None)] == [8, 7, 7]
    assert [len(open_data(folder).classes) for folder in (eight, seven)] == [8, 7]
    assert Experiment("baseline", data=eight).variant == "classes=8"  # a variant that names none means 7
    assert Experiment("baseline", data=seven).variant == Experiment("baseline", data=eight, classes=7).variant == ""
    (tmp_path / "seven" / "faces.parquet").write_bytes(b"torn")
    with pytest.raises(ValueError, match="not a readable parquet file"):
        Experiment("baseline", data=seven)


def test_faces_of_one_emotion_teach_nothing():
    with pytest.raises(ValueError, match=r"^all 3 labelled training faces are happiness, so that nothing"):
        check_classes(faces(8, [3, 3, 3]), "baseline")
    check_classes(faces(8, [3, 3, 3]), "landmarks")
    check_classes(faces(8, [3, 3, 1]), "baseline")
