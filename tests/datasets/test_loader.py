"""What the training loop is served, and that a resumed run is served the same."""

import numpy as np
import pytest
import torch

from fercore.batch import Needs
from fercore.datasets import AUGMENTATIONS, UNLABELLED, Augmentation, Loader, apply_condition
from tests.faces import toy_dataset

TRAIN = toy_dataset(320, size=16).where("train")
PLAIN = Needs(views=("none",))


def same(a, b):
    if a is None or b is None:
        return a is b
    parts = [(a.image, b.image), (a.label, b.label), (a.index, b.index), *zip(a.views, b.views, strict=True)]
    return all(torch.equal(x, y) for x, y in parts) and same(a.unlabelled, b.unlabelled)


def test_an_epoch_holds_each_face_once_under_its_index():
    loader = Loader(TRAIN, PLAIN, 16)
    batches = list(loader.epoch(0, 3))
    assert len(batches) == loader.steps == len(TRAIN) // 16
    index = torch.cat([batch.index for batch in batches])
    assert len(set(index.tolist())) == len(index) == loader.steps * 16
    for batch in batches:
        assert torch.equal(batch.label, TRAIN.label[batch.index])
        assert (batch.image - TRAIN.images[batch.index] / 255).abs().max() < 1e-6
        assert torch.equal(batch.distribution, TRAIN.distribution[batch.index])
        assert batch.landmarks is None
        assert batch.unlabelled is None
        assert batch.views[0] is batch.image


def test_views_and_landmarks():
    custom = Augmentation(flip=1.0)
    loader = Loader(TRAIN, Needs(views=(custom, "weak", "strong"), landmarks=True), 16)
    batch = next(loader.epoch(0, 1))
    assert len(batch.views) == 3
    assert batch.image is batch.views[0]
    assert not torch.equal(batch.views[1], batch.views[2])
    expected = custom(TRAIN.images[batch.index], None, TRAIN.landmarks[batch.index])
    assert torch.equal(batch.image, expected[0])
    assert torch.equal(batch.landmarks, expected[1])  # those of the first view


def test_faces_without_labels_bring_their_landmarks_too():
    custom = Augmentation(flip=1.0)
    few = apply_condition(TRAIN, "labels:28", 0)
    for wanted in (True, False):
        needs = Needs(landmarks=wanted, unlabelled=1, unlabelled_views=(custom, "weak"))
        faces = next(Loader(few, needs, 16).epoch(0, 1)).unlabelled
        expected = custom(few.images[faces.index], None, few.landmarks[faces.index])[1]
        assert torch.equal(faces.landmarks, expected) if wanted else faces.landmarks is None


@pytest.mark.parametrize("condition", ["clean", "labels:28", "imbalance:5"])
@pytest.mark.parametrize("sampler", ["shuffle", "every_class", "progressive"])
def test_resumed_epochs_are_the_same(condition, sampler):
    data = apply_condition(TRAIN, condition)
    needs = Needs(views=("weak", "strong"), sampler=sampler, landmarks=True, unlabelled=2)
    whole = list(Loader(data, needs, 16, seed=4).epoch(3, 9))
    torch.manual_seed(99)
    rest = list(Loader(data, needs, 16, seed=4).epoch(3, 9, start_step=2))
    assert len(rest) == len(whole) - 2
    assert all(same(a, b) for a, b in zip(whole[2:], rest, strict=True))
    other_epoch = next(Loader(data, needs, 16, seed=4).epoch(4, 9))
    other_seed = next(Loader(data, needs, 16, seed=5).epoch(3, 9))
    assert not same(whole[0], other_epoch)
    assert not same(whole[0], other_seed)
    assert not torch.equal(whole[0].image, whole[1].image)


def test_hidden_labels_are_served_apart():
    data = apply_condition(TRAIN, "labels:28")
    loader = Loader(data, Needs(views=("weak",), unlabelled=3), 16)
    pool = set(np.flatnonzero(data.hidden).tolist())
    seen = []
    for batch in loader.epoch(0, 1):
        assert (batch.label != UNLABELLED).all()
        assert not data.hidden[batch.index].any()
        assert batch.unlabelled.image.shape[0] == 48
        assert len(batch.unlabelled.views) == 2
        assert (batch.unlabelled.label == UNLABELLED).all()
        assert data.hidden[batch.unlabelled.index].all()
        seen += batch.unlabelled.index.tolist()
    assert loader.steps == len(TRAIN) // 48
    assert len(set(seen)) == min(len(seen), len(pool))  # all once before any comes twice
    labelled = torch.cat([batch.index for batch in loader.epoch(0, 1)])
    assert len(labelled) == loader.steps * 16


