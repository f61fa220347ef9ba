"""Rooms as boxes on their floors, an arrow for each import."""

from __future__ import annotations

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Way

from fercore.viz.style import INK, MUTED, bare, styled
from notebooks.tools.architecture import OUTSIDE

WIDTH, HEIGHT, STEP = 1.5, 0.46, 1.12
"""A box, and from floor to floor."""
HUES = ("#4C72B0", "#3B8E8C", "#5B9A4B", "#A58A2A", "#C46E33", "#B5506A", "#7A5CA5", "#55708A", "#4C72B0", "#3B8E8C")
"""One colour a floor, for its rooms and the arrows that start there."""


def needed(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no longer way stands for: without them a room would not be reached."""
    reach: dict[str, set[str]] = {}

    def below(room: str) -> set[str]:
        if room not in reach:
            reach[room] = uses[room].union(*map(below, uses[room]))
        return reach[room]

    return {
        room: {to for to in down if not any(to in below(other) for other in down - {to})} for room, down in uses.items()
    }


def places(uses: dict[str, set[str]], floor: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Room -> centre of its box. Each floor is spread evenly, in the order that keeps arrows short."""
    levels = [sorted(room for room in floor if floor[room] == level) for level in range(max(floor.values()) + 1)]
    widest = max(map(len, levels))
    x = {}

    def spread(level: list[str]) -> None:
        gap = (widest + 0.4) / len(level)
        for number, room in enumerate(level):
            x[room] = (number - (len(level) - 1) / 2) * gap * (WIDTH + 0.3)

    for level in levels:
        spread(level)
    joined = {room: uses[room] | {other for other in uses if room in uses[other]} for room in uses}
    for _ in range(20):
        for level in levels:
            level.sort(key=lambda room: sum(x[other] for other in joined[room]) / max(1, len(joined[room])))
            spread(level)
    return {room: (x[room], floor[room] * STEP) for room in floor}


@styled
def draw(uses: dict[str, set[str]], floor: dict[str, int]) -> Figure:
    """Rooms from the top floor down. Strong arrows are those that no longer way stands for, the others are faint."""
    with rc_context({"svg.hashsalt": "fercore", "svg.fonttype": "path"}):
        place, strong = places(uses, floor), needed(uses)
        figure = Figure(figsize=(9, 0.8 + 0.72 * (max(floor.values()) + 1)), layout="constrained")
        axes = bare(figure.add_subplot())
        for room, down in uses.items():
            for to in sorted(down):
                (x0, y0), (x1, y1) = place[room], place[to]
                start, end = (x0, y0 - HEIGHT / 2), (x1, y1 + HEIGHT / 2 + 0.03)
                bend = 0.5 * (start[1] - end[1])
                way = Way([start, (x0, start[1] - bend), (x1, end[1] + bend), end], [1, 4, 4, 4])
                plain = to in strong[room]
                axes.add_patch(
                    FancyArrowPatch(
                        path=way,
                        arrowstyle="-|>,head_length=3,head_width=1.6",
                        color=HUES[floor[room]],
                        linewidth=1.5 if plain else 0.7,
                        alpha=0.95 if plain else 0.28,
                        zorder=2 if plain else 1,
                    )
                )
        for room, (x, y) in place.items():
            outside = room in OUTSIDE
            axes.add_patch(
                FancyBboxPatch(
                    (x - WIDTH / 2, y - HEIGHT / 2),
                    WIDTH,
                    HEIGHT,
                    boxstyle="round,pad=0,rounding_size=0.12",
                    facecolor="white" if outside else HUES[floor[room]],
                    edgecolor=HUES[floor[room]],
                    linewidth=1.4,
                    zorder=3,
                )
            )
            colour = INK if outside else "white"
            axes.text(x, y - 0.01, room, ha="center", va="center", color=colour, fontsize=10, weight="bold", zorder=4)
        sides = [x for x, _ in place.values()]
        left, right = min(sides) - WIDTH / 2 - 0.55, max(sides) + WIDTH / 2 + 0.15
        for level in range(max(floor.values()) + 1):
            axes.text(left + 0.15, level * STEP, str(level), va="center", color=MUTED, fontsize=9)
        axes.set(xlim=(left, right), ylim=(-0.5, max(floor.values()) * STEP + 0.5))
        return figure
