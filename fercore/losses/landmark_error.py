"""How far predicted landmarks are from the true ones."""

from __future__ import annotations

import torch
from torch import Tensor


def landmark_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean square error over the known coordinates (LA-Net, section 3: L_lm). (N, 68, 2), (N, 68, 2) -> ().

    NaN in ``true`` is unknown and left out; a batch without landmarks gives 0.
    """
    known = ~true.isnan()
    difference = torch.where(known, predicted - true, 0)  # before it is squared: 0 times NaN is NaN, in gradients too
    return difference.square().sum() / known.sum().clamp(min=1)
