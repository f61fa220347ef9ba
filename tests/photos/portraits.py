"""The photographs that the tests use: two public-domain portraits, and things without a face."""

from pathlib import Path

import matplotlib
import numpy as np
import skimage
import torch
from PIL import Image
from torch import Tensor, nn

SAMPLES = Path(skimage.__file__).parent / "data"
ASTRONAUT = SAMPLES / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
COFFEE = SAMPLES / "coffee.png"

# Pupils read off the enlarged photographs by eye: image-left, image-right.
ASTRONAUT_EYES = np.array([[203.8, 101.3], [246.7, 103.3]])
HOPPER_EYES = np.array([[222.7, 189.3], [305.3, 186.7]])


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def side_by_side(*images: np.ndarray) -> np.ndarray:
    height = max(len(image) for image in images)
    return np.concatenate([np.pad(i, ((0, height - len(i)), (0, 0), (0, 0)), mode="edge") for i in images], 1)


class Fixed(nn.Module):
    """Says the same of every face: the logits it was given."""

    predicts_landmarks = False

    def __init__(self, *logits: float):
        super().__init__()
        self.classes = len(logits)
        self.bias = nn.Parameter(torch.tensor(logits))

    def forward(self, image: Tensor) -> Tensor:
        return self.bias.expand(len(image), -1)
