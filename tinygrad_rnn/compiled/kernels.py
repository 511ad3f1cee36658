"""What compiled programs are made of: a product of small matrices, and functions of a number, float32 and float64.

This file needs numba, and is not imported from here: its text is put into the cache folder, as that of the programs is
(`cache.py`), and numba keeps the machine code beside it.

- `multiply` computes out = start + x W with tiles of the result held in vector registers. numba's loops cannot say
  that: it is written in LLVM's own language. An entry of the result is one sum over k, in order, whatever the number
  of rows, so that blocks of a batch give the same bits as the batch.
- tanh, sigmoid and exp have no branches, so that LLVM computes several at once. Where they are put into a loop they
  keep arithmetic flags of their own (forceinline): to reorder their sums would destroy them.
"""

import functools

import numpy as np
from llvmlite import binding, ir
from numba import cfunc, config, njit, types
from numba.core import cgutils
from numba.core.compiler import Compiler
from numba.extending import intrinsic

fast = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
"""How programs are compiled: x * y + z may be rounded once. nan and inf mean what they mean, sums keep their order."""


class Apart(Compiler):
    """Compiles a function whose arrays do not overlap, so that LLVM need not look before it computes several at once.

    Between the many arrays of a large step there are too many pairs to look at: it would not try.
    """

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


# ------------------------------------------------------------------ the registers of the processor


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


BYTES, _COUNT = _registers()
WIDE = 4 if _COUNT == 32 else 2
"""How many vectors a tile is wide, at most; six rows of that fill the registers."""

# ------------------------------------------------------------------ the product


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


def _tile(rows, vectors, chains):
    """out[r, c] = start[r, c] + Σ_k x[r, k] w[k, c] for so many rows, and columns that fill so many vectors.

    out, start, x, w   addresses; ldo, lds, ldx, kdx: how far apart the rows are, and in x the k
    columns            of the last vector only what is left of them is read and written
    chains             the sum over k is so many sums side by side, added in the end: where there is one row alone, one
                       would wait for itself
    """
    grid = [(r, c) for r in range(rows) for c in range(vectors)]

    @intrinsic
    def tile(typing, kind, out, ldo, start, lds, x, ldx, kdx, w, first, last, columns):
        def code(context, builder, signature, args):
            v = Vectors(context, builder, signature.args[0])
            target, source, left, right = (v.numbers(args[k]) for k in (1, 3, 5, 8))
            ldo, lds, ldx, kdx, begin, end, columns = (args[k] for k in (2, 4, 6, 7, 9, 10, 11))
            word = begin.type

            def number(k):
                return ir.Constant(word, k)

            def place(base, ld, r, c):
                return builder.gep(builder.gep(base, [builder.mul(ld, number(r))]), [number(c * v.n)])

            mask = v.mask(builder.sub(columns, number((vectors - 1) * v.n)))
            row = [place(left, ldx, r, 0) for r in range(rows)]
            entry, loop, after = builder.block, builder.append_basic_block("k"), builder.append_basic_block("sums")
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(word)
            k.add_incoming(begin, entry)
            sums = {(q, r, c): builder.phi(v.vector) for q in range(chains) for r, c in grid}
            new = {}
            for q in range(chains):
                at_k = builder.add(k, number(q))
                line, along = builder.mul(at_k, number(vectors * v.n)), builder.mul(at_k, kdx)
                weights = [v.load(builder.gep(right, [builder.add(line, number(c * v.n))])) for c in range(vectors)]
                for r in range(rows):
                    entry_k = v.spread(builder.load(builder.gep(row[r], [along])))
                    for c in range(vectors):
                        new[q, r, c] = v.fma(entry_k, weights[c], sums[q, r, c])
            following = builder.add(k, number(chains))
            k.add_incoming(following, loop)
            for key, phi in sums.items():
                phi.add_incoming(v.zero, entry)
                phi.add_incoming(new[key], loop)
            builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
            builder.position_at_end(after)
            for r, c in grid:
                total = new[0, r, c]
                for q in range(1, chains):
                    total = builder.fadd(total, new[q, r, c])
                begins, to = place(source, lds, r, c), place(target, ldo, r, c)
                if c == vectors - 1:
                    v.masked_store(builder.fadd(total, v.masked_load(begins, mask)), to, mask)
                else:
                    v.store(builder.fadd(total, v.load(begins)), to)
            return context.get_dummy_value()

        return types.void(kind, out, ldo, start, lds, x, ldx, kdx, w, first, last, columns), code

    return tile


