"""How accuracies grow with the number of labelled faces (LEAF, Table 1 and Figure 4)."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fercore.viz.style import ACCENT, CONTRAST, MUTED, new_figure, styled

LOOKS = (
    (MUTED, "o", (0, (4, 3))),
    (ACCENT, "s", "-"),
    (CONTRAST, "D", "-"),
    ("#009E73", "^", "-"),
    ("#CC79A7", "v", "-"),
    ("#56B4E9", "P", "-"),
    ("#E69F00", "X", "-"),
    ("#3B4652", "*", "-"),
)
"""Colour, marker and dashes of the methods, in the order in which the table names them."""


@styled
def label_curve(summary: pd.DataFrame) -> Figure:
    """Both accuracies of each method against the number of labels, with their 95 % intervals.

    summary: see ``summarise``; of it the rows whose condition is ``labels:NUMBER``.
    """
    labels = summary["condition"].str.extract(r"^labels:(\d+)$")[0].astype(float)
    table = summary.assign(labels=labels)[labels.notna()].sort_values("labels", kind="stable")
    numbers = sorted(table["labels"].unique())
    methods = list(dict.fromkeys((summary["method"] + " " + summary["variant"]).str.strip()))
    figure, all_axes = new_figure(7.6, 3.1, ncols=2, sharey=True)
    for axes, score in zip(all_axes, ("overall", "mean"), strict=True):
        for place, (method, look) in enumerate(zip(methods, cycle(LOOKS), strict=False)):
            own = table[(table["method"] + " " + table["variant"]).str.strip() == method]
            colour, marker, dashes = look
            x = [numbers.index(value) + 0.04 * (place - (len(methods) - 1) / 2) for value in own["labels"]]
            error = 100 * np.nan_to_num(own[f"{score}_pm"].to_numpy(float))
            axes.errorbar(
                x,
                100 * own[score].to_numpy(float),
                yerr=error,
                color=colour,
                marker=marker,
                linestyle=dashes,
                markersize=5.5,
                capsize=2,
                elinewidth=1.2,
                label=method,
            )
        axes.set_xticks(range(len(numbers)), [f"{value:.0f}" for value in numbers])
        axes.set(xlim=(-0.4, max(0, len(numbers) - 1) + 0.4), xlabel="labelled faces")
        axes.set_title(f"{score} accuracy, %", fontsize=9.5)
        axes.grid(axis="y")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
