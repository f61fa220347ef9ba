"""Settings are dataclasses, and their annotations say what each may be: one check for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

ALLOWED = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a word", NoneType: "none"}


def check_names(kind: type, names: Iterable[str], owner: str) -> None:
    """Raises ValueError for the first of ``names`` that is no field of the dataclass ``kind``."""
    known = [field.name for field in fields(kind)]
    for name in names:
        if name not in known:
            raise ValueError(f"{owner} has no setting {name!r}; it has {', '.join(known)}")


def check_values(kind: type, values: Mapping[str, Any]) -> None:
    """Check values of fields of the dataclass ``kind``: of the annotated kind, numbers finite.

    A whole number is a number too; true and false are not. Raises ValueError that names the setting and what it takes.
    """
    hints = _hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"setting {name} takes {_words(hints[name])}, not {value!r}")


_hints = cache(get_type_hints)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    return isinstance(value, get_origin(hint) or hint)


def _words(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(map(_words, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"{len(get_args(hint))} values, each {_words(get_args(hint)[0])}"
    return ALLOWED.get(hint, f"a {hint.__name__}")
