"""Threads that share a loop, within machine code: there a thread is woken in the time that Python's own way needs to
hand over the interpreter's lock.

A job is work(given, first, last) for parts of range(n); whoever is free takes the next part. Its words, and a helper's,
lie in a memory that all threads see:

    IDLE -> OFFERED -> TAKEN -> IDLE       a helper: there is a job; it works; it is done
            OFFERED -> IDLE                nobody waits for a helper who comes too late: its job is withdrawn

Who has worked looks out for the next job for a while, a tenth of a millisecond, since in a training step one job
follows the other; then it sleeps. Whoever offers a job looks whether a helper is asleep only after the offer is made,
and a helper looks for an offer once more after it has said that it sleeps: so one of them notices.
"""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

BUSY, WAITING, LOCK, ACQUIRE, RELEASE, ROUNDS, WORK, GIVEN, N, PARTS, NEXT = (8 * k for k in range(11))
"""Of the memory: whether there is a job; whether its owner sleeps, on which lock; Python's two functions of locks; how
often to look before one sleeps; what to do; the part to be taken next."""

STATE, ASLEEP, BED = 0, 8, 16
"""Of a helper: the state above; whether it sleeps, on which lock."""

EACH = 128
"""Bytes of a helper's words, which begin after as many of the job: so no two are in one line of a cache."""

IDLE, OFFERED, TAKEN = 0, 1, 2

_word = ir.IntType(64)


def _words(builder, address):
    return builder.inttoptr(address, _word.as_pointer())


@intrinsic
def load(typing, address):
    """What is there now."""

    def code(context, builder, signature, args):
        return builder.load_atomic(_words(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), code


@intrinsic
def store(typing, address, value):
    def code(context, builder, signature, args):
        builder.store_atomic(args[1], _words(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def turned(typing, address, old, new):
    """Turn old into new; whether it was old, which it is for one thread alone."""

    def code(context, builder, signature, args):
        found = builder.cmpxchg(_words(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64, types.int64), code


@intrinsic
def counted(typing, address):
    """What is there, and add 1."""

    def code(context, builder, signature, args):
        return builder.atomic_rmw("add", _words(builder, args[0]), ir.Constant(_word, 1), "seq_cst")

    return types.int64(types.int64), code


@intrinsic
def _work(typing, function, given, first, last):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_word] * 3)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), code


@intrinsic
def _acquire(typing, function, lock):
    """Sleep until somebody releases the lock. The interpreter's own is not needed for it."""

    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [_word, ir.IntType(32)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1], ir.Constant(ir.IntType(32), 1)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def _release(typing, function, lock):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_word])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@njit("boolean(int64, int64, int64)", nogil=True, cache=True)
def seen(place, wanted, rounds):
    """Look for a value so many times; whether it was seen."""
    for _ in range(rounds):
        if load(place) == wanted:
            return True
    return load(place) == wanted


@njit
def _sleep(crew, place, wanted, asleep, lock):
    """Until somebody who has brought it about wakes us; not at all, if it is so already."""
    store(asleep, 1)
    if load(place) != wanted or not turned(asleep, 1, 0):
        _acquire(load(crew + ACQUIRE), load(lock))


@njit
def _wake(crew, asleep, lock):
    if turned(asleep, 1, 0):
        _release(load(crew + RELEASE), load(lock))


@njit
def _take(crew):
    """Work on parts of the job until none is left."""
    n, parts = load(crew + N), load(crew + PARTS)
    while True:
        k = counted(crew + NEXT)
        if k >= parts:
            return
        _work(load(crew + WORK), load(crew + GIVEN), n * k // parts, n * (k + 1) // parts)


@njit("void(int64, int64)", nogil=True, cache=True)
def serve(crew, h):
    """The life of a helper."""
    mine = crew + EACH * (h + 1)
    while True:
        if not seen(mine + STATE, OFFERED, load(crew + ROUNDS)):
            _sleep(crew, mine + STATE, OFFERED, mine + ASLEEP, mine + BED)
        if turned(mine + STATE, OFFERED, TAKEN):
            _take(crew)
            store(mine + STATE, IDLE)
            _wake(crew, crew + WAITING, crew + LOCK)


@njit("void(int64, int64, int64, int64, int64, int64)", nogil=True, cache=True)
def share(crew, helpers, work, given, n, parts):
    """work(given, first, last) for so many parts of range(n), by this thread and so many others.

    Where the crew has a job already, of another thread of the user's, this one works alone.
    """
    if helpers < 1 or parts < 2 or not turned(crew + BUSY, 0, 1):
        for k in range(parts):
            _work(work, given, n * k // parts, n * (k + 1) // parts)
        return
    store(crew + WORK, work)
    store(crew + GIVEN, given)
    store(crew + N, n)
    store(crew + PARTS, parts)
    store(crew + NEXT, 0)
    helpers = min(helpers, parts - 1)
    for h in range(helpers):
        mine = crew + EACH * (h + 1)
        store(mine + STATE, OFFERED)
        _wake(crew, mine + ASLEEP, mine + BED)
    _take(crew)
    for h in range(helpers):
        mine = crew + EACH * (h + 1)
        if turned(mine + STATE, OFFERED, IDLE):
            continue
        while not seen(mine + STATE, IDLE, load(crew + ROUNDS)):
            _sleep(crew, mine + STATE, IDLE, crew + WAITING, crew + LOCK)
    store(crew + BUSY, 0)
