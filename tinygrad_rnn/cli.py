"""The command from Python: ``tinygrad_rnn.cli.main(["train", "--steps", "100"])`` gives the status of the program."""

from .app.cli import main

__all__ = ["main"]
