"""The repository's own promises: one set-up, one test command, arrows that point one way, nothing private inside."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A package may import those left of it, and none right of it.
LAYERS = (
    "emotions", "files", "batch", "losses", "metrics", "datasets", "renderer", "models", "methods", "training",
    "photos", "viz", "runs", "course", "api", "cli",
)  # fmt: skip


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


def imported(node: ast.AST) -> list[str]:
    """Every module that a piece of code imports, but for types only."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for child in ast.iter_child_nodes(node) for name in imported(child)]


def test_imports_point_one_way():
    wrong = []
    for place, layer in enumerate(LAYERS):
        above = {f"fercore.{name}" for name in LAYERS[place + 1 :]}
        package = ROOT / "fercore" / layer
        for file in [package.with_suffix(".py")] if package.with_suffix(".py").is_file() else package.rglob("*.py"):
            modules = imported(ast.parse(file.read_text()))
            found = [name for name in modules if ".".join(name.split(".")[:2]) in above]
            wrong += [f"{file.relative_to(ROOT)} imports {name}" for name in found]
    assert not wrong


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
