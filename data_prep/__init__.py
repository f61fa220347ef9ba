"""Preparing data: real datasets into the one format, and BlendFER from its sources.

``python -m data_prep rafdb --source DIR --out DIR`` is ``prepare_rafdb(source, out)``; README.md says more.
"""

from data_prep.options import Options
from data_prep.prepare import prepare_affectnet, prepare_ferplus, prepare_folder, prepare_rafdb, prepare_sfew

__all__ = [
    "Options",
    "prepare_affectnet",
    "prepare_ferplus",
    "prepare_folder",
    "prepare_rafdb",
    "prepare_sfew",
]
