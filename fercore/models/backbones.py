"""Backbones, each cut at the same five named places, so that a method can branch off or copy any part.

Every part maps (B, c, h, w) to (B, c', h', w'), Swin's included. The head belongs to the method.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn, tensor

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALLEST_IMAGE = 32  # every backbone here shrinks the image 16 or 32 times
LARGEST_IMAGE = 4096
"""A batch of one takes 200 MB; a number above it is a slip, or a forged file's."""


class Normalise(nn.Module):
    """Fit a [0, 1] RGB image of any size to what the trunk expects: ``size`` pixels, mean 0, deviation 1 by channel."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.register_buffer("mean", tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, size, size)."""
        if image.shape[-2:] != (self.size, self.size):
            image = F.interpolate(image, (self.size, self.size), mode="bilinear", antialias=True)
        return (image - self.mean) / self.std


class Backbone(nn.Module):
    """A trunk in five parts.

    stages: ModuleDict stem, stage1, ..., stage4. dims: channels after each part; ``dim`` those of the last.
    original_names: our key -> the key in the original (torchvision-style) network, by which weights are loaded.
    """

    def __init__(self, name: str, parts: dict[str, nn.Module], dims: tuple[int, ...], original: nn.Module, size: int):
        super().__init__()
        self.name, self.size, self.dims = name, size, dict(zip(STAGES, dims, strict=True))
        self.dim = dims[-1]
        self.normalise = Normalise(size)
        self.stages = nn.ModuleDict(parts)
        theirs = {id(value): key for key, value in original.state_dict(keep_vars=True).items()}
        ours = self.stages.state_dict(prefix="stages.", keep_vars=True)
        self.original_names = {key: theirs[id(value)] for key, value in ours.items()}

    def run(self, x: Tensor, start: str = "stem", stop: str = "stage4") -> Tensor:
        """Run the parts from ``start`` to ``stop``, both included.

        From "stem", ``x`` is an image (B, 3, H, W) in [0, 1]; from a later part, what the part before it gave.
        """
        first, last = _place(start), _place(stop)
        if first > last:
            raise ValueError(f"start {start!r} comes after stop {stop!r}; the order is {', '.join(STAGES)}")
        if first == 0:
            x = self.normalise(x)
        for name in STAGES[first : last + 1]:
            x = self.stages[name](x)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) image in [0, 1] -> (B, dim, h, w) feature map."""
        return self.run(image)


def _place(stage: str) -> int:
    if stage not in STAGES:
        raise ValueError(f"unknown split point {stage!r}; known are {', '.join(STAGES)}")
    return STAGES.index(stage)


class _ChannelsLast(nn.Sequential):
    """Layers that work on (B, h, w, c), such as Swin's, shown to the outside as (B, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _ToChannelsFirst(nn.Sequential):
    """Layers that take (B, c, h, w) and give (B, h, w, c): turned back."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).permute(0, 3, 1, 2)


def _named(module: nn.Module, names: str, kind: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    """The named children of ``module``, as one sequence."""
    return kind(OrderedDict((name, module.get_submodule(name)) for name in names.split()))


def _light(size: int) -> Backbone:
    from fercore.models.light import WIDTHS, LightResNet

    net = LightResNet()
    return _resnet_parts("light", net, (WIDTHS[0], *WIDTHS), size)


def _resnet_parts(name: str, net: nn.Module, dims: tuple[int, ...], size: int) -> Backbone:
    stages = {f"stage{i}": net.get_submodule(f"layer{i}") for i in range(1, 5)}
    return Backbone(name, {"stem": _named(net, "conv1 bn1 relu maxpool"), **stages}, dims, net, size)


def _resnet18(size: int) -> Backbone:
    from torchvision.models import resnet18

    return _resnet_parts("resnet18", resnet18(), (64, 64, 128, 256, 512), size)


def _resnet50(size: int) -> Backbone:
    from torchvision.models import resnet50

    return _resnet_parts("resnet50", resnet50(), (64, 256, 512, 1024, 2048), size)


def _mobilenet_v2(size: int) -> Backbone:
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2()
    # Cut where the map halves: 1/2 (stem), 1/4, 1/8, 1/16, 1/32 of the image.
    cuts = {
        "stem": "0 1",
        "stage1": "2 3",
        "stage2": "4 5 6",
        "stage3": "7 8 9 10 11 12 13",
        "stage4": "14 15 16 17 18",
    }
    parts = {stage: _named(net.features, names) for stage, names in cuts.items()}
    return Backbone("mobilenet_v2", parts, (16, 24, 32, 96, 1280), net, size)


def _shufflenet_v2(size: int) -> Backbone:
    from torchvision.models import shufflenet_v2_x1_0

    net = shufflenet_v2_x1_0()
    cuts = {"stem": "conv1", "stage1": "maxpool", "stage2": "stage2", "stage3": "stage3", "stage4": "stage4 conv5"}
    parts = {stage: _named(net, names) for stage, names in cuts.items()}
    return Backbone("shufflenet_v2", parts, (24, 24, 116, 232, 1024), net, size)


def _swin_t(size: int) -> Backbone:
    from torchvision.models import swin_t

    net = swin_t()
    blocks = net.features
    last = OrderedDict((("6", blocks[6]), ("7", blocks[7]), ("norm", net.norm)))
    parts = {
        "stem": _ToChannelsFirst(OrderedDict((("0", blocks[0]),))),
        "stage1": _named(blocks, "1", _ChannelsLast),
        "stage2": _named(blocks, "2 3", _ChannelsLast),
        "stage3": _named(blocks, "4 5", _ChannelsLast),
        "stage4": _ChannelsLast(last),
    }
    return Backbone("swin_t", parts, (96, 96, 192, 384, 768), net, size)


BACKBONES: dict[str, Callable[[int], Backbone]] = {
    "light": _light,
    "resnet18": _resnet18,
    "resnet50": _resnet50,
    "mobilenet_v2": _mobilenet_v2,
    "shufflenet_v2": _shufflenet_v2,
    "swin_t": _swin_t,
}
