"""The light ResNet: the backbone of preset quick, sized for a laptop's processor.

ResNet-18 with half its widths or less, and one block instead of two where the map is 4x4: there a processor is at its
slowest, and the second blocks brought nothing. 0.98 million parameters. Chosen on 2,560 rendered faces, trained 12
epochs from scratch (batches of 64 at 64 px, bf16, 2 busy cores, steps in turn; accuracy on 1,040 others):

| widths, blocks | million parameters | images/s, median (best) | accuracy |
|---|---|---|---|
| 32 64 128 128, 2 2 2 2 | 1.29 | 516 (579) | 0.464 |
| 32 64 128 192, 2 2 1 1 (this one) | 0.98 | 617 (662) | 0.463 |
| 32 64 128 256, 1 1 1 1 | 1.23 | 629 (681) | 0.461 |

The stem pools what a stride-2 convolution sees: a single 7x7 convolution with stride 4 is a tenth faster but learnt
much worse (0.24 against 0.36 after 10 epochs at half the learning rate).
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock

WIDTHS = (32, 64, 128, 192)
BLOCKS = (2, 2, 1, 1)
STRIDES = (1, 2, 2, 1)


def _block(channels_in: int, channels: int, stride: int = 1) -> BasicBlock:
    """Two 3x3 convolutions and a shortcut (He et al., "Deep residual learning", 2016, figure 2): x + f(x)."""
    shortcut = None
    if stride != 1 or channels_in != channels:
        shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    return BasicBlock(channels_in, channels, stride, shortcut)


class LightResNet(nn.Module):
    """torchvision's names (conv1, bn1, layer1..4) at smaller widths; a 64-px face ends as (192, 4, 4)."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(2)
        before = WIDTHS[0]
        for number, (width, blocks, stride) in enumerate(zip(WIDTHS, BLOCKS, STRIDES, strict=True), start=1):
            layer = [_block(before, width, stride)] + [_block(width, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*layer))
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
