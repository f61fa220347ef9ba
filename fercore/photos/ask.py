"""A method is asked about crops: in batches, on its device, as it works in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fercore.batch import UNLABELLED, Batch
from fercore.datasets.view_ops import zoom
from fercore.methods.base import Method, in_use
from fercore.photos.cut import Crop

BATCH = 64
ZOOMS = (0.92, 1.08)
"""Chosen on BlendFER's validation faces, where it gives a point."""

Crops = Sequence[Crop] | Sequence[np.ndarray] | Tensor
"""F faces of one size: crops or their pixels, (size, size, 3) uint8 each; or (F, 3, H, W), uint8 or float in [0, 1]."""


def ask(method: nn.Module, crops: Crops, question: Callable[[Tensor], Tensor]) -> Tensor:
    """The answers about F crops, at least one, on the CPU.

    question: (B, 3, H, W) in [0, 1] -> (B, ...). The method is in evaluation mode on the device of its parameters
    meanwhile, and left in the mode it was in.
    """
    with in_use(method) as device:
        parts = pictures(crops).split(BATCH)
        return torch.cat([question(_shares(part.to(device))).float().cpu() for part in parts])


def pictures(crops: Crops) -> Tensor:
    """The crops as one tensor (F, 3, H, W)."""
    if isinstance(crops, Tensor):
        return crops
    pixels = np.stack([crop.pixels if isinstance(crop, Crop) else crop for crop in crops])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _shares(images: Tensor) -> Tensor:
    """8-bit pixels as shares of 255; shares as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def classify_crops(method: nn.Module, crops: Crops, tta: bool = True) -> Tensor:
    """F crops -> (F, C) probabilities on the CPU; (0, 0) without crops.

    The method is asked as it works in use (see ``ask``). tta: average over the crop and its mirror image, each also cut
    a little wider and tighter (ZOOMS): a photograph's eyes and mouth are found less exactly than a rendered head's.
    """

    def probabilities(batch: Tensor) -> Tensor:
        return method(batch).softmax(1)

    def averaged(batch: Tensor) -> Tensor:
        cuts = [batch, *(zoom(batch, factor) for factor in ZOOMS)]
        return sum(probabilities(cut) + probabilities(cut.flip(3)) for cut in cuts) / (2 * len(cuts))

    return ask(method, crops, averaged if tta else probabilities) if len(crops) else torch.zeros(0, 0)


def explain_crops(method: Method, crops: Crops) -> dict[str, Tensor]:
    """What ``method.explain`` shows of F crops, on the CPU. {} without crops.

    They are one batch (a method may compare its faces), without labels, and of no training set: what is remembered of
    training faces is not shown.
    """
    if not len(crops):
        return {}
    with in_use(method) as device:
        image = _shares(pictures(crops).to(device))
        number = torch.arange(len(image), device=device)
        shown = method.explain(Batch(image, torch.full_like(number, UNLABELLED), -1 - number, (image,)))
        return {name: value.cpu() for name, value in shown.items()}
