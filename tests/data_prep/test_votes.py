"""Labels out of votes: against loops, and on the real table."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from data_prep import ferplus
from data_prep.ferplus import COLUMNS, UNUSABLE, ferplus_counts, label_votes, read_ferplus, read_votes
from fercore.emotions import NAMES
from tests.data_prep import trees

ROOT = Path(__file__).parents[2]
REAL = [p / "shared/ferplus/fer2013new.csv" for p in ROOT.parents if (p / "shared/ferplus/fer2013new.csv").is_file()]
real_table = pytest.mark.skipif(not REAL, reason="needs the real vote table beside the repository")


def slow_label(votes, rule, unknown, ties):
    """One face at a time, as the rules are told in words."""
    count = dict(zip(COLUMNS, votes, strict=True))
    if unknown == "ignore":
        count["unknown"] = count["NF"] = 0
    if rule == "majority":
        count = {name: (0 if n == 1 else n) for name, n in count.items()}
    most = max(count.values())
    winners = [name for name in COLUMNS if count[name] == most]
    if most == 0 or (ties == "drop" and len(winners) > 1) or winners[0] in ("unknown", "NF"):
        return UNUSABLE
    if rule == "majority" and not most > sum(count.values()) / 2:
        return UNUSABLE
    return NAMES.index(winners[0])


CHOICES = list(product(("majority", "most"), ("vote", "ignore"), ("first", "drop")))


@pytest.mark.parametrize(("rule", "unknown", "ties"), CHOICES)
def test_labels_agree_with_a_loop(rule, unknown, ties):
    random = np.random.default_rng(0)
    votes = np.array([random.multinomial(10, random.dirichlet(np.full(10, 0.3))) for _ in range(400)])
    votes = np.concatenate([votes, np.eye(10, dtype=int) * 10, [[1] * 10, [5, 5, *[0] * 8], [0] * 8 + [5, 5]]])
    votes = np.concatenate([votes, [[4, *[0] * 7, 4, 2], [0] * 10]])
    assert label_votes(votes, rule, unknown, ties).tolist() == [slow_label(v, rule, unknown, ties) for v in votes]


@real_table
def test_the_real_table_gives_the_papers_counts():
    table = ferplus_counts(REAL[0]).set_index(["rule", "unknown", "ties", "classes"])
    assert table.loc[("majority", "vote", "first", 7)].tolist() == [24941, 3186, 3137]  # LEAF's 24,941 for training
    assert table.loc[("most", "ignore", "first", 8)].tolist() == [28559, 3579, 3573]
    raw = read_votes(REAL[0])
    assert raw["split"].value_counts().to_dict() == {"train": 28709, "val": 3589, "test": 3589}  # DMUE and LA-Net
    votes, split = raw[list(COLUMNS)].to_numpy(), raw["split"].to_numpy()
    for rule, unknown, ties in CHOICES[:2]:
        slow = np.array([slow_label(v, rule, unknown, ties) for v in votes.tolist()])
        for classes in (7, 8):
            kept = split[(slow != UNUSABLE) & (slow < classes)]
            if ties == "first":
                counts = [int((kept == name).sum()) for name in ("train", "val", "test")]
                assert table.loc[(rule, unknown, ties, classes)].tolist() == counts


@real_table
def test_the_documented_counts_are_the_computed_ones():
    text = (ROOT / "data_prep" / "README.md").read_text()
    for row in ferplus_counts(REAL[0]).itertuples(index=False):
        cells = [row.rule, row.unknown, row.ties, str(row.classes), *(f"{n:,}" for n in (row.train, row.val, row.test))]
        assert f"| {' | '.join(cells)} |" in text


@real_table
def test_the_real_votes_join_made_pixels(tmp_path, monkeypatch):
    """All 35,887 rows, with pictures of 4 x 4 pixels, whose first two pixels count the rows."""
    monkeypatch.setattr(ferplus, "SIDE", 4)
    raw = read_votes(REAL[0])
    usage = raw["split"].map({split: usage for usage, split in ferplus.USAGES.items()})
    lines = [f"0,{row % 256} {row // 256}{' 7' * 14},{name}" for row, name in enumerate(usage)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]))
    (tmp_path / "fer2013new.csv").write_bytes(REAL[0].read_bytes())
    source = read_ferplus(tmp_path, classes=7)
    assert source.rows["split"].value_counts().to_dict() == {"train": 24941, "val": 3186, "test": 3137}
    row = source.pixels[:, 0, :2].astype(int) @ (1, 256)
    assert (source.rows["name"] == [f"fer{k:07d}.png" for k in row]).all()
    assert (source.votes == raw[list(NAMES)].to_numpy()[row]).all()
    assert (source.votes.argmax(axis=1) == source.rows["label"]).all()  # without ties the label has the most votes
    assert len(source) + sum(source.left_out.values()) == len(raw) == 35887


def test_a_made_table_gives_counts_too(tmp_path):
    trees.ferplus_tables(tmp_path, [[8, 2, *[0] * 8], [5, 5, *[0] * 8]], ["Training", "PublicTest"])
    counts = ferplus_counts(tmp_path / "fer2013new.csv")
    assert counts["train"].tolist() == [1] * 12
    assert counts["val"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
