"""How training went, term by term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fercore.viz.arrays import to_numpy
from fercore.viz.distributions import Values
from fercore.viz.style import ACCENT, CONTRAST, MUTED, new_figure, percent, styled

LOOKS = ((ACCENT, "-"), (CONTRAST, "--"), ("#009E73", "-."), ("#CC79A7", ":"), (MUTED, (0, (6, 1, 1, 1))))


def _lines(axes: Axes, lines: dict[str, list[tuple[int, float]]], epochs: int, write) -> None:
    """Draw name -> [(epoch, value)] and set each name, with its last value, at the end of its line."""
    ends = []
    for (name, points), (colour, dashes) in zip(lines.items(), cycle(LOOKS), strict=False):
        x, y = np.array(points, dtype=float).T
        axes.plot(x, y, color=colour, linestyle=dashes, marker="o", markersize=4)
        ends.append((y[-1], x[-1], f"{name.replace('_', ' ')} {write(y[-1])}", colour))
    low, high = axes.get_ylim()
    place = -np.inf
    for value, x, text, colour in sorted(ends):
        place = max(value, place + 0.085 * (high - low))
        axes.text(x + 0.035 * epochs, place, text, color=colour, va="center", fontsize=8.5)
    axes.set(xlim=(0.9, epochs * 1.45 + 0.1), xlabel="epoch", xticks=range(1, epochs + 1, max(1, epochs // 8)))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


@styled
def learning_curves(history: Sequence[dict]) -> Figure:
    """Each loss term at the left; both accuracies on the validation set, where there are any, at the right.

    history: what ``fit`` returns: one dict an epoch with ``losses`` (name -> value) and, if evaluated, ``val``.
    """
    losses: dict[str, list] = {}
    scores: dict[str, list] = {}
    for epoch, row in enumerate(history, start=1):
        for name, value in row["losses"].items():
            losses.setdefault(name, []).append((epoch, value))
        for name in ("overall", "mean"):
            if "val" in row:
                scores.setdefault(name, []).append((epoch, row["val"][name]))
    figure, axes = new_figure(4.4 * (1 + bool(scores)), 2.9, ncols=1 + bool(scores))
    _lines(axes[0], losses, len(history), "{:.2f}".format)
    axes[0].set_title("loss while training")
    if scores:
        axes[1].set_ylim(0, 1)
        _lines(axes[1], scores, len(history), lambda value: f"{100 * value:.0f} %")
        axes[1].set_title("accuracy on the validation set")
        axes[1].set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    return figure


@styled
def shares(
    x: Values,
    panels: Mapping[str, Mapping[str, Values]],
    xlabel: str,
    marked: float | None = None,
    title: str = "",
) -> Figure:
    """Shares of faces, in percent, against something: one panel a group, one line a share.

    x: (N,). panels: panel title -> name -> (N,) in [0, 1]; NaN leaves a gap. All panels name the same shares, or fewer.
    marked: a place on the x axis that gets a dashed line.
    """
    x = to_numpy(x)
    lines = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    figure, all_axes = new_figure(3.1 * len(panels) + 2.3, 2.9, ncols=len(panels), sharey=True)
    looks = dict(zip(lines, cycle(LOOKS), strict=False))
    for axes, (panel, values) in zip(all_axes, panels.items(), strict=True):
        for name, share in values.items():
            colour, dashes = looks[name]
            marker = "o" if len(x) <= 12 else None
            axes.plot(x, to_numpy(share), color=colour, linestyle=dashes, marker=marker, markersize=4, label=name)
        if marked is not None:
            axes.axvline(marked, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(ylim=(0, 1.03), xlabel=xlabel)
        if len(x) <= 12:
            axes.set_xticks(x)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], [percent(value) for value in (0, 0.25, 0.5, 0.75, 1)])
        axes.set_title(panel, fontsize=9.5)
        axes.grid(axis="y")
    handles = {text: line for axes in all_axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend([handles[name] for name in lines], lines, loc="outside right upper")
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
