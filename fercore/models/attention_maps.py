"""Class attention maps: what each place of the picture adds to each class (RAC + RSL, section 3.1)."""

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
