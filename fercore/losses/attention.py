"""Class attention maps, and how far they keep to a transformation of the face (RAC + RSL, section 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attention_maps(feature_map: Tensor, head_weight: Tensor) -> Tensor:
    """How much each place of the picture adds to each class's logit (RAC + RSL, equation 2; Zhou et al., 2016).

    :param feature_map: F, (N, c, h, w), of the last convolution.
    :param head_weight: W, (L, c), of the linear layer that follows global average pooling. Its bias belongs to no place
        and is left out.
    :return: A, (N, L, h, w). A 1 x 1 convolution: nothing of N x L x c x h x w is made.
    """
    with torch.autocast(feature_map.device.type, enabled=False):  # as the logits are: their mean must be the logit
        return F.conv2d(feature_map.float(), head_weight.float()[:, :, None, None])


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
