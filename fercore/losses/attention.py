"""How far class attention maps keep to a transformation of the face (RAC + RSL, section 3.1)."""

from __future__ import annotations

from torch import Tensor


def attention_consistency(maps: Tensor, other: Tensor, weight: Tensor, squared: bool = True) -> Tensor:
    """Mean difference of two sets of attention maps, each class by its weight (RAC + RSL, equations 3 and 5).

    The norm in equation 5 is taken of a single number: ``|B_l A - B_l A'| = B_l |A - A'|``. The released code squares
    the difference, and not B: ``B_l (A - A')^2``, the default here; and it sums over the classes where equation 5 and
    this function take the mean.

    :param maps, other: A of the face, transformed, and A of the transformed face; (N, L, h, w) each.
    :param weight: B, (L,).
    :return: (N,), the mean over classes and places of each face.
    """
    difference = maps - other
    size = difference.square() if squared else difference.abs()
    return (size.mean((2, 3)) * weight).mean(1)
