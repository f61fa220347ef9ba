"""The README's tables, made from data; the text around them is written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from fercore.course.folders import REPOSITORY
from notebooks.tools.lessons import LESSONS, minutes, read_timings
from notebooks.tools.planned import headline


def lesson_index(root: Path) -> str:
    """One row a lesson: linked with its minutes and badges if it exists, named as planned otherwise."""
    timings = read_timings(root)
    rows = ["| lesson | shows | time | open in |", "|---|---|---|---|"]
    for lesson in LESSONS:
        number = lesson.name[:2]
        if lesson.notebook(root).is_file():
            path = f"notebooks/{lesson.name}.ipynb"
            colab = f"[Colab](https://colab.research.google.com/github/{REPOSITORY}/blob/main/{path})"
            binder = f"[Binder](https://mybinder.org/v2/gh/{REPOSITORY}/main?labpath={path.replace('/', '%2F')})"
            time = minutes(timings.get((lesson.name, "quick")))
            rows.append(f"| **[{number} {lesson.title}]({path})** | {lesson.shows} | {time} | {colab} · {binder} |")
        else:
            rows.append(f"| {number} {lesson.title} | {lesson.shows} | planned | |")
    return "\n".join(rows)


PARTS = {"lessons": lesson_index, "results": headline}


def generate(root: Path) -> str:
    """README.md with each part between ``<!-- NAME:start -->`` and ``<!-- NAME:end -->`` made anew.

    Raises ValueError naming a pair of markers that is missing.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- {name}:start[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        text, count = pattern.subn(lambda match, make=make: match[1] + make(root) + "\n" + match[2], text)
        if count != 1:
            raise ValueError(f"README.md needs the markers <!-- {name}:start --> and <!-- {name}:end --> once each")
    return text
