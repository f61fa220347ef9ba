"""``python -m fercore``: see ``fercore.cli``."""

import os
import signal


def _stop(number: int, frame: object) -> None:
    os.write(2, b"fercore: stopped before it began\n")
    os._exit(128 + number)


# From the first moment on; an import that Ctrl-C cuts off would leave with a traceback.
signal.signal(signal.SIGINT, _stop)

from fercore.cli import main  # noqa: E402

main()
