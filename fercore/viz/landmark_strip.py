"""Faces with their landmarks."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.distributions import Values
from fercore.viz.faces import Pictures
from fercore.viz.style import bare, new_figure, styled

TRUE, PREDICTED = "white", "#FFD600"


@styled
def landmarks(
    images: Pictures, predicted: Values, true: Values, captions: Sequence[str], columns: int = 6, title: str = ""
) -> Figure:
    """Faces with the true landmarks as white rings and the predicted ones as yellow dots.

    images: N pictures. predicted, true: (N, 68, 2), pixels, the first one's centre being (0, 0). captions: N texts.
    """
    pictures, predicted, true = to_pictures(images), to_numpy(predicted), to_numpy(true)
    rows = -(-len(pictures) // columns)
    figure, all_axes = new_figure(1.4 * columns, 1.65 * rows + 0.35, nrows=rows, ncols=columns)
    for axes in all_axes:
        bare(axes)
    for axes, picture, guess, truth, caption in zip(all_axes, pictures, predicted, true, captions, strict=False):
        height, width = picture.shape[:2]
        axes.imshow(picture)
        axes.scatter(*truth.T, s=9, facecolor="none", edgecolor=TRUE, linewidth=0.7)
        axes.scatter(*guess.T, s=3, color=PREDICTED, linewidth=0)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axes.set_title(caption, fontsize=8.5, weight="normal", loc="center", pad=3)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