def _panel(vectors):
    """The same for any number of rows, in tiles of nearly equal height. `alone`: the batch has one row in all."""
    most = {4: 6, 3: 8, 2: 8 if _COUNT == 32 else 6, 1: 8}[vectors]
    chains = max(1, 8 // vectors)
    t1, t2, t3, t4, t5, t6, t7, t8 = (_tile(min(m, most), vectors, 1) for m in range(1, 9))
    one = _tile(1, vectors, chains)

    @njit(inline="never", nogil=True)
    def panel(kind, rows, alone, out, ldo, start, lds, x, ldx, kdx, w, K, columns, size):
        if alone:
            whole = K - K % chains
            if whole > 0:
                one(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, whole, columns)
                if whole < K:
                    t1(kind, out, ldo, out, ldo, x, ldx, kdx, w, whole, K, columns)
            else:
                t1(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            return
        tiles = (rows + most - 1) // most
        while tiles > 0:
            m = (rows + tiles - 1) // tiles
            if m == 1:
                t1(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 2:
                t2(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 3:
                t3(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 4:
                t4(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 5:
                t5(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 6:
                t6(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            elif m == 7:
                t7(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            else:
                t8(kind, out, ldo, start, lds, x, ldx, kdx, w, 0, K, columns)
            out += m * ldo * size
            start += m * lds * size
            x += m * ldx * size
            rows -= m
            tiles -= 1

    return panel


panel1, panel2 = _panel(1), _panel(2)
panel3, panel4 = (_panel(3), _panel(4)) if WIDE == 4 else (panel1, panel2)  # those two are never called


def _product(kind, size):
    """out = start + x w, as a function that has an address, so that it is compiled once for all that call it."""
    lanes = BYTES // size
    zero = kind(0)

    def product(rows, alone, K, N, start, lds, x, ldx, kdx, w, out, ldo):
        for n in range(0, N, WIDE * lanes):
            columns = min(N - n, WIDE * lanes)
            vectors = (columns + lanes - 1) // lanes
            o, s, p = out + n * size, start + n * size, w + n * K * size
            if vectors == 4:
                panel4(zero, rows, alone, o, ldo, s, lds, x, ldx, kdx, p, K, columns, size)
            elif vectors == 3:
                panel3(zero, rows, alone, o, ldo, s, lds, x, ldx, kdx, p, K, columns, size)
            elif vectors == 2:
                panel2(zero, rows, alone, o, ldo, s, lds, x, ldx, kdx, p, K, columns, size)
            else:
                panel1(zero, rows, alone, o, ldo, s, lds, x, ldx, kdx, p, K, columns, size)

    return product


_product32, _product64 = _product(np.float32, 4), _product(np.float64, 8)
_twelve = types.void(*[types.int64] * 12)


@functools.cache
def product(size):
    """The address of the product of numbers of 4 bytes or of 8."""
    return cfunc(_twelve, cache=True)(_product32 if size == 4 else _product64).address


@intrinsic
def multiply(typing, product, rows, alone, K, N, start, lds, x, ldx, kdx, w, out, ldo):
    """out = start + x w for rows of start and out (N columns) and of x (K columns); w (K, N) as `pack` puts it.

    start, x, w, out are addresses; lds, ldx, ldo how far apart rows are (0: the same row for all), kdx how far apart
    the entries of a row of x. `start` may be `out`; x must not be. K is at least 1.
    """

    def code(context, builder, signature, args):
        word = ir.IntType(64)
        function = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), [word] * 12).as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 13), code


@intrinsic
def _move(typing, kind, source, count, to):
    """One vector from there to here: `count` entries of it, if there are not more, and zeros."""

    def code(context, builder, signature, args):
        v = Vectors(context, builder, signature.args[0])
        v.store(v.masked_load(v.numbers(args[1]), v.mask(args[2])), v.numbers(args[3]))
        return context.get_dummy_value()

    return types.void(kind, types.int64, types.int64, types.int64), code


@njit(**fast)
def _pack_panel(b, at_b, down, right, rows, columns, to, j):
    """A panel of b, whose entry (k, c) lies at k down + c right, row by row, each filled up with 0 to whole vectors."""
    lanes = BYTES // to.itemsize
    if right == 1:
        for k in range(rows):
            for c in range(0, columns, lanes):
                _move(to[0], at(b, at_b + k * down + c), columns - c, at(to, j))
                j += lanes
        return
    width = (columns + lanes - 1) // lanes * lanes
    for first in range(0, rows, 16):  # sixteen rows at a time stay in the first-level cache
        for c in range(width):
            for k in range(first, min(first + 16, rows)):
                to[j + k * width + c] = b[at_b + k * down + c * right] if c < columns else 0


@njit(**fast)
def pack(b, down, right, K, N, to):
    """A matrix (K, N) panel by panel, as wide as a tile; its entry (k, c) lies at k down + c right."""
    lanes = BYTES // to.itemsize
    for n in range(0, N, WIDE * lanes):
        _pack_panel(b, n * right, down, right, K, min(N - n, WIDE * lanes), to, n * K)


_DEEP = 64
"""How many k of a large product are summed at a time: their part of a panel fits into the first-level cache, and sums
of sums are nearer to the truth than one long sum."""


@njit(**fast)
def large_product(product, a, a_down, a_right, b, b_down, b_right, K, N, out, r0, r1, n0, n1, buffer):
    """Rows r0 .. r1 - 1 and columns n0 .. n1 - 1 of out = a b, out (M, N), with K terms an entry.

    Entry (r, k) of a lies at r a_down + k a_right, and so in b. buffer: room for _DEEP vectors as wide as a tile.
    An entry is the same sum in the same order whatever part of the product is asked for.
    """
    width, rows = WIDE * BYTES // out.itemsize, r1 - r0
    for n in range(n0, n1, width):
        columns, o = min(n1 - n, width), r0 * N + n
        for r in range(rows):
            out[o + r * N : o + r * N + columns] = 0
        for k in range(0, K, _DEEP):
            deep = min(K - k, _DEEP)
            _pack_panel(b, k * b_down + n * b_right, b_down, b_right, deep, columns, buffer, 0)
            x, to = at(a, r0 * a_down + k * a_right), at(out, o)
            multiply(product, rows, 0, deep, columns, to, N, x, a_down, a_right, at(buffer, 0), to, N)


# ------------------------------------------------------------------ functions of a number

_inline = {"forceinline": True, "fastmath": {"contract"}, "error_model": "numpy"}


def _bits(integer, real, to_real):
    @intrinsic
    def cast(typing, value):
        result, kind = (real, to_real) if value == integer else (integer, ir.IntType(integer.bitwidth))
        return result(value), lambda context, builder, signature, args: builder.bitcast(args[0], kind)

    return cast


bits32 = _bits(types.int32, types.float32, ir.FloatType())
bits64 = _bits(types.int64, types.float64, ir.DoubleType())
f4, i4 = np.float32, np.int32


@njit(**_inline)
def exp32(x):
    """e^x = 2^k e^r, k whole, |r| <= ln(2) / 2. 2^k in two parts, so that the ends of the range are reached."""
    x = f4(-104.0) if x < f4(-104.0) else x
    x = f4(89.0) if x > f4(89.0) else x
    shifted = x * f4(1.44269504088896341) + f4(12582912.0)  # 1.5 * 2^23: what is behind the point falls off
    k = shifted - f4(12582912.0)
    r = x - k * f4(0.693145751953125)
    r = r - k * f4(1.42860682030941723e-6)
    p = r * f4(1.9875691500e-4) + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    p = p * (r * r) + r
    p = p + f4(1.0)
    n = i4(bits32(shifted) - i4(0x4B400000))
    half = i4(n >> i4(1))
    return p * bits32(i4((half + i4(127)) << i4(23))) * bits32(i4((n - half + i4(127)) << i4(23)))


@njit(**_inline)
def exp64(x):
    x = -746.0 if x < -746.0 else x
    x = 710.0 if x > 710.0 else x
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = x - k * 6.93147180369123816490e-01
    r = r - k * 1.90821492927058770002e-10
    p = r * 1.6059043836821613e-10 + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    p = p * (r * r) + r
    p = p + 1.0
    n = bits64(shifted) - 0x4338000000000000
    half = n >> 1
    return p * bits64((half + 1023) << 52) * bits64((n - half + 1023) << 52)


@njit(**_inline)
def tanh32(x):
    """A quotient of polynomials in x², times x, for |x| up to 7.9; from 9 on it is 1."""
    y = f4(-7.90531110763549805) if x < f4(-7.90531110763549805) else x
    y = f4(7.90531110763549805) if y > f4(7.90531110763549805) else y
    s = y * y
    p = s * f4(-2.76076847742355e-16) + f4(2.00018790482477e-13)
    p = p * s + f4(-8.60467152213735e-11)
    p = p * s + f4(5.12229709037114e-08)
    p = p * s + f4(1.48572235717979e-05)
    p = p * s + f4(6.37261928875436e-04)
    p = p * s + f4(4.89352455891786e-03)
    q = s * f4(1.19825839466702e-06) + f4(1.18534705686654e-04)
    q = q * s + f4(2.26843463243900e-03)
    q = q * s + f4(4.89352518554385e-03)
    y = y * (p / q)
    y = f4(1.0) if x > f4(9.0) else y
    return f4(-1.0) if x < f4(-9.0) else y


@njit(**_inline)
def tanh64(x):
    """Near 0 x + x³ p(x²) / q(x²), so that small x keep their digits; elsewhere 1 - 2 / (e^2|x| + 1)."""
    a = x if x >= 0 else -x
    a = 20.0 if a > 20.0 else a
    far = 1.0 - 2.0 / (exp64(a + a) + 1.0)
    s = a * a
    p = s * -9.64399179425052238628e-1 - 9.92877231001918586564e1
    p = p * s - 1.61468768441708447952e3
    q = s + 1.12811678491632931402e2
    q = q * s + 2.23548839060100448583e3
    q = q * s + 4.84406305325125486048e3
    near = a + a * (s * (p / q))
    y = near if a < 0.625 else far
    return y if x >= 0 else -y


@njit(**_inline)
def sigmoid32(x):
    return f4(1.0) / (f4(1.0) + exp32(-x))


@njit(**_inline)
def sigmoid64(x):
    return 1.0 / (1.0 + exp64(-x))


@njit(forceinline=True, fastmath={"contract", "nsz", "reassoc"})
def plus(x, y):
    """A term of a sum over a row, whose order is free, so that several are added at once."""
    return x + y


@njit(**_inline)
def maximum(x, y):
    """The larger; nan if one of them is."""
    return x if (x >= y or x != x) else y


@njit(**_inline)
def minimum(x, y):
    return x if (x <= y or x != x) else y


@njit(**_inline)
def sign(x):
    return x * 0 + (x > 0) - (x < 0)


@njit(**_inline)
def softplus(x):
    return maximum(x, x * 0) + np.log1p(np.exp(-abs(x)))


@njit(**_inline)
def power(x, y):
    return x**y
