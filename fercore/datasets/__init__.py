"""Faces: one format, conditions that spoil the training set, samplers, augmentation, batches."""

from fercore.batch import UNLABELLED, Batch
from fercore.datasets.corruptions import apply_condition, parse_condition
from fercore.datasets.face_dataset import FaceDataset
from fercore.datasets.images import BadImage, read_image
from fercore.datasets.labels_csv import read_labels_csv
from fercore.datasets.loader import Loader
from fercore.datasets.samplers import SAMPLERS
from fercore.datasets.views import AUGMENTATIONS, Augmentation

__all__ = [
    "AUGMENTATIONS",
    "SAMPLERS",
    "UNLABELLED",
    "Augmentation",
    "BadImage",
    "Batch",
    "FaceDataset",
    "Loader",
    "apply_condition",
    "parse_condition",
    "read_image",
    "read_labels_csv",
]
