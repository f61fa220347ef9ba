"""A paper's claims beside what was measured: differences between two methods over seeds, each with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from fercore.datasets.identity import BLENDFER
from fercore.viz.rows import rows_of


@dataclass(frozen=True)
class Claim:
    """That ``method`` beats ``rival`` under ``condition``.

    text: what is compared. source: the table or figure of the paper. paper: its difference, in points; None where the
    paper draws it without a number.
    score: which accuracy, "mean" or "overall". data, recipe: which rows count, see ``rows_of``. Variants as in
    notebooks/results/runs.csv.
    """

    text: str
    source: str
    paper: float | None
    method: str
    condition: str
    variant: str = ""
    rival: str = "baseline"
    rival_variant: str = ""
    score: str = "mean"
    data: str = BLENDFER
    recipe: str = ""


def difference(claim: Claim, runs: pd.DataFrame, preset: str = "quick") -> tuple[float, float, int]:
    """Mean difference in points over the seeds that both sides have, half its 95 % interval (Student's t), seeds.

    Pairing by seed cancels what a seed does to both: the same noisy labels, the same faces left out. NaN where there
    are too few seeds. runs: rows of notebooks/results/runs.csv; of repeated runs the last counts.
    """
    runs = rows_of(runs, claim.data, claim.recipe)
    rows = runs[(runs["condition"] == claim.condition) & (runs["preset"] == preset)]
    rows = rows.assign(variant=rows["variant"].fillna("")).drop_duplicates(["method", "variant", "seed"], keep="last")

    def scores(method: str, variant: str) -> pd.Series:
        chosen = rows[(rows["method"] == method) & (rows["variant"] == variant)]
        return chosen.set_index("seed")[claim.score]

    points = 100 * (scores(claim.method, claim.variant) - scores(claim.rival, claim.rival_variant)).dropna()
    n = len(points)
    half = student.ppf(0.975, n - 1) * points.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return (points.mean() if n else np.nan), half, n


def verdict(mean: float, half: float) -> str:
    """Whether the claim holds (the interval lies above 0), does not hold (below), is undecided or was not measured."""
    if np.isnan(mean):
        return "not measured"
    if np.isnan(half):
        return "undecided (one seed)"
    return "holds" if mean - half > 0 else "does not hold" if mean + half < 0 else "undecided"


def claims_markdown(claims: Sequence[Claim], runs: pd.DataFrame, preset: str = "quick") -> str:
    """One row a claim: the paper's difference, ours with its interval, and the verdict."""
    lines = ["| claim | source | paper | here (95 % interval, seeds) | verdict |", "|---|---|---|---|---|"]
    for claim in claims:
        mean, half, n = difference(claim, runs, preset)
        spread = "" if np.isnan(half) else f" ± {half:.1f}"
        here = "" if np.isnan(mean) else f"{mean:+.1f}{spread} ({n})"
        theirs = "no number" if claim.paper is None else f"{claim.paper:+.1f}"
        lines.append(
            f"| {claim.text}; {claim.condition}, {claim.score} accuracy | {claim.source} | {theirs} | {here} "
            f"| {verdict(mean, half)} |"
        )
    return "\n".join(lines)
