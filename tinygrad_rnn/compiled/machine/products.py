"""Products of matrices: tiles of the result are held in vector registers while k runs.

numba's loops cannot say that: it is written in LLVM's own language (`vectors.py`). An entry of the result is one sum
over k, in order, whatever the number of rows, so that blocks of a batch give the same bits as the batch.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from .programs import fast, floats32_at, floats64_at, rows, word
from .vectors import BYTES, COUNT, WIDE, Vectors, at


def _tile(height, vectors, chains):
    """out[r, c] = start[r, c] + Σ_k x[r, k] w[k, c] for so many rows, and columns that fill so many vectors.

    out, start, x, w   addresses; ldo, lds, ldx, kdx: how far apart the rows are, and in x the k
    columns            of the last vector only what is left of them is read and written
    chains             the sum over k is so many sums side by side, added in the end: where there is one row alone, one
                       would wait for itself
    """
    grid = [(r, c) for r in range(height) for c in range(vectors)]

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
            row = [place(left, ldx, r, 0) for r in range(height)]
            for r, c in grid:
                v.fetch(place(source, lds, r, c), 3)
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
                for r in range(height):
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
    most = {4: 6, 3: 8, 2: 8 if COUNT == 32 else 6, 1: 8}[vectors]
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


DEEP = 64
"""How many k of a large product are summed at a time: their part of a panel fits into the first-level cache, and sums
of sums are nearer to the truth than one long sum."""


@intrinsic
def _fetch(typing, kind, address):
    """Begin to bring what is there into the second-level cache."""

    def code(context, builder, signature, args):
        v = Vectors(context, builder, signature.args[0])
        v.fetch(v.numbers(args[1]), 2)
        return context.get_dummy_value()

    return types.void(kind, types.int64), code


@intrinsic
def _turn(typing, kind, source, right, to, width):
    """A square of as many rows and columns as a vector has entries: its columns lie `right` apart, its rows are put
    `width` apart."""

    def code(context, builder, signature, args):
        v = Vectors(context, builder, signature.args[0])
        source, to = v.numbers(args[1]), v.numbers(args[3])

        def line(base, apart, k):
            return builder.gep(base, [builder.mul(apart, ir.Constant(apart.type, k))])

        for k, row in enumerate(v.turned([v.load(line(source, args[2], c)) for c in range(v.n)])):
            v.store(row, line(to, args[4], k))
        return context.get_dummy_value()

    return types.void(kind, types.int64, types.int64, types.int64, types.int64), code


@njit(**fast)
def _pack_panel(b, at_b, down, right, rows, columns, to, j):
    """A panel of b, whose entry (k, c) lies at k down + c right, row by row, each filled up with 0 to whole vectors.

    Panels follow each other, with DEEP rows in each: what is below this one is fetched while it is multiplied.
    """
    lanes = BYTES // to.itemsize
    if right == 1:
        for k in range(rows):
            for c in range(0, columns, lanes):
                _move(to[0], at(b, at_b + k * down + c), columns - c, at(to, j))
                _fetch(to[0], at(b, at_b + (k + DEEP) * down + c))
                j += lanes
        return
    width, squares = (columns + lanes - 1) // lanes * lanes, (rows - rows % lanes) * (down == 1)
    for c in range(0, width, lanes):
        whole = squares if c + lanes <= columns else 0
        for k in range(0, whole, lanes):
            _turn(to[0], at(b, at_b + k + c * right), right, at(to, j + k * width + c), width)
        for k in range(whole, rows):
            for i in range(c, c + lanes):
                to[j + k * width + i] = b[at_b + k * down + i * right] if i < columns else 0


@njit(**fast)
def pack(b, down, right, K, N, to):
    """A matrix (K, N) panel by panel, as wide as a tile; its entry (k, c) lies at k down + c right."""
    lanes = BYTES // to.itemsize
    for n in range(0, N, WIDE * lanes):
        _pack_panel(b, n * right, down, right, K, min(N - n, WIDE * lanes), to, n * K)


@njit(**fast)
def _panel_of_product(
    product, a, a_down, a_right, b, b_down, b_right, K, N, start, out, sums, r0, r1, n, columns, packed
):
    """Rows r0 .. r1 - 1 and so many columns from n on of out = start + a b, and of the sums: see `_large_product`."""
    zeros, one = at(packed, DEEP * WIDE * BYTES // out.itemsize), np.ones(1, out.dtype)
    o, total = at(out, r0 * N + n), at(sums, n)
    begin, lds = (at(start, n), 0) if len(start) > 0 else (zeros, 0)
    for k in range(0, K, DEEP):
        deep = min(K - k, DEEP)
        _pack_panel(b, k * b_down + n * b_right, b_down, b_right, deep, columns, packed, 0)
        x, w = at(a, r0 * a_down + k * a_right), at(packed, 0)
        multiply(product, r1 - r0, 0, deep, columns, begin, lds, x, a_down, a_right, w, o, N)
        begin, lds = o, N
        if len(sums) > 0 and r0 == 0:  # one more row of a, of nothing but 1
            multiply(product, 1, 0, deep, columns, total if k > 0 else zeros, 0, at(one, 0), 0, 0, w, total, N)


@njit(**fast)
def _large_product(given, a, b, out, start, sums, first, last):
    """out = a b, or start + a b with a row `start` that is added to each, out (M, N), with K terms an entry.

    Entry (r, k) of a lies at r a_down + k a_right, and so in b. If there are more rows than columns, parts are some of
    the rows, else some of the panels of columns. An entry is the same sum in the same order whatever the part. The
    sums of b's columns come along, where they are asked for.
    """
    product, a_down, a_right, b_down = word(given, 0), word(given, 1), word(given, 2), word(given, 3)
    b_right, M, K, N = word(given, 4), word(given, 5), word(given, 6), word(given, 7)
    start, sums = start[: N if word(given, 8) else 0], sums[: N if word(given, 9) else 0]
    width = WIDE * BYTES // out.itemsize
    packed = np.zeros((DEEP + 1) * width, out.dtype)
    r0, r1, n0, n1 = (first, last, 0, N) if M >= N else (0, M, first * width, min(N, last * width))
    for n in range(n0, n1, width):
        columns = min(n1 - n, width)
        _panel_of_product(
            product, a, a_down, a_right, b, b_down, b_right, K, N, start, out, sums, r0, r1, n, columns, packed
        )


def _large32(given, first, last):
    a, b, out = floats32_at(word(given, 10)), floats32_at(word(given, 11)), floats32_at(word(given, 12))
    _large_product(given, a, b, out, floats32_at(word(given, 13)), floats32_at(word(given, 14)), first, last)


def _large64(given, first, last):
    a, b, out = floats64_at(word(given, 10)), floats64_at(word(given, 11)), floats64_at(word(given, 12))
    _large_product(given, a, b, out, floats64_at(word(given, 13)), floats64_at(word(given, 14)), first, last)


@functools.cache
def large_product(size):
    """The address of a large product of numbers of 4 bytes or of 8."""
    return cfunc(rows, cache=True)(_large32 if size == 4 else _large64).address
