# SPDX-License-Identifier: MIT
"""MemoryPool: a byte space that looks contiguous and holds only what was written.

Pickles of pools name pymempool.pool.rebuild: that name never moves.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterator
from contextlib import suppress
from ctypes import addressof, sizeof
from typing import TYPE_CHECKING, Any, SupportsIndex

from ._core import adoption, pickling, pins, walks
from ._core.batches import Batches
from ._core.owner import CLOSED, Owner, Parameter, fail_short
from ._core.sequence import ByteSequence
from ._core.stats import PoolStats
from ._native import handles, signatures
from ._native.arguments import integer
from ._native.buffers import (
    BYTES_MAX,
    fresh_bytes,
    in_place,
    is_plain,
    readable,
    writable,
)
from ._native.library import QUICK_BYTES, library_for, parallel, quick, read_stats
from ._native.signatures import OVERCOMMIT, SIZE_MAX, WIPE, PoolOptions
from .errors import PoolMemoryError, PoolRangeError
from .images.methods import Storage
from .pictures.methods import Pictured

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer
    from typing_extensions import Self

# Bound once: these calls are short enough to notice.
_read_quick, _write_quick = quick.pool_read, quick.pool_write


class _Usual(int):
    """A default that can be told from the same number given by a caller."""


_USUAL_SIZE = _Usual(65536)


class MemoryPool(ByteSequence, Batches, Storage, Pictured):
    """A byte space of `total_size` bytes that starts as zeros and looks contiguous.

    Memory is taken for what was written and for nothing else, so that a pool may have
    any size up to 2**64 - 1 (2**32 - 1 where pointers have 32 bits). It works like a
    bytearray of a fixed size, `pool[i]` and `pool[a:b]` included, that can be cloned in
    constant time. copy.copy() is clone(), and pools can be pickled.

    All offsets and sizes are integers and in bytes. What is past the end is refused,
    never clipped (except by slices, which clip as all slices in Python do). A call that
    raises has changed nothing. (Only if somebody else makes the pool smaller behind this
    object's back, a write across the new end puts down what fits, and says so; take()
    likewise.)

    Any number of threads may use one pool. Every method is one atomic step: nobody sees
    half a write. A closed pool raises PoolClosedError.

    A MemoryPool can be passed to functions of ctypes as it is, for a `MemoryPool *`.
    """

    def __init__(
        self,
        total_size: SupportsIndex,
        max_block_size: SupportsIndex = _USUAL_SIZE,
        *,
        block_size: SupportsIndex | None = None,
        memory_limit: SupportsIndex | None = None,
        wipe: bool = False,
        overcommit: bool = False,
    ) -> None:
        """Makes a pool of `total_size` bytes, all of them zero.

        total_size: 1 or more.
        max_block_size: 1 or more; blocks have the largest power of two not above it, nor
            above the smallest one that covers total_size. It stays so: resize() makes
            no larger blocks of the small ones of a small pool.
        block_size: given in place of max_block_size, the exact size of the blocks. Raises
            PoolRangeError if the rule above makes another number of it.
        memory_limit: the most bytes of blocks that this pool and its clones may hold
            together, 1 or more; None for no limit.
        wipe: whether blocks of this pool and its clones are overwritten with zeros as
            soon as nobody holds them. What was read out of the pool is not, nor is
            adopted memory.
        overcommit: whether calls that need more memory than the system has left are
            tried all the same, and not refused at once with PoolMemoryError.

        Raises PoolRangeError, PoolMemoryError; TypeError for both sizes of blocks.
        """
        if block_size is not None and max_block_size is not _USUAL_SIZE:
            raise TypeError("max_block_size or block_size may be given, not both")
        options = PoolOptions(
            sizeof(PoolOptions),
            integer("total_size", total_size, 1, SIZE_MAX),
            integer("block_size", block_size, 1, SIZE_MAX)
            if block_size is not None
            else integer("max_block_size", max_block_size, 1, SIZE_MAX),
            0
            if memory_limit is None
            else integer("memory_limit", memory_limit, 1, SIZE_MAX),
            (WIPE if wipe else 0) | (OVERCOMMIT if overcommit else 0),
        )
        owner = Owner(handles.create(options), options.total_size)
        if block_size is not None and owner.block_size != options.max_block_size:
            raise PoolRangeError(
                f"block_size is {options.max_block_size}, allowed is a power of two up to"
                f" the first that covers {options.total_size} bytes:"
                f" {owner.block_size} would do"
            )
        self._own(owner)

    @classmethod
    def from_handle(cls, address: SupportsIndex, *, retain: bool = True) -> Self:
        """The pool at an address that C code has.

        retain: True makes this object one more owner, and the caller keeps its own
            reference; False takes over the reference that C gave, as from pool_create
            or pool_clone, and close() gives it back.

        It must be the address of a live pool: nothing can recognise another one. Raises
        PoolRangeError for 0.
        """
        handle = integer("address", address, 1, SIZE_MAX)
        own = handles.retain if retain else handles.take_over
        return cls.__new__(cls)._own(Owner(own(handle)))

    def _own(self, owner: Owner) -> Self:
        _live.add(_Live(self, _forget))
        self._owner = owner  # last: what fails leaves the pool that was there
        return self

    # ------------------------------------------------------------------ lifetime

    def close(self) -> None:
        """Gives up the pool; its memory is freed when nobody else has a use for it.

        Closing twice does nothing. Calls that are running in other threads end well, and
        views and pins stay what they are.
        """
        self._owner = CLOSED

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._owner is CLOSED

    def __enter__(self) -> Self:
        _ = self._owner.address  # a closed pool says so here
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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
            and 0 <= offset < owner.total_size
        ):
            # No slower than fresh_bytes for any of these sizes, and 100 ns quicker for
            # small ones. CPython shares no bytes(size) but that of 0; the tests look.
            data = bytes(size)
            # C clips at the end, which is then found out below.
            if _read_quick(owner.address, data, offset, size) == size:
                return data
            del data
        return self._fetch("pool_read", offset, size)

    def _fetch(self, function: str, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """The bytes that pool_read or pool_take gives."""
        owner = self._owner
        offset, size = owner.range(offset, size)
        if size == 0:
            return b""
        if size > BYTES_MAX:
            raise PoolMemoryError(f"{size} bytes do not fit a bytes object")
        call = getattr(library_for(size), function)
        data = fresh_bytes(None, size)  # last: no handler of a signal must come to see it
        done = call(owner.address, data, offset, size)
        if done != size:
            del data  # it holds old memory, and a traceback would show it
            fail_short(function, owner, (None, offset, size), done)
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
        if type(buffer) is bytearray or is_plain(buffer):
            total_size = owner.total_size  # raises if closed, with nothing held
            held = in_place(buffer)  # now its size stays what it is
            size = len(buffer)
            if type(offset) is int and 0 <= offset <= total_size - size:  # as in read()
                call = _read_quick if size <= QUICK_BYTES else parallel.pool_read
                if call(owner.address, addressof(held), offset, size) == size:
                    return size
            del held
        with writable(buffer) as target:
            offset, size = owner.range(offset, target.size)
            call = library_for(size).pool_read
            done = call(owner.address, target.address, offset, size)
            if done != size:
                fail_short("pool_read", owner, (None, offset, size), done)
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
                done = _write_quick(owner.address, offset, data, size)
                if done != size:
                    fail_short("pool_write", owner, (offset, None, size), done)
                return size
            return self._write(offset, data, size)
        with readable(data) as source:
            return self._write(offset, source.address, source.size)

    def _write(self, offset: SupportsIndex, source: Any, size: int) -> int:
        """The bytes at an address, or those of a bytes object, into the pool."""
        owner = self._owner
        offset, size = owner.range(offset, size)
        done = library_for(size).pool_write(owner.address, offset, source, size)
        if done != size:
            fail_short("pool_write", owner, (offset, None, size), done)
        return size

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255. 0 is discard().

        Raises PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        owner = self._owner
        offset, size = owner.range(offset, size)
        byte = integer("byte", byte, 0, 255)
        library_for(size).pool_fill(owner.address, offset, byte, size)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the `size` bytes at `offset` a hole, which reads as zeros.

        Frees the memory of whole blocks at once, of others when nothing but zeros is
        left in them. Raises PoolRangeError; where blocks are shared with a clone also
        PoolMemoryError, PoolLimitError. Then nothing was changed.
        """
        owner = self._owner
        offset, size = owner.range(offset, size)
        library_for(size).pool_discard(owner.address, offset, size)

    def take(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """Reads and discards in one atomic step; for what is used up once read.

        Returns the `size` bytes at `offset`. Raises what read() and discard() raise;
        then nothing was changed.
        """
        return self._fetch("pool_take", offset, size)

    def copy_from(
        self,
        source: MemoryPool,
        source_offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
        offset: SupportsIndex | None = None,
    ) -> int:
        """Copies bytes of `source`, which may be this pool; returns how many.

        size: None for all from source_offset on.
        offset: where to put them; None for source_offset.

        Holes become holes. Between relatives by cloning, whole blocks are shared and not
        copied if the two offsets lie alike in their blocks. Ranges may overlap. Raises
        PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        owner, source_owner = self._owner, _owner_of(source)
        if size is None:
            rest = source_owner.ask()
            source_offset = integer("source_offset", source_offset, 0, rest)
            size = rest - source_offset
        source_offset, size = source_owner.range(source_offset, size)
        offset, size = owner.range(source_offset if offset is None else offset, size)
        library_for(size).pool_copy(
            owner.address, offset, source_owner.address, source_offset, size
        )
        return size

    def resize(self, total_size: SupportsIndex) -> None:
        """Makes the pool larger, by a hole, or smaller, discarding what is beyond.

        total_size: 1 or more. The block size stays, so that a pool that is to grow is
            best made as large as a block, or larger, and then made small. Views and pins
            of what is cut off stay valid; such a pin is no window on the pool any more.

        Raises PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        owner = self._owner
        total_size = integer("total_size", total_size, 1, SIZE_MAX)
        parallel.pool_resize(owner.address, total_size)
        owner.total_size = total_size

    # ------------------------------------------------------------- without a copy

    def view(self, offset: SupportsIndex, size: SupportsIndex) -> memoryview:
        """The bytes at `offset` as they are now, read-only, without a copy of them.

        They never change, whatever is written to the pool later, and live for as long as
        the memoryview, a slice of it or a numpy array on it does, the pool closed or
        not. release() or `with` gives them back at once. A hole gives zeros and takes no
        memory.

        The range must lie in one block; views() covers any. Raises PoolRangeError, with
        how far it may go; PoolMemoryError; PoolLimitError for a pinned block, which is
        copied.
        """
        return pins.view(self._owner, offset, size)

    def views(self, offset: SupportsIndex, size: SupportsIndex) -> list[memoryview]:
        """The same for any range: a list, in order, one for each block.

        All are of one moment. For socket.sendmsg, os.pwritev, b"".join and the like.
        Raises PoolRangeError, PoolMemoryError; PoolLimitError for pinned blocks, which
        are copied, wherever in the pool they are.
        """
        return pins.views(self._owner, offset, size)

    def pin(self, offset: SupportsIndex, size: SupportsIndex) -> memoryview:
        """A live, writable window on the bytes at `offset`, in one block.

        What is written to it is in the pool at once, and what is written to the pool is
        seen in it. Nobody else may read or write the same bytes at the same time. It
        lives as a view() does, and after the pool was closed as well. Clones and views
        get copies of pinned blocks.

        Raises PoolRangeError, with how far it may go; PoolMemoryError, PoolLimitError.
        """
        return pins.pin(self._owner, offset, size)

    def adopt(self, offset: SupportsIndex, buffer: ReadableBuffer) -> int:
        """Makes the memory of `buffer` the pool's at `offset` without copying it.

        buffer: bytes, or any object of contiguous memory, such as a numpy array or a
            mapped file. Its bytes must not change from now on, even if it is writable:
            the pool never writes to them (it copies a block at the first write), but
            would show the change. The object is kept alive, and its memory held in
            place, until no pool, clone or view uses it any more.

        Returns its size. Blocks that are not covered wholly are copied. C code that has
        references to the pool gives them back before the interpreter ends. Raises
        PoolRangeError, TypeError, PoolMemoryError, PoolLimitError, and in a
        subinterpreter NotImplementedError; then nothing was changed and the object is
        let go.
        """
        return adoption.adopt(self._owner, offset, buffer)

    # ----------------------------------------------------------------- snapshots

    def clone(self) -> Self:
        """A pool of its own with the same contents, made in constant time.

        The two share memory until one of them writes, and share the memory limit.
        Raises PoolMemoryError; PoolLimitError for pinned blocks, which are copied.
        """
        owner = self._owner
        reference = handles.clone(owner.address)
        return type(self).__new__(type(self))._own(Owner(reference, owner.total_size))

    def __copy__(self) -> Self:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.clone()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """For pickle: the contents of one moment, a buffer for each run of data.

        With protocol 5 out of band, if asked. The copy is no relative of this pool.
        Raises what clone() and read() raise. As with clone(), what a subclass adds to its
        instances is its own to carry over; it may have a __reduce__ of its own.
        """
        if type(self).__reduce__ is not object.__reduce__:
            return self.__reduce__()  # of a subclass, which expects to be asked
        return rebuild, (type(self), *pickling.facts(self, operator.index(protocol)))

    def restore(self, source: MemoryPool) -> None:
        """Makes the contents and size of this pool those of `source`, its relative.

        In constant time, plus the freeing of what only this pool held. Raises
        PoolUnrelatedError, PoolMemoryError; PoolLimitError for pinned blocks, which are
        copied. Then nothing was changed.
        """
        owner, source_owner = self._owner, _owner_of(source)
        parallel.pool_restore(owner.address, source_owner.address)
        owner.total_size = source_owner.total_size

    # ------------------------------------------------------- where there is what

    def extents(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> Iterator[tuple[int, int]]:
        """The runs of data in [offset, offset + size), in order, each as (start, size).

        size: None for all up to the end of the pool.

        What is outside of the runs reads as zeros; a run is cut where the range is. Each
        step sees the pool as it is then, and costs little however long the run is. Raises
        PoolRangeError.
        """
        return walks.extents(self, offset, size)

    def changes(
        self,
        base: MemoryPool,
        offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
    ) -> Iterator[tuple[int, int]]:
        """The runs in which this pool may differ from `base`, each as (start, size).

        offset, size: the range that is looked at, of the larger of the two pools; size is
            None for all up to its end.

        By whole blocks, in order; what is outside of them is the same in both; a run is
        cut where the range is. Costs what differs, not what is held. Each step sees the
        pools as they are then; a run of many blocks takes several steps. Raises
        PoolUnrelatedError if `base` is not a relative by cloning; PoolRangeError.
        """
        return walks.changes(self, base, _owner_of, offset, size)

    # --------------------------------------------------------------------- facts

    @property
    def total_size(self) -> int:
        """Bytes that can be addressed, as of now."""
        return self._owner.ask()

    @property
    def block_size(self) -> int:
        """Bytes in a block, a power of two."""
        return self._owner.block_size

    @property
    def handle(self) -> int:
        """The address of the pool for C code: a `MemoryPool *`.

        Good while this object is open; C code that keeps it calls pool_retain first.
        """
        return int(self._owner.address)

    @property
    def _as_parameter_(self) -> Parameter:
        """For ctypes: the address, which holds the pool while the call runs."""
        owner = self._owner
        parameter = Parameter(owner.address)
        parameter.owner = owner
        return parameter

    @property
    def stats(self) -> PoolStats:
        """Facts from one moment. Costs a walk over the tree for shared_blocks."""
        owner = self._owner
        stats = read_stats(owner.address, sizeof(signatures.StatsStruct), parallel)
        return PoolStats(*(getattr(stats, name) for name in PoolStats._fields))

    def __repr__(self) -> str:
        owner = self._owner
        if owner is CLOSED:
            return "<MemoryPool, closed>"
        stats = read_stats(owner.address, _UP_TO_SHARED, quick)
        return (
            f"<MemoryPool of {stats.total_size} bytes, {stats.held_bytes} held"
            f" in {stats.held_blocks} blocks of {stats.block_size}>"
        )


# The size of the statistics without what costs a walk over the tree.
_UP_TO_SHARED = signatures.StatsStruct.shared_blocks.offset


def trim() -> int:
    """Gives memory that is kept for reuse back to the system; returns the bytes."""
    return int(parallel.pool_trim())


def _owner_of(pool: MemoryPool) -> Owner:
    if not isinstance(pool, MemoryPool):
        raise TypeError(f"a MemoryPool is needed, not {type(pool).__name__}")
    return pool._owner


def rebuild(kind: Any, *facts: Any) -> MemoryPool:
    """The pool that a pickle holds, of the class `kind`. No argument is trusted."""
    return pickling.rebuild(MemoryPool, kind, *facts)


# ------------------------------------------------------------------------ exit


class _Live(weakref.ref):  # type: ignore[type-arg]
    """Told apart by identity: a subclass may define __eq__, and __hash__ or none."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


_live: set[_Live] = set()
# Not a function of Python, in which the handler of a signal could raise.
_forget: Any = _live.discard


def _close_all() -> None:
    with suppress(KeyError):
        while True:
            pool = _live.pop()()
            if pool is not None:
                pool.close()


# At exit pools are closed, not destroyed: a daemon thread may be inside a call, which
# then keeps its pool. (A class lives until exit, and this runs before finalizers stop.)
weakref.finalize(MemoryPool, _close_all)
