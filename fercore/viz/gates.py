"""Which experts a gate asks: of one face, and of the faces of each emotion (LEAF, equations 3 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.distributions import Values
from fercore.viz.style import ACCENT, CONTRAST, INK, MUTED, bare, new_figure, percent, styled


def _heat(axes: Axes, weights: np.ndarray, names: Sequence[str]) -> None:
    """(C, n) mean weights in percent; a row an emotion, a column an expert. White is 0, the darkest blue 100 %."""
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    for (row, column), value in np.ndenumerate(weights):
        if np.isfinite(value):
            colour = "white" if value > 0.6 else INK
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(weights.shape[1]), range(1, weights.shape[1] + 1))
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("expert")


@styled
def gate_maps(panels: Mapping[str, Values], names: Sequence[str], title: str = "") -> Figure:
    """Mean gate weights side by side, in percent.

    panels: panel title -> (C, n), what each of n experts weighs on average for the faces of each of C emotions; NaN for
    an emotion without faces.
    """
    values = {name: to_numpy(value).astype(float) for name, value in panels.items()}
    experts = max(value.shape[1] for value in values.values())
    width = (0.42 * experts + 0.35) * len(values) + 1.2
    figure, all_axes = new_figure(max(width, 4.6), 0.31 * len(names) + 1.25, ncols=len(values), sharey=True)
    for number, (axes, (name, value)) in enumerate(zip(all_axes, values.items(), strict=True)):
        _heat(axes, value, names)
        axes.tick_params(labelleft=number == 0)
        axes.set_title(name, fontsize=9.5, loc="center")
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure


@styled
def face_gate(
    image: np.ndarray | Tensor,
    weights: Values,
    by_emotion: Values,
    names: Sequence[str],
    emotion: int,
    title: str = "",
) -> Figure:
    """A face, the weight that each expert has for it, and the mean weights by emotion with the face's own row framed.

    weights: (n,), 0 for a dropped expert. by_emotion: (C, n). emotion: the row of the face.
    """
    weights, by_emotion = to_numpy(weights).astype(float), to_numpy(by_emotion).astype(float)
    n = len(weights)
    figure = Figure(figsize=(4.9 + 0.62 * n, 3.3), layout="constrained")
    face, bars, heat = figure.subplots(ncols=3, width_ratios=[1.5, 1.9, 0.55 * n + 0.4])
    bare(face).imshow(to_pictures(image)[0])
    face.set_title(f"in truth: {names[emotion]}", fontsize=9.5, loc="center")
    bars.barh(range(1, n + 1), weights, color=ACCENT, height=0.66)
    for place, value in enumerate(weights, start=1):
        text, colour = (percent(value), INK) if value > 0 else ("dropped", MUTED)
        bars.text(value + 0.02, place, text, va="center", fontsize=8.5, color=colour)
    bars.set(xlim=(0, 1.25), ylim=(n + 0.6, 0.4), xticks=[], yticks=range(1, n + 1), ylabel="expert")
    bars.spines["bottom"].set_visible(False)
    bars.set_title("this face's gate", fontsize=9.5, loc="center")
    _heat(heat, by_emotion, names)
    frame = Rectangle((-0.5, emotion - 0.5), n, 1, fill=False, edgecolor=CONTRAST, linewidth=2, clip_on=False)
    heat.add_patch(frame)
    heat.set_title("mean of each emotion, in %", fontsize=9.5, loc="center")
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
