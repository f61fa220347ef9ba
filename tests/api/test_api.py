"""The public face: what a script or a notebook says after ``import fercore``."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fercore
from fercore.datasets import FaceDataset, blendfer
from fercore.emotions import class_names
from fercore.methods import METHODS, Method, NetworkConfig, build, deploy
from fercore.models import Classifier, build_backbone
from fercore.training.checkpoints import save_model
from tests.faces import toy_dataset
from tests.photos.portraits import ASTRONAUT, COFFEE, read

ROOT = Path(__file__).parents[2]
SMALL = {"preset": "fast", "size": 32, "batch_size": 16, "weights": None}


def blocks(file: Path, heading: str = "") -> list[str]:
    """The Python in a Markdown file, after a heading."""
    text = file.read_text()
    return re.findall(r"^```python\n(.*?)^```", text[text.index(heading) :], re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: two runs, as train leaves them, and a photo; BlendFER is a few toy faces."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("mine", "mine2")):
        save_model(Path("runs", name), build("baseline", 7, "fast", seed))
    Image.fromarray(read(ASTRONAUT)).save("photo.jpg", quality=95)
    monkeypatch.setattr(blendfer, "open", lambda classes=7, split=None: toy_dataset(120, 32, classes))
    return tmp_path


def test_the_three_lines_of_the_readme_run_as_written(folder, capsys):
    (lines,) = blocks(ROOT / "README.md", "## From Python")
    exec(lines, space := {})
    (face,) = space["faces"]
    assert face["label"] in class_names(7)
    assert face["label"] in capsys.readouterr().out


def test_the_method_of_the_methods_readme_runs_as_written(folder, capsys):
    own, trained = blocks(ROOT / "fercore" / "methods" / "README.md")
    assert sum(bool(line.strip()) for line in own.splitlines()) <= 25
    exec(own, space := {"__name__": "notebook"})
    exec(trained, space)
    result = space["result"]
    assert (result["method"], result["variant"]) == ("Focal", "gamma=1.0")
    assert type(space["model"]) is space["Focal"]
    assert fercore.evaluate(space["model"])["overall"] == result["overall"]
    said = capsys.readouterr().out
    assert "| baseline |" in said
    assert "| Focal (gamma=1.0) |" in said
    named = [label.get_text() for axes in space["figure"].axes for label in axes.get_yticklabels()]
    assert "Focal gamma=1.0" in named
    assert deploy(space["model"])(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    with pytest.raises(ValueError, match=r"it is Focal, none of fercore's own; .*fercore.load\(PATH, method=Focal\)"):
        fercore.load(result["out"])
    with pytest.raises(ValueError, match="it is Focal, not Method"):
        fercore.load(result["out"], method=Method)


def test_a_class_with_the_name_of_a_method_is_refused():
    impostor = type("dmue", (Method,), {})
    with pytest.raises(ValueError, match="has a method 'dmue' already; give your class another name"):
        fercore.train(impostor)
    with pytest.raises(ValueError, match="a method is a name or a subclass"):
        fercore.train(NetworkConfig)


def test_train_tells_the_methods_settings_from_the_trainings(folder):
    result = fercore.train("rac_rsl", condition="noise:0.3", lam=1.0, epochs=1, **SMALL)
    assert result["variant"] == "lam=1.0,size=32,weights=None,epochs=1,batch_size=16"
    model = fercore.load(result["out"])
    assert (model.config.lam, model.config.size) == (1.0, 32)
    with pytest.raises(ValueError, match=r"rac_rsl has no setting 'lamda'; it has .*the training has epochs,"):
        fercore.train("rac_rsl", lamda=1.0)


def test_of_two_owners_of_a_setting_the_method_comes_first(folder):
    @dataclass(frozen=True)
    class OwnConfig(NetworkConfig):
        decay: float = 0.5

    class Own(Method):
        config_class = OwnConfig

        def __init__(self, config, classes):
            super().__init__(config, classes)
            self.net = Classifier(build_backbone(config.backbone, config.weights, config.size), classes)

        def losses(self, batch, clock):
            return {"nothing": self.net(batch.image).square().mean()}

    result = fercore.train(Own, decay=0.25, **SMALL)
    assert fercore.load(result["out"], method=Own).config.decay == 0.25


def test_train_takes_a_dataset_at_hand(folder):
    faces = toy_dataset(120, 32, classes=8, seed=3)
    result = fercore.train("baseline", data=faces, out="eight", **SMALL)
    assert "classes=8" in result["variant"]
    assert result["data"].startswith("memory@")
    model = fercore.load("eight")
    assert model.classes == 8
    assert fercore.evaluate(model, faces.where("test"))["overall"] == result["overall"]


def test_predict_takes_whatever_a_photo_comes_as(folder):
    model = fercore.load("runs/mine")
    (expected,) = fercore.predict(model, Path("photo.jpg"))
    assert set(expected) == {"box", "label", "probabilities"}
    pixels = np.asarray(Image.open("photo.jpg"))
    for photo in ("photo.jpg", Path("photo.jpg").read_bytes(), Image.open("photo.jpg"), pixels, pixels / 255):
        assert fercore.predict(model, photo) == [expected]
    assert fercore.predict(model, [pixels, COFFEE]) == [[expected], []]
    assert fercore.predict(deploy(model), pixels)[0]["label"] == expected["label"]
    with pytest.raises(ValueError, match="predicts no landmarks"):
        fercore.predict(model, pixels, landmarks=True)
    points = fercore.predict(build("la_net", 7, "fast"), pixels, landmarks=True)[0]["landmarks"]
    assert np.shape(points) == (68, 2)


def test_crops_are_asked_as_they_are(folder):
    model = fercore.load("runs/mine")
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(crops.float() / 255).softmax(1)
    for batch in (crops, crops.float() / 255):
        said = fercore.predict(model, batch)
        found = torch.tensor([list(face["probabilities"].values()) for face in said])
        torch.testing.assert_close(found, expected)
        assert set(said[0]) == {"label", "probabilities"}
    assert fercore.predict(model, crops[:0]) == []
    for wrong, words in (
        (crops[0], r"crops is \(B, 3, H, W\), not \(3, 64, 64\)"),
        (crops.float(), r"in \[0, 1\]"),
        (crops.long(), "these are torch.int64"),
    ):
        with pytest.raises(ValueError, match=words):
            fercore.predict(model, wrong)
    with pytest.raises(ValueError, match="landmarks are places in a photo"):
        fercore.predict(model, crops, landmarks=True)


def test_several_are_asked_together(folder):
    both = fercore.load("runs/mine", "runs/mine2")
    together, *alone = (fercore.predict(m, "photo.jpg")[0] for m in (both, *both.methods))
    for name, p in together["probabilities"].items():
        assert p == pytest.approx(sum(one["probabilities"][name] for one in alone) / 2, abs=1e-5)


def test_datasets_are_opened_and_methods_listed(folder):
    assert isinstance(fercore.open_dataset(), FaceDataset)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fercore.open_dataset("nowhere")
    methods = fercore.list_methods()
    assert list(methods) == list(METHODS)
    assert methods["la_net"] == "LA-Net: landmarks against label noise (Wu & Cui, ICCV 2023)."


def test_a_map_of_a_deployed_method_as_its_docstring_says():
    grad_cam = pytest.importorskip("pytorch_grad_cam")
    slim = deploy(build("scn", 7, "fast"))
    image = torch.rand(2, 3, 64, 64)
    maps = grad_cam.GradCAM(slim, [slim.backbone])(image.requires_grad_(), None)
    assert maps.shape == (2, 64, 64)
    assert np.isfinite(maps).all()
    assert maps.max() > 0


def test_the_face_is_lazy_complete_and_says_what_it_lacks():
    code = (
        "import sys, fercore; print('torch' in sys.modules, fercore.metrics.__name__, fercore.load.__module__);"
        "print(set(fercore.__all__) | set(fercore.ROOMS) <= set(dir(fercore)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False", "fercore.metrics", "fercore.api", "True"]
    assert all(hasattr(fercore, name) for name in (*fercore.__all__, *fercore.ROOMS))
    with pytest.raises(AttributeError, match="fercore has no 'lode'; it has evaluate, "):
        fercore.lode  # noqa: B018
