"""How training went, term by term."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from fercore.viz.style import ACCENT, CONTRAST, FAINT, INK, MUTED, new_figure, styled

LOOKS = ((ACCENT, "-"), (CONTRAST, "--"), ("#009E73", "-."), ("#CC79A7", ":"), (MUTED, (0, (6, 1, 1, 1))))


@styled
def learning_curves(history: Sequence[dict], losses: Sequence[str], scores: Sequence[str] = ()) -> Figure:
    """Loss terms at the left, scores in [0, 1] at the right, both by epoch, each line named at its end.

    history: one dict an epoch. losses, scores: keys of these dicts. Raises KeyError for a key no epoch has.
    """
    panels = [("loss", losses)] + ([("score on the validation set", scores)] if scores else [])
    figure, all_axes = new_figure(4.3 * len(panels), 2.9, ncols=len(panels))
    for axes, (title, keys) in zip(all_axes, panels, strict=True):
        ends = []
        for key, (colour, line) in zip(keys, cycle(LOOKS), strict=False):
            points = [(epoch + 1, row[key]) for epoch, row in enumerate(history) if key in row]
            if not points:
                raise KeyError(f"no epoch has {key!r}; the last one has {', '.join(history[-1])}")
            x, y = np.array(points, dtype=float).T
            axes.plot(x, y, color=colour, linestyle=line, marker="o" if len(x) < 3 else None)
            ends.append((y[-1], x[-1], key, colour))
        axes.set_xlim(1 if len(history) > 1 else 0, len(history) * 1.32)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(axis="y")
        if title != "loss":
            axes.set_ylim(0, 1)
        low, high = axes.get_ylim()
        place = -np.inf
        for value, x, key, colour in sorted(ends):
            place = max(value, place + 0.085 * (high - low))
            text = f"{value:.2f}" if title == "loss" else f"{100 * value:.0f} %"
            axes.text(x + 0.02 * len(history), place, f"{key} {text}", color=colour, va="center", fontsize=8.5)
        step = max(1, len(history) // 6)
        axes.set_xticks(range(1, len(history) + 1, step))
        axes.spines["left"].set_color(FAINT)
        axes.tick_params(axis="y", labelcolor=INK)
    return figure
