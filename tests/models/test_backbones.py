import pytest
import torch

from fercore.models import BACKBONES, Classifier, build_backbone
from fercore.models.backbones import STAGES

SIZES = [(name, 64) for name in BACKBONES] + [("mobilenet_v2", 96), ("resnet18", 224), ("swin_t", 224)]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_every_split_point_gives_the_stated_channels_and_the_parts_make_the_whole(name, size):
    backbone = build_backbone(name, size=size).eval()
    image = torch.rand(2, 3, size, size)
    with torch.no_grad():
        whole = backbone(image)
        x = backbone.run(image, stop="stem")
        assert x.shape[1] == backbone.dims["stem"]
        for stage in STAGES[1:]:
            x = backbone.run(x, stage, stage)
            assert x.ndim == 4
            assert x.shape[1] == backbone.dims[stage]
    assert torch.equal(x, whole)
    assert whole.shape[1] == backbone.dim


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2", "swin_t"])
def test_the_parts_compute_what_torchvision_computes(name):
    import torchvision.models

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, {"shufflenet_v2": "shufflenet_v2_x1_0"}.get(name, name))().eval()
    backbone = build_backbone(name, size=64).eval()
    state = theirs.state_dict()
    backbone.load_state_dict({ours: state[name] for ours, name in backbone.original_names.items()}, strict=False)
    head = {"resnet18": "fc", "mobilenet_v2": "classifier", "shufflenet_v2": "fc", "swin_t": "head"}[name]
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        pooled = backbone(image).mean((2, 3))
        expected = theirs(backbone.normalise(image))
        torch.testing.assert_close(getattr(theirs, head)(pooled), expected, rtol=1e-4, atol=1e-4)


def test_the_light_backbone_is_light_and_keeps_a_4x4_map():
    backbone = build_backbone("light")
    parameters = sum(p.numel() for p in backbone.parameters())
    assert parameters * 2 < 3e6  # bytes of its fp16 weights
    assert backbone(torch.rand(1, 3, 64, 64)).shape[-2:] == (4, 4)


def test_the_image_is_resized_and_normalised():
    backbone = build_backbone("light", size=32)
    white = backbone.normalise(torch.ones(1, 3, 50, 70))
    assert white.shape == (1, 3, 32, 32)
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(white[0, :, 5, 5], expected, rtol=1e-5, atol=1e-5)


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="unknown backbone 'vgg'; known are light"):
        build_backbone("vgg")
    with pytest.raises(ValueError, match="size is 16 pixels"):
        build_backbone("light", size=16)
    backbone = build_backbone("light")
    with pytest.raises(ValueError, match="unknown split point 'stage9'"):
        backbone.run(torch.rand(1, 3, 64, 64), stop="stage9")
    with pytest.raises(ValueError, match="comes after stop"):
        backbone.run(torch.rand(1, 3, 64, 64), "stage3", "stage1")


def test_logits_are_full_precision_under_bf16():
    net = Classifier(build_backbone("light"), 7).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        feature_map = net.backbone(image)
        logits = net.classify(feature_map)
    assert feature_map.dtype == torch.bfloat16
    expected = net.head(feature_map.float().mean((2, 3)))
    torch.testing.assert_close(logits, expected)
