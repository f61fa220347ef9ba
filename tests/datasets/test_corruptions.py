"""Conditions: exact rates, exact profiles, and nothing but the seed decides."""

import numpy as np
import pandas as pd
import pytest
import torch

from fercore.datasets import UNLABELLED, FaceDataset, apply_condition, corruptions, parse_condition
from fercore.datasets.blendfer import FOLDER
from fercore.datasets.corruptions import Annotators, Imbalance, Labels, Noise
from fercore.datasets.table import read_columns
from fercore.emotions import NAMES


def faces(counts, classes=7):
    """Tiny images whose first pixel numbers the face; rows in mixed order."""
    label = np.random.default_rng(1).permutation(np.repeat(np.arange(classes), counts))
    images = torch.zeros(len(label), 3, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(label)) % 256
    images[:, 0, 0, 1] = torch.arange(len(label)) // 256
    return FaceDataset.from_arrays(images, label, classes=classes)


TRAIN = faces([150] * 7)
UNEVEN = faces([129, 28, 71, 477, 198, 70, 252])
RAF_DB = [3, 6, 4, 0, 2, 5, 1]  # from most to fewest faces: 4772, 2524, 1982, 1290, 717, 705, 281
MATRIX = np.array([[5.0, 4, 0, 0, 0, 1, 0]] + [[1.0, 2, 3, 4, 5, 6, 7]] * 6)


def test_parsing():
    assert parse_condition("clean") == ()
    assert parse_condition("noise:0.3") == (Noise(0.3, True),)
    assert parse_condition("noise:0.3:symmetric") == (Noise(0.3, True),)
    assert parse_condition("noise:0.3:asymmetric + imbalance:100+labels:70") == (
        Noise(0.3, False),
        Imbalance(100),
        Labels(70),
    )
    assert parse_condition("annotators:A+B") == (Annotators(("A", "B")),)
    assert parse_condition("annotators:B+noise:0.1") == (Annotators(("B",)), Noise(0.1, True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("noise", "'noise' is unknown"),
        ("noise:x", "'noise:x' is unknown"),
        ("noise:1.2", "rate must lie between 0 and 1"),
        ("noise:nan", "rate must lie between 0 and 1"),
        ("noise:0.3:pairwise", "is unknown"),
        ("imbalance:0.5", "factor must be at least 1"),
        ("imbalance:inf", "factor must be at least 1"),
        ("labels:10.5", "whole number"),
        ("labels:0", "whole number"),
        ("clean+noise:0.1", "clean cannot be combined"),
        ("noise:0.1+", "'' is unknown"),
        ("labels:100:2", "is unknown"),
        ("annotators", "'annotators' is unknown"),
        ("annotators:A+C", "the annotators are A, B or A\\+B, not A\\+C"),
        ("annotators:A+A", "the annotators are A, B"),
        (None, "is empty"),
    ],
)
def test_parse_errors(text, words):
    with pytest.raises(ValueError, match=words) as error:
        parse_condition(text)
    assert str(error.value).endswith(".")


def test_clean_changes_nothing():
    clean = apply_condition(TRAIN, "clean")
    assert (clean.label == TRAIN.label).all()
    assert (clean.clean_label == TRAIN.label).all()


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3, 0.333, 0.5, 1.0])
def test_symmetric_noise_is_exact_and_never_the_same(rate):
    noisy = apply_condition(TRAIN, f"noise:{rate}", seed=3)
    changed = noisy.label != noisy.clean_label
    assert int(changed.sum()) == round(rate * len(TRAIN))  # 1050 * rate never ends in .5 here
    assert (noisy.clean_label == TRAIN.label).all()
    assert noisy.label.min() >= 0
    assert noisy.label.max() < 7


def test_half_rounds_up():
    for count, expected in ((1, 1), (3, 2), (5, 3)):  # half of them
        noisy = apply_condition(faces([count, 0, 0, 0, 0, 0, 0]), "noise:0.5")
        assert int((noisy.label != 0).sum()) == expected


def test_symmetric_noise_is_uniform_over_the_other_classes():
    big = faces([4000] * 7)
    noisy = apply_condition(big, "noise:0.6", seed=0)
    for c in range(7):
        targets = np.bincount(noisy.label[(big.label == c) & (noisy.label != c)], minlength=7)
        expected = targets.sum() / 6
        chi2 = sum((targets[k] - expected) ** 2 / expected for k in range(7) if k != c)
        assert chi2 < 25.7  # 99.99 % of chi-squared with 5 degrees of freedom


