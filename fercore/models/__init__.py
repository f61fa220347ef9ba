"""Backbones with named split points, and strict loading of pretrained weights."""

from fercore.models.backbones import BACKBONES, Backbone
from fercore.models.build import build_backbone
from fercore.models.classifier import Classifier
from fercore.models.weights import FACE_WEIGHTS, Report, load_weights

__all__ = ["BACKBONES", "FACE_WEIGHTS", "Backbone", "Classifier", "Report", "build_backbone", "load_weights"]
