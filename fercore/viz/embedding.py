"""Points of a feature space on a plane, by emotion: as a picture, and as a plotly figure to hover over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from fercore.emotions import COLOURS, MARKERS
from fercore.viz.arrays import to_numpy
from fercore.viz.distributions import Values
from fercore.viz.style import INK, new_figure, styled

PLOTLY_MARKERS = {
    "^": "triangle-up",
    "v": "triangle-down",
    "X": "x",
    "o": "circle",
    "s": "square",
    "P": "cross",
    "D": "diamond",
    "*": "star",
}


@styled
def embedding(
    points: Values,
    label: Values,
    names: Sequence[str],
    title: str = "",
    legend: bool = False,
    marked: Values | None = None,
) -> Figure:
    """A scatter plot with each emotion named where most of its points lie. points: (N, 2). label: (N,).

    legend: name them at the side instead, for emotions that lie all over the place. marked: (N,) bool, points that get
    a dark ring.
    """
    points, label = to_numpy(points), to_numpy(label).astype(int)
    figure, (axes,) = new_figure(5.6, 4.6)
    for index, name in enumerate(names):
        own = points[label == index]
        look = {"marker": MARKERS[name], "color": COLOURS[name], "alpha": 0.65, "linewidth": 0, "label": name}
        axes.scatter(own[:, 0], own[:, 1], s=13, **look)
    if marked is not None:
        ringed = points[to_numpy(marked).astype(bool)]
        axes.scatter(ringed[:, 0], ringed[:, 1], s=26, facecolor="none", edgecolor=INK, linewidth=0.7)
    for index, name in enumerate(names):
        own = points[label == index]
        if len(own) and not legend:
            outline = [withStroke(linewidth=3.5, foreground="white")]
            axes.text(
                *np.median(own, 0), name, ha="center", va="center", weight="bold", fontsize=10, path_effects=outline
            )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    if legend:
        figure.legend(loc="outside right upper", markerscale=1.8)
    return figure


def embedding_plotly(points: Values, label: Values, names: Sequence[str], hover: Sequence[str], title: str = ""):
    """The same as a plotly figure; ``hover``: one text a point. Coordinates keep three decimals, so it stays small."""
    import plotly.graph_objects as go

    points, label = np.round(to_numpy(points).astype(float), 3), to_numpy(label).astype(int)
    texts = np.asarray(hover, dtype=object)
    figure = go.Figure()
    for index, name in enumerate(names):
        own = label == index
        figure.add_scatter(
            x=points[own, 0].tolist(),
            y=points[own, 1].tolist(),
            mode="markers",
            name=name,
            text=texts[own].tolist(),
            hovertemplate="%{text}<extra></extra>",
            marker={"color": COLOURS[name], "symbol": PLOTLY_MARKERS[MARKERS[name]], "size": 6, "opacity": 0.7},
        )
    hidden = {"visible": False}
    figure.update_layout(
        title=title,
        template="none",
        width=680,
        height=520,
        xaxis=hidden,
        yaxis=hidden,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
    )
    return figure
