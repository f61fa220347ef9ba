"""The check that follows each exercise: it answers, and never stops a notebook that runs from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

STRICT = "FERCORE_STRICT"
"""With this environment variable set, a check that does not pass raises: so the folded solutions are tested."""


def check(answer: Any, test: Callable[[Any], bool], right: str = "Right.", hint: str = "Not yet.") -> None:
    """Say whether ``test(answer)`` holds.

    answer: what the reader wrote; None (or ``...``) stands for "not tried yet".
    test: answer -> bool. If it raises, the error is shown with the hint.
    Raises AssertionError for an answer that does not pass only when the environment variable FERCORE_STRICT is set.
    """
    if answer is None or answer is ...:
        passed, reply = False, "Waiting for your answer."
    else:
        try:
            passed = bool(test(answer))
            reply = right if passed else hint
        except Exception as error:
            passed, reply = False, f"{hint} (Checking it raised {type(error).__name__}: {error})"
    if os.environ.get(STRICT) and not passed:
        raise AssertionError(reply)
    print(("\N{CHECK MARK} " if passed else "\N{WHITE CIRCLE} ") + reply)
