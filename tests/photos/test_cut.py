import numpy as np
import pytest
import torch

from fercore.methods import NetworkConfig, build
from fercore.photos import crop_like_blendfer, cut, cut_faces, explain_crops, find_faces, predict, predict_photos
from tests.photos.portraits import ASTRONAUT, HOPPER, Fixed, read


class Pointing(Fixed):
    """Landmarks in the middle of every crop."""

    def landmarks(self, image):
        return torch.full((len(image), 68, 2), (image.shape[3] - 1) / 2)


def test_a_crop_knows_its_place_in_the_photo():
    photo = read(HOPPER)
    (face,) = find_faces(photo)
    (crop,) = cut_faces(Fixed(), photo, [face])
    np.testing.assert_array_equal(crop.pixels, crop_like_blendfer(photo, face))
    middle = crop.in_photo(np.full((1, 2), 31.5))
    np.testing.assert_allclose(middle, [[32.0, 32.0]] @ crop.turn.T + crop.origin)
    assert np.linalg.norm(middle[0] - face.eyes.mean(0)) < np.linalg.norm(face.eyes[1] - face.eyes[0])


def test_a_network_that_sees_more_gets_larger_crops():
    method = Fixed()
    method.config = NetworkConfig(size=112)
    photo = read(HOPPER)
    assert cut_faces(method, photo, find_faces(photo))[0].pixels.shape == (112, 112, 3)
    method.config = NetworkConfig(size=48)  # it shrinks them by itself
    assert cut_faces(method, photo, find_faces(photo))[0].pixels.shape == (64, 64, 3)


def test_a_photo_is_read_searched_framed_and_cut_once_for_all_questions(monkeypatch, tmp_path):
    calls = []

    def counted(module, name):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: (calls.append(name), function(*args))[1])

    for name in ("read_photo", "find_faces"):
        counted(predict, name)
    for name in ("choose_frame", "warp"):
        counted(cut, name)
    (photo,) = predict_photos(Pointing(*[0.0] * 7), ASTRONAUT, landmarks=tmp_path)["photos"]
    assert len(photo["faces"][0]["landmarks"]) == 68
    assert calls == ["read_photo", "find_faces", "choose_frame", "warp"]


@pytest.mark.parametrize("name", ["baseline", "dmue", "la_net", "scn"])
def test_crops_are_explained_as_faces_of_no_training_set(name):
    method = build(name, 7, "fast").train()
    for key in method.memory:  # as after a training on two faces
        old = getattr(method, key)
        setattr(method, key, torch.ones((2, *old.shape[1:]), dtype=old.dtype))
    photo = read(ASTRONAUT)
    shown = explain_crops(method, cut_faces(method, photo, find_faces(photo)))
    assert method.training
    assert shown["probabilities"].shape == (1, 7)
    assert "target" not in shown
    assert all(value.isfinite().all() for value in shown.values())
    if name == "scn":
        assert shown["labels"].tolist() == [-1]
    assert explain_crops(method, []) == {}
