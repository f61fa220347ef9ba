"""Files from elsewhere: pipes, links in a circle, strips, weights that are none, disks that are full."""

import os

import numpy as np
import pytest

from fercore.datasets import decode
from fercore.datasets.images import BadImage, read_image
from fercore.datasets.labels_csv import read_labels_csv
from fercore.models.tensor_files import read_tensors
from fercore.photos.faces import find_faces


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_device_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "photo.jpg")
    for path in (tmp_path / "photo.jpg", "/dev/zero"):
        with pytest.raises(BadImage, match=r"is a pipe or a device, not an image file\."):
            read_image(path)


def test_a_link_to_itself_is_named_with_its_row(tmp_path):
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "labels.csv").write_text("path,label\nloop.jpg,happiness\n")
    with pytest.raises(ValueError, match=r"labels\.csv row 1: path 'loop\.jpg' is a link that leads to itself"):
        read_labels_csv(tmp_path)


@pytest.mark.parametrize("shape", [(1, 30_000, 3), (60_000, 2, 3), (8, 100_000, 3)])
def test_a_strip_has_no_face_and_takes_no_memory(shape, monkeypatch):
    pad = np.pad

    def small_pad(image, *arguments, **options):
        padded = pad(image, *arguments, **options)
        assert padded.nbytes < 50_000_000
        return padded

    monkeypatch.setattr(np, "pad", small_pad)
    assert find_faces(np.full(shape, 90, np.uint8)) == []


@pytest.mark.parametrize("content", [b"", b"hello world", b".....", b"root:x:0:0\n" * 40, b"PK\x03\x04", b"\x80\x02}."])
@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".pth", ".safetensors"])
def test_weights_that_are_none_are_refused_in_own_words(tmp_path, content, suffix):
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="is not a safe file of tensors") as error:
        read_tensors(file)
    assert "weights_only" not in str(error.value)
    assert str(file) in str(error.value)


def test_images_that_are_mapped_reserve_their_room(monkeypatch):
    def full(handle, offset, count):
        assert (offset, count) == (0, 2 * 3 * 4 * 5)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decode, "MEMORY_SHARE", 0)
    assert decode._allocate((2, 3, 4, 5)).shape == (2, 3, 4, 5)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(ValueError, match=r"are needed for the decoded images .*TMPDIR"):
        decode._allocate((2, 3, 4, 5))
