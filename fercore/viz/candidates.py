"""Several candidate labels of a face beside what it truly shows (LEAF, equations 6 to 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from fercore.emotions import COLOURS
from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.distributions import Values
from fercore.viz.style import INK, MUTED, bare, new_figure, styled


@styled
def candidates(
    image: np.ndarray | Tensor,
    probabilities: Values,
    positive: Values,
    truth: Values,
    names: Sequence[str],
    threshold: float,
    title: str = "",
) -> Figure:
    """A face, its classes from the likeliest down, and which of them are positive; black marks show the truth.

    probabilities, truth: (C,). positive: (C,) bool. threshold: T. Positive classes keep their colour, negative ones are
    grey; beside each stands the sum of the probabilities up to it.
    """
    p, truth, positive = to_numpy(probabilities).astype(float), to_numpy(truth), to_numpy(positive).astype(bool)
    order = np.argsort(-p, kind="stable")
    figure, (face, axes) = new_figure(6.4, 2.9, ncols=2, width_ratios=[1, 1.9])
    bare(face).imshow(to_pictures(image)[0])
    face.text(0.5, -0.05, "black marks: the truth", transform=face.transAxes, ha="center", va="top", fontsize=8.5)
    total = 0.0
    for row, c in enumerate(order):
        total += p[c]
        axes.barh(row, p[c], color=COLOURS[names[c]] if positive[c] else "#D3D9DF", height=0.74)
        if truth[c] >= 0.005:
            axes.plot([truth[c]] * 2, [row - 0.46, row + 0.46], color=INK, linewidth=2, solid_capstyle="butt")
        axes.text(1.22, row, f"{total:.2f}", ha="right", va="center", fontsize=8.5, color=INK if positive[c] else MUTED)
    m = int(positive.sum())
    axes.axhline(m - 0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(1.22, -0.75, "sum", ha="right", va="center", fontsize=8.5, color=MUTED)
    axes.set(xlim=(0, 1.24), ylim=(len(names) - 0.4, -1.1), xticks=[0, 0.5, 1])
    axes.set_yticks(range(len(names)), [names[c] for c in order])
    for text, c in zip(axes.get_yticklabels(), order, strict=True):
        text.set_weight("bold" if positive[c] else "normal")
        text.set_color(INK if positive[c] else MUTED)
    axes.set_title(f"T = {threshold:.2f}: {m} of {len(names)} positive", fontsize=9.5)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
