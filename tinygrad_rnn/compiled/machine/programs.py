"""How programs are compiled, and how a part of one that another thread runs finds its arguments."""

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic

fast = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
"""How programs are compiled: x * y + z may be rounded once. nan and inf mean what they mean, sums keep their order."""

_KINDS = types.float32, types.float64, types.int64, types.uint8

rows = types.void(types.int64, types.int64, types.int64)
"""What does rows first .. last - 1 of something, as a function that has an address: of (given, first, last), where
`given` is the address of a list of words, the arguments."""


class Apart(Compiler):
    """Compiles a function whose arrays do not overlap, so that LLVM need not look before it computes several at once.

    Between the many arrays of a large step there are too many pairs to look at: it would not try.
    """

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


@intrinsic
def word(typing, given, k):
    """Word k of the list: a number, or the address of an array."""

    def code(context, builder, signature, args):
        words = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(words, [args[1]]))

    return types.int64(types.int64, types.int64), code


@intrinsic
def _pointer(typing, address):
    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), code


@njit([types.int64(types.Array(kind, 1, "C", readonly=True)) for kind in _KINDS], cache=True)
def address(array):
    """Where the numbers of an array are; ten times sooner than its `ctypes.data`."""
    return array.ctypes.data


SIZE = 2**40
"""How large an array is said to be whose size nobody asks for."""


@njit
def bytes_at(address):
    return carray(_pointer(address), (SIZE,), np.uint8)


@njit
def floats32_at(address):
    return carray(_pointer(address), (SIZE,), np.float32)


@njit
def floats64_at(address):
    return carray(_pointer(address), (SIZE,), np.float64)


@njit
def integers_at(address):
    return carray(_pointer(address), (SIZE,), np.int64)
