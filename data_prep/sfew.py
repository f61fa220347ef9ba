"""SFEW 2.0 (https://cs.anu.edu.au/few/): stills of films, class folders Angry ... Surprise below Train and Val.

The owner's faces lie in ``Train/Train_Aligned_Faces`` and ``Val/Val_Aligned_Faces_new``, its whole frames in
``Train/`` and ``Val/``. Test labels are not public, so papers report on Val ("by convention", Ada-DF, section 4.1): it
is our test split, and our val split is held out from Train by film. Files are called FILM_SECOND_FRAME.png.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from data_prep.source import ALIASES, Source, check_files, emotion_number, images_below, need_folder
from fercore.emotions import NAMES

SPLITS = {"train": "train", "val": "test"}
PUBLISHED = {"train": 958, "test": 436}
"""Frames (Ada-DF, section 4.1); of the owner's aligned faces there are fewer."""
TEN_CROP = (
    "Ada-DF's released code resizes SFEW's shorter side to 256 pixels and takes ten crops of 224 (four corners and the "
    "centre, each also mirrored), in training as in testing; fercore sees each face once, so the paper's figures are "
    "comparable only roughly."
)


def read_sfew(folder: str | Path, images: Literal["aligned", "frames"] = "aligned", accept: bool = False) -> Source:
    """The labelled faces of SFEW; ``subject`` is the film.

    :param images: aligned: the owner's cut-out faces; frames: whole frames, to be given with alignment.
    :param accept: take other numbers of frames than the published 958 and 436.
    :raises FileNotFoundError, ValueError: one sentence with the folder and the mend.
    """
    folder = Path(folder)
    need_folder(folder, "SFEW's Train/ and Val/ with class folders")
    rows = []
    for name, split in SPLITS.items():
        for kind in _class_folders(_split_folder(folder, name, images)):
            label = emotion_number(kind.name, str(kind))
            rows += [(file.relative_to(folder).as_posix(), label, split, _film(file)) for file in images_below(kind)]
    table = pd.DataFrame(rows, columns=["name", "label", "split", "subject"])
    for split, published in PUBLISHED.items():
        found = int((table["split"] == split).sum())
        if images == "frames" and found != published and not accept:
            raise ValueError(
                f"{folder}: {split} has {found} frames instead of the published {published}; unpack SFEW again, or "
                "take it as it is with --accept."
            )
    if table.empty:
        raise ValueError(f"{folder} holds no image in its class folders; unpack SFEW again.")
    return check_files(Source("SFEW", folder, table).noting(TEN_CROP), accept, str(folder))


def _split_folder(folder: Path, name: str, images: str) -> Path:
    """Below ``folder``, at most two deep, the folder named after the split that holds class folders."""
    deep = sorted(path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_dir())
    fits = [path for path in deep if path.name.lower().startswith(name) and _class_folders(path)]
    fits = [path for path in fits if ("aligned" in path.name.lower()) == (images == "aligned")]
    if len(fits) == 1:
        return fits[0]
    wanted = f"{name.title()}_Aligned_Faces" if images == "aligned" else name.title()
    if fits:
        places = " and ".join(str(path.relative_to(folder)) for path in fits)
        raise ValueError(f"{folder} holds {places}: keep one of them, for {wanted} must be in one place.")
    other = "frames --align" if images == "aligned" else "aligned"
    raise FileNotFoundError(
        f"{folder} holds no {wanted} with class folders (Angry, ...); unpack it there, or try --images {other}."
    )


def _class_folders(folder: Path) -> list[Path]:
    known = {*NAMES, *ALIASES}
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in known)


def _film(file: Path) -> str:
    """The film in FILM_SECOND_FRAME; a name of another kind stands for itself."""
    return re.sub(r"(_\d+){2}$", "", file.stem)
