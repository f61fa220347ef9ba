"""How an accuracy depends on a setting that was varied on the validation set."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fercore.viz.rows import rows_of
from fercore.viz.style import ACCENT, CONTRAST, FAINT, MUTED, new_figure, styled


def swept(runs: pd.DataFrame, setting: str, default: float) -> pd.DataFrame:
    """Rows whose variant changes ``setting`` alone, and those of the method as it is; columns value, overall, mean.

    runs: rows in the form of notebooks/results/runs.csv, of one method; those on BlendFER count. Seeds are averaged.
    """
    runs = rows_of(runs)
    variant = runs["variant"].fillna("").astype(str)
    found = variant.str.fullmatch(rf"{re.escape(setting)}=([-+.\de]+)")
    values = variant.str.extract(rf"^{re.escape(setting)}=([-+.\de]+)$")[0].astype(float)
    values = values.where(found, default)
    chosen = runs.assign(value=values)[found | (variant == "")]
    return chosen.groupby("value", as_index=False)[["overall", "mean"]].mean()


@styled
def sweeps(runs: pd.DataFrame, settings: Mapping[str, float], baseline: float | None = None) -> Figure:
    """One panel a setting: both accuracies against its values, the default marked, the baseline's mean as a line.

    settings: name -> the value that the method uses by default.
    """
    figure, all_axes = new_figure(3.3 * len(settings), 2.7, ncols=len(settings), sharey=True)
    for axes, (name, default) in zip(all_axes, settings.items(), strict=True):
        table = swept(runs, name, default)
        places = np.arange(len(table))
        for score, colour, marker in (("overall", ACCENT, "o"), ("mean", CONTRAST, "D")):
            axes.plot(places, 100 * table[score], marker, linestyle="-", color=colour, markersize=5, label=score)
        if baseline is not None:
            axes.axhline(100 * baseline, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for place in np.flatnonzero(np.isclose(table["value"], default)):
            axes.axvspan(place - 0.3, place + 0.3, color=FAINT, zorder=0)
        axes.set_xticks(places, [f"{value:g}" for value in table["value"]])
        axes.set_xlabel(name)
        axes.set_xlim(-0.5, max(0.5, len(table) - 0.5))
        axes.grid(axis="y")
    all_axes[0].set_ylabel("validation accuracy, %")
    all_axes[0].legend(loc="best")
    return figure
