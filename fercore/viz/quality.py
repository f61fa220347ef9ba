"""How good a model is, class by class, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fercore.emotions import COLOURS, MARKERS
from fercore.metrics import CALIBRATION_BINS
from fercore.viz.arrays import to_numpy
from fercore.viz.distributions import Values
from fercore.viz.style import ACCENT, CONTRAST, FAINT, INK, MUTED, new_figure, percent, styled


@styled
def confusion(
    counts: Values,
    names: Sequence[str],
    title: str = "What is taken for what",
    truth: str = "truth",
    seen: str = "the model's answer",
    of: str = "faces",
) -> Figure:
    """Rows: the truth; columns: the answer; each row is shown in percent of its sum.

    counts: (C, C) integers. truth, seen: what rows and columns are. of: what is counted.
    """
    matrix = to_numpy(counts).astype(float)
    totals = matrix.sum(1)
    share = np.divide(matrix, totals[:, None], out=np.zeros_like(matrix), where=totals[:, None] > 0)
    size = 0.62 * len(names)
    figure, (axes,) = new_figure(size + 2.0, size + 0.9)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.ndindex(share.shape):
        value = share[row, column]
        if value >= 0.005:
            colour = "white" if value > 0.55 else INK if row == column or value >= 0.1 else MUTED
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [f"{name}  ({int(total):,})" for name, total in zip(names, totals, strict=True)])
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=f"{seen}, in % of the row", ylabel=f"{truth} ({of})")
    axes.set_title(title)
    return figure


@styled
def class_recall(
    recall: Values, counts: Values, names: Sequence[str], overall: float, mean: float, of: str = "training faces"
) -> Figure:
    """Recall of each emotion beside how often it occurs, with both accuracies as lines.

    recall: (C,) in [0, 1]. counts: (C,). overall, mean: the two accuracies. of: what ``counts`` counts.
    """
    recall, counts = to_numpy(recall), to_numpy(counts)
    order = np.argsort(-counts, kind="stable")
    figure, (axes, side) = new_figure(7.4, 0.34 * len(names) + 1.35, ncols=2, width_ratios=[2.6, 1], sharey=True)
    for row, index in enumerate(order):
        name = names[index]
        axes.plot([0, recall[index]], [row, row], color=FAINT, linewidth=5, solid_capstyle="butt", zorder=0)
        axes.plot(recall[index], row, MARKERS[name], color=COLOURS[name], markersize=9, clip_on=False)
        axes.text(recall[index] + 0.03, row, percent(recall[index]), va="center", fontsize=8.5)
        side.barh(row, counts[index], color=COLOURS[name], height=0.62)
        side.text(counts[index], row, f" {int(counts[index]):,}", va="center", fontsize=8.5)
    for value, colour, text, side_of in ((overall, ACCENT, "overall", -1), (mean, CONTRAST, "mean", 1)):
        axes.axvline(value, color=colour, linewidth=1.4, linestyle=(0, (4, 2)), zorder=0)
        right = (side_of > 0) == (mean >= overall)
        axes.text(
            value,
            -0.62,
            f" {text} {percent(value)} ",
            color=colour,
            fontsize=8.5,
            ha="left" if right else "right",
            va="bottom",
        )
    axes.set(xlim=(0, 1.1), xticks=[0, 0.25, 0.5, 0.75, 1.0], ylim=(len(names) - 0.4, -1.15))
    axes.set_xticklabels(["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_yticks(range(len(names)), [names[index] for index in order])
    axes.set_xlabel("recall: share of the class that is found")
    side.set(xticks=[], xlim=(0, 1.35 * counts.max()), xlabel=of)
    side.tick_params(labelleft=False)
    side.spines[["left", "bottom"]].set_visible(False)
    return figure


@styled
def reliability(
    confidence: Values, correct: Values, bins: int = CALIBRATION_BINS, title: str = "Can its confidence be believed?"
) -> Figure:
    """Reliability diagram: in each bin of confidence, how often the model was right; and how many faces fall there.

    confidence: (N,) largest probability. correct: (N,) bool. The expected calibration error (ECE) is the gap to the
    diagonal, weighted by the number of faces (Guo et al. 2017, equation 5).
    """
    confidence, correct = to_numpy(confidence).astype(float), to_numpy(correct).astype(float)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    number = np.bincount(place, minlength=bins)
    filled = number > 0
    right = np.bincount(place, correct, minlength=bins)[filled] / number[filled]
    sure = np.bincount(place, confidence, minlength=bins)[filled] / number[filled]
    error = float(np.sum(np.abs(right - sure) * number[filled]) / max(1, len(confidence)))
    middle = ((edges[:-1] + edges[1:]) / 2)[filled]
    figure, (axes, below) = new_figure(4.3, 4.4, nrows=2, height_ratios=[3.2, 1], sharex=True)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(0.03, 0.08, "sure = right", rotation=38, color=MUTED, fontsize=8.5, rotation_mode="anchor")
    axes.bar(middle, right, width=0.92 / bins, color=ACCENT)
    axes.bar(
        middle,
        sure - right,
        bottom=right,
        width=0.92 / bins,
        color="none",
        edgecolor=CONTRAST,
        hatch="////",
        linewidth=0.9,
    )
    axes.set(ylabel="share that is right", ylim=(0, 1), xlim=(0, 1))
    axes.text(0.03, 0.93, f"ECE {100 * error:.1f} %", weight="bold", color=INK)
    axes.text(0.03, 0.86, "hatched: too sure, or not sure enough", color=CONTRAST, fontsize=8)
    axes.set_title(title)
    below.bar(middle, number[filled], width=0.92 / bins, color="#B8C0CA")
    below.set(xlabel="confidence of the answer", ylabel="faces")
    return figure


@styled
def verification(same: Values, different: Values, auc: float) -> Figure:
    """How alike a network finds two faces of one person, and of two people.

    same, different: (bins,) shares of the pairs by their cosine, from -1 to 1. auc: area under the ROC curve.
    """
    same, different = to_numpy(same), to_numpy(different)
    edges = np.linspace(-1, 1, len(same) + 1)
    figure, (axes,) = new_figure(5.2, 2.6)
    for shares, colour, text in ((different, MUTED, "two people"), (same, ACCENT, "the same person")):
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.55)
        axes.stairs(shares, edges, color=colour, linewidth=1.4)
        peak = int(shares.argmax())
        middle = min((edges[peak] + edges[peak + 1]) / 2, 0.85)  # the words must not leave the figure
        axes.text(middle, shares[peak] * 1.03, text, color=colour, ha="center", va="bottom", weight="bold")
    axes.set(xlabel="cosine of two faces' features", ylabel="share of pairs")
    axes.set_xlim(min(0, edges[np.flatnonzero(same + different)[0]]) - 0.05, 1.02)
    axes.set_ylim(0, 1.18 * max(same.max(), different.max()))
    axes.set_title(f"Same person or not? AUC {auc:.3f}")
    return figure
