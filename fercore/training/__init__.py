"""Training: the loop, its step, its configuration, and what it keeps on disk."""

from fercore.training.config import TrainConfig
from fercore.training.loop import evaluate, fit, predict

__all__ = ["TrainConfig", "evaluate", "fit", "predict"]
