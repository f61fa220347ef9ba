"""Probabilities over emotions, and people's votes beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fercore.emotions import COLOURS, MARKERS
from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.style import ACCENT, FAINT, INK, MUTED, bare, new_figure, percent, styled

Values = np.ndarray | Tensor | Sequence[float]


def draw_bars(axes: Axes, truth: np.ndarray, names: Sequence[str]) -> None:
    """Probabilities (C,) as horizontal bars with their percentages."""
    axes.barh(names, truth, color=[COLOURS[name] for name in names], height=0.72)
    for row, value in enumerate(truth):
        axes.text(value + 0.015, row, percent(value), va="center", fontsize=8.5, color=INK if value >= 0.05 else MUTED)
    axes.set(xlim=(0, 1.16), xticks=[])
    axes.invert_yaxis()
    axes.spines[["bottom", "left"]].set_visible(False)


def draw_votes(axes: Axes, votes: np.ndarray, names: Sequence[str]) -> None:
    """Counts (C,) as one marker a vote, in rows that line up with ``draw_bars``."""
    most = max(10, int(votes.max()))
    for row, (name, count) in enumerate(zip(names, votes.astype(int), strict=True)):
        axes.axhline(row, color=FAINT, linewidth=0.8, zorder=0)
        axes.plot(np.arange(count) + 0.5, np.full(count, row), MARKERS[name], color=COLOURS[name], markersize=6.5)
    axes.set(xlim=(0, most), ylim=(len(names) - 0.4, -0.6), xticks=[], yticks=[])
    axes.spines[["bottom", "left"]].set_visible(False)


@styled
def distribution_bars(
    truth: Values, names: Sequence[str], votes: Values | None = None, title: str = "true distribution"
) -> Figure:
    """The true p(emotion | face) as bars and, beside them, one marker per vote.

    truth: (C,). names: C emotions. votes: (C,) counts.
    """
    figure, axes = new_figure(3.3 if votes is None else 5.6, 2.7, ncols=1 if votes is None else 2)
    draw_bars(axes[0], to_numpy(truth), names)
    axes[0].set_title(title)
    if votes is not None:
        draw_votes(axes[1], to_numpy(votes), names)
        axes[1].set_title(f"{int(to_numpy(votes).sum())} people voted")
    return figure


@styled
def face_lab(image: np.ndarray | Tensor, truth: Values, votes: Values, names: Sequence[str]) -> Figure:
    """One face, its true distribution, and the votes of people who looked at it. (H, W, 3), (C,), (C,)."""
    figure, axes = new_figure(8.2, 2.9, ncols=3, width_ratios=[1.05, 1.25, 1.0])
    bare(axes[0]).imshow(to_pictures(image)[0])
    axes[0].set_title("the face")
    draw_bars(axes[1], to_numpy(truth), names)
    axes[1].set_title("true distribution")
    draw_votes(axes[2], to_numpy(votes), names)
    axes[2].set_title(f"{int(to_numpy(votes).sum())} people's votes")
    return figure


@styled
def agreement(top_votes: Values, voters: int = 10) -> Figure:
    """How many of the voters chose the winning emotion, over all faces. top_votes: (N,) counts."""
    top = to_numpy(top_votes).astype(int)
    share = np.bincount(top, minlength=voters + 1)[: voters + 1] / len(top)
    figure, (axes,) = new_figure(5.6, 2.7)
    axes.bar(
        np.arange(voters + 1),
        share,
        color=[ACCENT if votes > voters / 2 else "#9FB8CC" for votes in range(voters + 1)],
        width=0.8,
    )
    for votes, value in enumerate(share):
        if value >= 0.005:
            axes.text(votes, value + 0.005, percent(value), ha="center", fontsize=8, color=INK)
    first = int(np.flatnonzero(share).min())
    axes.axvline(voters / 2 + 0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 1.25 * share.max())
    axes.text(voters / 2 + 0.4, 1.25 * share.max(), "no majority ", ha="right", va="top", fontsize=8, color=MUTED)
    axes.set(xlim=(first - 0.6, voters + 0.6), yticks=[], xticks=range(first, voters + 1))
    axes.set_xlabel(f"votes for the winning emotion, out of {voters}")
    axes.spines["left"].set_visible(False)
    axes.set_title("How many people agree?")
    return figure


@styled
def class_counts(counts: Values, names: Sequence[str], title: str = "Faces of each emotion") -> Figure:
    """One bar an emotion. counts: (C,)."""
    values = to_numpy(counts)
    figure, (axes,) = new_figure(5.6, 2.5)
    axes.bar(names, values, color=[COLOURS[name] for name in names], width=0.72)
    for column, value in enumerate(values):
        axes.text(column, value, f"{int(value):,}", ha="center", va="bottom", fontsize=8.5)
    axes.set(yticks=[], ylim=(0, 1.12 * values.max()))
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
    return figure
