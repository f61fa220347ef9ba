"""``report.md`` and ``report.html``: what is in the dataset, and what to look at before training on it."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fercore.datasets import read_image
from fercore.datasets.table import SPLITS
from fercore.emotions import COLOURS, NAMES
from fercore.files import write_atomically

SHEET, TILE, TILES = "contact_sheet.jpg", 64, 10
SHOWN = 20
"""So many duplicates and unreadable files are in the report; all are in the lists beside it."""
BAR = 30


class Report:
    """The same words twice: Markdown to read in an editor, HTML with colours and the picture inside."""

    def __init__(self, title: str):
        self.title, self.markdown, self.html = title, [f"# {title}"], [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """A section begins."""
        self.markdown.append(f"## {text}")
        self.html.append(f"<h2>{html.escape(text)}</h2>")

    def lines(self, sentences: Iterable[str]) -> None:
        """One bullet each."""
        sentences = list(sentences)
        self.markdown.append("\n".join(f"- {text}" for text in sentences))
        self.html.append("<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in sentences) + "</ul>")

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Cells become text; ``|`` and tags are made harmless."""
        cells = [[str(cell) for cell in row] for row in rows]
        lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in cells)]
        self.markdown.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in titles)
        body = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        self.html.append(f"<table><tr>{head}</tr>{''.join(body)}</table>")

    def histogram(self, counts: dict[str, int]) -> None:
        """One bar a class, in the emotion's colour."""
        most = max(counts.values())
        text = [f"{name:<10}{'█' * round(BAR * count / most)} {count:,}" for name, count in counts.items()]
        self.markdown.append("```\n" + "\n".join(text) + "\n```")
        style = "background:{};height:1em;width:{:.2f}em"
        bars = (
            f'<tr><td>{name}</td><td><div style="{style.format(COLOURS[name], 20 * count / most)}"></div></td>'
            f"<td>{count:,}</td></tr>"
            for name, count in counts.items()
        )
        self.html.append(f"<table>{''.join(bars)}</table>")

    def picture(self, file: Path, words: str) -> None:
        """Linked from Markdown, inside the HTML."""
        self.markdown.append(f"![{words}]({file.name})")
        data = base64.b64encode(file.read_bytes()).decode()
        self.html.append(f'<img alt="{html.escape(words)}" src="data:image/jpeg;base64,{data}">')

    def write(self, folder: Path) -> None:
        """Both files."""
        style = "body{font-family:sans-serif;max-width:60em;margin:2em auto}td,th{padding:.1em .8em;text-align:left}"
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<style>{style}</style>{''.join(self.html)}</html>\n"
        )
        texts = {"report.md": "\n\n".join(self.markdown) + "\n", "report.html": page}
        for name, text in texts.items():
            data = text.encode("utf-8", "replace")  # file names may hold bytes that are no text
            write_atomically(folder / name, lambda temporary, data=data: temporary.write_bytes(data))


def write_report(
    folder: Path,
    summary: dict[str, Any],
    rows: pd.DataFrame,
    repeated: pd.DataFrame,
    problems: pd.DataFrame,
    notes: Sequence[str],
) -> None:
    """Write both reports and the contact sheet into a finished dataset's folder.

    :param rows: of each face name, path, label, split, subject if known, and crop, height and width.
    :param repeated: pictures that are there more than once: group, name, path, split, label.
    :param problems: unreadable files: name, problem.
    """
    report = Report(f"{summary['dataset']}: {len(rows):,} faces")
    _counts(report, summary, rows, notes)
    report.heading("Some faces of each class")
    contact_sheet(folder, rows)
    report.picture(folder / SHEET, "Up to ten faces of each class, spread over the training set")
    _pixels(report, summary, rows)
    _duplicates(report, repeated)
    report.heading("Unreadable files")
    report.lines([f"{len(problems):,} left out; all are in unreadable.csv." if len(problems) else "None."])
    if len(problems):
        report.table(("file", "problem"), problems.head(SHOWN).to_numpy().tolist())
    report.write(folder)


