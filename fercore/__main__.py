"""``python -m fercore``: see ``fercore.cli``."""

from fercore.cli import main

main()
