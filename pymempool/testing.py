# SPDX-License-Identifier: MIT
"""Tools for tests of code, in Python and in C, that works on memory.

pytest offers the first three of them as fixtures, once pymempool is installed:

memory_pool      a pool that must have been given back wholly when the test ends
compile_c        C source as a ctypes library that works on the same pools
fail_allocation  makes an allocation of the library fail
assert_same      compares the bytes of a pool and shows how they differ
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, sizeof, string_at
from typing import TYPE_CHECKING, Any

from . import views
from ._arguments import integer
from ._buffers import readable
from ._compiler import CompileC, CompileError, find_compiler
from ._difference import difference, runs_of_two
from ._library import parallel, quick
from ._signatures import SIZE_MAX, PoolView
from .errors import PoolClosedError, PoolMemoryError, PoolUnrelatedError
from .pool import MemoryPool

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer

__all__ = [
    "CompileC",
    "CompileError",
    "FailAllocation",
    "Fault",
    "Loan",
    "assert_same",
    "find_compiler",
    "lend_pool",
]

# ----------------------------------------------------- a pool that must come back


class Loan:
    """A pool that is lent, and what was found when it was to be given back."""

    def __init__(self, lent: MemoryPool) -> None:
        self.pool = lent
        self.report = ""  #: who still holds what; empty if nobody holds anything


@contextmanager
def lend_pool(total_size: int = min(1 << 40, SIZE_MAX), **options: Any) -> Iterator[Loan]:
    """Lends a pool, closes it at the end and reports who still holds a part of it.

    options: as for MemoryPool.
    """
    loan = Loan(MemoryPool(total_size, **options))
    kept = MemoryPool.from_handle(loan.pool.handle)  # to ask when the other is closed
    family = _family(kept)
    views.track(True)
    try:
        yield loan
        loan.pool.close()
        gc.collect()  # what only waits to be collected is not held
        loan.report = _report(kept, family)
    finally:
        kept.close()
        views.track(False)


def _family(pool: MemoryPool) -> int | None:
    """What views of this pool and of its relatives have in common."""
    view = PoolView(sizeof(PoolView))
    parallel.pool_view(pool, 0, 1, byref(view))
    family: int | None = view.family
    parallel.pool_view_release(byref(view))
    return family


def _report(kept: MemoryPool, family: int | None) -> str:
    """Who holds what of a family besides `kept`, which is one owner of one pool."""
    stats = kept.stats
    lines = []
    if stats.references > 1:
        lines.append(f"owners of the pool itself: {stats.references - 1}")
    if stats.family_pools > 1:
        lines.append(f"clones: {stats.family_pools - 1}")
    if lines:
        pools = [repr(each) for each in gc.get_objects() if _holds(each, kept)]
        lines += [f"  {each}" for each in pools]
        others = stats.references + stats.family_pools - 2 - len(pools)
        if others > 0:
            lines.append(f"  held by C code, or by calls that are running: {others}")
    if stats.family_views > 0:
        lines.append(f"views and pins: {stats.family_views}")
        known = [each.label for each in views.tracked() if each.family == family]
        lines += [
            f"  {kind} of {size} bytes at offset {offset}, made at {where}"
            for kind, offset, size, where in known
        ]
        others = stats.family_views - len(known)
        if others > 0:
            lines.append(f"  held by C code: {others}")
    if lines and stats.adopted_blocks > 0:
        lines.append(f"blocks of adopted memory: {stats.adopted_blocks}")
    heading = "memory_pool was not given back as a whole; still held are"
    return "\n  ".join([heading, *lines]) if lines else ""


def _holds(thing: object, kept: MemoryPool) -> bool:
    """Whether it is a MemoryPool that holds the pool of `kept`, or a clone of it."""
    # Not by isinstance, which asks each object in the process for its class.
    if not issubclass(type(thing), MemoryPool) or thing is kept:
        return False
    assert isinstance(thing, MemoryPool)
    with suppress(PoolClosedError, PoolUnrelatedError):
        thing.changes(kept)
        return True
    return False


# ------------------------------------------------------------ allocations that fail


class Fault:
    """A context in which one allocation of the library fails."""

    def __init__(self, number: int, *, forgiving: bool = False) -> None:
        self.number = integer("number", number, 1, SIZE_MAX)
        self.reached: bool | None = None  #: whether it failed; None before the end
        self.error: PoolMemoryError | None = None  #: what each() has caught here
        self._forgiving = forgiving

    def __enter__(self) -> Fault:
        quick.pool_fail_allocation(self.number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.reached = quick.pool_fail_allocation(0) == 0
        if not (self._forgiving and self.reached):
            return False
        if isinstance(exception, PoolMemoryError):
            self.error = exception
        return self.error is not None


class FailAllocation:
    """Makes the library's allocations fail, those of all threads and of C code too."""

    def __call__(self, number: int) -> Fault:
        """A context in which the number-th allocation of the library fails, if the code
        in it comes that far; `reached` tells so afterwards.

            with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
                pool.write(0, b"one")
            assert fault.reached
        """
        return Fault(number)

    def each(self) -> Iterator[Fault]:
        """Contexts in which the first allocation fails, then the second, and so on, up
        to one that the code came through without a failure.

            for fault in fail_allocation.each():
                with fault:
                    pool.write(0, b"all or nothing")
                assert pool.read(0, 3) == (b"\\0\\0\\0" if fault.error else b"all")

        The PoolMemoryError that comes of the failure ends the context and no more.
        """
        for number in itertools.count(1):
            fault = Fault(number, forgiving=True)
            yield fault
            if fault.reached is None:
                raise RuntimeError("what fail_allocation.each() gives is for `with`")
            if not fault.reached:
                return

    def stop(self) -> None:
        """Lets all allocations succeed again."""
        quick.pool_fail_allocation(0)


# --------------------------------------------------------------- bytes that differ


def assert_same(
    pool: MemoryPool,
    expected: MemoryPool | ReadableBuffer,
    offset: SupportsIndex = 0,
) -> None:
    """Compares the pool's bytes at `offset` with `expected`, and shows how they differ.

    expected: bytes, or any object of contiguous memory; or another pool, which must then
        be as long as the rest of this one. Where both have holes, and what relatives by
        cloning share at the same offset, is not read.

    Raises AssertionError; PoolRangeError if `offset` is past the end.
    """
    __tracebackhide__ = True
    base = integer("offset", offset, 0, pool.total_size)
    rest = pool.total_size - base
    if isinstance(expected, MemoryPool):
        other, size = expected, expected.total_size
        if size != rest:
            raise AssertionError(f"{size} bytes are expected, {_from(base, rest)}")
        runs = runs_of_two(pool, other, base)
        text = difference(
            pool.read, lambda at, n: other.read(at - base, n), runs, base, base + size
        )
    else:
        with readable(expected) as memory:
            start, size = memory.address - base, memory.size
            if size > rest:
                raise AssertionError(f"{size} bytes are expected, {_from(base, rest)}")
            text = difference(
                pool.read,
                lambda at, n: string_at(start + at, n),
                [(base, size)],
                base,
                base + size,
            )
    if text:
        raise AssertionError(text)


def _from(offset: int, rest: int) -> str:
    return f"the pool has {rest} from offset {offset} on"
