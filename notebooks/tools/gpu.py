"""Baseline and the five methods on a GPU, several side by side: ``make gpu``, for whenever one is at hand.

Real faces (FER+, 112 pixels), ResNet-18, bf16 where the device has it, one recipe for all. Each run is a process of its
own and adds a row to the results; what the time did not suffice for goes on where it stood when called again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from fercore.datasets import FaceDataset

METHODS = ("baseline", "rac_rsl", "dmue", "ada_df", "la_net", "leaf")
LONGEST_FIRST = {"dmue": 0, "leaf": 1, "rac_rsl": 2}


@dataclass
class Gpu:
    """What to run.

    data: a dataset's folder. methods: with commas between. at_once: processes side by side.
    seconds: after so long everything is stopped; a second call goes on from there.
    weights: where the trunk starts: none, imagenet (needs a network) or a file.
    change: further fields of the recipe, e.g. --change steps=100.
    """

    data: Path = Path("data/ferplus")
    methods: str = ",".join(METHODS)
    condition: str = "clean"
    seed: int = 0
    recipe: str = "full"
    epochs: int = 8
    size: int = 112
    backbone: str = "resnet18"
    weights: str = "none"
    at_once: int = 3
    seconds: float = 600.0
    results: Path = Path("notebooks/results/gpu.csv")
    out: Path = Path("runs/gpu")
    change: tuple[str, ...] = field(default_factory=tuple)


def commands(wanted: Gpu) -> dict[str, list[str]]:
    """The command of each method, the longest first."""
    landmarks = FaceDataset.open(wanted.data).landmarks is not None
    names = sorted(wanted.methods.split(","), key=lambda name: LONGEST_FIRST.get(name, len(LONGEST_FIRST)))
    own = {
        "ada_df": ["freeze=False"] if wanted.weights == "none" else [],
        "la_net": [] if landmarks else ["components=LD"],
    }
    return {name: _command(wanted, name, own.get(name, [])) for name in names}


def _command(wanted: Gpu, name: str, settings: list[str]) -> list[str]:
    options = {
        "condition": wanted.condition, "seed": wanted.seed, "data": wanted.data, "recipe": wanted.recipe,
        "size": wanted.size, "backbone": wanted.backbone, "weights": wanted.weights, "preset": "paper",
        "results": wanted.results, "out": wanted.out / name,
    }  # fmt: skip
    flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    flags += ["--set", f"epochs={wanted.epochs}", *wanted.change]
    return [
        sys.executable,
        "-m",
        "fercore",
        "train",
        name,
        *flags,
        "--resume",
        *(["--settings", *settings] if settings else []),
    ]


def run(wanted: Gpu) -> dict[str, object]:
    """Run them, ``at_once`` at a time. Returns done and failed methods, and what the time did not suffice for."""
    started, waiting, running = time.monotonic(), commands(wanted), {}
    ended: dict[str, int] = {}
    wanted.out.mkdir(parents=True, exist_ok=True)
    waiting = {name: command for name, command in waiting.items() if not (wanted.out / name / "result.json").exists()}
    while (waiting or running) and time.monotonic() - started < wanted.seconds:
        while waiting and len(running) < wanted.at_once:
            name, command = next(iter(waiting.items()))
            del waiting[name]
            with (wanted.out / f"{name}.log").open("w") as log:
                running[name] = subprocess.Popen(command, stdout=log, stderr=log)
        time.sleep(0.2)
        for name in [name for name, process in running.items() if process.poll() is not None]:
            ended[name] = running.pop(name).returncode
    for process in running.values():
        process.terminate()
    for process in running.values():
        process.wait()
    return {
        "done": [name for name, status in ended.items() if status == 0],
        "failed": {name: str(wanted.out / f"{name}.log") for name, status in ended.items() if status != 0},
        "unfinished": [*running, *waiting],
        "seconds": round(time.monotonic() - started, 1),
        "results": str(wanted.results),
    }


if __name__ == "__main__":
    outcome = run(tyro.cli(Gpu))
    print(json.dumps(outcome))
    sys.exit(1 if outcome["failed"] else 0)
