import urllib.error

import pandas as pd
import pytest

from fercore.course import folders


def test_outside_of_a_clone_and_offline_a_table_is_told_to_be_missing(tmp_path, monkeypatch):
    def offline(file):
        assert str(file).startswith("https://")
        raise urllib.error.URLError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders.fercore, "__file__", str(tmp_path / "site-packages" / "fercore" / "__init__.py"))
    monkeypatch.setattr(pd, "read_csv", offline)
    with pytest.raises(FileNotFoundError, match=r"runs\.csv is a table of notebooks/results, .* work in a clone"):
        folders.read_table("runs.csv")
