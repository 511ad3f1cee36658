"""Text as training data: see `tinygrad_rnn.data.text`."""

from tinygrad_rnn.data.text import (
    Stream,
    Vocabulary,
    Window,
    bigram_entropy,
    python_docs,
    read_text,
    split,
    unigram_entropy,
)

__all__ = [
    "Stream",
    "Vocabulary",
    "Window",
    "bigram_entropy",
    "python_docs",
    "read_text",
    "split",
    "unigram_entropy",
]
