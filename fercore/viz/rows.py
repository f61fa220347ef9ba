"""Which rows of a table of results a figure or table is about."""

from __future__ import annotations

import pandas as pd

from fercore.datasets.identity import BLENDFER


def rows_of(runs: pd.DataFrame, data: str = BLENDFER, recipe: str = "") -> pd.DataFrame:
    """Rows measured on one dataset with one recipe ("": the preset's own).

    data: as the column has it, or its name alone ("ferplus" for "ferplus@0a1b2c3d"). A table that lacks one of the two
    columns is older than them: all of its rows are BlendFER's, and of the presets' own recipes.
    """
    keep = pd.Series(True, index=runs.index)
    if "data" in runs:
        known = runs["data"].fillna(BLENDFER)
        keep &= (known == data) | (known.map(lambda name: name.partition("@")[0]) == data)
    else:
        keep &= data == BLENDFER
    keep &= runs["recipe"].astype(object).fillna("") == recipe if "recipe" in runs else recipe == ""
    return runs[keep]
