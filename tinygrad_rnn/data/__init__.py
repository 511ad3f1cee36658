"""Training data: texts (`tinygrad_rnn.data.text`) and synthetic tasks (`tinygrad_rnn.data.tasks`, `.grammars`)."""

from tinygrad_rnn.data.grammars import REBER, REBER_SYMBOLS, anbn, continual_reber, embedded_reber, reber
from tinygrad_rnn.data.tasks import adding, copy_memory, copy_memory_baseline, last_sign, temporal_order
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
    "REBER",
    "REBER_SYMBOLS",
    "Stream",
    "Vocabulary",
    "Window",
    "adding",
    "anbn",
    "bigram_entropy",
    "continual_reber",
    "copy_memory",
    "copy_memory_baseline",
    "embedded_reber",
    "last_sign",
    "python_docs",
    "read_text",
    "reber",
    "split",
    "temporal_order",
    "unigram_entropy",
]
