"""Faces on a page: contact sheets, what a model looked at, and what it thinks of a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from fercore.emotions import COLOURS
from fercore.viz.arrays import to_numpy, to_pictures
from fercore.viz.style import CONTRAST, INK, MUTED, bare, new_figure, percent, styled

Pictures = np.ndarray | Tensor | list


@styled
def contact_sheet(
    images: Pictures,
    captions: Sequence[str] | None = None,
    columns: int = 8,
    rows: Sequence[str] | None = None,
    title: str | None = None,
    cell: float = 0.95,
) -> Figure:
    """Faces in rows, read like a page.

    images: N pictures (see ``to_pictures``). captions: N short texts, set below the faces; may hold one line break.
    rows: a name for each row, set at its left. cell: width of a face in inches.
    Raises ValueError if the captions or rows do not match the faces.
    """
    pictures = to_pictures(images)
    count = -(-len(pictures) // columns)
    if captions is not None and len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} faces")
    if rows is not None and len(rows) != count:
        raise ValueError(f"{len(rows)} row names for {count} rows")
    lines = max((text.count("\n") + 1 for text in captions), default=0) if captions is not None else 0
    step = 1.05 + 0.2 * lines * 0.95 / cell
    left = 1.0 if rows is not None else 0.0
    figure, (axes,) = new_figure(cell * (1.05 * columns + left), cell * count * step + (0.45 if title else 0.05))
    bare(axes)
    for number, picture in enumerate(pictures):
        x, y = 1.05 * (number % columns), step * (number // columns)
        axes.imshow(picture, extent=(x, x + 1, y + 1, y))
        for place, line in enumerate(captions[number].split("\n") if captions is not None else ()):
            low = y + 1 + (0.15 + 0.17 * place) * 0.95 / cell  # one baseline for all, whatever letters hang below it
            axes.text(x + 0.5, low, line, ha="center", va="baseline", fontsize=7.5, color=INK)
    for number, name in enumerate(rows or ()):
        axes.text(-0.1, step * number + 0.5, name, ha="right", va="center", color=INK, weight="bold")
    axes.set(xlim=(-left, 1.05 * columns - 0.05), ylim=(step * count - 0.05, 0), aspect="equal")
    if title:
        axes.set_title(title)
    return figure


@styled
def attention_strip(
    images: Pictures, maps: np.ndarray | Tensor, captions: Sequence[str], title: str | None = None
) -> Figure:
    """Each face above the same face with its attention map laid over it.

    images: N pictures. maps: (N, h, w), scaled to [0, 1] each; h and w may be smaller than the pictures'.
    """
    pictures, maps = to_pictures(images), to_numpy(maps)
    figure, axes = new_figure(1.3 * len(pictures), 3.15 if title else 2.9, nrows=2, ncols=len(pictures))
    for column, (picture, heat, caption) in enumerate(zip(pictures, maps, captions, strict=True)):
        above, below = bare(axes[column]), bare(axes[column + len(pictures)])
        above.imshow(picture)
        above.set_title(caption, fontsize=8, weight="normal", loc="center", pad=3)
        grey = picture.mean(-1)
        height, width = grey.shape
        below.imshow(grey, cmap="gray", vmin=0, vmax=255)
        drawn = below.imshow(
            heat,
            cmap="inferno",
            vmin=0,
            vmax=1,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="bicubic",
            alpha=0.55,
        )
    bar = figure.colorbar(drawn, ax=axes.tolist(), shrink=0.42, anchor=(0, 0.08), pad=0.01, ticks=[0, 1], aspect=12)
    bar.ax.set_yticklabels(["ignored", "decisive"], fontsize=8)
    bar.outline.set_visible(False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure


@styled
def opinions(
    photo: np.ndarray,
    boxes: Sequence[Sequence[float]],
    probabilities: Sequence[dict[str, float]],
    crops: Pictures | None = None,
    title: str | None = None,
) -> Figure:
    """A photograph with its faces framed and numbered, and what the model makes of each.

    photo: (H, W, 3) uint8. boxes: x, y, w, h in pixels of the photo. probabilities: emotion -> p, one dict a face.
    crops: what the model was shown, one picture a face.
    """
    faces = len(boxes)
    shown = to_pictures(crops) if crops is not None else None
    columns = 2 + (shown is not None)
    figure = Figure(figsize=(3.0 + 3.1 + 1.4 * (columns - 2), max(2.9, 1.9 * max(1, faces))), layout="constrained")
    grid = figure.add_gridspec(max(1, faces), columns, width_ratios=[3.0, *([1.2] * (columns - 2)), 2.6])
    left = bare(figure.add_subplot(grid[:, 0]))
    left.imshow(photo)
    for number, (x, y, w, h) in enumerate(boxes):
        left.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor="white", linewidth=3))
        left.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=CONTRAST, linewidth=1.6))
        if faces > 1:
            left.text(
                x, y, f" {number + 1} ", va="bottom", color="white", weight="bold", backgroundcolor=CONTRAST, fontsize=8
            )
        if shown is not None:
            crop = bare(figure.add_subplot(grid[number, 1]))
            crop.imshow(shown[number])
            crop.set_title("the model sees", fontsize=8, weight="normal", loc="center", pad=4, color=MUTED)
        bars = figure.add_subplot(grid[number, -1])
        names = list(probabilities[number])
        values = [probabilities[number][name] for name in names]
        bars.barh(names, values, color=[COLOURS[name] for name in names], height=0.72)
        for row, value in enumerate(values):
            bars.text(
                value + 0.02, row, percent(value), va="center", fontsize=8, color=INK if value == max(values) else MUTED
            )
        bars.set(xlim=(0, 1.18), xticks=[])
        bars.invert_yaxis()
        bars.spines[["bottom", "left"]].set_visible(False)
    if title:
        left.set_title(title)
    return figure
