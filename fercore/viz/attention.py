"""What RAC + RSL is about: weights of rare classes, and attention maps of all classes before and after a flip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fercore.emotions import COLOURS, MARKERS
from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.distributions import Values
from fercore.viz.faces import Pictures
from fercore.viz.style import FAINT, INK, bare, new_figure, styled


@styled
def class_weights(
    counts: Values, weights: Values, names: Sequence[str], title: str = "The rarer, the heavier"
) -> Figure:
    """Number of faces of each class at the left, its weight B at the right. counts, weights: (L,)."""
    counts, weights = to_numpy(counts), to_numpy(weights)
    order = np.argsort(-counts, kind="stable")
    figure, (left, right) = new_figure(7.4, 0.33 * len(names) + 1.0, ncols=2, sharey=True)
    for row, index in enumerate(order):
        name = names[index]
        left.barh(row, counts[index], color=COLOURS[name], height=0.66)
        left.text(counts[index], row, f" {int(counts[index]):,}", va="center", fontsize=8.5)
        right.axhline(row, color=FAINT, linewidth=0.8, zorder=0)
        right.plot([0, weights[index]], [row, row], color=COLOURS[name], linewidth=2.5)
        right.plot(weights[index], row, MARKERS[name], color=COLOURS[name], markersize=8, clip_on=False)
        right.text(weights[index] + 0.22, row, f"{weights[index]:.2g}", va="center", fontsize=8.5)
    left.set_yticks(range(len(names)), [names[index] for index in order])
    left.set(xticks=[], xlim=(0, 1.2 * max(1, counts.max())), ylim=(len(names) - 0.4, -0.6), xlabel="training faces")
    right.set(xlim=(0, max(2.0, 1.2 * weights.max())), xlabel="weight B")
    right.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
    right.tick_params(labelleft=False)
    for axes in (left, right):
        axes.spines["left"].set_visible(False)
    left.spines["bottom"].set_visible(False)
    left.set_title(title)
    return figure


@styled
def flip_maps(
    pictures: Pictures, expected: Values, found: Values, names: Sequence[str], row_names: Sequence[str], title: str
) -> Figure:
    """Attention maps of every class, for two pictures of one face, and how much they differ.

    pictures: the transformed face, twice: once with the maps of the face, transformed, once with its own.
    expected, found: (L, h, w) these maps, on one scale. row_names: of the two rows; the third is their difference.
    """
    pictures, expected, found = to_pictures(pictures), to_numpy(expected), to_numpy(found)
    rows = (expected, found, expected - found)
    largest = max(1e-9, np.abs(np.stack([expected, found])).max())
    count = len(names)
    figure, axes = new_figure(1.0 * (count + 1) + 1.0, 3.75, nrows=3, ncols=count + 1)
    axes = axes.reshape(3, count + 1)
    grey = pictures[0].mean(-1)
    height, width = grey.shape
    place = (-0.5, width - 0.5, height - 0.5, -0.5)
    for row, (maps, name) in enumerate(zip(rows, (*row_names, "difference"), strict=True)):
        first = bare(axes[row, 0])
        if row < 2:
            first.imshow(pictures[row])
        first.text(-0.08, 0.5, name, transform=first.transAxes, ha="right", va="center", weight="bold", fontsize=8.5)
        for column, emotion in enumerate(names):
            cell = bare(axes[row, column + 1])
            cell.imshow(grey, cmap="gray", vmin=0, vmax=255, alpha=0.55 if row < 2 else 0.25)
            drawn = cell.imshow(
                maps[column],
                cmap="RdBu_r",
                vmin=-largest,
                vmax=largest,
                extent=place,
                interpolation="nearest",
                alpha=0.6,
            )
            if row == 0:
                cell.set_title(emotion, fontsize=8.5, color=COLOURS[emotion], loc="center", pad=3)
    bar = figure.colorbar(
        drawn, ax=axes.ravel().tolist(), shrink=0.5, pad=0.01, ticks=[-largest, 0, largest], aspect=14
    )
    bar.ax.set_yticklabels(["against", "0", "for"], fontsize=8)
    bar.outline.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
