# SPDX-License-Identifier: MIT
"""MemoryPool: a byte space that looks contiguous and holds only what was written.

How the C pool is kept alive: an _Owner holds one reference to it and gives it back when
it is collected. A MemoryPool holds the owner, and so does every running call, by a local
variable. close() drops the MemoryPool's hold, which never pulls memory from under a call
of another thread and costs the calls nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import suppress
from ctypes import byref, c_size_t, sizeof
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, NoReturn, cast, overload

from . import _signatures
from ._arguments import byte_range, integer
from ._buffers import BYTES_MAX, fresh_bytes, readable, writable
from ._library import QUICK_BYTES, fail, parallel, quick, read_stats
from ._signatures import SIZE_MAX, PoolOptions
from .errors import PoolClosedError, PoolMemoryError, Status

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex

    from _typeshed import ReadableBuffer, WriteableBuffer


class PoolStats(NamedTuple):
    """Facts about a pool, all from one moment. Sizes are in bytes."""

    total_size: int  #: bytes that can be addressed
    block_size: int  #: bytes in a block
    held_blocks: int  #: blocks this pool holds, its own and shared ones
    held_bytes: int  #: the same in bytes
    shared_blocks: int  #: those of them that others hold as well
    copied_blocks: int  #: copies made on write by this pool, ever
    family_bytes: int  #: bytes of blocks the family holds, each counted once
    family_peak_bytes: int  #: the most that family_bytes has been
    family_pools: int  #: pools alive in the family
    memory_limit: int  #: 0: none
    metadata_bytes: int  #: what the family uses for its own bookkeeping
    kept_bytes: int  #: what the process keeps for reuse; see trim()


class _Owner:
    """One reference to a C pool, given back when this object is collected."""

    __slots__ = ("__weakref__", "address", "total_size")

    def __init__(self, address: int, total_size: int) -> None:
        self.address = address
        self.total_size = total_size
        # Not by itself at exit: there it would not ask whether a call is running.
        weakref.finalize(self, parallel.pool_destroy, address).atexit = False


class _Closed:
    """Stands in for the owner of a closed pool: whatever is asked of it raises."""

    def __getattr__(self, name: str) -> NoReturn:
        raise PoolClosedError("the pool is closed")


_CLOSED = cast(_Owner, _Closed())

# Bound once: these calls are short enough to notice.
_read_quick, _write_quick = quick.pool_read, quick.pool_write


class MemoryPool:
    """A byte space of `total_size` bytes that starts as zeros and looks contiguous.

    Memory is taken for what was written and for nothing else, so that a pool may have
    any size up to 2**64 - 1 (2**32 - 1 where pointers have 32 bits). It works like a
    bytearray of a fixed size, `pool[i]` and `pool[a:b]` included, that can be cloned in
    constant time.

    All offsets and sizes are integers and in bytes. What is past the end is refused,
    never clipped (except by slices, which clip as all slices in Python do). A call that
    raises has changed nothing.

    Any number of threads may use one pool. Every method is one atomic step: nobody sees
    half a write. A closed pool raises PoolClosedError.
    """

    _owner = _CLOSED

    # A pool can be far too long to be walked byte by byte, and without these Python
    # would do just that. Use extents() and read().
    __iter__ = None
    __contains__ = None
    __reversed__ = None

    def __init__(
        self,
        total_size: SupportsIndex,
        max_block_size: SupportsIndex = 65536,
        *,
        memory_limit: SupportsIndex | None = None,
    ) -> None:
        """Makes a pool of `total_size` bytes, all of them zero.

        total_size: 1 or more.
        max_block_size: 1 or more; blocks have the largest power of two not above it.
        memory_limit: the most bytes of blocks that this pool and its clones may hold
            together, 1 or more; None for no limit.

        Raises PoolRangeError, PoolMemoryError.
        """
        options = PoolOptions(
            sizeof(PoolOptions),
            integer("total_size", total_size, 1, SIZE_MAX),
            integer("max_block_size", max_block_size, 1, SIZE_MAX),
            0
            if memory_limit is None
            else integer("memory_limit", memory_limit, 1, SIZE_MAX),
        )
        address = quick.pool_create_with(byref(options))
        self._own(_Owner(address, options.total_size))

    @classmethod
    def from_handle(cls, address: SupportsIndex) -> MemoryPool:
        """The pool at an address that C code has, as one more owner of it.

        It must be the address of a live pool: nothing can recognise another one. The
        caller keeps its own reference. Raises PoolRangeError for 0.
        """
        handle = quick.pool_retain(integer("address", address, 1, SIZE_MAX))
        total_size = read_stats(handle, _UP_TO_BLOCKS).total_size
        return cls.__new__(cls)._own(_Owner(handle, total_size))

    def _own(self, owner: _Owner) -> MemoryPool:
        self._owner = owner
        _live.add(self)
        return self

    # ------------------------------------------------------------------ lifetime

    def close(self) -> None:
        """Gives up the pool; its memory is freed when nobody else has a use for it.

        Closing twice does nothing. Calls that are running in other threads end well.
        """
        self._owner = _CLOSED

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._owner is _CLOSED

    def __enter__(self) -> MemoryPool:
        _ = self._owner.address  # a closed pool says so here
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a MemoryPool cannot be pickled or copied; see clone()")

    # --------------------------------------------------------------------- bytes

    def read(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """The `size` bytes at `offset`, as bytes. Holes give zeros and stay holes.

        Raises PoolRangeError past the end, MemoryError if there is no room for the
        bytes object. Other threads run while more than 16 KiB are copied.
        """
        # The common case by itself: its steps are what a small read costs in Python.
        owner = self._owner
        if (
            type(offset) is int is type(size)
            and 0 < size <= QUICK_BYTES
            and 0 <= offset <= owner.total_size - size
        ):
            data = fresh_bytes(None, size)
            if _read_quick(owner.address, data, offset, size) == size:
                return data
            del data
        return self._fetch("pool_read", offset, size)

    def _fetch(self, function: str, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """The bytes that pool_read or pool_take gives."""
        owner = self._owner
        offset, size = byte_range(offset, size, owner.total_size)
        if size == 0:
            return b""
        if size > BYTES_MAX:
            raise PoolMemoryError(f"{size} bytes do not fit a bytes object")
        data = fresh_bytes(None, size)
        library = quick if size <= QUICK_BYTES else parallel
        if getattr(library, function)(owner.address, data, offset, size) != size:
            del data  # it holds old memory, and a traceback would show it
            _fail_short(function, owner, None, offset, size)
        return data

    def readinto(self, offset: SupportsIndex, buffer: WriteableBuffer) -> int:
        """Fills `buffer` with the bytes at `offset`; returns how many, which is its size.

        buffer: any writable object of contiguous memory, such as a bytearray, an
            array.array, a numpy array of any shape, a memoryview of one of them. It
            must not be used by other threads meanwhile.

        Raises PoolRangeError past the end, TypeError for an unfit buffer; then nothing
        was copied.
        """
        owner = self._owner
        with writable(buffer) as target:
            offset, size = byte_range(offset, target.size, owner.total_size)
            library = quick if size <= QUICK_BYTES else parallel
            if library.pool_read(owner.address, target.address, offset, size) != size:
                _fail_short("pool_read", owner, None, offset, size)
            return size

    def write(self, offset: SupportsIndex, data: ReadableBuffer) -> int:
        """Puts `data` at `offset`; returns the number of bytes, which is all of them.

        data: bytes, or any object of contiguous memory, read-only ones too. If it is
            writable, other threads must not change it meanwhile.

        Raises PoolRangeError past the end, PoolMemoryError, PoolLimitError, TypeError
        for something without bytes; then nothing was written.
        """
        if type(data) is bytes:
            owner = self._owner
            size = len(data)
            if (  # the common case by itself, as in read()
                type(offset) is int
                and size <= QUICK_BYTES
                and 0 <= offset <= owner.total_size - size
            ):
                if _write_quick(owner.address, offset, data, size) != size:
                    _fail_short("pool_write", owner, offset, None, size)
                return size
            return self._write(offset, data, size)
        with readable(data) as source:
            return self._write(offset, source.address, source.size)

    def _write(self, offset: SupportsIndex, source: Any, size: int) -> int:
        """The bytes at an address, or those of a bytes object, into the pool."""
        owner = self._owner
        offset, size = byte_range(offset, size, owner.total_size)
        library = quick if size <= QUICK_BYTES else parallel
        if library.pool_write(owner.address, offset, source, size) != size:
            _fail_short("pool_write", owner, offset, None, size)
        return size

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255. 0 is discard().

        Raises PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        owner = self._owner
        offset, size = byte_range(offset, size, owner.total_size)
        library = quick if size <= QUICK_BYTES else parallel
        library.pool_fill(owner.address, offset, integer("byte", byte, 0, 255), size)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the `size` bytes at `offset` a hole, which reads as zeros.

        Frees the memory of whole blocks at once, of others when nothing but zeros is
        left in them. Raises PoolRangeError; where blocks are shared with a clone also
        PoolMemoryError, PoolLimitError. Then nothing was changed.
        """
        owner = self._owner
        offset, size = byte_range(offset, size, owner.total_size)
        library = quick if size <= QUICK_BYTES else parallel
        library.pool_discard(owner.address, offset, size)

    def take(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """Reads and discards in one atomic step; for what is used up once read.

        Returns the `size` bytes at `offset`. Raises what read() and discard() raise;
        then nothing was changed.
        """
        return self._fetch("pool_take", offset, size)

    # ----------------------------------------------------------- as a sequence

    def __len__(self) -> int:
        """total_size, which may be too large for len(); then OverflowError."""
        total_size = self._owner.total_size
        if total_size > _LEN_MAX:
            raise OverflowError(f"len() cannot tell {total_size}; total_size can")
        return total_size

    def __bool__(self) -> bool:
        return True  # as of any object: len() would not do for large and closed pools

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:
        """`pool[i]` is a byte as an int, `pool[a:b]` are bytes. A step must be 1.

        Negative ones count from the end. Raises PoolRangeError.
        """
        if isinstance(key, slice):
            return self.read(*self._slice(key))
        return self.read(self._index(key), 1)[0]

    @overload
    def __setitem__(self, key: SupportsIndex, value: SupportsIndex) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: ReadableBuffer) -> None: ...
    def __setitem__(self, key: SupportsIndex | slice, value: Any) -> None:
        """`pool[i] = 0 .. 255` and `pool[a:b] = data`, data as long as the slice.

        Raises PoolRangeError, PoolMemoryError, PoolLimitError, TypeError; then nothing
        was changed.
        """
        if not isinstance(key, slice):
            offset = self._index(key)
            self._write(offset, bytes((integer("byte", value, 0, 255),)), 1)
            return
        offset, size = self._slice(key)
        with readable(value) as source:
            integer("size of what is assigned", source.size, size, size)
            self._write(offset, source.address, size)

    def _index(self, key: SupportsIndex) -> int:
        """The offset that an index in square brackets means."""
        total_size = self._owner.total_size
        index = integer("index", key, -total_size, total_size - 1)
        return index + total_size if index < 0 else index

    def _slice(self, key: slice) -> tuple[int, int]:
        """The offset and the size that a slice means."""
        # One atomic step is one range of bytes, and every method is one atomic step.
        integer("step of a slice", 1 if key.step is None else key.step, 1, 1)
        start, stop, _ = key.indices(self._owner.total_size)
        return start, max(0, stop - start)

    # ----------------------------------------------------------------- snapshots

    def clone(self) -> MemoryPool:
        """A pool of its own with the same contents, made in constant time.

        The two share memory until one of them writes, and share the memory limit.
        Raises PoolMemoryError.
        """
        owner = self._owner
        address = quick.pool_clone(owner.address)
        return type(self).__new__(type(self))._own(_Owner(address, owner.total_size))

    def restore(self, source: MemoryPool) -> None:
        """Makes the contents of this pool those of `source`, a relative by cloning.

        In constant time, plus the freeing of what only this pool held. Raises
        PoolUnrelatedError.
        """
        owner, source_owner = self._owner, _owner_of(source)
        parallel.pool_restore(owner.address, source_owner.address)

    # ------------------------------------------------------- where there is what

    def extents(self) -> Iterator[tuple[int, int]]:
        """The runs of data in this pool, in order, each as (start, size).

        What is outside of them reads as zeros. Each step sees the pool as it is then.
        """

        def find(offset: int, start: c_size_t, size: c_size_t) -> int:
            owner = self._owner
            found: int = parallel.pool_next_extent(owner.address, offset, start, size)
            return found

        return _runs(find)

    def changes(self, base: MemoryPool) -> Iterator[tuple[int, int]]:
        """The runs in which this pool may differ from `base`, each as (start, size).

        By whole blocks, in order; what is outside of them is the same in both. Costs
        what differs, not what is held. Each step sees the pools as they are then.
        Raises PoolUnrelatedError if `base` is not a relative by cloning.
        """

        def find(offset: int, start: c_size_t, size: c_size_t) -> int:
            owner, other = self._owner, _owner_of(base)
            found: int = parallel.pool_next_change(
                owner.address, other.address, offset, start, size
            )
            return found

        return _runs(find)

    # --------------------------------------------------------------------- facts

    @property
    def total_size(self) -> int:
        """Bytes that can be addressed."""
        return self._owner.total_size

    @property
    def block_size(self) -> int:
        """Bytes in a block, a power of two."""
        owner = self._owner
        return int(read_stats(owner.address, _UP_TO_BLOCKS).block_size)

    @property
    def handle(self) -> int:
        """The address of the pool for C code: a `MemoryPool *`.

        Good while this object is open; C code that keeps it calls pool_retain first.
        """
        return self._owner.address

    @property
    def stats(self) -> PoolStats:
        """Facts from one moment. Costs a walk over the tree for shared_blocks."""
        owner = self._owner
        stats = read_stats(owner.address, sizeof(_signatures.PoolStats))
        return PoolStats(*(getattr(stats, name) for name in PoolStats._fields))

    def __repr__(self) -> str:
        owner = self._owner
        if owner is _CLOSED:
            return "<MemoryPool, closed>"
        stats = read_stats(owner.address, _UP_TO_SHARED)
        return (
            f"<MemoryPool of {stats.total_size} bytes, {stats.held_bytes} held"
            f" in {stats.held_blocks} blocks of {stats.block_size}>"
        )


