"""The throughput comparison runs; the ratio itself is measured by hand, on an idle machine."""

import json

from torchvision import transforms

from data_prep import benchmark_loader as benchmark
from tests.faces import toy_dataset


def test_benchmark_runs():
    result = benchmark.benchmark(toy_dataset(96, size=64), rounds=1, batch_size=32, epochs=4)
    json.dumps(result)
    assert result["images"] == len(toy_dataset(96, size=64))
    assert result["ratio"] > 2
    assert result["fercore_images_per_s"] > result["torchvision_images_per_s"]


def test_the_same_strengths():
    """torchvision is given what the augmentation says."""
    a = benchmark.AUGMENTATION
    steps = {type(step): step for step in benchmark.torchvision_transform(a).transforms}
    assert steps[transforms.RandomHorizontalFlip].p == a.flip
    affine, erasing = steps[transforms.RandomAffine], steps[transforms.RandomErasing]
    assert affine.degrees == [-a.rotate, a.rotate]
    assert affine.translate == (a.shift, a.shift)
    assert affine.scale == (1 - a.scale, 1 + a.scale)
    jitter = steps[transforms.ColorJitter]
    assert jitter.brightness == (1 - a.brightness, 1 + a.brightness)
    assert jitter.hue == (-a.hue, a.hue)
    assert (erasing.p, tuple(erasing.scale)) == (a.erase, a.erase_area)
