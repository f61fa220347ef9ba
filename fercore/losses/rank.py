"""Rank regularisation: important faces must weigh more than the others (SCN, section 3.3; Ada-DF, equations 9, 10)."""

from __future__ import annotations

from torch import Tensor


def rank_regularisation(weight: Tensor, high: float, margin: float) -> Tensor:
    """max(0, margin - (mean of the highest weights - mean of the others)) (SCN, section 3.3; Ada-DF, equations 9, 10).

    :param weight: (N,). high: share of the faces that count as the highest; at least one face is in either group.
    :return: (); 0 for a single face.
    """
    n = len(weight)
    if n < 2:
        return weight.sum() * 0
    ordered = weight.sort(descending=True).values
    count = min(max(1, round(high * n)), n - 1)
    return (margin - (ordered[:count].mean() - ordered[count:].mean())).clamp(min=0)
