"""The door of the ``insectary`` command, and of ``python -m insectary``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it in a line from its first import on."""
    try:
        from insectary.cli import main as run

        run()
    except KeyboardInterrupt:  # before the command had begun: later ones are told by `run`
        os.write(2, b"interrupted: nothing had begun\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
