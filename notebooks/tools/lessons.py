"""The lessons, in order, and how long each takes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lesson:
    """One lesson: its file name without suffix, its title and, in half a sentence, what it shows."""

    name: str
    title: str
    shows: str

    def source(self, root: Path) -> Path:
        """The py:percent source."""
        return root / "notebooks" / "src" / f"{self.name}.py"

    def notebook(self, root: Path) -> Path:
        """The committed notebook, with outputs."""
        return root / "notebooks" / f"{self.name}.ipynb"


LESSONS: tuple[Lesson, ...] = (
    Lesson("00_start_here", "Start here", "your machine checked, the map, and BlendFER's live face lab"),
    Lesson(
        "01_baseline", "The baseline", "the bare training loop, two accuracies, what the model looks at, real photos"
    ),
    Lesson("02_rac_rsl", "RAC + RSL", "class weights, attention maps before and after a flip, smoothed labels"),
    Lesson("03_dmue", "DMUE", "mined label distributions against the truth, confidence and its ranking"),
    Lesson("04_ada_df", "Ada-DF", "label, class and fused distributions against the truth"),
    Lesson("05_la_net", "LA-Net", "landmarks, neighbours in two spaces, clean and corrupt samples"),
    Lesson("06_leaf", "LEAF", "experts and gates, ambiguous sets, learning from few labels"),
    Lesson("07_side_by_side", "Side by side", "every method under every condition, each claim with a verdict"),
    Lesson("08_your_faces", "Your faces", "your photo or webcam, every method's opinion and its evidence"),
)


def existing(root: Path) -> list[Lesson]:
    """The lessons whose source is written."""
    return [lesson for lesson in LESSONS if lesson.source(root).is_file()]


def choose(names: tuple[str, ...], root: Path) -> list[Lesson]:
    """Lessons by number ("01") or name; all that exist if none is named. Raises ValueError for an unknown one."""
    known = existing(root)
    chosen = []
    for name in names:
        found = [lesson for lesson in known if name in (lesson.name, lesson.name[:2])]
        if not found:
            raise ValueError(f"no lesson {name!r}; there are {', '.join(lesson.name for lesson in known)}")
        chosen += found
    return chosen or known


COLUMNS = ("lesson", "preset", "minutes", "cores", "python", "torch", "date")


def timings_file(root: Path) -> Path:
    """One row per lesson and preset, written by ``python -m notebooks.tools build``."""
    return root / "notebooks" / "results" / "lessons.csv"


def read_timings(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """(lesson, preset) -> row of notebooks/results/lessons.csv; empty if the file is not there yet."""
    file = timings_file(root)
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        return {(row["lesson"], row["preset"]): row for row in csv.DictReader(stream)}


def write_timing(root: Path, row: dict[str, str]) -> None:
    """Replace or add the row of one lesson and preset."""
    rows = read_timings(root) | {(row["lesson"], row["preset"]): row}
    file = timings_file(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


def minutes(row: dict[str, str] | None) -> str:
    """How a time is written for people: "under a minute", "about 3 minutes"; "not timed yet" for None."""
    if row is None:
        return "not timed yet"
    value = float(row["minutes"])
    return "under a minute" if value < 1 else f"about {value:.0f} minute{'s' if round(value) > 1 else ''}"
