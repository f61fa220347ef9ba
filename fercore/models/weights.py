"""Load pretrained trunks strictly, from each layout in which released face-recognition weights come.

Known layouts: torchvision's names, bare or under ``state_dict``, ``state_dict_backbone`` or ``model``; any prefix
before them (``module.``, ``feat_net.``, ``backbone.``); a ResNet as ``features.N``; Swin's original names; fercore's
own checkpoints. A trunk that does not match in full is an error, never a silent random start.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fercore.models.backbones import Backbone
from fercore.models.tensor_files import read_tensors

FACE_WEIGHTS = Path(__file__).with_name("light_face.safetensors")
"""The light trunk after face recognition on rendered identities (fp16, torchvision-style names)."""

OTHER_STEM = (
    "{} is from FaceX-Zoo (feat_net.*), whose stem has no ReLU and a smaller pooling: in this backbone its layers see "
    "what they were not trained on, and it is a worse start than it was there"
)

TORCHVISION_NAMES = {"shufflenet_v2": "shufflenet_v2_x1_0"}
CONTAINERS = ("state_dict", "state_dict_backbone", "model", "model_state_dict", "net")
CONSTANTS = ("num_batches_tracked", "relative_position_index", "attn_mask")
"""Ends of keys that older files lack or shape differently and that carry nothing learnt."""

RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
SWIN_ORIGINAL = (
    (r"patch_embed\.proj\.", "features.0.0."),
    (r"patch_embed\.norm\.", "features.0.2."),
    (r"layers\.(\d)\.blocks\.", lambda m: f"features.{2 * int(m[1]) + 1}."),
    (r"layers\.(\d)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 2}."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
)


@dataclass(frozen=True)
class Report:
    """Keys of the trunk that were loaded, those that the file lacked, and keys of the file left over (its head)."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.matched)} matched, {len(self.missing)} missing, {len(self.unexpected)} left over"


def load_weights(backbone: Backbone, source: str | Path) -> Report:
    """Fill the trunk from ``source``: "face", "imagenet" or a file (.safetensors, .pt, .pth, .tar).

    Raises ValueError if a key of the trunk is missing or of another shape, if the file holds more of a trunk than this
    one has (another depth), or is not a safe file of tensors; FileNotFoundError if there is no such file.
    """
    state, name = _read(backbone, source)
    state = _rename(backbone.name, state)
    ours = backbone.state_dict(keep_vars=True)
    ours = {key: ours[key] for key in backbone.original_names}
    by_layout = [_match(ours, state, names) for names in (backbone.original_names, {key: key for key in ours})]
    if any("feat_net." in key for key in state):
        warnings.warn(OTHER_STEM.format(name), stacklevel=2)
    found, leftover = max(by_layout, key=lambda match: len(match[0]))
    missing = tuple(key for key in ours if key not in found and not key.endswith(CONSTANTS))
    if missing or leftover.trunk:
        raise ValueError(_complaint(backbone, name, ours, found, missing, leftover))
    for key, value in found.items():
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds weights that are not finite ({key}); it cannot be a start")
    with torch.no_grad():
        for key, value in found.items():
            ours[key].copy_(value)
    return Report(tuple(found), missing, leftover.head)


@dataclass(frozen=True)
class _Leftover:
    trunk: tuple[str, ...]
    head: tuple[str, ...]


def _read(backbone: Backbone, source: str | Path) -> tuple[dict[str, Tensor], str]:
    if source == "imagenet":
        return _imagenet(backbone), "torchvision's ImageNet weights"
    if source == "face":
        if backbone.name != "light":
            raise ValueError(f"the shipped face weights fit backbone light, not {backbone.name}; give a file or none")
        source = FACE_WEIGHTS
    values = read_tensors(Path(source))
    for container in CONTAINERS:
        if isinstance(values.get(container), dict):
            values = values[container]
            break
    tensors = {key: torch.as_tensor(value) for key, value in values.items() if hasattr(value, "shape")}
    return tensors, str(source)


def _imagenet(backbone: Backbone) -> dict[str, Tensor]:
    if backbone.name == "light":
        raise ValueError("there are no ImageNet weights for backbone light; use face, none or a file")
    from torchvision.models import get_model_weights

    weights = get_model_weights(TORCHVISION_NAMES.get(backbone.name, backbone.name)).DEFAULT
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        raise ValueError(f"could not fetch {weights.url} ({error}); without a network give a local file") from error


def _rename(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Numbered ResNets and original Swins under torchvision's names; everything else as it is."""
    if name in ("light", "resnet18", "resnet50"):

        def child(match: re.Match) -> str:
            number = int(match[2])
            return f"{match[1]}{RESNET_CHILDREN[number]}." if number < len(RESNET_CHILDREN) else match[0]

        return {re.sub(r"(^|\.)features\.(\d+)\.", child, key): value for key, value in state.items()}
    if name == "swin_t" and any("patch_embed." in key for key in state):
        for pattern, new in SWIN_ORIGINAL:
            state = {re.sub(pattern, new, key): value for key, value in state.items()}
    return state


def _match(ours: dict[str, Tensor], state: dict[str, Tensor], names: dict[str, str]) -> tuple[dict, _Leftover]:
    """What fits, under the one prefix that fits most; and what the file holds besides."""
    anchor = names[next(iter(ours))]
    prefixes = {key.removesuffix(anchor) for key in state if key == anchor or key.endswith("." + anchor)}

    def fitting(prefix: str) -> dict[str, Tensor]:
        pairs = ((key, state.get(prefix + names[key])) for key in ours)
        return {key: value for key, value in pairs if value is not None and value.shape == ours[key].shape}

    prefix = max(sorted(prefixes), key=lambda p: len(fitting(p)), default="")
    found = fitting(prefix)
    used = {prefix + names[key] for key in ours}
    tops = {prefix + name.split(".")[0] + "." for name in names.values()}
    others = [key for key in state if key not in used and not key.endswith(CONSTANTS)]
    trunk = tuple(key for key in others if key.startswith(tuple(tops)))
    return found, _Leftover(trunk, tuple(key for key in others if key not in trunk))


def _complaint(backbone: Backbone, name: str, ours: dict, found: dict, missing: tuple, leftover: _Leftover) -> str:
    if missing:
        what = f"{missing[0]} ({backbone.original_names[missing[0]]}) is missing or of another shape"
    else:
        what = f"it holds {leftover.trunk[0]}, which this trunk has not (a deeper network?)"
    counts = f"{len(found)} of {len(ours)} keys fit, {len(leftover.trunk) + len(leftover.head)} left over"
    return f"{name} does not fit backbone {backbone.name}: {what}; {counts}. Choose the backbone it was made with."
