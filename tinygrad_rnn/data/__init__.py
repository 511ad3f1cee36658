"""Training data: texts (`text`), sequences in batches (`sequences`), and synthetic tasks (`tasks`, `grammars`)."""

from tinygrad_rnn.data.grammars import REBER, REBER_SYMBOLS, anbn, continual_reber, embedded_reber, reber
from tinygrad_rnn.data.sequences import IGNORED, Batch, Batches, batches, mask, pad, split
from tinygrad_rnn.data.tasks import adding, copy_memory, copy_memory_baseline, last_sign, temporal_order
from tinygrad_rnn.data.text import (
    Stream,
    Vocabulary,
    Window,
    bigram_entropy,
    python_docs,
    read_text,
    unigram_entropy,
)

__all__ = [
    "IGNORED",
    "REBER",
    "REBER_SYMBOLS",
    "Batch",
    "Batches",
    "Stream",
    "Vocabulary",
    "Window",
    "adding",
    "anbn",
    "batches",
    "bigram_entropy",
    "continual_reber",
    "copy_memory",
    "copy_memory_baseline",
    "embedded_reber",
    "last_sign",
    "mask",
    "pad",
    "python_docs",
    "read_text",
    "reber",
    "split",
    "temporal_order",
    "unigram_entropy",
]
