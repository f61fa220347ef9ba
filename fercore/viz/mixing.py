"""What Ada-DF is about: distributions that are mixed, the weights that mix them, and how near the truth they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fercore.emotions import COLOURS
from fercore.metrics import js_divergence
from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.distributions import Values
from fercore.viz.style import ACCENT, CONTRAST, INK, MUTED, bare, new_figure, styled

GROUP_LOOKS = ((ACCENT, "-"), ("#009E73", (0, (5, 2))), (CONTRAST, (0, (2, 1.5))), (MUTED, ":"))


@styled
def mixing(
    image: np.ndarray | Tensor,
    panels: Mapping[str, Values],
    truth: Values,
    names: Sequence[str],
    label: int,
    rows: Sequence[str] = ("",),
    title: str = "",
) -> Figure:
    """A face and, as bars, the distributions that stand for it; a black mark on each bar's line shows the truth.

    panels: column title -> (R, C), one distribution a row. truth: (C,). label: the class the face is labelled with,
    written bold. rows: R row titles. Each panel tells its Jensen-Shannon divergence to the truth.
    """
    truth = to_numpy(truth)
    panels = {name: to_numpy(values).reshape(len(rows), -1) for name, values in panels.items()}
    high = 1.9 if len(rows) == 1 else 1.45
    figure = Figure(figsize=(1.9 + 2.1 * len(panels) + 0.5, high * len(rows) + 0.75), layout="constrained")
    grid = figure.add_gridspec(len(rows), 1 + len(panels), width_ratios=[0.85, *[1.0] * len(panels)])
    face = bare(figure.add_subplot(grid[: min(2, len(rows)), 0]))
    face.imshow(to_pictures(image)[0])
    face.set_title(f"labelled {names[label]}", fontsize=9.5, loc="center")
    face.text(0.5, -0.05, "black marks: the truth", transform=face.transAxes, ha="center", va="top", fontsize=8.5)
    for (row, row_name), (column, (name, values)) in product(enumerate(rows), enumerate(panels.items())):
        axes = figure.add_subplot(grid[row, column + 1])
        axes.barh(range(len(names)), values[row], color=[COLOURS[n] for n in names], height=0.74)
        for place in np.flatnonzero(truth >= 0.005):
            value = truth[place]
            axes.plot([value, value], [place - 0.46, place + 0.46], color=INK, linewidth=2, solid_capstyle="butt")
        far = js_divergence(torch.tensor(values[row : row + 1]).double(), torch.tensor(truth[None]).double()).item()
        axes.text(0.98, 0.04, f"JS {far:.2f}", transform=axes.transAxes, ha="right", fontsize=8.5, color=MUTED)
        axes.set(xlim=(0, 1.02), ylim=(len(names) - 0.4, -0.6), xticks=[])
        axes.set_yticks(range(len(names)), names if column == 0 else [], fontsize=8 if len(rows) == 1 else 7)
        if column == 0:
            axes.get_yticklabels()[label].set_weight("bold")
            axes.set_ylabel(row_name, weight="bold")
        if row == 0:
            axes.set_title(name, fontsize=9.5, loc="center")
        if row == len(rows) - 1:
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure


@styled
def class_matrices(
    matrices: Mapping[str, Values], names: Sequence[str], stands_in: Values | None = None, title: str = ""
) -> Figure:
    """Class distributions side by side in percent; row: the class, column: the emotion.

    matrices: panel title -> (C, C). stands_in: (C,) bool, rows of the first panel that only stand in for a mean that is
    not trusted; they are drawn in grey.
    """
    size = 0.4 * len(names)
    figure, all_axes = new_figure(size * len(matrices) + 1.7, size + 1.4, ncols=len(matrices), sharey=True)
    grey = np.zeros(len(names), bool) if stands_in is None else to_numpy(stands_in).astype(bool)
    for number, (axes, (name, values)) in enumerate(zip(all_axes, matrices.items(), strict=True)):
        values = to_numpy(values).astype(float)
        for rows, colours in ((~grey, "Blues"), (grey, "Greys")) if number == 0 else ((grey | ~grey, "Blues"),):
            shown = np.where(rows[:, None], values, np.nan)
            axes.imshow(shown, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        for row, column in np.ndindex(values.shape):
            if values[row, column] >= 0.005:
                colour = "white" if values[row, column] > 0.55 else INK if row == column else MUTED
                axes.text(
                    column, row, f"{100 * values[row, column]:.0f}", ha="center", va="center", fontsize=8, color=colour
                )
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.tick_params(length=0, labelleft=number == 0)
        axes.spines[:].set_visible(False)
        axes.set_title(name, fontsize=9.5)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure


@styled
def weights_by_group(
    weight: Values, groups: Mapping[str, Values], title: str = "", name: str = "attention weight"
) -> Figure:
    """How a weight is spread among groups of faces: a histogram of each, and its mean in the legend.

    weight: (N,). groups: name -> (N,) bool. Groups without faces are left out.
    """
    weight = to_numpy(weight)
    edges = np.linspace(weight.min(), max(weight.max(), weight.min() + 1e-6), 25)
    figure, (axes,) = new_figure(5.8, 3.6)
    chosen = {group: weight[to_numpy(mask).astype(bool)] for group, mask in groups.items()}
    for (group, values), (colour, dashes) in zip(chosen.items(), GROUP_LOOKS, strict=False):
        if len(values):
            share = np.histogram(values, edges)[0] / len(values)
            text = f"{group}: mean {values.mean():.2f} ({len(values):,} faces)"
            axes.stairs(share, edges, color=colour, linestyle=dashes, linewidth=1.8, label=text)
            axes.plot(values.mean(), 0, "^", color=colour, markersize=7, clip_on=False, zorder=3)
    axes.set(xlabel=name, ylabel="share of the group", yticks=[])
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left")
    axes.set_title(title)
    return figure


@styled
def closeness(table: Mapping[str, Mapping[str, float]], title: str = "How far from the truth?") -> Figure:
    """One panel a group, one bar a kind of distribution: its mean divergence to the truth; the smallest is blue.

    table: group -> kind -> divergence (NaN where the group has no faces). All groups have the same kinds.
    """
    kinds = list(next(iter(table.values())))
    figure, all_axes = new_figure(
        1.3 + 1.75 * len(table), 0.33 * len(kinds) + 1.1, ncols=len(table), sharey=True, sharex=True
    )
    most = max([value for row in table.values() for value in row.values() if np.isfinite(value)], default=1.0)
    for axes, (group, row) in zip(all_axes, table.items(), strict=True):
        values = np.array([row[kind] for kind in kinds], dtype=float)
        best = np.isfinite(values) & (values <= np.nanmin(values, initial=np.inf) + 1e-9)
        axes.barh(range(len(kinds)), values, color=[ACCENT if b else "#B8C0CA" for b in best], height=0.68)
        for place, value in enumerate(values):
            if np.isfinite(value):
                axes.text(value + 0.02 * most, place, f"{value:.3f}", va="center", fontsize=8.5)
        axes.set(xlim=(0, 1.3 * most), ylim=(len(kinds) - 0.4, -0.6), xticks=[])
        axes.set_yticks(range(len(kinds)), kinds)
        axes.spines["bottom"].set_visible(False)
        axes.set_title(group, fontsize=9.5)
    figure.supxlabel("mean Jensen-Shannon divergence to the truth (0: equal)", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
