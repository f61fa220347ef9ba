"""The idea in one picture: what goes in, what happens, what comes out."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fercore.viz.arrays import to_pictures
from fercore.viz.style import ACCENT, INK, MUTED, bare, new_figure, styled


@styled
def pipeline(steps: Sequence[dict], title: str = "") -> Figure:
    """Boxes from left to right joined by arrows.

    steps: each a dict with ``name``, and optionally ``text`` (below the name), ``image`` (drawn instead of a box),
    ``note`` (below the box), ``strong`` (True: a filled box).
    """
    width, gap, height = 1.55, 0.42, 1.15
    figure, (axes,) = new_figure(len(steps) * (width + gap) * 0.98, 2.35)
    bare(axes)
    for number, step in enumerate(steps):
        x = number * (width + gap)
        middle = x + width / 2
        if step.get("image") is not None:
            side = height
            axes.imshow(to_pictures(step["image"])[0], extent=(middle - side / 2, middle + side / 2, 0, side), zorder=2)
            axes.text(middle, height + 0.12, step["name"], ha="center", va="bottom", weight="bold", fontsize=10)
        else:
            strong = step.get("strong", False)
            face, ink = (ACCENT, "white") if strong else ("#F2F5F8", INK)
            box = FancyBboxPatch((x, 0.08), width, height - 0.16, boxstyle="round,pad=0,rounding_size=0.12")
            box.set(facecolor=face, edgecolor=ACCENT, linewidth=1.2)
            axes.add_patch(box)
            text = step.get("text", "")
            rise = 0.15 * (text.count("\n") + 1) if text else 0
            axes.text(
                middle,
                height / 2 + rise / 1.4,
                step["name"],
                ha="center",
                va="center",
                weight="bold",
                fontsize=10,
                color=ink,
            )
            axes.text(
                middle, height / 2 - 0.19, text, ha="center", va="center", fontsize=8.5, color=ink, linespacing=1.3
            )
        axes.text(middle, -0.1, step.get("note", ""), ha="center", va="top", fontsize=8.5, color=MUTED, linespacing=1.3)
        if number:
            arrow = FancyArrowPatch(
                (x - gap + 0.05, height / 2), (x - 0.05, height / 2), arrowstyle="-|>", mutation_scale=13
            )
            arrow.set(color=MUTED, linewidth=1.2)
            axes.add_patch(arrow)
    axes.set(xlim=(-0.1, len(steps) * (width + gap) - gap + 0.1), ylim=(-0.6, height + 0.4), aspect="equal")
    if title:
        axes.set_title(title)
    return figure