def test_asymmetric_noise_follows_the_matrix():
    big = faces([6000] * 7)
    noisy = apply_condition(big, "noise:0.4:asymmetric", seed=0, matrix=MATRIX)
    assert int((noisy.label != big.label).sum()) == round(0.4 * len(big))
    first = np.bincount(noisy.label[(big.label == 0) & (noisy.label != 0)], minlength=7)
    assert set(np.flatnonzero(first)) == {1, 5}
    assert first[1] / first.sum() == pytest.approx(0.8, abs=0.03)  # 4 of 4 + 1: the diagonal's 5 does not count
    third = np.bincount(noisy.label[(big.label == 2) & (noisy.label != 2)], minlength=7)
    expected = np.array([1, 2, 0, 4, 5, 6, 7]) / 25
    np.testing.assert_allclose(third / third.sum(), expected, atol=0.03)


def test_asymmetric_noise_of_an_8_class_matrix_drops_contempt():
    matrix = np.eye(8) + np.eye(8, k=1)  # each class is taken for the next one
    with pytest.raises(ValueError, match="never takes neutral for another"):
        apply_condition(TRAIN, "noise:0.3:asymmetric", matrix=matrix)
    matrix[6, 0] = 1
    noisy = apply_condition(TRAIN, "noise:0.3:asymmetric", matrix=matrix)
    changed = noisy.label != TRAIN.label
    assert (noisy.label[changed] == (TRAIN.label[changed] + 1) % 7).all()


@pytest.mark.parametrize("matrix", [np.ones((3, 3)), -np.ones((7, 7)), np.full((7, 7), np.nan), np.eye(7)])
def test_bad_matrices(matrix):
    with pytest.raises(ValueError, match="confusion matrix"):
        apply_condition(TRAIN, "noise:0.3:asymmetric", matrix=matrix)


def test_matrix_file_in_any_order(tmp_path):
    order = list(reversed(NAMES))
    lines = ["shown," + ",".join(order)]
    for row in order:
        lines.append(row + "," + ",".join(str(10 * NAMES.index(row) + NAMES.index(column)) for column in order))
    file = tmp_path / "confusion.csv"
    file.write_text("\n".join(lines))
    assert (corruptions.confusion_matrix(file) == [[10 * i + j for j in range(8)] for i in range(8)]).all()


def test_default_matrix_is_that_of_people():
    matrix = corruptions.confusion_matrix()
    assert matrix.shape == (8, 8)
    noisy = apply_condition(TRAIN, "noise:0.3:asymmetric", seed=0)
    assert int((noisy.label != TRAIN.label).sum()) == 315


@pytest.mark.parametrize("factor", [1, 10, 50, 100, 150])
def test_imbalance_profile(factor):
    many = faces([1500] * 7)
    counts = apply_condition(many, f"imbalance:{factor}").counts.numpy()[RAF_DB]
    assert counts.tolist() == [int(1500 * factor ** (-c / 6) + 0.5) for c in range(7)]
    assert counts[0] / counts[-1] == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("factor", [10, 17, 50])  # its own factor is 477 / 28 = 17.04
def test_imbalance_lowers_each_class_by_its_own_rank(factor):
    result = apply_condition(UNEVEN, f"imbalance:{factor}")
    rank = [3, 6, 4, 0, 2, 5, 1]
    available = UNEVEN.counts[rank].tolist()
    assert available == sorted(available, reverse=True)
    counts = result.counts[rank].tolist()
    kept = [available[0]]
    for n in available[1:]:  # each class loses, beside what it lacks already, the same share more than the one before
        kept.append(kept[-1] * n / available[len(kept) - 1] * ((477 / 28) / factor) ** (1 / 6))
    most = max(1, kept[-1] / available[-1])
    assert counts == [int(n / most + 0.5) for n in kept]
    assert counts[0] / counts[-1] == pytest.approx(factor, rel=0.1)
    assert len(np.unique(result.rows)) == len(result)  # no face twice


def test_imbalance_ranks_by_the_datasets_own_numbers_unless_it_is_balanced():
    reversed_ = corruptions.imbalanced_counts(np.array([10, 20, 40, 80, 160, 320, 640]), 100)
    assert reversed_[0] == [6, 5, 4, 3, 2, 1, 0]
    assert corruptions.imbalanced_counts(np.array([100, 100, 10, 100, 100, 100, 100]), 20)[0] == [3, 6, 4, 0, 5, 1, 2]


