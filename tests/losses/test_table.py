"""The table of losses against the functions and their docstrings."""

import inspect
import pkgutil
import re
from importlib import import_module

from fercore import losses
from fercore.losses import LOSSES, OURS

PAPERS = sorted({loss.paper for loss in LOSSES} - {OURS}, key=len, reverse=True)


def said(function) -> str:
    """Its docstring on one line, abbreviations written out."""
    return " ".join(function.__doc__.split()).replace("eqs.", "equations")


def public() -> dict[str, object]:
    modules = [import_module(f"fercore.losses.{found.name}") for found in pkgutil.iter_modules(losses.__path__)]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_function_is_exported_and_in_the_table():
    assert set(public()) == {loss.function.__name__ for loss in LOSSES}
    assert all(getattr(losses, name) is function for name, function in public().items())
    assert set(losses.__all__) == {*public(), "LOSSES", "OURS", "Loss"}
    assert all(loss.symbol for loss in LOSSES)


def test_the_table_says_what_the_docstrings_say():
    known = "|".join(map(re.escape, PAPERS))
    place = r"(?:equations?|sections?) \d[\d.]*(?:(?:, | and | to )\d[\d.]*)*"
    named = {
        (name, paper, where.rstrip("."))
        for name, function in public().items()
        for paper, where in re.findall(rf"({known}), ({place})", said(function))
    }
    assert named == {(loss.function.__name__, loss.paper, loss.where) for loss in LOSSES if loss.paper != OURS}
