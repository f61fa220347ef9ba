"""fercore: understand, run and compare modern facial expression recognition.

``load``, ``predict``, ``evaluate``, ``train``, ``open_dataset`` and ``list_methods`` come from ``fercore.api``; the
rooms (``fercore.methods``, ``fercore.losses`` and so on) need no import of their own. All of it is imported when it is
first used: ``import fercore`` itself is quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# PyTorch's threads spin while they wait for each other. Beside a second busy program on the same cores a step becomes
# thirty times slower; after this many rounds they sleep instead. Only heeded if torch is not imported yet.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

if TYPE_CHECKING:
    from fercore.api import evaluate, list_methods, load, open_dataset, predict, train

__all__ = ["evaluate", "list_methods", "load", "open_dataset", "predict", "train"]
ROOMS = (
    "batch", "course", "datasets", "emotions", "losses", "methods", "metrics", "models", "photos", "renderer", "runs",
    "training", "viz",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("fercore.api"), name)
    if name in ROOMS:
        return import_module(f"fercore.{name}")
    raise AttributeError(f"fercore has no {name!r}; it has {', '.join(__all__)} and the rooms {', '.join(ROOMS)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *ROOMS})