def _counts(report: Report, summary: dict[str, Any], rows: pd.DataFrame, notes: Sequence[str]) -> None:
    report.heading("Counts")
    splits = summary["splits"]
    body = [[name, *(f"{part.get(name, 0):,}" for part in splits.values())] for name in NAMES]
    body.append(["all", *(f"{sum(part.values()):,}" for part in splits.values())])
    report.table(("class", *splits), body)
    total = {name: sum(part.get(name, 0) for part in splits.values()) for name in NAMES}
    report.histogram(total)
    sentences = [f"Left out, {reason}: {count:,}." for reason, count in summary["left_out"].items()]
    if "subject" in rows:
        known = rows.dropna(subset="subject")
        people = {split: set(known.loc[known["split"] == split, "subject"]) for split in SPLITS}
        trained = people["train"] | people["val"]
        sentences += [
            f"{known['subject'].nunique():,} subjects, of whom {len(people['train'] & people['val']):,} are in train "
            f"and val, and {len(trained & people['test']):,} in test and one of these."
        ]
    crops = rows["crop"].value_counts()
    sentences += [f"Cut out by: {', '.join(f'{name} ({count:,})' for name, count in crops.items())}."]
    if summary["no_face"]:
        sentences += [f"No face was found in {summary['no_face']:,} images (no_face.csv); their centre was kept."]
    if "without_landmarks" in summary:
        unsure = summary["without_landmarks"]
        sentences += [f"Landmarks placed on {len(rows) - unsure:,} faces, none on {unsure:,} with a low score."]
    report.lines([*sentences, *notes])


def _pixels(report: Report, summary: dict[str, Any], rows: pd.DataFrame) -> None:
    report.heading("Images")
    area = (rows["height"] * rows["width"]).to_numpy()
    small, large = rows.iloc[int(area.argmin())], rows.iloc[int(area.argmax())]
    report.lines(
        [
            *(
                f"{word} as published: {row['width']} x {row['height']} pixels ({row['name']})."
                for word, row in (("Smallest", small), ("Largest", large))
            ),
            f"Mean of red, green, blue: {', '.join(f'{value:.4f}' for value in summary['mean'])}.",
            f"Standard deviation: {', '.join(f'{value:.4f}' for value in summary['std'])}; every image counts alike.",
        ]
    )


def _duplicates(report: Report, repeated: pd.DataFrame) -> None:
    report.heading("Pictures that are there more than once")
    by_group = repeated.groupby("group")
    across = by_group["split"].transform("nunique") > 1
    quarrel = int((by_group["label"].nunique() > 1).sum())
    report.lines(
        [
            f"{by_group.ngroups:,} groups look alike to a perceptual hash: look before you believe it.",
            f"{repeated.loc[across, 'group'].nunique():,} of them lie across splits, {quarrel:,} differ in label.",
            "All are in duplicates.csv; nothing was removed.",
        ]
    )
    if len(repeated):
        shown = pd.concat([repeated[across], repeated[~across]]).head(SHOWN)
        report.table(tuple(shown.columns), shown.to_numpy().tolist())


def contact_sheet(folder: Path, rows: pd.DataFrame) -> None:
    """``contact_sheet.jpg``: a row of TILES training faces a class (any split's, where training has none)."""
    train = rows[rows["split"] == "train"]
    source = train if len(train) else rows
    present = [number for number in range(len(NAMES)) if (source["label"] == number).any()]
    label_width = TILE + 16
    sheet = Image.new("RGB", (label_width + TILES * TILE, TILE * len(present)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, number in enumerate(present):
        paths = source.loc[source["label"] == number, "path"].to_numpy()
        draw.text((4, line * TILE + TILE // 2 - 6), NAMES[number], fill="black")
        chosen = np.unique(np.linspace(0, len(paths) - 1, TILES).astype(int))
        for column, place in enumerate(chosen):
            face = Image.fromarray(read_image(folder / paths[place])).resize((TILE, TILE), Image.Resampling.BILINEAR)
            sheet.paste(face, (label_width + column * TILE, line * TILE))
    write_atomically(folder / SHEET, lambda temporary: sheet.save(temporary, "JPEG", quality=88))
