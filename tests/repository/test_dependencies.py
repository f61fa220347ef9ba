"""pyproject.toml, environment.yml, Binder's file and the Colab cells name the same packages."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from fercore.course.folders import REPOSITORY
from notebooks.tools.lessons import existing
from notebooks.tools.notebooks import from_source

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch"}
NOT_ON_BINDER = {"jupytext", "nbval", "papermill", "pytest", "pyyaml", "ruff"}  # for writers of lessons


def split(requirement: str) -> tuple[str, str]:
    """Name and bounds: ``torch>=2.9`` -> torch, >=2.9."""
    return re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", requirement).groups()


def wanted() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    pairs = map(split, [*PROJECT["dependencies"], *extras["course"], *extras["test"]])
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in pairs}


def listed(file: Path) -> dict[str, str]:
    entries = yaml.safe_load(file.read_text())["dependencies"]
    flat = [entry for entry in entries if isinstance(entry, str)]
    flat += [entry for group in entries if isinstance(group, dict) for entry in group["pip"]]
    found = dict(map(split, flat))
    assert found.pop("python") == PROJECT["requires-python"]
    assert "pip" in found
    found.pop("pip")
    return found


def test_environment_yml_mirrors_pyproject():
    assert listed(ROOT / "environment.yml") == wanted()


def test_binder_has_what_the_lessons_need_and_the_small_pytorch():
    expected = {name: bounds for name, bounds in wanted().items() if name not in NOT_ON_BINDER}
    expected["pytorch-cpu"] = expected.pop("pytorch")
    assert listed(ROOT / "binder" / "environment.yml") == expected


def test_dependencies_are_ranges_not_pins():
    for name, bounds in wanted().items():
        assert re.fullmatch(r">=[0-9.]+", bounds), f"{name}{bounds}"


@pytest.mark.parametrize("lesson", existing(ROOT), ids=lambda lesson: lesson.name)
def test_colab_cell_installs_light_packages_without_their_dependencies(lesson, monkeypatch):
    """Run the cell with a pretended Colab: what would it install?"""
    import subprocess
    import sys
    import types

    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    cell = next(cell for cell in from_source(lesson, ROOT).cells if cell.cell_type == "code")
    exec(compile(cell.source, "colab-setup", "exec"), {})
    assert calls == []  # not on Colab: nothing happens
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(compile(cell.source, "colab-setup", "exec"), {})
    (command,) = calls
    assert "--no-deps" in command
    packages = set(command[command.index("--no-deps") + 1 :])
    assert f"git+https://github.com/{REPOSITORY}" in packages
    assert not packages & {"torch", "torchvision", "numpy", "pandas", "scipy", "matplotlib", "numba"}
