"""Results over seeds: means with 95 % intervals, as a figure and as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t as student

from fercore.datasets.identity import BLENDFER
from fercore.viz.rows import rows_of
from fercore.viz.style import ACCENT, CONTRAST, FAINT, new_figure, styled

KEYS = ["method", "variant", "condition"]


def summarise(runs: pd.DataFrame, data: str = BLENDFER, recipe: str = "") -> pd.DataFrame:
    """Mean over seeds and half the 95 % interval (Student's t; NaN for a single seed) of both accuracies.

    runs: rows of notebooks/results/runs.csv, of which those of one dataset and recipe count (``rows_of``); if a seed
    was run more than once, its last row.
    Returns one row per method, variant and condition: seeds, overall, overall_pm, mean, mean_pm.
    """
    runs = rows_of(runs, data, recipe)
    runs = runs.assign(variant=runs["variant"].fillna("")).drop_duplicates([*KEYS, "preset", "seed"], keep="last")
    rows = []
    for key, group in runs.groupby(KEYS, sort=False):
        row = dict(zip(KEYS, key, strict=True), seeds=len(group))
        for score in ("overall", "mean"):
            row[score] = group[score].mean()
            spread = group[score].std(ddof=1) / np.sqrt(len(group))
            row[f"{score}_pm"] = student.ppf(0.975, len(group) - 1) * spread if len(group) > 1 else np.nan
        rows.append(row)
    return pd.DataFrame(rows, columns=[*KEYS, "seeds", "overall", "overall_pm", "mean", "mean_pm"])


def _number(value: float, half: float) -> str:
    return f"{100 * value:.1f}" + ("" if np.isnan(half) else f" ± {100 * half:.1f}")


def results_markdown(summary: pd.DataFrame) -> str:
    """One row a method, one column a condition, "overall / mean" in percent."""
    conditions = list(dict.fromkeys(summary["condition"]))
    lines = ["| method | " + " | ".join(conditions) + " |", "|---|" + "---|" * len(conditions)]
    for (method, variant), group in summary.groupby(["method", "variant"], sort=False):
        cells = []
        for condition in conditions:
            rows = group[group["condition"] == condition]
            cells.append(
                " / ".join(_number(rows[score].iloc[0], rows[f"{score}_pm"].iloc[0]) for score in ("overall", "mean"))
                + f" ({rows['seeds'].iloc[0]})"
                if len(rows)
                else ""
            )
        lines.append(f"| {method}{f' ({variant})' if variant else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_heart_markdown(insights: pd.DataFrame, methods: Sequence[str]) -> str:
    """How often a model answers a training face with a flipped label with that label, and how often rightly.

    insights: rows of notebooks/results/runs_insights.csv (see ``fercore.runs.insight``), of which the methods' defaults
    on BlendFER count. One row a condition and method, means over seeds; those that were not asked are left out.
    """
    insights = rows_of(insights)
    asked = insights["name"].isin(("flipped/label", "flipped/truth")) & insights["method"].isin(methods)
    rows = insights[asked & (insights["variant"].fillna("") == "") & (insights["preset"] == "quick")]
    rows = rows.drop_duplicates([*KEYS, "seed", "name"], keep="last")
    lines = ["| condition | method | answers the wrong label | answers rightly | seeds |", "|---|---|---|---|---|"]
    for (condition, method), group in rows.groupby(["condition", "method"]):
        label, truth = (group[group["name"] == f"flipped/{what}"]["value"].mean() for what in ("label", "truth"))
        lines.append(f"| {condition} | {method} | {label:.0%} | {truth:.0%} | {group['seed'].nunique()} |")
    return "\n".join(lines)


@styled
def results_figure(summary: pd.DataFrame) -> Figure:
    """Both accuracies of every method under every condition, with their 95 % intervals. summary: see ``summarise``."""
    conditions = list(dict.fromkeys(summary["condition"]))
    methods = list(dict.fromkeys((summary["method"] + " " + summary["variant"]).str.strip()))
    figure, all_axes = new_figure(
        1.3 + 2.5 * len(conditions), 0.42 * len(methods) + 1.15, ncols=len(conditions), sharey=True, sharex=True
    )
    for axes, condition in zip(all_axes, conditions, strict=True):
        for row in summary[summary["condition"] == condition].itertuples():
            y = methods.index(f"{row.method} {row.variant}".strip())
            axes.axhline(y, color=FAINT, linewidth=0.8, zorder=0)
            for score, half, shift, marker, colour in (
                (row.overall, row.overall_pm, -0.12, "o", ACCENT),
                (row.mean, row.mean_pm, 0.12, "D", CONTRAST),
            ):
                error = None if np.isnan(half) else 100 * half
                axes.errorbar(
                    100 * score,
                    y + shift,
                    xerr=error,
                    fmt=marker,
                    color=colour,
                    markersize=5.5,
                    capsize=2,
                    elinewidth=1.4,
                )
        axes.set_title(condition)
        axes.grid(axis="x")
    labels = [fill(method.replace(",", ", "), 26) for method in methods]  # wrapped: long ones leave no room to draw in
    all_axes[0].set_yticks(range(len(methods)), labels)
    all_axes[0].set_ylim(len(methods) - 0.5, -0.5)
    handles = [axes.plot([], [], marker, color=colour)[0] for marker, colour in (("o", ACCENT), ("D", CONTRAST))]
    figure.legend(handles, ["overall accuracy, %", "mean accuracy, %"], loc="outside lower left", ncols=2)
    return figure
