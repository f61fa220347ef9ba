"""The one look: white paper, quiet grey frames, text in dark ink, colour kept for what is being said.

Emotions carry their colour and marker from ``fercore.emotions``; everything else uses ``ACCENT`` against ``MUTED``,
which stay apart in greyscale and with every common colour vision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1F2933"
MUTED = "#7B8794"
FAINT = "#E4E7EB"
ACCENT = "#0072B2"
CONTRAST = "#D55E00"

RC = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 120,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#B8C0CA",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "image.interpolation": "lanczos",
}

Drawing = TypeVar("Drawing", bound=Callable[..., Figure])


def styled(draw: Drawing) -> Drawing:
    """Decorator: the figure that ``draw`` returns has the one look, whatever the surroundings are set to."""

    @wraps(draw)
    def drawn(*args, **kwargs):
        with style.context(["default", RC]):
            return draw(*args, **kwargs)

    return drawn  # type: ignore[return-value]


def new_figure(width: float, height: float, **grid) -> tuple[Figure, np.ndarray]:
    """A figure of ``width`` x ``height`` inches outside pyplot, and its axes as a flat array."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(**grid)).ravel()
    return figure, axes


def bare(axes: Axes) -> Axes:
    """Hide the frame and the ticks."""
    axes.set_axis_off()
    return axes


def percent(value: float) -> str:
    """0.831 -> "83 %"."""
    return f"{100 * value:.0f} %"
