"""Vector registers: which this processor has, and what LLVM's language says about them."""

from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _registers():
    """(bytes of a vector register, how many there are)."""
    if config.CPU_FEATURES is None:
        features = {name for name, there in binding.get_host_cpu_features().items() if there}
    else:  # what numba was told to compile for
        features = {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    if "avx512f" in features:
        return 64, 32
    if "avx" in features:
        return 32, 16
    return (16, 32) if "neon" in features else (16, 16)


BYTES, COUNT = _registers()
WIDE = 4 if COUNT == 32 else 2
"""How many vectors a tile is wide, at most; six rows of that fill the registers."""


class Vectors:
    """What is written in LLVM's language about vectors of as many numbers as fill a register."""

    def __init__(self, context, builder, kind):
        self.builder = builder
        self.real = context.get_value_type(kind)
        self.bits = 32 if isinstance(self.real, ir.FloatType) else 64
        self.n = n = 8 * BYTES // self.bits
        self.vector, self.masks = ir.VectorType(self.real, n), ir.VectorType(ir.IntType(1), n)
        self.zero = ir.Constant(self.vector, None)
        self.align = ir.Constant(ir.IntType(32), self.bits // 8)
        self.name = f"v{n}f{self.bits}"

    def function(self, name, result, *arguments):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def numbers(self, address):
        return self.builder.inttoptr(address, self.real.as_pointer())

    def pointer(self, p):
        return self.builder.bitcast(p, self.vector.as_pointer())

    def spread(self, value):
        """The same number in every lane."""
        lanes = ir.VectorType(value.type, self.n)
        one = self.builder.insert_element(ir.Constant(lanes, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), self.n), [0] * self.n)
        return self.builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), places)

    def mask(self, count):
        """True in the first lanes, so many."""
        lanes = ir.Constant(ir.VectorType(count.type, self.n), list(range(self.n)))
        return self.builder.icmp_signed("<", lanes, self.spread(count))

    def load(self, p):
        return self.builder.load(self.pointer(p), align=self.bits // 8)

    def store(self, value, p):
        self.builder.store(value, self.pointer(p), align=self.bits // 8)

    def masked_load(self, p, mask):
        kinds = self.vector.as_pointer(), ir.IntType(32), self.masks, self.vector
        load = self.function(f"llvm.masked.load.{self.name}.p0", self.vector, *kinds)
        return self.builder.call(load, [self.pointer(p), self.align, mask, self.zero])

    def masked_store(self, value, p, mask):
        kinds = self.vector, self.vector.as_pointer(), ir.IntType(32), self.masks
        store = self.function(f"llvm.masked.store.{self.name}.p0", ir.VoidType(), *kinds)
        self.builder.call(store, [value, self.pointer(p), self.align, mask])

    def fetch(self, p, level):
        """Begin to bring what is there into a cache, of which 3 is the nearest. Nothing happens where nothing is."""
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        fetch = self.function("llvm.prefetch.p0", ir.VoidType(), byte, word, word, word)
        self.builder.call(fetch, [self.builder.bitcast(p, byte), *[ir.Constant(word, k) for k in (0, level, 1)]])

    def turned(self, rows):
        """As many vectors as have entries, a square, with its columns as vectors.

        Rows k and k + n/2 like the teeth of two combs, again and again: each time the number of an entry's place loses
        its first binary digit, and has it at its end.
        """
        n, word = self.n, ir.IntType(32)
        low = ir.Constant(ir.VectorType(word, n), [k // 2 + k % 2 * n for k in range(n)])
        high = ir.Constant(ir.VectorType(word, n), [n // 2 + k // 2 + k % 2 * n for k in range(n)])
        for _ in range(n.bit_length() - 1):
            pairs = zip(rows[: n // 2], rows[n // 2 :], strict=True)
            rows = [self.builder.shuffle_vector(*pair, half) for pair in pairs for half in (low, high)]
        return rows

    def fma(self, a, b, c):
        """a b + c, rounded once."""
        fma = self.function(f"llvm.fma.{self.name}", *[self.vector] * 4)
        return self.builder.call(fma, [a, b, c])


@intrinsic
def at(typing, array, k):
    """The address of entry k of an array of one axis."""

    def code(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(builder.gep(data, [args[1]]), ir.IntType(64))

    return types.int64(array, types.int64), code
