"""The block of which MediaPipe's face networks are built."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BlazeBlock(nn.Module):
    """Depthwise 3x3 then pointwise, with a shortcut that pools and pads channels where needed (BlazeFace, Fig. 1).

    activation: what follows the sum; a ReLU if None.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        stride: int = 1,
        shortcut: bool = True,
        activation: nn.Module | None = None,
    ):
        super().__init__()
        self.stride, self.shortcut, self.added = stride, shortcut, channels - channels_in
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, 0 if stride == 2 else 1, groups=channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels, 1)
        self.activation = activation or nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels, H / stride, W / stride)."""
        # TensorFlow pads "same" with stride 2 on the right and bottom only, which Conv2d cannot say.
        y = self.pointwise(self.depthwise(F.pad(x, (0, 1, 0, 1)) if self.stride == 2 else x))
        if self.shortcut:
            short = F.max_pool2d(x, 2) if self.stride == 2 else x
            # Padding by nothing would copy: a third of the time of the face mesh.
            y = y + (F.pad(short, (0, 0, 0, 0, 0, self.added)) if self.added else short)
        return self.activation(y)
