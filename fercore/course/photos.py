"""The one figure that BlendFER cannot give: how a model that saw only rendered faces does on photographs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fercore.checkpoints import load_method
from fercore.environment import commit, device_name
from fercore.experiment import RESULT, Experiment, run_experiment
from fercore.files import write_atomically
from fercore.photos import evaluate_photos

EPOCHS = 12
"""The documented model: lesson 01's baseline, trained four times as long: better on BlendFER's validation faces too."""


def results_file(root: Path) -> Path:
    """One row a seed, written by ``measure``."""
    return root / "notebooks" / "results" / "photos.csv"


def measure(root: Path, folder: Path, seeds: list[int]) -> pd.DataFrame:
    """Train the documented model once for each seed (minutes; a run cut off goes on) and try it on photographs.

    folder: photographs with a labels.csv (path, label); only ever looked at here, never trained on or chosen by.
    """
    rows = []
    for seed in seeds:
        experiment = Experiment("baseline", seed=seed, training={"epochs": EPOCHS})
        was_cut_off = not (experiment.folder / RESULT).exists()
        trained = run_experiment(experiment, experiment.folder, resume=was_cut_off)
        found = evaluate_photos(load_method(experiment.folder), folder)
        row = {"photos": folder.name, "model": f"baseline, {EPOCHS} epochs", "seed": seed}
        row |= {"blendfer_overall": trained["overall"], "n": found["n"], "faces_missed": found["faces_missed"]}
        row |= {"overall": found["overall"], "mean": found["mean"]}
        row |= {f"recall_{name}": value for name, value in found["recall"].items() if value is not None}
        row |= {"smile_vs_neutral_balanced": found.get("smile_vs_neutral_balanced")}
        rows.append(row | {"commit": commit(), "device": device_name()})
    table = pd.DataFrame(rows)
    write_atomically(results_file(root), lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g"))
    return table
