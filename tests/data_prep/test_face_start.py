"""The teacher's blocks against a hand-worked one, and a start that learns on drawn faces."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from data_prep import dlib_resnet, face_start
from data_prep.dlib_resnet import BLOCKS, LAST, Teacher, read_weights
from fercore.datasets import FaceDataset
from fercore.models import build_backbone, load_weights
from tests.faces import write_dataset


def random_weights() -> dict[str, torch.Tensor]:
    """A network of the teacher's shape with small random numbers, filters as face-api stores them (h, w, in, out)."""
    generator = torch.Generator().manual_seed(0)
    weights, channels = {}, 3

    def convolution(name: str, into: int, out: int, side: int) -> None:
        filters = torch.randn(side, side, into, out, generator=generator)
        weights[f"{name}/conv/filters"] = filters / (2 * side * into**0.5)
        for part in ("conv/bias", "scale/biases"):
            weights[f"{name}/{part}"] = torch.randn(out, generator=generator) / 10
        weights[f"{name}/scale/weights"] = torch.rand(out, generator=generator) + 0.5

    convolution("conv32_down", 3, 32, 7)
    channels = 32
    for name in (*BLOCKS, LAST):
        width = int(name.removeprefix("conv").split("_")[0])
        convolution(f"{name}/conv1", channels, width, 3)
        convolution(f"{name}/conv2", width, width, 3)
        channels = width
    weights["fc"] = torch.randn(256, 128, generator=generator) / 16
    return weights


def test_a_block_that_goes_down_by_hand():
    weights = random_weights()
    teacher, name = Teacher(weights), "conv64_down"
    x = torch.rand(1, 32, 9, 9)

    def convolve(x: np.ndarray, part: str, stride: int) -> np.ndarray:
        filters, bias = (weights[f"{name}/{part}/conv/{kind}"].numpy() for kind in ("filters", "bias"))
        if stride == 1:
            x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        side = (x.shape[1] - 3) // stride + 1
        out = np.empty((filters.shape[3], side, side))
        for row in range(side):
            for column in range(side):
                window = x[:, row * stride : row * stride + 3, column * stride : column * stride + 3]
                out[:, row, column] = np.einsum("chw,hwco->o", window, filters) + bias
        scale, shift = (weights[f"{name}/{part}/scale/{kind}"].numpy() for kind in ("weights", "biases"))
        return out * scale[:, None, None] + shift[:, None, None]

    inner = convolve(np.maximum(convolve(x[0].numpy(), "conv1", 2), 0), "conv2", 1)
    expected = np.zeros((64, 4, 4))
    expected[:, : inner.shape[1], : inner.shape[2]] += inner
    expected[:32] += F.avg_pool2d(x, 2)[0].numpy()
    np.testing.assert_allclose(teacher._block(x, name)[0].numpy(), np.maximum(expected, 0), atol=1e-4)


def test_the_teacher_gives_a_map_and_an_identity():
    map_, identity = Teacher(random_weights())(torch.rand(2, 3, 48, 48))
    assert map_.shape == (2, 256, 4, 4)
    assert identity.shape == (2, 128)


def test_another_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="face-api"):
        read_weights(tmp_path)
    (tmp_path / "face_recognition_model.bin").write_bytes(b"other")
    with pytest.raises(ValueError, match="SHA-256 differs"):
        read_weights(tmp_path)


def test_eight_bits_are_read_as_numbers(tmp_path, monkeypatch):
    content = bytes([0, 255]) + np.float32([1.5]).tobytes()
    (tmp_path / "face_recognition_model.bin").write_bytes(content)
    coding = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    entries = [{"name": "a", "shape": [2], "quantization": coding}, {"name": "b", "shape": [1]}]
    manifest = tmp_path / "face_recognition_model-weights_manifest.json"
    manifest.write_text(json.dumps([{"weights": entries}]))
    monkeypatch.setattr(dlib_resnet, "SHA256", dlib_resnet.hashlib.sha256(content).hexdigest())
    weights = read_weights(tmp_path)
    assert weights["a"].tolist() == [-1, 126.5]
    assert weights["b"].tolist() == [1.5]


def test_the_start_learns_and_loads(tmp_path, monkeypatch):
    write_dataset(tmp_path / "mine", n=32)
    monkeypatch.setattr(face_start, "BATCH", 4)
    monkeypatch.setattr(face_start.blendfer, "open", lambda classes: FaceDataset.open(tmp_path / "mine", classes))
    monkeypatch.setattr(face_start, "read_weights", lambda folder: random_weights())
    out = tmp_path / "out" / "faces.safetensors"
    face_start.main(tmp_path, data=(tmp_path / "mine",), out=out, epochs=4, start="none")
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["losses"][-1] < 0.9 * told["losses"][0]
    assert not load_weights(build_backbone("light"), out).missing