def test_without_hidden_labels_all_faces_are_the_pool():
    loader = Loader(TRAIN, Needs(unlabelled=1), 16)
    batches = list(loader.epoch(0, 1))
    seen = torch.cat([batch.unlabelled.index for batch in batches])
    assert len(set(seen.tolist())) == len(seen) == loader.steps * 16
    assert all((batch.unlabelled.label == UNLABELLED).all() for batch in batches)
    assert all((batch.label != UNLABELLED).all() for batch in batches)


def test_few_labels_keep_the_length_of_an_epoch():
    """A supervised method gets as many steps as with all labels, on the labelled faces again and again."""
    data = apply_condition(TRAIN, "labels:28")
    loader = Loader(data, PLAIN, 14)
    batches = list(loader.epoch(0, 1))
    assert len(batches) == len(TRAIN) // 14
    counts = torch.bincount(torch.cat([batch.index for batch in batches]), minlength=len(data))
    assert counts[torch.from_numpy(data.hidden)].sum() == 0
    shown = counts[torch.from_numpy(~data.hidden)]
    assert shown.max() - shown.min() <= 1
    assert not torch.equal(batches[0].index.sort().values, batches[2].index.sort().values)  # reshuffled on each pass
    tiny = Loader(data, PLAIN, 64)  # fewer labelled faces than a batch: batches of them all
    assert {len(batch.label) for batch in tiny.epoch(0, 1)} == {28}


def test_processes_share_a_batch():
    needs = Needs(views=("weak",), unlabelled=1)
    whole = next(Loader(TRAIN, needs, 16, seed=1).epoch(0, 1))
    parts = [next(Loader(TRAIN, needs, 16, seed=1, rank=rank, world=2).epoch(0, 1)) for rank in (0, 1)]
    assert [len(part.label) for part in parts] == [8, 8]
    assert sorted(parts[0].index.tolist() + parts[1].index.tolist()) == sorted(whole.index.tolist())
    assert set(parts[0].unlabelled.index.tolist()).isdisjoint(parts[1].unlabelled.index.tolist())


def test_parts_of_a_dataset_keep_their_own_index():
    part = TRAIN.select(range(100, 180))
    for batch in Loader(part, PLAIN, 16).epoch(0, 1):
        assert batch.index.max() < 80
        assert (batch.image - part.images[batch.index] / 255).abs().max() < 1e-6


def test_what_cannot_be_served():
    without = toy_dataset(32, size=8)
    object.__setattr__(without, "landmarks", None)
    for data, needs, words in (
        (TRAIN, Needs(sampler="nonsense"), "unknown sampler 'nonsense'; known are shuffle"),
        (TRAIN, Needs(views=("nonsense",)), "unknown augmentation 'nonsense'; known are none"),
        (TRAIN, Needs(views=()), "at least one view"),
        (without, Needs(landmarks=True), "needs landmarks"),
        (TRAIN.relabelled(torch.full_like(TRAIN.label, UNLABELLED)), Needs(), "every label"),
    ):
        with pytest.raises(ValueError, match=words):
            Loader(data, needs, 16)


def test_every_named_view_is_served():
    batch = next(Loader(TRAIN, Needs(views=tuple(AUGMENTATIONS)), 16).epoch(0, 1))
    assert all(view.shape == (16, 3, 16, 16) for view in batch.views)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_on_a_gpu(monkeypatch, share):
    """Images on the device or copied batch by batch: the same faces come, and no step waits for the device."""
    monkeypatch.setattr("fercore.datasets.loader.DEVICE_SHARE", share)
    loader = Loader(TRAIN, Needs(views=("none", "strong"), landmarks=True, unlabelled=2), 16, device="cuda")
    expected = list(Loader(TRAIN, PLAIN, 16).epoch(0, 1))
    batches = loader.epoch(0, 1)
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    rest = list(batches)
    torch.cuda.set_sync_debug_mode("default")
    for cpu, gpu in zip(expected[1 : len(rest) + 1], rest, strict=False):
        assert gpu.image.is_cuda
        assert torch.equal(cpu.index, gpu.index.cpu())
        torch.testing.assert_close(cpu.image, gpu.image.cpu())


def test_each_step_epoch_and_process_draws_anew():
    """The same face everywhere: what differs between batches is the augmentation alone."""
    alike = TRAIN.select([0] * 64)
    needs = Needs(views=(Augmentation(rotate=20),))

    def first(epoch=0, start_step=0, **options):
        return next(Loader(alike, needs, 16, **options).epoch(epoch, 9, start_step)).image

    images = [
        first(),
        first(epoch=1),
        first(start_step=1),
        first(seed=1),
        first(rank=0, world=2),
        first(rank=1, world=2),
    ]
    assert len({image.numpy().tobytes() for image in images}) == len(images)
