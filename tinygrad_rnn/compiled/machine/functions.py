"""Functions of a number, float32 and float64: tanh, sigmoid and exp have no branches, so that LLVM computes several at
once.

Where they are put into a loop they keep arithmetic flags of their own (forceinline): to reorder their sums would
destroy them.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

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