def table_rows() -> dict[str, list[int]]:
    """The table in the docstring of ``Imbalance``."""
    lines = [line.split() for line in corruptions.Imbalance.__doc__.splitlines()]
    rows, name = {}, ""
    for words in lines:
        numbers = [int(word.replace(",", "")) for word in words[1:] if word.replace(",", "").isdecimal()]
        if len(numbers) == 8:
            name = name if words[0].startswith("imbalance") else words[0]
            rows[words[0] if name == words[0] else f"{name} {words[0]}"] = numbers
    return rows


def test_the_table_of_counts_holds():
    rows = table_rows()
    assert len(rows) == 8
    blendfer = np.bincount(np.array(read_columns(FOLDER).label)[read_columns(FOLDER).split == "train"])[:7]
    assert rows["BlendFER"][:7] == blendfer.tolist()
    for name, numbers in rows.items():
        dataset, _, condition = name.partition(" ")
        if condition:
            order, kept = corruptions.imbalanced_counts(np.array(rows[dataset][:7]), float(condition.partition(":")[2]))
            assert dict(zip(order, kept, strict=True)) == dict(enumerate(numbers[:7]))
        assert sum(numbers[:7]) == numbers[7]


def test_imbalance_in_another_order():
    order = (1, 5, 2, 0, 4, 6, 3)
    counts = apply_condition(faces([150] * 7), "imbalance:15", order=order).counts[list(order)]
    assert (counts[:-1] >= counts[1:]).all()
    assert counts[0] / counts[-1] == pytest.approx(15, rel=0.05)
    with pytest.raises(ValueError, match="must name each of"):
        apply_condition(UNEVEN, "imbalance:10", order=(0, 1))
    with pytest.raises(ValueError, match="leave a class without faces"):
        apply_condition(UNEVEN, "imbalance:100000")


def test_labels_are_balanced_and_exact():
    for number, expected in ((70, [10] * 7), (100, [15, 15] + [14] * 5), (7, [1] * 7), (1050, [150] * 7)):
        result = apply_condition(TRAIN, f"labels:{number}", seed=2)
        assert result.counts.tolist() == expected
        shown = result.label != UNLABELLED
        assert (result.label[shown] == TRAIN.label[shown]).all()
        assert (result.clean_label == TRAIN.label).all()
        if number < len(TRAIN):
            assert (result.hidden == ~shown.numpy()).all()
        assert len(result) == len(TRAIN)


def test_labels_share_what_a_small_class_lacks():
    result = apply_condition(faces([3, 100, 100, 100, 100, 100, 100]), "labels:100")
    assert result.counts.tolist() == [3, 17, 16, 16, 16, 16, 16]
    with pytest.raises(ValueError, match="keep at least 7"):
        apply_condition(TRAIN, "labels:6")
    with pytest.raises(ValueError, match="more labels than the 1050"):
        apply_condition(TRAIN, "labels:1051")


def test_combinations_follow_the_written_order():
    many = faces([1000] * 7)
    both = apply_condition(many, "imbalance:50+noise:0.2", seed=5)
    first = apply_condition(many, "imbalance:50", seed=5)
    assert (both.rows == first.rows).all()
    assert (both.clean_label == first.label).all()
    assert int((both.label != both.clean_label).sum()) == int(0.2 * len(first) + 0.5)
    reverse = apply_condition(many, "noise:0.2+imbalance:50", seed=5)
    counts = reverse.counts.numpy()[RAF_DB]  # the noisy labels follow the profile
    assert counts[0] / counts[-1] == pytest.approx(50, rel=0.05)
    hidden = apply_condition(many, "labels:70+noise:0.5", seed=5)
    assert int((hidden.label != UNLABELLED).sum()) == 70
    shown = hidden.label != UNLABELLED
    assert int((hidden.label != hidden.clean_label)[shown].sum()) == 35  # of the labels that are left
    assert len(apply_condition(many, "labels:70+imbalance:10")) > 6900  # faces without a label stay


@pytest.mark.parametrize("condition", ["noise:0.3", "noise:0.3:asymmetric", "imbalance:10", "labels:70"])
def test_only_the_seed_decides(condition):
    def result(seed):
        data = apply_condition(TRAIN, condition, seed, matrix=MATRIX)
        return data.rows.tolist(), data.label.tolist()

    before = TRAIN.label.clone()
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    first = result(1)
    assert np.random.get_state()[1].tolist() == state[0]  # noqa: NPY002
    assert (torch.get_rng_state() == state[1]).all()
    torch.rand(3)
    assert result(1) == first
    assert result(2) != first
    assert (TRAIN.label == before).all()


def test_validation_and_test_sets_are_never_touched():
    label = [0, 1, 2, 3]
    images = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    data = FaceDataset.from_arrays(images, label, split=["train", "train", "val", "test"])
    for part in (data, data.where("val"), data.where("test")):
        with pytest.raises(ValueError, match="training faces only"):
            apply_condition(part, "noise:0.5")


