import math
from dataclasses import replace

import pandas as pd
import pytest

from fercore.viz.claims import Claim, claims_markdown, difference, verdict

CLAIM = Claim("new against old", "Table 1", 2.0, "new", "clean", rival="old")


def runs(new: dict[int, float], old: dict[int, float], **columns) -> pd.DataFrame:
    rows = [("new", seed, value) for seed, value in new.items()] + [("old", seed, value) for seed, value in old.items()]
    table = pd.DataFrame(rows, columns=["method", "seed", "mean"])
    return table.assign(**{"variant": None, "condition": "clean", "preset": "quick", "overall": 0.5} | columns)


def test_the_difference_is_paired_by_seed():
    """Differences 2, 4 and 6 points: mean 4, deviation 2, t(0.975, 2) = 4.3027, half = 4.3027 * 2 / sqrt(3)."""
    table = runs({0: 0.52, 1: 0.64, 2: 0.76, 7: 0.99}, {0: 0.50, 1: 0.60, 2: 0.70, 9: 0.01})
    mean, half, n = difference(CLAIM, table)
    assert (mean, half, n) == (pytest.approx(4), pytest.approx(4.3027 * 2 / math.sqrt(3), rel=1e-4), 3)


def test_other_rows_do_not_count_and_the_last_of_repeated_ones_does():
    table = runs({0: 0.6, 1: 0.7}, {0: 0.5, 1: 0.6})
    foreign = [{"condition": "noise:0.3"}, {"preset": "fast"}, {"data": "ferplus@0a1b2c3d"}, {"recipe": "long"}]
    foreign = [table.assign(mean=0.0, **elsewhere) for elsewhere in foreign]
    other = [table[:1].assign(variant="alpha=0", mean=0.0), table[:1].assign(mean=0.1)]
    again = pd.concat([*foreign, *other, table], ignore_index=True)
    assert difference(CLAIM, again)[0] == pytest.approx(10)
    assert difference(replace(CLAIM, data="ferplus"), again)[::2] == (0, 2)


def test_verdicts():
    assert verdict(3, 1) == "holds"
    assert verdict(-3, 1) == "does not hold"
    assert verdict(1, 3) == "undecided"
    assert verdict(1, math.nan) == "undecided (one seed)"
    assert verdict(math.nan, math.nan) == "not measured"


def test_the_table_says_what_was_and_what_was_not_measured():
    absent = Claim("nobody", "Table 9", 1.0, "nobody", "clean")
    lines = claims_markdown([CLAIM, absent], runs({0: 0.6, 1: 0.7}, {0: 0.5, 1: 0.6})).splitlines()
    assert "| +2.0 | +10.0 ± 0.0 (2) | holds |" in lines[2]
    assert lines[3].endswith("| +1.0 |  | not measured |")


def test_a_claim_that_the_paper_only_draws_has_no_number():
    drawn = Claim("new against old", "Figure 7", None, "new", "clean", rival="old")
    assert "| Figure 7 | no number | +10.0 ± 0.0 (2) | holds |" in claims_markdown(
        [drawn], runs({0: 0.6, 1: 0.7}, {0: 0.5, 1: 0.6})
    )
