"""What most people need, in few words: load a trained method, ask it about photos, measure it, train one.

import fercore

model = fercore.load("runs/mine")
faces = fercore.predict(model, "photo.jpg")
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fercore.datasets import FaceDataset
from fercore.methods import METHODS, Method, method_class, method_name
from fercore.models.together import Together
from fercore.photos import classify_crops, cut_faces, evaluate_photos, find_faces, read_photo
from fercore.photos.predict import add_landmarks, describe, opinions
from fercore.photos.read import Photo
from fercore.runs.collapse import collapse
from fercore.runs.experiment import Experiment, open_data, record, run_experiment
from fercore.runs.results import check_results
from fercore.training import TrainConfig
from fercore.training import evaluate as measure
from fercore.training.checkpoints import load_together

__all__ = ["evaluate", "list_methods", "load", "open_dataset", "predict", "train"]


def list_methods() -> dict[str, str]:
    """What ``train`` takes: each method's name, and one line about it."""
    return {name: sys.modules[kind.__module__].__doc__.splitlines()[0] for name, kind in METHODS.items()}


def open_dataset(folder: str | Path | None = None, classes: int = 7) -> FaceDataset:
    """A folder in fercore's format, or BlendFER, which comes along; ``.where("train")`` is one split of it.

    classes: 7, or 8 with contempt. Raises FileNotFoundError, or ValueError naming the file and the row.
    """
    return open_data(None if folder is None else Path(folder), classes)


def load(checkpoint: str | Path, *more: str | Path, method: type[Method] | None = None) -> Method | Together:
    """A trained method, in evaluation mode.

    checkpoint: a run's folder, or its model.safetensors. more: further ones, e.g. of other seeds: all of them answer
    together, with the mean of their probabilities.
    method: its class, if it is one of your own (see ``train``).
    Raises FileNotFoundError, or ValueError for a damaged or foreign file or a class that is missing or another one.
    """
    return load_together([checkpoint, *more], method)


def predict(
    model: nn.Module, photo: Photo | Tensor | list[Photo], landmarks: bool = False, tta: bool = True
) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
    """What ``model`` says of each face of a photo, the largest first; an empty list if there is none.

    photo: a path, the bytes of an image file, a PIL image, or a numpy array, (H, W, 3) or grey (H, W), uint8 or
    floating-point in [0, 1]. Arrays are RGB: OpenCV's frames are BGR, so hand over ``frame[..., ::-1]``. A list of
    photos gives a list of such answers. Or a tensor of faces that are cut already, (B, 3, H, W) in [0, 1] or uint8:
    they are asked as they are, and come without ``box``.
    landmarks: also where each face's 68 landmarks are in the photo. tta: ask about mirrored and resized copies of each
    face too, see ``fercore.photos.classify_crops``.
    Returns for each face ``{"box": [x, y, w, h], "label", "probabilities": {emotion: p}}``, in pixels of the photo.
    Raises ValueError or FileNotFoundError for a photo that cannot be read.
    """
    if isinstance(photo, Tensor):
        return _of_crops(model, photo, landmarks)
    if isinstance(photo, list | tuple):
        return [predict(model, one, landmarks, tta) for one in photo]
    image = read_photo(photo)
    crops = cut_faces(model, image, find_faces(image))
    faces = opinions(model, image, crops, tta)
    if landmarks:
        add_landmarks(model, crops, faces)
    return faces


def _of_crops(model: nn.Module, crops: Tensor, landmarks: bool) -> list[dict[str, Any]]:
    if crops.ndim != 4 or crops.shape[1] != 3:
        raise ValueError(f"a tensor of crops is (B, 3, H, W), not {tuple(crops.shape)}; a photo is a numpy array")
    if landmarks:
        raise ValueError("landmarks are places in a photo; of crops, ask model.landmarks(crops)")
    if not (crops.dtype == torch.uint8 or (crops.is_floating_point() and bool(((crops >= 0) & (crops <= 1)).all()))):
        raise ValueError(f"crops are uint8, or floating-point in [0, 1]; these are {crops.dtype}")
    return describe(classify_crops(model, crops, tta=False))


