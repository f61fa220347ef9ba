"""How alike the faces of a batch are, pair by pair (DMUE, equations 13 to 17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from fercore.viz.arrays import to_numpy
from fercore.viz.distributions import Values
from fercore.viz.style import INK, new_figure, styled


@styled
def relation_maps(maps: Mapping[str, Values], label: Values, names: Sequence[str], title: str = "") -> Figure:
    """Square maps side by side on one scale, thin lines between the emotions.

    maps: panel title -> (N, N). label: (N,), in ascending order.
    """
    label = to_numpy(label)
    figure, all_axes = new_figure(3.4 * len(maps) + 1.0, 3.9, ncols=len(maps), sharey=True)
    values = {name: to_numpy(value) for name, value in maps.items()}
    low, high = np.quantile(np.concatenate([value.ravel() for value in values.values()]), [0.02, 0.98])
    starts = np.flatnonzero(np.diff(label)) + 0.5
    shown = np.unique(label)
    middles = [np.flatnonzero(label == c).mean() for c in shown]
    for number, (axes, (name, value)) in enumerate(zip(all_axes, values.items(), strict=True)):
        axes.imshow(value, cmap="Blues", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
        for start in starts:
            axes.axhline(start, color=INK, linewidth=0.5)
            axes.axvline(start, color=INK, linewidth=0.5)
        axes.set_xticks(middles, [names[c] for c in shown], rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(middles, [names[c] for c in shown], fontsize=8.5)
        axes.tick_params(length=0, labelleft=number == 0)
        axes.spines[:].set_visible(False)
        axes.set_title(name, fontsize=9.5)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
    return figure
