"""Annotators: their confusion by a slow loop, their votes by the law of large numbers."""

import numpy as np
import pytest

from data_prep.blendfer.confusion import annotator_confusion, write_confusion
from fercore.datasets.blendfer.annotators import confusion, majority, sample_votes, vote_probabilities


def test_confusion_is_a_table_of_probabilities():
    matrix = confusion()
    assert matrix.shape == (8, 8)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-3)
    assert (matrix.argmax(1) == np.arange(8)).all()


def test_confusion_against_one_vote_at_a_time():
    rng = np.random.default_rng(0)
    votes = np.zeros((300, 8), int)
    for i in range(300):  # every class is some photograph's clear majority
        votes[i] = rng.multinomial(10, 0.3 / 8 + 0.7 * np.eye(8)[i % 8])
    counts = np.zeros((8, 8))
    for row in votes:
        if row.max() < 5:
            continue
        ballots = [emotion for emotion in range(8) for _ in range(row[emotion])]
        for i, ballot in enumerate(ballots):
            others = ballots[:i] + ballots[i + 1 :]
            counts[max(range(8), key=lambda e: (others.count(e), -e)), ballot] += 1
    np.testing.assert_allclose(annotator_confusion(votes), counts / counts.sum(1, keepdims=True))


def test_votes_follow_their_probabilities():
    p, rng = np.array([0, 0.5, 0, 0, 0, 0, 0.5, 0]), np.random.default_rng(1)
    votes = np.array([sample_votes(p, rng) for _ in range(4000)])
    assert (votes.sum(1) == 10).all()
    expected = 0.5 * confusion()[1] + 0.5 * confusion()[6]
    np.testing.assert_allclose(vote_probabilities(p), expected / expected.sum())
    np.testing.assert_allclose(votes.mean(0) / 10, vote_probabilities(p), atol=0.01)


def test_majority_and_ties():
    rng = np.random.default_rng(0)
    assert majority(np.array([0, 7, 0, 3, 0, 0, 0, 0]), rng) == 1
    tied = {majority(np.array([5, 0, 5, 0, 0, 0, 0, 0]), rng) for _ in range(60)}
    assert tied == {0, 2}


def test_a_wrong_vote_table_is_named(tmp_path):
    file = tmp_path / "votes.csv"
    file.write_text("happiness,fear\n1,2\n")
    with pytest.raises(ValueError, match=r"votes.csv has no column surprise"):
        write_confusion(file, tmp_path / "out.csv")
