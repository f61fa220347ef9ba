"""The repository's own promises: one set-up, one test command, arrows that point one way, nothing private inside."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks.tools import architecture

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git clone")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("command", [["check", "."], ["format", "--check", "."]], ids=["check", "format"])
def test_ruff(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_and_ci_name_the_same_commands():
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"^make course\b", readme, re.M)
    assert re.search(r"^make test\b", readme, re.M)
    assert re.search(r"^make test\b", (ROOT / ".ci" / "run").read_text(), re.M)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_set_up_is_not_repeated(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()

    def plan() -> str:
        return subprocess.run(["make", "-n", "test"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "pip install" in plan()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    os.utime(tmp_path / "pyproject.toml", (1, 1))
    assert "pip install" not in plan()
    assert "-m pytest" in plan()
    os.utime(tmp_path / "pyproject.toml", (4e9, 4e9))
    assert "pip install" in plan()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_an_old_python_is_told_so(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    old = tmp_path / "old-python"
    pretend = "import sys; sys.version_info = (3, 9); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretend}' \"$2\"\n")
    old.chmod(0o755)
    done = subprocess.run(["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "fercore needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_every_room_is_listed_and_imports_point_one_way():
    uses = architecture.arrows(ROOT)
    assert set(uses) <= set(architecture.ROOMS), "a new room: add it to ROOMS in notebooks/tools/architecture.py"
    place = {room: number for number, room in enumerate(architecture.ROOMS)}
    assert [f"{room} imports {to}" for room in uses for to in uses[room] if place[to] > place[room]] == []


def test_the_house_is_small():
    uses = architecture.arrows(ROOT)
    assert len(uses) <= 20
    assert max(architecture.floors(uses).values()) < 8
    assert sum(map(len, uses.values())) <= 70


def test_the_architecture_page_and_its_picture_are_made_from_the_code():
    assert architecture.problems(ROOT) == []
    assert (ROOT / architecture.PICTURE).stat().st_size < 100_000


@pytest.fixture
def house(tmp_path):
    """Two rooms of one file and one folder, an import inside a function, and one for types only."""
    package = tmp_path / "fercore"
    (package / "losses").mkdir(parents=True)
    (package / "__init__.py").write_text("from fercore import losses")
    (package / "batch.py").write_text('"""What is shared. More."""\nimport torch')
    (package / "losses" / "__init__.py").write_text('"""``Losses``: one\nper idea."""')
    (package / "losses" / "a.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fercore.new"
    )
    (package / "new.py").write_text("def f():\n    from fercore import batch\n    from fercore.losses.a import b")
    return tmp_path


def test_rooms_and_arrows_of_a_small_house(house):
    uses = architecture.arrows(house)
    assert uses == {"batch": set(), "losses": set(), "new": {"batch", "losses"}}
    assert architecture.floors(uses) == {"batch": 0, "losses": 0, "new": 1}
    assert architecture.purpose("batch", house) == "What is shared"
    assert architecture.purpose("losses", house) == "`Losses`: one per idea"
    with pytest.raises(ValueError, match=r"new\.py needs a docstring"):
        architecture.table(house)
    (house / "fercore" / "batch.py").write_text("import fercore.new")
    with pytest.raises(ValueError, match="circle: batch -> new -> batch"):
        architecture.floors(architecture.arrows(house))


def test_an_out_of_date_page_or_picture_is_said(house):
    (house / "fercore" / "new.py").write_text('"""New."""\nimport fercore.batch')
    (house / "fercore" / "README.md").write_text("<!-- rooms:start -->\n<!-- rooms:end -->\n")
    (house / "notebooks" / "images").mkdir(parents=True)
    (house / architecture.PICTURE).write_text("<svg/>")
    assert len(architecture.problems(house)) == 2
    architecture.write(house)
    assert architecture.problems(house) == []
    assert "| 1 | `new` | New | batch |" in (house / "fercore" / "README.md").read_text()
    (house / "fercore" / "README.md").write_text("no markers")
    with pytest.raises(ValueError, match="rooms:start"):
        architecture.problems(house)


def test_nothing_large_and_nothing_private_is_committed():
    files = tracked()
    sizes = {str(file.relative_to(ROOT)): file.stat().st_size for file in files}
    assert all(size <= 25 << 20 for size in sizes.values()), sizes
    home = re.compile(rb"/(?:home|Users)/[a-z]|/root/|/work/")
    text = [file for file in files if file.suffix in {".py", ".md", ".toml", ".yml", ".ipynb", ".csv", ".json", ".cff"}]
    named = [str(file.relative_to(ROOT)) for file in text if file != Path(__file__) and home.search(file.read_bytes())]
    assert not named, f"absolute paths of a machine in {named}"


def test_the_readme_shows_a_small_picture_that_is_there():
    (name,) = re.findall(r"^!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(), re.M)
    assert (ROOT / name).stat().st_size < 300_000


def test_licences_are_there():
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert "CC0 1.0 Universal" in (ROOT / "LICENSE-BLENDFER").read_text()
