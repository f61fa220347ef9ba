"""What setuptools puts into the wheel: all that the package reads, so that it works without the repository."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fercore"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_file_of_the_package_is_packed():
    packed = {file for pattern in SETTINGS["package-data"]["fercore"] for file in PACKAGE.glob(pattern)}
    files = {f for f in PACKAGE.rglob("*") if f.is_file() and f.suffix != ".py" and f.parent.name != "__pycache__"}
    assert files - packed == set()
    assert {file.suffix for file in packed} >= {".safetensors", ".parquet", ".npz", ".toml"}
    assert PACKAGE / "py.typed" in packed


def test_every_folder_of_modules_is_a_package():
    for top in (PACKAGE, ROOT / "data_prep"):
        assert f"{top.name}*" in SETTINGS["packages"]["find"]["include"]
        bare = {file.parent for file in top.rglob("*.py") if not (file.parent / "__init__.py").is_file()}
        assert bare == set()
