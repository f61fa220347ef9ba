"""A part of the training faces held out, the same in every run, and no person on both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd

SEED = 0


def hold_out(rows: pd.DataFrame, share: float, new_split: str) -> pd.DataFrame:
    """The rows with about ``share`` of each class of split train moved to ``new_split``.

    The choice depends on the faces' names only, not on their order. Where ``subject`` is known (not null), a person's
    training faces move together: people are drawn at random and taken as long as no class exceeds its share. Where that
    would hold out nobody, one person is, the first without whom every class still has training faces.

    :param rows: columns name, label, split, and perhaps subject.
    :raises ValueError: ``share`` is not in [0, 0.5].
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"the share held out must lie between 0 and 0.5, not be {share:g}.")
    train = rows[rows["split"] == "train"].sort_values("name", kind="stable")
    quota = np.floor(np.bincount(train["label"], minlength=8) * share + 0.5).astype(int)
    groups = train.groupby(_group(train), sort=True)
    taken, held = np.zeros(8, int), []
    members = [(index, np.bincount(train.loc[index, "label"], minlength=8)) for index in groups.groups.values()]
    for place in np.random.default_rng(SEED).permutation(len(members)):
        index, counts = members[place]
        if (taken + counts <= quota).all():
            taken += counts
            held.extend(index)
    people = any(str(name).startswith("person ") for name in groups.groups)
    if share and not held and people:  # few people, each above a class's share: one of them, if all classes stay
        total = np.bincount(train["label"], minlength=8)
        stays = (index for index, counts in members if ((total - counts > 0) | (total == 0)).all())
        held = list(next(stays, []))
    split = rows["split"].copy()
    split.loc[held] = new_split
    return rows.assign(split=split)


def _group(train: pd.DataFrame) -> pd.Series:
    """Who moves together: the person, or where that is unknown each face alone."""
    alone = "face " + train["name"]
    if "subject" not in train:
        return alone
    return alone.where(train["subject"].isna(), "person " + train["subject"].astype(str))
