"""The architecture page, from the code: which room imports which, as a table in fercore/README.md and as a picture.

A room is a folder or file right inside ``fercore``, or one of the two beside it: ``data_prep`` and ``notebooks/tools``.
"""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

ROOMS = (
    "emotions", "files", "settings", "batch", "losses", "metrics", "datasets", "renderer", "models", "methods",
    "training", "photos", "viz", "runs", "course", "api", "cli", "data_prep", "notebooks.tools",
)  # fmt: skip
"""Every room, in the one order in which they may import: only rooms left of themselves."""
OUTSIDE = ("data_prep", "notebooks.tools")
PAGE = Path("fercore") / "README.md"
PICTURE = Path("notebooks") / "images" / "rooms.svg"
DOORS = ("__init__", "__main__")
"""Modules of ``fercore`` that belong to no room: the public face, which imports when it is asked, and the way in."""


def imported(node: ast.AST) -> list[str]:
    """Every module that a piece of code imports, but for types only."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for child in ast.iter_child_nodes(node) for name in imported(child)]


def found_rooms(root: Path) -> list[str]:
    """The rooms that are there, those in ``ROOMS`` first and in its order, any other after them."""
    package = root / "fercore"
    there = {file.stem for file in package.glob("*.py")} - set(DOORS)
    there |= {folder.name for folder in package.iterdir() if any(folder.rglob("*.py"))}
    there |= {name for name in OUTSIDE if (root / name.replace(".", "/")).is_dir()}
    return sorted(there, key=lambda name: (ROOMS.index(name) if name in ROOMS else len(ROOMS), name))


def files_of(room: str, root: Path) -> list[Path]:
    """The Python files of a room."""
    place = root / room.replace(".", "/") if room in OUTSIDE else root / "fercore" / room
    return [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else sorted(place.rglob("*.py"))


def room_of(module: str, rooms: list[str]) -> str | None:
    """The room that a module's full name leads to: ``fercore.viz.show`` -> viz; None outside of the repository."""
    return next((r for r in rooms if f"{module}.".startswith(f"{r}." if r in OUTSIDE else f"fercore.{r}.")), None)


def arrows(root: Path) -> dict[str, set[str]]:
    """Room -> the other rooms that it imports, in functions too."""
    rooms = found_rooms(root)
    found = {}
    for room in rooms:
        modules = [name for file in files_of(room, root) for name in imported(ast.parse(file.read_text("utf-8")))]
        found[room] = {room_of(name, rooms) for name in modules} - {None, room}
    return found


def floors(uses: dict[str, set[str]]) -> dict[str, int]:
    """Room -> the length of the longest way down from it; raises ValueError naming a room on a circle."""
    floor: dict[str, int] = {}

    def of(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError(f"imports run in a circle: {' -> '.join([*above[above.index(room) :], room])}")
        if room not in floor:
            floor[room] = 1 + max((of(other, (*above, room)) for other in sorted(uses[room])), default=-1)
        return floor[room]

    return {room: of(room) for room in uses}


def purpose(room: str, root: Path) -> str:
    """The first sentence of a room's docstring; raises ValueError if it has none."""
    files = files_of(room, root)
    place = next((file for file in files if file.name == "__init__.py"), files[0])
    text = ast.get_docstring(ast.parse(place.read_text("utf-8")))
    if not text:
        raise ValueError(f"{place.relative_to(root)} needs a docstring: its first sentence says what the room is for")
    first = " ".join(text.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".").replace("``", "`")


def table(root: Path) -> str:
    """The rooms from the top floor down, with what each is for and what it imports."""
    uses = arrows(root)
    floor = floors(uses)
    count = sum(map(len, uses.values()))
    lines = [
        f"{len(uses)} rooms on {max(floor.values()) + 1} floors, {count} arrows, no circle.",
        "",
        "| floor | room | what for | imports |",
        "|---|---|---|---|",
    ]
    for room in sorted(uses, key=lambda name: (-floor[name], name)):
        names = ", ".join(sorted(uses[room], key=lambda name: (-floor[name], name)))
        lines.append(f"| {floor[room]} | `{room}` | {purpose(room, root)} | {names} |")
    return "\n".join(lines)


def page(root: Path) -> str:
    """fercore/README.md with the table between its markers made anew; raises ValueError if the markers are missing."""
    text = (root / PAGE).read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- rooms:start[^>]*-->\n).*?(<!-- rooms:end -->)", re.DOTALL)
    text, count = pattern.subn(lambda match: match[1] + table(root) + "\n" + match[2], text)
    if count != 1:
        raise ValueError(f"{PAGE} needs the markers <!-- rooms:start --> and <!-- rooms:end --> once each")
    return text


def described(uses: dict[str, set[str]]) -> str:
    """The arrows as the picture carries them in its description: one room a line."""
    return "; ".join(f"{room} imports {', '.join(sorted(uses[room])) or 'nothing'}" for room in sorted(uses))


def problems(root: Path) -> list[str]:
    """What is out of date; empty if nothing is."""
    found = []
    if (root / PAGE).read_text(encoding="utf-8") != page(root):
        found.append(f"{PAGE} is out of date")
    if described(arrows(root)) not in (root / PICTURE).read_text(encoding="utf-8"):
        found.append(f"{PICTURE} shows other rooms or arrows than the code has")
    return [f"{sentence}: run python -m notebooks.tools architecture" for sentence in found]


def write(root: Path) -> None:
    """Make the table and the picture anew; the picture only if a room or an arrow came or went."""
    (root / PAGE).write_text(page(root), encoding="utf-8")
    if not (root / PICTURE).is_file() or problems(root):
        from notebooks.tools.rooms_picture import draw

        uses = arrows(root)
        drawn = io.StringIO()
        draw(uses, floors(uses)).savefig(
            drawn,
            format="svg",
            metadata={"Date": None, "Title": "The rooms of fercore", "Description": described(uses)},
        )
        text = "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())
        (root / PICTURE).write_text(text + "\n", encoding="utf-8")
