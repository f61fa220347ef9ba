"""The light ResNet-18: the backbone of preset quick, sized for a laptop's processor."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 128)
STRIDES = (1, 2, 2, 1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., "Deep residual learning", 2016, figure 2): x + f(x)."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class LightResNet(nn.Module):
    """ResNet-18's plan and torchvision's names (conv1, bn1, layer1..4) at smaller widths; a 64-px face ends as 4x4."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=4, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity()
        before = WIDTHS[0]
        for number, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True), start=1):
            self.add_module(
                f"layer{number}", nn.Sequential(BasicBlock(before, width, stride), BasicBlock(width, width))
            )
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
