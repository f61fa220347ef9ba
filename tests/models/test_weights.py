"""Each layout that released face-recognition weights come in, made small; and files that must be refused."""

import pickle
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fercore.models import Report, build_backbone, load_weights
from fercore.models import weights as weights_module


def original_state(name: str) -> dict[str, torch.Tensor]:
    """The trunk under its original names, from a network of other random weights, with a foreign head."""
    torch.manual_seed(7)
    donor = build_backbone(name)
    state = {theirs: donor.state_dict()[ours].clone() for ours, theirs in donor.original_names.items()}
    return {**state, "fc.weight": torch.zeros(1000, 3), "fc.bias": torch.zeros(1000)}


def check(name: str, file: Path, head: int, source: dict | None = None) -> Report:
    backbone = build_backbone(name)
    report = load_weights(backbone, file)
    source = original_state(name) if source is None else source
    loaded = backbone.state_dict()
    for ours, theirs in backbone.original_names.items():
        assert torch.equal(loaded[ours], source[theirs]), ours
    assert len(report.matched) == len(backbone.original_names)
    assert report.missing == ()
    assert len(report.unexpected) == head
    return report


def numbered(key: str) -> str:
    """SCN's features.N: the children of a ResNet by number."""
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    first, _, rest = key.partition(".")
    return f"features.{children.index(first)}.{rest}" if first in children else key


LAYOUTS = {
    "torchvision names under state_dict": lambda s: {"state_dict": s, "epoch": 3, "arch": "resnet18"},
    "bare and flat": lambda s: s,
    "prefix module.": lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    "prefix feat_net.": lambda s: {"state_dict": {f"feat_net.{k}": v for k, v in s.items()}},
    "two prefixes": lambda s: {"model": {f"module.backbone.{k}": v for k, v in s.items()}},
    "features.N": lambda s: {"state_dict": {numbered(k): v for k, v in s.items()}},
    "module.features.N": lambda s: {"state_dict": {f"module.{numbered(k)}": v for k, v in s.items()}},
    "without counters of batches": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["light", "resnet18"])
def test_torch_layouts(tmp_path, name, layout):
    state = original_state(name)
    torch.save(LAYOUTS[layout](state), tmp_path / "weights.pth")
    # FaceX-Zoo's stem is another one, which no name of a tensor tells
    told = pytest.warns(UserWarning, match="whose stem has no ReLU") if "feat_net" in layout else nullcontext()
    with told:
        if "counters" in layout:
            report = load_weights(build_backbone(name), tmp_path / "weights.pth")
            assert report.missing == ()
        else:
            check(name, tmp_path / "weights.pth", head=2)


def test_half_precision_safetensors(tmp_path):
    state = {key: value.half() for key, value in original_state("light").items() if value.is_floating_point()}
    save_file(state, tmp_path / "light.safetensors")
    backbone = build_backbone("light")
    load_weights(backbone, tmp_path / "light.safetensors")
    first = backbone.state_dict()["stages.stem.conv1.weight"]
    assert first.dtype == torch.float32
    assert torch.equal(first, state["conv1.weight"].float())


def test_swin_under_its_original_names(tmp_path):
    torch.manual_seed(7)
    donor = build_backbone("swin_t")
    state = {theirs: donor.state_dict()[ours] for ours, theirs in donor.original_names.items()}
    renamed = {}
    for key, value in state.items():
        if key.endswith("relative_position_index"):
            continue
        parts = key.split(".")
        if key.startswith("features.0."):
            new = key.replace("features.0.0", "patch_embed.proj").replace("features.0.2", "patch_embed.norm")
        elif key.startswith("features."):
            stage, block = int(parts[1]), parts[2:]
            rest = ".".join(block).replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")
            new = f"layers.{stage // 2}.blocks.{rest}" if stage % 2 else f"layers.{stage // 2 - 1}.downsample.{rest}"
        else:
            new = key
        renamed[new] = value
    torch.save({"state_dict_backbone": renamed, "state_dict_head": {}}, tmp_path / "start_0.pt")
    backbone = build_backbone("swin_t")
    report = load_weights(backbone, tmp_path / "start_0.pt")
    assert report.missing == ()
    for ours, theirs in backbone.original_names.items():
        assert torch.equal(backbone.state_dict()[ours], state[theirs]), ours


def test_a_fercore_checkpoint(tmp_path):
    from fercore.methods import build

    torch.manual_seed(3)
    method = build("baseline", preset="fast", seed=3)
    save_file(method.state_dict(), tmp_path / "model.safetensors")
    backbone = build_backbone("light")
    load_weights(backbone, tmp_path / "model.safetensors")
    trained = method.net.backbone.state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in backbone.state_dict().items())


def test_a_trunk_that_lacks_a_key_changes_nothing_and_is_an_error(tmp_path):
    state = original_state("light")
    del state["layer3.0.conv2.weight"]
    torch.save(state, tmp_path / "weights.pth")
    backbone = build_backbone("light")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=r"does not fit backbone light: .*layer3\.0\.conv2\.weight"):
        load_weights(backbone, tmp_path / "weights.pth")
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_another_network_is_an_error(tmp_path):
    torch.save(original_state("resnet18"), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match="does not fit backbone light"):
        load_weights(build_backbone("light"), tmp_path / "resnet18.pth")
    deeper = {**original_state("light"), "layer4.1.conv1.weight": torch.zeros(192, 192, 3, 3)}
    torch.save(deeper, tmp_path / "deeper.pth")
    with pytest.raises(ValueError, match=r"holds layer4\.1\.conv1\.weight, which this trunk has not"):
        load_weights(build_backbone("light"), tmp_path / "deeper.pth")


def test_keys_inserted_under_wrong_names_do_not_count_as_loaded(tmp_path):
    """SCN's released loader reports success here."""
    state = {f"module.net.{i}": value for i, value in enumerate(original_state("light").values())}
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="0 of"):
        load_weights(build_backbone("light"), tmp_path / "weights.pth")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("pwned"),))


@pytest.mark.parametrize("name", ["weights.pkl", "weights.pth", "weights.safetensors", "weights.tar"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({"conv1.weight": Evil()}, protocol=2))
    with pytest.raises(ValueError, match="is not a safe file of tensors"):
        load_weights(build_backbone("light"), tmp_path / name)
    torch.save(OrderedDict(x=Evil()), tmp_path / name)
    with pytest.raises(ValueError, match="is not a safe file of tensors"):
        load_weights(build_backbone("light"), tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def test_other_bad_files(tmp_path):
    backbone = build_backbone("light")
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        load_weights(backbone, tmp_path / "absent.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="is not a safe file of tensors"):
        load_weights(backbone, tmp_path / "empty.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match="holds a Tensor, not a dict"):
        load_weights(backbone, tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match="fit backbone light, not resnet18"):
        build_backbone("resnet18", weights="face")
    with pytest.raises(ValueError, match="no ImageNet weights for backbone light"):
        build_backbone("light", weights="imagenet")


def test_imagenet_weights_without_a_network_say_what_to_do(monkeypatch):
    import torchvision.models

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", offline)
    with pytest.raises(ValueError, match="without a network give a local file"):
        build_backbone("resnet18", weights="imagenet")


@pytest.mark.skipif(not weights_module.FACE_WEIGHTS.exists(), reason="the face weights are not built yet")
def test_the_shipped_face_weights_fit():
    assert weights_module.FACE_WEIGHTS.stat().st_size <= 3e6
    report = load_weights(build_backbone("light"), "face")
    assert report.missing == ()
