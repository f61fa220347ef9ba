"""``python -m data_prep DATASET --source DIR --out DIR``: your copy of a real dataset in the one format.

The result is one JSON object on the last line of stdout; progress goes to stderr. A wrong request ends with one
sentence and exit status 2, Ctrl-C with 130. FERCORE_DEBUG=1 shows where an error came from.
"""

from __future__ import annotations

import errno
import json
import os
import sys

import tyro

from data_prep.prepare import COMMANDS

PROGRAM = "python -m data_prep"
STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
"""``--align``, not ``--options.align`` and ``--no-align``."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exits with 0, 2 (a wrong request) or 130 (Ctrl-C)."""
    try:
        result = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog=PROGRAM, args=arguments, config=STYLE)
        print(json.dumps(result, allow_nan=False), flush=True)
    except KeyboardInterrupt:
        _leave("stopped; the same command goes on from here", 130)
    except (ValueError, OSError) as error:
        if os.environ.get("FERCORE_DEBUG"):
            raise
        _leave(_sentence(error), 2)


def _sentence(error: Exception) -> str:
    """On one line; the system's own errors without their numbers."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; free some space, then the same command goes on from here"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _leave(sentence: str, status: int) -> None:
    print(f"data_prep: {sentence}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
