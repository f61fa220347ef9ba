"""RAC + RSL, EAC and CB: what the generic tests do not ask."""

from dataclasses import replace

import pytest
import torch

from fercore.datasets import Loader
from fercore.losses.rebalance import class_weights
from fercore.methods import Clock, build
from fercore.methods.rac_rsl import TRANSFORMS
from tests.faces import toy_dataset
from tests.oracles import rac_rsl as oracle

LATE = Clock(9, 2, 10, 3)


@pytest.fixture(scope="module")
def faces():
    return toy_dataset(n=160, size=32).where("train")


def make(name: str = "rac_rsl", **settings):
    return build(name, preset="fast", size=32, **settings)


def first_batch(method, faces):
    return next(Loader(faces, method.needs, 12).epoch(0, 3))


def gradient_norms(method, batch, term: str) -> dict[str, float]:
    method.zero_grad()
    method.losses(batch, LATE)[term].backward()
    return {name: 0.0 if p.grad is None else p.grad.norm().item() for name, p in method.named_parameters()}


@pytest.mark.parametrize("name", ["flip", "scaling", "intensity"])
def test_transforms_keep_shape_and_range(name):
    image = torch.rand(2, 3, 8, 8)
    changed = TRANSFORMS[name].image(image)
    assert changed.shape == image.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, image)


def test_flipping_twice_is_the_identity():
    image = torch.rand(2, 3, 5, 6)
    flip = TRANSFORMS["flip"]
    assert torch.equal(flip.image(flip.image(image)), image)
    assert torch.equal(flip.maps(flip.maps(image)), image)


def test_scaling_enlarges_the_middle():
    """A disc of radius 4 around the centre has radius 5 after zooming by 1.25, on the image as on a map."""
    place = torch.arange(32) - 15.5
    disc = ((place[:, None] ** 2 + place**2).sqrt() <= 4).float()[None, None]
    assert TRANSFORMS["scaling"].maps(disc).sum().item() == pytest.approx(disc.sum().item() * 1.25**2, rel=0.03)


def test_a_symmetric_image_costs_only_what_its_maps_lack_in_symmetry(faces):
    method = make().eval()
    batch = first_batch(method, faces)
    half = batch.image[..., :16]
    shown = method.explain(replace(batch, image=torch.cat([half, half.flip(-1)], -1)))
    torch.testing.assert_close(shown["cams_transformed"], shown["cams"])
    own = (shown["cams"] - shown["cams"].flip(-1)).square().mean((1, 2, 3))
    torch.testing.assert_close(shown["consistency"], own, rtol=1e-3, atol=1e-7)


def test_a_network_that_keeps_to_mirrors_costs_nothing(faces):
    """Averages over squares, then 1 x 1 filters: mirrored faces give mirrored maps."""
    method = make().eval()
    batch = first_batch(method, faces)
    assert method.losses(batch, LATE)["consistency"] > 0
    method.net.backbone = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Conv2d(3, method.net.head.in_features, 1))
    assert method.losses(batch, LATE)["consistency"].item() == pytest.approx(0, abs=1e-10)


def test_losses_are_the_paper_s_equations(faces):
    method = make(squared=False, lam=0.7, alpha=0.2).eval()  # running statistics: a face is judged by itself
    method.before_training(faces)
    batch = first_batch(method, faces)
    with torch.no_grad():
        terms = method.losses(batch, LATE)
        views = batch.image, batch.image.flip(-1)
        features = [method.net.backbone(view).double() for view in views]
        logits = [method.net(view).tolist() for view in views]
    weight, balance = method.net.head.weight.tolist(), method.balance.tolist()
    maps = [oracle.attention_map(f.tolist(), weight) for f in features]
    assert terms["consistency"].item() == pytest.approx(0.7 * oracle.consistency(*maps, balance), rel=1e-3)
    targets = [oracle.smooth_label(int(y), balance, 0.2) for y in batch.label]
    each = [oracle.cross_entropy(z, t) for view in logits for z, t in zip(view, targets, strict=True)]
    assert terms["cross_entropy"].item() == pytest.approx(sum(each) / len(batch.label), rel=1e-3)


