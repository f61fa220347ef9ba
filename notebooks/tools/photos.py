"""The one figure that BlendFER cannot give: how a model that saw only rendered faces does on photographs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fercore.files import write_atomically
from fercore.photos import evaluate_photos
from fercore.runs.environment import commit, device_name
from fercore.runs.experiment import Experiment, open_data, run_experiment
from fercore.runs.folder import RESULT
from fercore.training import evaluate
from fercore.training.checkpoints import load_together

EPOCHS = 12
"""The documented model: lesson 01's baseline, trained four times as long: better on BlendFER's validation faces too."""


def results_file(root: Path) -> Path:
    """One row a seed and one for all together, written by ``measure``."""
    return root / "notebooks" / "results" / "photos.csv"


def measure(root: Path, folder: Path, seeds: list[int]) -> pd.DataFrame:
    """Train the documented model once for each seed, minutes each, and try it on photographs, alone and all together.

    A training cut off goes on; a finished one's folder in ``runs`` is used as it is.

    folder: photographs with a labels.csv (path, label); only ever looked at here, never trained on or chosen by.
    """
    models = {}
    for seed in seeds:
        experiment = Experiment("baseline", seed=seed, training={"epochs": EPOCHS})
        models[str(seed)] = experiment.folder
        if not (experiment.folder / RESULT).exists():
            run_experiment(experiment, experiment.folder, resume=True)
    test, rows = open_data(None, 7).where("test"), []
    asked = {seed: [model] for seed, model in models.items()} | {"+".join(models): list(models.values())}
    for seeds_asked, folders in asked.items():
        method = load_together(folders)
        found = evaluate_photos(method, folder)
        row = {"photos": folder.name, "model": f"baseline, {EPOCHS} epochs", "seed": seeds_asked}
        row |= {"blendfer_overall": evaluate(method, test)["overall"]}
        row |= {name: found[name] for name in ("n", "faces_missed", "overall", "mean")}
        row |= {f"recall_{name}": value for name, value in found["recall"].items() if value is not None}
        row |= {"smile_vs_neutral_balanced": found.get("smile_vs_neutral_balanced")}
        rows.append(row | {"commit": commit(), "device": device_name()})
    table = pd.DataFrame(rows)
    write_atomically(results_file(root), lambda temporary: table.to_csv(temporary, index=False, float_format="%.4g"))
    return table
