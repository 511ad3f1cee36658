"""The program ``tinygrad-rnn``, also as ``python -m tinygrad_rnn``. What it needs before NumPy is in `app.startup`."""

import sys


def start() -> None:
    from .app import startup
    from .app.cli import main

    startup.ready()
    sys.exit(main())


if __name__ == "__main__":
    start()