def evaluate(
    model: Method | Together, data: FaceDataset | str | Path | None = None, split: str = "test"
) -> dict[str, Any]:
    """Measure ``model``: n, overall, mean, recall (by emotion), ece and more; of a dataset also ``warning``.

    data: a dataset, its folder, a folder of photos with labels.csv (path,label); BlendFER if left out.
    split: which part of a dataset that is read from its folder; one handed over is measured as it is.
    warning: whether the model has collapsed, e.g. to one answer (``fercore.runs.collapse``); "" if not.
    """
    if isinstance(data, FaceDataset):
        return _measured(model, data)
    folder = None if data is None else Path(data)
    if folder is not None and folder.is_dir() and not (folder / "faces.parquet").exists():
        if not (folder / "labels.csv").exists():
            raise ValueError(f"{folder} holds neither faces.parquet (a dataset) nor labels.csv (photos; path,label)")
        return evaluate_photos(model, folder)
    return _measured(model, open_data(folder, model.classes).where(split))


def _measured(model: Method | Together, faces: FaceDataset) -> dict[str, Any]:
    figures = measure(model, faces, probabilities=True)
    warning = collapse(model, faces, figures.pop("probabilities"))
    return {**figures, "warning": warning}


def train(
    method: str | type[Method],
    condition: str = "clean",
    preset: str = "quick",
    recipe: str | Path = "",
    seed: int = 0,
    data: FaceDataset | str | Path | None = None,
    classes: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    results: str | Path | None = None,
    variant: str = "",
    **changes: Any,
) -> dict[str, Any]:
    """Train a method and test it; ``fercore.load(result["out"])`` is the trained one.

    method: a name of ``list_methods``, or a class of your own, a subclass of ``fercore.methods.Method`` (see
    ``fercore/methods/README.md``): ``load`` then needs the class too.
    condition: what is done to the training labels: clean, noise:0.3, imbalance:100, labels:100, joined by "+".
    preset: fast (a minute), quick (minutes on a laptop), paper (a GPU). recipe: how any method is trained, a name or a
        TOML file (see ``fercore.training.recipe``); the preset's if left out.
    data: a dataset or its folder; BlendFER if left out. classes: 7 or 8, of a folder;
        as many as it has if left out.
    out: folder of the run's files; runs/METHOD-CONDITION-PRESET-SEED if left out. resume: go on from its state.
    overwrite: begin anew whatever it holds; a finished run there is else kept until the new one is finished.
    results: also add a row to this CSV file, by which methods are compared (``fercore.viz.results_figure``).
    variant: what the results call your changes; by default they list them.
    changes: the method's own settings and the recipe's fields: ``backbone="resnet18"``, ``lam=1.0``, ``epochs=5``.
    Returns method, overall, mean, recall (by emotion), ece, seconds, n, out and more.
    Raises ValueError for an unknown method, condition, preset or setting.
    """
    settings, training = _sorted_by_owner(method_class(method), changes)
    faces = data if isinstance(data, FaceDataset) else None
    if faces is not None:
        classes, data = len(faces.classes), _origin(faces)
    elif data is not None:
        data = Path(data)
    experiment = Experiment(method, condition, preset, seed, classes, data, settings, training, variant, str(recipe))
    if results is not None:
        check_results(results)
    folder = experiment.folder if out is None else Path(out)
    result = run_experiment(experiment, folder, resume, faces, overwrite=overwrite)
    if results is not None:
        record(result, Path(results))
    return result


def _origin(faces: FaceDataset) -> Path | FaceDataset | None:
    """The folder that a dataset was read from, None for BlendFER; or itself, if it is no folder's as it was read."""
    from fercore.datasets import blendfer

    if faces.source is None or faces.clean_label is not None or len(faces) != len(faces.store):
        return faces
    return None if faces.source == blendfer.FOLDER else faces.source


def _sorted_by_owner(kind: type[Method], changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is the method's setting and what the training's; of a name that both have, the method's."""
    own = [field.name for field in fields(kind.config_class)]
    shared = [field.name for field in fields(TrainConfig) if field.name not in ("augmentation", "seed")]
    shared += vars(TrainConfig().augmentation)
    unknown = [key for key in changes if key not in own and key not in shared]
    if unknown:
        raise ValueError(
            f"{method_name(kind)} has no setting {unknown[0]!r}; it has {', '.join(own)}; the training has "
            f"{', '.join(shared)}"
        )
    settings = {key: value for key, value in changes.items() if key in own}
    return settings, {key: value for key, value in changes.items() if key not in own}