def shown(emotion: int, n: int = 12_000) -> FaceDataset:
    """Faces that all show one emotion, of which their labels say something else."""
    images = torch.zeros(n, 3, 1, 1, dtype=torch.uint8)
    return FaceDataset.from_arrays(images, [3] * n, distribution=torch.eye(7)[[emotion] * n])


def test_two_populations_of_annotators_label_a_half_each_by_their_own_confusion():
    people = corruptions.confusion_matrix()[:7, :7]
    data = apply_condition(shown(1), "annotators:A+B")
    who = data.table["annotators"].to_numpy()
    assert (who == "A").sum() == (who == "B").sum() == 6000
    for population, row in (("A", people[1]), ("B", people[:, 1])):
        said = np.bincount(data.label.numpy()[who == population], minlength=7) / 6000
        np.testing.assert_allclose(said, row / row.sum(), atol=0.03)
    assert (data.clean_label == 3).all()
    again, other = apply_condition(shown(1), "annotators:A+B"), apply_condition(shown(1), "annotators:A+B", seed=1)
    assert torch.equal(data.label, again.label)
    assert not torch.equal(data.label, other.label)


def test_annotators_judge_a_mixed_face_by_its_distribution():
    mixed = torch.tensor([0.5, 0, 0, 0.5, 0, 0, 0])
    data = FaceDataset.from_arrays(
        torch.zeros(9000, 3, 1, 1, dtype=torch.uint8), [0] * 9000, distribution=mixed.expand(9000, 7)
    )
    people = corruptions.confusion_matrix()[:7, :7]
    people = people / people.sum(1, keepdims=True)
    said = np.bincount(apply_condition(data, "annotators:A").label, minlength=7) / 9000
    np.testing.assert_allclose(said, (people[0] + people[3]) / 2, atol=0.02)


def test_annotators_leave_hidden_labels_hidden_and_need_true_distributions():
    data = apply_condition(shown(1, 70).relabelled(torch.arange(70) % 7), "labels:14+annotators:A+B")
    assert int((data.label != UNLABELLED).sum()) == 14
    with pytest.raises(ValueError, match="annotators need the true distribution"):
        apply_condition(TRAIN, "annotators:A")


def told_otherwise(label: list[int], theirs: list, classes: int = 7) -> FaceDataset:
    """Faces that further annotators, called ``other``, have labelled too."""
    images = torch.zeros(len(label), 3, 1, 1, dtype=torch.uint8)
    return FaceDataset.from_arrays(images, label, classes=classes, table=pd.DataFrame({"label_other": theirs}))


def test_training_sees_the_labels_of_a_further_column():
    data = told_otherwise([0, 1, 2, 1, 2, 0], [0, 2, 2, -1, 1, 7])
    result = apply_condition(data, "annotators:other")
    assert result.label.tolist() == [0, 2, 2, 1]  # the fourth has no such label, the sixth one of another class
    assert result.clean_label.tolist() == [0, 1, 2, 2]
    assert result.rows.tolist() == [0, 1, 2, 4]
    assert corruptions.describe_change(data, result) == (
        "4 of 6 training faces, 50.0% of the labels are not the dataset's own"
    )
    both = apply_condition(data, "annotators:other+noise:0.5")  # the clean labels stay the people's
    assert (both.clean_label == result.clean_label).all()
    assert corruptions.agreement(data, corruptions.other_labels(data)["other"]) == {
        "n": 4,
        "overall": 0.5,
        "agree": {"surprise": 1.0, "fear": 0.0, "disgust": 0.5},
    }


@pytest.mark.parametrize(
    ("data", "condition", "words"),
    [
        (
            told_otherwise([0, 1], [0, 1]),
            "annotators:fer2013",
            "needs a column label_fer2013.* has annotators:other.*--labels",
        ),
        (told_otherwise([0, 1], [0, 9]), "annotators:other", "row 1: label 9 is neither -1 nor in 0..7"),
        (told_otherwise([0, 1], ["a", "b"]), "annotators:other", "label_other: write one whole number a row"),
        (told_otherwise([0, 7], [0, 0], 8), "annotators:other", "no face labelled contempt .*--classes 7"),
        (told_otherwise([0, 1], [0, 0]), "annotators:other", "no face labelled fear"),
    ],
)
def test_further_labels_that_cannot_be_taken(data, condition, words):
    with pytest.raises(ValueError, match=words):
        apply_condition(data, condition)
