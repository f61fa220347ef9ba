"""Landmarks: what a trunk learns from faces without any label (our own pretext task, with LA-Net's L_lm).

The landmarks of a face cost nothing: a detector finds them, and they tell much of the expression. (BlendFER's are
exact, a detector's are not.) A trunk that has learnt them, after whatever it started from, is a start for others:
``weights=runs/landmarks-clean-quick-0/model.safetensors``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fercore.batch import Batch, Clock, Needs
from fercore.datasets import FaceDataset
from fercore.losses.labelled import labelled_cross_entropy
from fercore.methods.base import Method, NetworkConfig
from fercore.models import Classifier, build_backbone
from fercore.models.attention_maps import attention_maps
from fercore.models.landmark_branch import PatternHead, seen_from_both_sides, to_pixels


@dataclass(frozen=True)
class LandmarksConfig(NetworkConfig):
    """Settings. feature: dimensions of what the landmarks are read from."""

    feature: int = 64

    def __post_init__(self):
        super().__post_init__()
        if self.feature < 1:
            raise ValueError(f"feature must be at least 1, not {self.feature}")


class Landmarks(Method):
    """The trunk learns the landmarks of all faces; on its features, detached, a linear layer learns the labels.

    So no gradient of a label reaches the trunk, and the accuracy tells what its features know of the emotions. Half of
    a step's faces are labelled ones: hide no labels (condition clean), or the few that have one are seen far too often.
    """

    needs = Needs(landmarks=True, unlabelled=1, unlabelled_views=("weak",))
    config_class = LandmarksConfig
    predicts_landmarks = True

    def __init__(self, config: LandmarksConfig, classes: int):
        super().__init__(config, classes)
        backbone = build_backbone(config.backbone, config.weights, config.size)
        self.net = Classifier(backbone, classes)
        self.points = PatternHead(backbone.dim, config.feature)

    def before_training(self, data: FaceDataset) -> None:
        """Measure the landmarks. Raises ValueError if fewer than two faces have all of them."""
        if data.landmarks is None:
            return  # the loader says so
        complete = self.points.measure(data.landmarks.to(self.points.spread.device), data.size)
        if complete < 2:
            raise ValueError(f"landmarks needs faces with all 68 landmarks; of this dataset's {complete} have them")

    def look(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> the trunk's map (B, c, h, w) and landmarks (B, 68, 2) in shares."""
        feature_map = self.net.backbone(image)
        with torch.autocast(image.device.type, enabled=False):
            return feature_map, self.points(feature_map.float())[1]

    def landmarks(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 68, 2), in pixels, the mean of what is seen on both sides of a mirror."""
        return seen_from_both_sides(lambda view: self.look(view)[1], image)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """``cross_entropy`` of the labelled faces, ``landmarks`` of all, in units of the landmarks' variance."""
        faces = batch.unlabelled
        feature_map, points = self.look(torch.cat([batch.image, faces.image]))
        true = torch.cat([batch.landmarks, faces.landmarks])
        logits = self.net.classify(feature_map[: len(batch.image)].detach())
        return {
            "cross_entropy": labelled_cross_entropy(logits, batch.label),
            "landmarks": self.points.error(points, true, batch.image.shape[2:]),
        }

    def explain(self, batch: Batch) -> dict[str, Tensor]:
        """probabilities: (B, C). landmarks: (B, 68, 2), predicted, in pixels. cams: (B, C, h, w)."""
        feature_map, points = self.look(batch.image)
        return {
            "probabilities": self.net.classify(feature_map).softmax(1),
            "landmarks": to_pixels(points, batch.image.shape[2:]),
            "cams": attention_maps(feature_map, self.net.head.weight),
        }
