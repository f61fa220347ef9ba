"""A method is asked about crops: in batches, on its device, as it works in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fercore.methods.base import in_use

BATCH = 64


def ask(method: nn.Module, crops: Sequence[np.ndarray], question: Callable[[Tensor], Tensor]) -> Tensor:
    """The answers about F crops (size, size, 3) uint8, on the CPU.

    question: (B, 3, size, size) in [0, 1] -> (B, ...). The method is in evaluation mode on the device of its parameters
    meanwhile, and left in the mode it was in.
    """
    with in_use(method) as device:
        pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return torch.cat([question(some.to(device).float() / 255).float().cpu() for some in pictures.split(BATCH)])