_LEN_MAX = SIZE_MAX >> 1

# Sizes of PoolStats that leave out what costs a walk over the tree.
_UP_TO_BLOCKS = _signatures.PoolStats.held_blocks.offset
_UP_TO_SHARED = _signatures.PoolStats.shared_blocks.offset


def trim() -> int:
    """Gives memory that is kept for reuse back to the system; returns the bytes."""
    return int(parallel.pool_trim())


def _owner_of(pool: MemoryPool) -> _Owner:
    if not isinstance(pool, MemoryPool):
        raise TypeError(f"a MemoryPool is needed, not {type(pool).__name__}")
    return pool._owner


def _runs(find: Callable[[int, c_size_t, c_size_t], int]) -> Iterator[tuple[int, int]]:
    start, size = c_size_t(), c_size_t()
    find(SIZE_MAX, start, size)  # finds nothing, but raises now and not at first use

    def walk() -> Iterator[tuple[int, int]]:
        offset = 0
        while find(offset, start, size):
            run = start.value, size.value
            offset = sum(run)
            yield run

    return walk()


def _fail_short(function: str, owner: _Owner, *arguments: Any) -> NoReturn:
    """Raises why a call that returns a count did not do all of it."""
    status = quick.pool_last_status()
    if status == Status.POOL_OK:
        # The collector may end other pools in this thread between the two calls. The
        # range was checked before, so that memory is all that can have been missing.
        status = Status.POOL_NO_MEMORY
    fail(function, (owner.address, *arguments), status)


# ------------------------------------------------------------------------ exit

_live: weakref.WeakSet[MemoryPool] = weakref.WeakSet()


def _close_all() -> None:
    with suppress(KeyError):
        while True:
            _live.pop().close()


# At exit pools are closed, not destroyed: a daemon thread may be inside a call, which
# then keeps its pool. (A class lives until exit, and this runs before finalizers stop.)
weakref.finalize(MemoryPool, _close_all)