def test_before_training_takes_the_class_counts(faces):
    for name in ("rac_rsl", "eac", "cb"):
        method = make(name)
        method.before_training(faces)
        assert torch.equal(method.balance, class_weights(faces.counts))


def test_cb_with_balanced_classes_is_the_baseline(faces):
    cb, baseline = make("cb"), make("baseline")
    batch = first_batch(cb, faces)
    torch.testing.assert_close(cb.losses(batch, LATE)["cross_entropy"], baseline.losses(batch, LATE)["cross_entropy"])


def test_cb_counts_a_face_by_its_class(faces):
    cb = make("cb").eval()
    cb.balance.copy_(torch.arange(7.0))
    batch = first_batch(cb, faces)
    logits = cb(batch.image).tolist()
    certain = torch.eye(7)[batch.label].tolist()
    each = [oracle.cross_entropy(z, t) * int(y) for z, t, y in zip(logits, certain, batch.label, strict=True)]
    assert cb.losses(batch, LATE)["cross_entropy"].item() == pytest.approx(sum(each) / len(each), rel=1e-4)
    smooth = make("cb", smoothing=0.1).eval()
    smooth.load_state_dict(cb.state_dict())
    targets = (0.9 * torch.eye(7)[batch.label] + 0.1 / 7).tolist()  # the face's weight is its own class's all the same
    each = [oracle.cross_entropy(z, t) * int(y) for z, t, y in zip(logits, targets, batch.label, strict=True)]
    assert smooth.losses(batch, LATE)["cross_entropy"].item() == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_consistency_moves_both_views_and_the_head_only_if_asked(faces):
    batch = first_batch(make(), faces)
    for asked in (False, True):
        norms = gradient_norms(make(head_gradient=asked), batch, "consistency")
        assert norms["net.backbone.stages.stem.conv1.weight"] > 0
        assert (norms["net.head.weight"] > 0) is asked
    method = make()
    maps = torch.rand(6, 7, 2, 2, requires_grad=True)
    method.consistency(maps).sum().backward()
    assert all(view.abs().sum() > 0 for view in maps.grad.chunk(2))


def test_without_lambda_and_alpha_it_is_the_baseline(faces):
    method = make(lam=0.0, alpha=0.0, both_views=False).eval()
    baseline = make("baseline").eval()
    baseline.load_state_dict({key: value for key, value in method.state_dict().items() if key != "balance"})
    batch = first_batch(method, faces)
    terms = method.losses(batch, LATE)
    assert terms["consistency"] == 0
    torch.testing.assert_close(terms["cross_entropy"], baseline.losses(batch, LATE)["cross_entropy"])


def test_lambda_rises_at_first(faces):
    method = make(ramp=0.5).eval()
    batch = first_batch(method, faces)
    at = [method.losses(batch, Clock(step, 0, 8, 1))["consistency"].item() for step in (0, 2, 4, 7)]
    assert at[0] == 0
    assert at[1] == pytest.approx(at[2] / 2)
    assert at[2] == pytest.approx(at[3])


def test_eac_is_unweighted(faces):
    eac = make("eac")
    eac.balance.copy_(torch.arange(7.0))
    maps = torch.rand(4, 7, 2, 2)
    expected = (maps[:2].flip(-1) - maps[2:]).square().mean((1, 2, 3))
    torch.testing.assert_close(eac.consistency(maps), expected)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "mobilenet_v2", "swin_t"])
def test_it_runs_on_the_papers_backbones(backbone):
    """Table 5. Attention maps of Swin's last stage included."""
    faces = toy_dataset(n=60, size=64).where("train")
    method = build("rac_rsl", preset="fast", backbone=backbone, size=64)
    batch = next(Loader(faces, method.needs, 4).epoch(0, 3))
    sum(method.losses(batch, LATE).values()).backward()
    assert all(p.grad is not None for p in method.parameters())
    assert method.explain(batch)["cams"].shape == (4, 7, 2, 2)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="unknown transform 'spin'; known are flip, scaling, intensity"):
        make(transform="spin")
    with pytest.raises(ValueError, match="alpha in"):
        make(alpha=1.5)
    with pytest.raises(ValueError, match="beta must lie"):
        make(beta=1.0)
