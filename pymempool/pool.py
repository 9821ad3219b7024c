# SPDX-License-Identifier: MIT
"""MemoryPool: a byte space that looks contiguous and holds only what was written.

Each method is here once: what it does in words, and a line or two that call the functions
which do it. Only the short ways of read() and write() are spelled out, where one more
call would be noticed. Pickles of pools name rebuild() and reload() of pymempool.pool:
they never move.

Files, pictures and pickles are imported when a method first needs them: they would take
a third to half of the time of `import pymempool`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, SupportsIndex, TypeVar, overload

from ._core import (
    adoption,
    arrays,
    batches,
    content,
    integers,
    lifecycle,
    limits,
    marks,
    pins,
    ranges,
    sequence,
    stats,
    walks,
)
from ._core.file import PoolFile
from ._core.owner import CLOSED, Owned, Owner, Parameter, fail_short, owner_of
from ._core.states import BlockState
from ._core.stats import PoolStats
from ._native import near
from ._native.arguments import integer
from ._native.buffers import in_place, is_plain, writable
from ._native.calls import QUICK_BYTES, parallel, quick
from ._native.near import NEAR
from ._native.signatures import SIZE_MAX
from .errors import PoolRangeError

if TYPE_CHECKING:
    from os import PathLike

    from _typeshed import (
        ReadableBuffer,
        StrOrBytesPath,
        SupportsRead,
        SupportsWrite,
        WriteableBuffer,
    )
    from typing_extensions import Self

    from ._core.limits import Peak
    from .images.progress import Progress
    from .sharing.snapshot import SharedSnapshot

_Buffer = TypeVar("_Buffer")

# Bound once: these calls are short enough to notice.
_read_bytes, _read_bytes_far = near.read_bytes, near.read_bytes_far
_read_near, _write_near = near.read, near.write
_read_quick, _write_quick = quick.pool_read, quick.pool_write


class MemoryPool(Owned):
    """A byte space of `total_size` bytes that starts as zeros and looks contiguous.

    Memory is taken for what was written and for nothing else, so that a pool may have
    any size up to 2**64 - 1 (2**32 - 1 where pointers have 32 bits). It works like a
    bytearray of a fixed size, `pool[i]` and `pool[a:b]` included, that can be cloned in
    constant time. copy.copy() is clone(), and pools can be pickled. As pools change, `==`
    is whether two names are of one pool, and they are hashed so; same() compares bytes.

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
        max_block_size: SupportsIndex = lifecycle.USUAL_SIZE,
        *,
        block_size: SupportsIndex | None = None,
        memory_limit: SupportsIndex | None = None,
        wipe: bool = False,
        overcommit: bool = False,
        huge_pages: bool | None = None,
        track_written: bool = False,
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
        huge_pages: True advises Linux to use huge pages (2 MiB) for blocks of 512 to
            4096 bytes, once this pool and its clones hold 2 MiB. Accesses all over a
            large pool become faster, but a first write may clear 2 MiB, and as much may
            be resident beyond what is held. Other systems ignore it. None and False: no.
        track_written: whether written(), and Intel HEX and S-record files, are exact to
            the byte, and not by whole blocks. This takes a byte more for each byte that
            was set, which does not count for the limit, and a short write takes some
            twenty times as long. Calls that change such pools take turns. Clones, pickles
            and shared snapshots track it as well.

        Raises PoolRangeError, PoolMemoryError; TypeError for both sizes of blocks.
        """
        self._own(
            lifecycle.create(
                total_size,
                max_block_size,
                block_size,
                memory_limit,
                wipe,
                overcommit,
                huge_pages,
                track_written,
            )
        )

    @classmethod
    def from_handle(cls, address: SupportsIndex, *, retain: bool = True) -> Self:
        """The pool at an address that C code has.

        retain: True makes this object one more owner, and the caller keeps its own
            reference; False takes over the reference that C gave, as from pool_create
            or pool_clone, and close() drops it.

        It must be the address of a live pool: nothing can recognise another one. Raises
        PoolRangeError for 0.
        """
        return cls.__new__(cls)._own(lifecycle.from_handle(address, retain))

    @classmethod
    def _made(cls, total_size: SupportsIndex, *sizes: Any, **options: Any) -> Self:
        """A new pool, whatever __init__() of a subclass needs."""
        pool = cls.__new__(cls)
        MemoryPool.__init__(pool, total_size, *sizes, **options)
        return pool

    @classmethod
    def _cloned(cls, owner: Owner) -> Self:
        return cls.__new__(cls)._own(lifecycle.clone(owner))

    def _own(self, owner: Owner) -> Self:
        lifecycle.close_at_exit(self)
        self._owner = owner  # last: what fails leaves the pool that was there
        return self

    # --------------------------------------------------------------------------- lifetime

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

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------ bytes

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
            data = (
                _read_bytes(owner.argument, offset, size)
                if offset <= NEAR
                else _read_bytes_far(owner.address, offset, size)
            )
            if data is not None:  # else somebody made the pool smaller
                return data
        return ranges.fetch("pool_read", owner, offset, size)

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
                if offset <= NEAR and size <= QUICK_BYTES:
                    missing = _read_near(owner.argument, held, offset, size)
                else:
                    call = _read_quick if size <= QUICK_BYTES else parallel.pool_read
                    missing = size - call(owner.address, held, offset, size)
                if not missing:
                    return size
            del held
        with writable(buffer) as target:
            return ranges.fill_memory(owner, offset, target.address, target.size)

    def write(self, offset: SupportsIndex, data: ReadableBuffer) -> int:
        """Puts `data` at `offset`; returns the number of bytes, which is all of them.

        data: bytes, or any object of contiguous memory, read-only ones too. If it is
            writable, other threads must not change it meanwhile.

        Raises PoolRangeError past the end, PoolMemoryError, PoolLimitError, TypeError
        for something without bytes; then nothing was written.
        """
        owner = self._owner
        memory: Any = data
        if type(data) is bytes:
            size = len(data)
        elif type(data) is bytearray or is_plain(data):
            _ = owner.total_size  # raises if closed, with nothing held
            memory = in_place(data)
            size = len(data)
        else:
            return ranges.put_all(owner, offset, data)
        # The common case by itself, as in read().
        if (
            type(offset) is int
            and 0 <= offset <= owner.total_size - size
            and owner.marked is None
        ):
            if offset <= NEAR and size <= QUICK_BYTES:
                missing = _write_near(owner.argument, offset, memory, size)
            else:
                call = _write_quick if size <= QUICK_BYTES else parallel.pool_write
                missing = size - call(owner.address, offset, memory, size)
            if not missing:
                return size
            del memory
            fail_short("pool_write", owner, (offset, None, size), size - missing)
        del memory
        return ranges.put_all(owner, offset, data)

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255. 0 is discard().

        Raises PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        ranges.fill(self._owner, offset, byte, size)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the `size` bytes at `offset` a hole, which reads as zeros.

        Frees the memory of whole blocks at once, of others when nothing but zeros is
        left in them. Raises PoolRangeError; where blocks are shared with a clone also
        PoolMemoryError, PoolLimitError. Then nothing was changed.
        """
        ranges.discard(self._owner, offset, size)

    def take(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """Reads and discards in one atomic step; for what is used up once read.

        Returns the `size` bytes at `offset`. Raises what read() and discard() raise;
        then nothing was changed.
        """
        return ranges.fetch("pool_take", self._owner, offset, size)

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
        return ranges.copy(self._owner, owner_of(source), source_offset, size, offset)

    def resize(self, total_size: SupportsIndex) -> None:
        """Makes the pool larger, by a hole, or smaller, discarding what is beyond.

        total_size: 1 or more. The block size stays, so that a pool that is to grow is
            best made as large as a block, or larger, and then made small. Views and pins
            of what is cut off stay valid, but such a pin is detached from the pool.

        Raises PoolRangeError, PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        ranges.resize(self._owner, total_size)

    # ---------------------------------------------------------------------- as a sequence

    # A pool can be far too long to be walked byte by byte, and without these Python
    # would do just that. Use extents() and read().
    __iter__ = None
    __reversed__ = None

    def __len__(self) -> int:
        """total_size, which may be too large for len(); then OverflowError."""
        return sequence.length(self._owner)

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
        if not isinstance(key, slice):
            return self.read(sequence.offset_of(self._owner, key), 1)[0]
        try:
            offset, size = sequence.range_of(self._owner, key)
            return self.read(offset, size)
        except PoolRangeError:
            # Somebody else may have made the pool smaller. A slice is cut then.
            self._owner.ask()
            return self.read(*sequence.range_of(self._owner, key))

    @overload
    def __setitem__(self, key: SupportsIndex, value: SupportsIndex) -> None: ...
    @overload
    def __setitem__(
        self, key: slice, value: ReadableBuffer | MemoryPool | Iterable[SupportsIndex]
    ) -> None: ...
    def __setitem__(self, key: SupportsIndex | slice, value: Any) -> None:
        """`pool[i] = 0 .. 255` and `pool[a:b] = data`, data as long as the slice.

        data: bytes, or any object of contiguous memory, whose bytes are taken whatever
            its items are; another pool, which is copied as copy_from() does; or else an
            iterable of integers 0 .. 255.

        Raises PoolRangeError, PoolMemoryError, PoolLimitError, TypeError; ValueError for
        an integer of an iterable that is no byte, and what the iterable itself raises.
        Then nothing was changed.
        """
        if not isinstance(key, slice):
            offset = sequence.offset_of(self._owner, key)
            MemoryPool.write(self, offset, sequence.byte(value))
            return
        offset, size = sequence.range_of(self._owner, key)
        if (type(value) is bytes or type(value) is bytearray) and len(value) == size:
            MemoryPool.write(self, offset, value)
        else:
            sequence.assign(self, offset, size, value)

    # ----------------------------------------------------------------------------- search

    def find(
        self,
        sub: ReadableBuffer | SupportsIndex,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """The first offset in `pool[start:end]` at which `sub` is; -1 if nowhere.

        sub: any object of contiguous memory, whose bytes are taken; or a byte, 0 .. 255.
        start, end: as of slices: negative ones count from the end, None is no bound.

        As bytearray.find(), which it equals in all things; so are the four below. Costs
        what memmem() over the data costs: holes are zeros, and are not searched. Other
        threads run and write meanwhile; the answer is of one moment.

        Raises ValueError for another number than a byte, TypeError for other objects,
        PoolMemoryError; PoolLimitError for frozen copies of pinned blocks.
        """
        return content.find(self._owner, sub, start, end)

    def rfind(
        self,
        sub: ReadableBuffer | SupportsIndex,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """The last offset in `pool[start:end]` at which `sub` is; -1 if nowhere.

        As find(), but searches from the end.
        """
        return content.rfind(self._owner, sub, start, end)

    def index(
        self,
        sub: ReadableBuffer | SupportsIndex,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """As find(), but raises ValueError if `sub` is nowhere."""
        return content.place(content.find(self._owner, sub, start, end))

    def rindex(
        self,
        sub: ReadableBuffer | SupportsIndex,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """As rfind(), but raises ValueError if `sub` is nowhere."""
        return content.place(content.rfind(self._owner, sub, start, end))

    def count(
        self,
        sub: ReadableBuffer | SupportsIndex,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """How often `sub` is in `pool[start:end]`, without overlap.

        As find(). Zeros in holes are counted without a look at each.
        """
        return content.count(self._owner, sub, start, end)

    def __contains__(self, sub: ReadableBuffer | SupportsIndex, /) -> bool:
        """`b"..." in pool`, or a byte as an int; as find()."""
        return content.contains(self._owner, sub)

    # ----------------------------------------------------------- many items, and integers

    @overload
    def gather(self, offsets: Any, item_size: SupportsIndex) -> Any: ...
    @overload
    def gather(self, offsets: Any, item_size: SupportsIndex, out: _Buffer) -> _Buffer: ...
    def gather(self, offsets: Any, item_size: SupportsIndex, out: Any = None) -> Any:
        """The items of `item_size` bytes at each of the offsets, one after the other.

        offsets: a numpy array of integers of any shape, or any sequence of integers.
        out: None, or what to fill: writable, contiguous memory of just their size. Of an
            array with items of several bytes, a number of whole ones for each item.

        Returns out if given; for a numpy array an array of uint8 with the same shape and
        one more axis for the bytes of an item; for other sequences bytes.

        Each item is one atomic step. Raises PoolRangeError with the first wrong offset
        there is, TypeError if they are no integers; then nothing was read.
        """
        return batches.gather(self._owner, offsets, item_size, out)

    def scatter(self, offsets: Any, data: ReadableBuffer) -> None:
        """Puts equal parts of `data` at the offsets, in their order.

        offsets: as gather() takes them.
        data: contiguous memory; its size is a multiple of the number of offsets. Of an
            array with items of several bytes, each part has whole ones.

        Each item is one atomic step. Raises what gather() raises, PoolMemoryError and
        PoolLimitError; then nothing was written, unless another thread cloned, viewed,
        discarded or resized the pool meanwhile.
        """
        batches.scatter(self._owner, offsets, data)

    @overload
    def read_many(self, ranges: Any) -> list[bytes]: ...
    @overload
    def read_many(self, ranges: Any, out: _Buffer) -> _Buffer: ...
    def read_many(self, ranges: Any, out: Any = None) -> Any:
        """The bytes of each of the ranges, whose sizes differ, in one call.

        ranges: any iterable of pairs (offset, size), such as extents(), or a numpy array
        of integers with a row for each.
        out: None, or what to fill with all of them, one after the other: writable,
        contiguous memory of just their size.

        Returns out if given, else a list of bytes.

        Each range is one atomic step. Raises PoolRangeError with the first wrong number,
        TypeError for what is no pair of integers; then nothing was read.
        """
        return batches.read_many(self._owner, ranges, out)

    def write_many(self, items: Iterable[tuple[SupportsIndex, ReadableBuffer]]) -> None:
        """Writes data of different sizes to many offsets, in their order, in one call.

        items: pairs (offset, data), each data contiguous memory. They are copied first.

        Each of them is one atomic step; where they overlap, the later one wins. Raises
        PoolRangeError with the first that does not fit, TypeError, PoolMemoryError and
        PoolLimitError; then nothing was written, as for scatter().
        """
        batches.write_many(self._owner, items)

    def fetch_add(
        self, offset: SupportsIndex, n: SupportsIndex, size: SupportsIndex = 8
    ) -> int:
        """Adds `n` to the unsigned integer at `offset`; returns what it was.

        size: 1, 2, 4 or 8 bytes, in the machine's order, aligned or not.
        n: -(2 ** 128) .. 2 ** 128; the sum is modulo 2 ** (8 * size).

        One atomic step for threads of both languages. Raises PoolRangeError,
        PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        return integers.fetch_add(self._owner, offset, n, size)

    def compare_exchange(
        self,
        offset: SupportsIndex,
        expected: SupportsIndex,
        new: SupportsIndex,
        size: SupportsIndex = 8,
    ) -> bool:
        """Makes the unsigned integer at `offset` `new` if it is `expected`.

        Returns whether it was. size, atomicity and errors are those of fetch_add().
        """
        return integers.compare_exchange(self._owner, offset, expected, new, size)

    # --------------------------------------------------------------------- without a copy

    def view(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> memoryview:
        """A frozen, read-only memoryview of the bytes at `offset`, as they are now.

        offset, size: in bytes; size is None for all up to the end of the pool.

        Without a copy where the bytes follow each other in memory: in one block, and in
        what a released pin has left. Other ranges are copied, in one atomic step, and
        holes of several blocks are as well; views() copies nothing.

        The bytes never change, whatever is written to the pool later. A view lives for as
        long as the memoryview, a slice of it or a NumPy array on it, the pool closed or
        not; release() or `with` ends it at once. A view of a hole within a block takes no
        memory. Views of pinned blocks share their frozen copies with clones.

        Raises PoolRangeError past the end; MemoryError if a copy has no room;
        PoolMemoryError; PoolLimitError for frozen copies. Then nothing was changed. Any
        thread may call it, and release it.
        """
        return pins.view(self._owner, offset, size)

    def views(self, offset: SupportsIndex, size: SupportsIndex) -> list[memoryview]:
        """Frozen memoryviews of any range, in order, without a copy.

        Each reaches as far as blocks follow each other in memory, at least to the end of
        its block. All are of one moment, and each lives as view() says. For
        socket.sendmsg, os.pwritev, b"".join and the like.

        Raises PoolRangeError, PoolMemoryError; PoolLimitError for frozen copies of pinned
        blocks, wherever in the pool they are.
        """
        return pins.views(self._owner, offset, size)

    def pin(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> memoryview:
        """A writable memoryview of the bytes at `offset`: the pool's own memory.

        offset, size: in bytes; size is None for all up to the end of the pool.

        It is contiguous, whatever the block size, and its address does not change. What
        is written to it is in the pool at once, and it shows what is written to the pool.
        Holes become blocks, whose pages are not touched; blocks that do not follow each
        other in memory are moved once. Both stay so when the pin is released.

        Other threads must not read or write the same bytes while somebody writes to them
        through a pin, nor restore() the pool. A clone, a view or a copy takes a frozen
        copy of the pinned blocks that were written to since the last one: its cost is
        what was written, see stats.page_tracking.

        A pin may lie in another one, and is the same memory then. It lives as a view()
        does, after the pool was closed or made smaller as well. Raises PoolRangeError
        past the end, and where the range meets another pin without lying in it;
        PoolMemoryError, PoolLimitError. Then nothing was changed. Any thread may call it,
        and release it.
        """
        return pins.pin(self._owner, offset, size)

    def array(
        self,
        shape: SupportsIndex | Iterable[SupportsIndex],
        dtype: Any = float,
        offset: SupportsIndex = 0,
        *,
        frozen: bool = False,
    ) -> Any:
        """A NumPy array that lives in the pool at `offset`, in place.

        shape: the length, or the lengths of all axes, in C order; 0 or more.
        dtype: what numpy.dtype() takes, of plain bytes: no references to Python objects.
        offset: of the first item, in bytes. Any offset will do; where it does not fit the
            dtype's alignment, `array.flags.aligned` is False, and NumPy is slower.
        frozen: False for an array over a pin(), which edits the pool at NumPy's own
            speed; True for a read-only one over a view(), of this moment for good.

        Arrays that lie beside each other begin in blocks of their own, or in a pin of the
        whole range that was made first: see pin().

        The array, and each one made from it without a copy, holds its pin or view: this
        ends with the last of them, the pool closed or not. clone() keeps the state of an
        array for the cost of what was written to it, restore() brings it back at the same
        address, and changes(item_size=) lists the rows that differ.

        Raises TypeError for other dtypes and shapes, ImportError without NumPy (extra
        `numpy`), what pin() or view() raises. Threads must share it as they share a pin.
        """
        return arrays.array(self._owner, shape, dtype, offset, frozen)

    def adopt(self, offset: SupportsIndex, buffer: ReadableBuffer) -> int:
        """Makes the memory of `buffer` the pool's at `offset` without copying it.

        buffer: bytes, or any object of contiguous memory, such as a numpy array or a
            mapped file. Its bytes must not change from now on, even if it is writable:
            the pool never writes to them (it copies a block at the first write), but
            would show the change. The object is kept alive, and its memory held in
            place, until no pool, clone or view uses it any more.

        Returns its size. Blocks that are not covered wholly are copied. C code that has
        references to the pool must drop them before the interpreter ends. Raises
        PoolRangeError, TypeError, PoolMemoryError, PoolLimitError, and in a
        subinterpreter NotImplementedError; then nothing was changed and the object is
        released.
        """
        return adoption.adopt(self._owner, offset, buffer)

    # -------------------------------------------------------------------------- snapshots

    def clone(self) -> Self:
        """A pool of its own with the same contents, made in constant time.

        The two share memory until one of them writes, and share the memory limit. Pinned
        blocks that were written to since their last frozen copy are copied again. Raises
        PoolMemoryError; PoolLimitError for frozen copies.
        """
        return self._cloned(self._owner)

    def __copy__(self) -> Self:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.clone()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """For pickle: the contents of one moment, a buffer for each run of data.

        With protocol 5 out of band, if asked. The copy is no relative of this pool; but
        pools of one pickle that are relatives stay so, and what they share is written
        once. As long as a pickler remembers a pool, it holds a clone of it. Which bytes
        were set, the start address and the header go along: the first as a byte more for
        each byte that was set, with track_written. Raises what clone() and read() raise.

        As with clone(), what a subclass adds to its instances is its own to carry over;
        it may have a __reduce__ of its own.
        """
        if type(self).__reduce__ is not object.__reduce__:
            return self.__reduce__()  # of a subclass, which expects to be called
        from ._core import pickling

        operator.index(protocol)  # raises for what pickle would not pass
        return pickling.reduced(self, MemoryPool, rebuild)

    def restore(self, source: MemoryPool) -> None:
        """Makes the contents and size of this pool those of `source`, its relative.

        In constant time, plus the freeing of what only this pool held. Pinned blocks stay
        at their address, and those that differ are written. Raises PoolUnrelatedError,
        PoolMemoryError; PoolLimitError for frozen copies of pinned blocks. Then nothing
        was changed.
        """
        lifecycle.restore(self._owner, owner_of(source))

    def digest(self) -> bytes:
        """32 bytes that identify the contents and the size of this pool.

        Pools of equal size and bytes have equal digests, in all processes and on all
        machines, whatever their block sizes and histories, and whether zeros are held or
        holes. Other pools have others, but for collisions of BLAKE2b. memory_pool.h has
        the definition.

        Costs hashing what was written since the last digest() of this pool or of a
        relative that had the rest: whole blocks, but of large blocks all of each. Other
        threads run and write meanwhile; the digest is of one moment. Raises
        PoolMemoryError; PoolLimitError for frozen copies of pinned blocks.
        """
        return content.digest(self._owner)

    def same(self, other: MemoryPool) -> bool:
        """Whether this pool and `other` have the same size and the same bytes.

        other: any pool; it need be no relative, nor have the same block size.

        A hole equals zeros. Costs comparing what the two do not share, up to the first
        difference. Both are of one moment; other threads run and write meanwhile. Raises
        PoolMemoryError; PoolLimitError for frozen copies of pinned blocks.
        """
        return content.same(self._owner, owner_of(other))

    # ---------------------------------------------------------------- where there is what

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

    def written(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> Iterator[tuple[int, int]]:
        """The runs of bytes in a range that were set, in order, each as (start, size).

        offset, size: in bytes; size is None for all up to the end of the pool.

        Exact to the byte in a pool that was made with track_written, or loaded from an
        Intel HEX, S-record or ELF file, in its clones, and in those that pickles and
        shared snapshots make of it. There zeros that a call wrote count, fill(offset, 0,
        size) included; what discard() and take() removed does not, nor what resize()
        added. Of what a pin or C code wrote only the bytes that are not zero count. All
        runs are of one moment.

        A pool that was loaded from a raw image has all its bytes. In others the runs are
        those of extents(): whole blocks. Costs a look at the data that is held. Raises
        PoolRangeError, and where bytes are tracked what clone() raises.
        """
        from ._core import written

        return written.runs(self, offset, size)

    def states(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> Iterator[tuple[int, int, BlockState]]:
        """Yields the runs of data by block state, in order, as (start, size, state).

        offset, size: the range in bytes; size is None for all up to the end.

        The runs are those of extents(), cut where the state changes. Clones, views and
        pins that are made or released change the state of blocks at any time. Each step
        sees the pool as it is then; a run of many blocks takes several steps. Raises
        PoolRangeError.
        """
        return walks.states(self, offset, size)

    def changes(
        self,
        base: MemoryPool,
        offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
        *,
        item_size: SupportsIndex = 1,
    ) -> Iterator[tuple[int, int]]:
        """The runs in which this pool may differ from `base`, each as (start, size).

        offset, size: the range that is looked at, of the larger of the two pools; size is
            None for all up to its end.
        item_size: 1 for runs of bytes, from the pool's start. Larger ones give runs of
            items of so many bytes, counted from `offset`: those of which a byte may
            differ, such as the rows of an array that lies there.

        By whole blocks, in order, and of pinned blocks only those that differ; what is
        outside of them is the same in both; a run is cut where the range is. Costs what
        differs, not what is held. Each step sees the pools as they are then; a run of
        many blocks takes several steps. Raises PoolUnrelatedError if `base` is not a
        relative by cloning; PoolRangeError.
        """
        return walks.changes(self, base, offset, size, item_size)

    def differences(
        self,
        base: MemoryPool,
        offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
    ) -> Iterator[tuple[int, int]]:
        """The runs of bytes that differ from those of `base`, each as (start, size).

        base: any other pool; it need be no relative, nor have the same sizes.
        offset, size: the range that is looked at, of the larger of the two pools; size is
            None for all up to its end.

        To the byte, in order: every byte of a run differs, those around it do not. A hole
        equals zeros; bytes that only the larger pool has differ from all. Costs comparing
        what the two do not share. Begins with a clone of each, which lives as long as the
        iterator: so all runs are of one moment of each pool, and what is written to them
        meanwhile is copied.

        Raises PoolRangeError; what clone() raises; each step PoolMemoryError.
        """
        return walks.differences(self, base, offset, size)

    def map(
        self,
        width: SupportsIndex = 80,
        *,
        since: MemoryPool | None = None,
        ascii: bool = False,
    ) -> str:
        """Returns the pool as text: a strip of block states, and a table of addresses.

        width: of the longest line, 40 .. 1000 characters.
        since: a relative by cloning; what may differ from it is marked.
        ascii: whether to use ASCII only.

        Large holes are shortened, and many runs are listed in groups, so that the text of
        any pool is short. Walks all runs, about a second for 200,000, and sees each as it
        is then. Raises PoolRangeError, PoolUnrelatedError.
        """
        from .pictures import draw

        return draw.as_text(self, since, width, ascii)

    def svg(self, *, since: MemoryPool | None = None, width: SupportsIndex = 760) -> str:
        """Returns the pool as a picture in SVG: what map() shows, in colours.

        since: a relative by cloning; what may differ from it is marked.
        width: in pixels, 480 .. 4000.

        The height of a column is the share of its bytes that are held. The text can be
        put into HTML, any number of times, and takes the colour of the text around it; a
        file of it (in UTF-8) is a complete picture. Costs and raises what map() does.
        """
        from .pictures import draw

        return draw.as_svg(self, since, width)

    def plot(self, ax: Any = None, *, since: MemoryPool | None = None) -> Any:
        """Draws the pool with matplotlib, and returns the Axes.

        ax: the Axes to draw on; None makes a figure with pyplot, which keeps it until it
            is closed.
        since: a relative by cloning; what may differ from it is marked.

        Shows what svg() does: one unit of the x axis is a column, not a number of bytes.
        Needs the extra `plot`, else raises ImportError. Costs and raises what map() does.
        """
        from .pictures import draw

        return draw.as_plot(self, since, ax)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows of the pool: svg(), and some of stats."""
        from .pictures import draw

        return draw.as_html(self)

    # ------------------------------------------------------------------------------ files

    def open(
        self,
        mode: str = "r+b",
        offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
    ) -> PoolFile:
        """The bytes [offset, offset + size) as an unbuffered binary file.

        mode: "rb" for reading, "r+b" for writing too.
        size: None for all up to the end of the pool, wherever resize() puts that; only
            such a file can be truncated, or grow. The block size stays: see resize().

        The file is an io.RawIOBase with a position of its own, at its start; any number
        may be open. It keeps the pool alive until it is closed. Raises PoolRangeError;
        ValueError for another mode.
        """
        return PoolFile(self, mode, offset, size)

    def save(
        self,
        file: StrOrBytesPath | SupportsWrite[memoryview],
        *,
        format: str = "auto",
        since: MemoryPool | None = None,
        progress: Progress | None = None,
        storage_options: Mapping[str, Any] | None = None,
        crop: tuple[SupportsIndex, SupportsIndex | None] | None = None,
        fill: SupportsIndex | None = None,
        from_lowest: bool = False,
    ) -> None:
        """Writes the contents of one moment to a file, byte for byte.

        file: a path, a URL, or a binary file that is open for writing.
        format: "raw"; "hex" or "srec" for Intel HEX or Motorola S-records, which hold the
            runs of written(), below 4 GiB (extra `images`); or "auto" for the format
            that the suffix names, such as .hex or .s19, and raw if it names none.
        since: None, or a pool with the contents that apply() will start from, such as a
            clone: then a delta is written, the bytes of delta(since).
        progress: called as progress(done, total), in bytes of the image, after each
            piece of at most 1 MiB, or larger hole, and at the end.
        storage_options: for a URL, what fsspec.open() takes for its file systems: keys,
            endpoints, {"zip": {...}} for a part of a chained URL.
        crop: (start, end): only bytes at these offsets are written; an end of None is
            that of the pool.
        fill: 0 .. 255: the byte for all that was not set, see written(). In a raw image
            that is everything else up to its end; in other formats, what is between the
            first and the last byte that was set, or all of a `crop` that has an end.
        from_lowest: whether a raw image begins with the first byte that was set, or is
            filled by `fill`, and not with offset 0.

        With any of the last three, a raw image ends with the last byte that was set, or
        filled, and not where the pool ends: a program of 64 bytes at 0x08000000 can be
        a file of 64 bytes.

        A path gets a new file, in which holes take no room (on Windows they do). It is
        written in the folder of the path, without a name, brought to the disk, and then
        takes the place of what was there, whose permissions it has, and owner and group
        where that is allowed; another group gets no more than all others have. If that
        fails, or `progress` raises, the old file stays as it was and nothing is left
        behind, nor if the process is killed. Where the system has no files without a name
        (Linux has) it is `.pymempool-*.tmp` beside the path until then, and stays if the
        process is killed. After a crash of the system the path may lead to either of the
        two files, whole. Only regular files are replaced; a symbolic link stays, its
        target is replaced.

        An open file gets the image at its position, and nothing outside of that range is
        changed. Bytes that were in the range become those of the pool, zeros for holes.
        Holes past its end are sought over; a file that cannot seek from its end (a pipe,
        a compressed file) or that appends gets zeros. Its position is then at the end of
        the image. If that fails, a part of the image may have been written.

        A URL is a str with "://" in it, for fsspec (extra `fsspec`); file:// is a path.
        It is compressed if it ends in .gz, .bz2 or .xz. The new file is committed when
        all of it is written, and discarded if that fails, by those file systems of
        fsspec that can; where it is put together as it is written (memory://, members
        of archives), a failed save() leaves no old file, or a half one.

        Raises OSError, TypeError, what `file`, `progress` and clone() raise; ValueError
        for another format, what formats cannot hold, nothing that was set in the range,
        from_lowest with a format that has addresses, any of the last three with `since`,
        and storage_options without a URL; PoolRangeError for a wrong range or `fill`;
        ImportError for a missing extra.
        """
        from .images import formats, locations
        from .images.selection import Selection

        location = locations.with_options(file, storage_options)
        selected = crop is not None or fill is not None or from_lowest
        selection = Selection(crop, fill, from_lowest) if selected else None
        formats.save(self, location, format, since, progress, selection)

    @property
    def start_address(self) -> int | None:
        """The address at which a program starts that is in the pool; None for none.

        From a record of type 3 or 5 of an Intel HEX file, the last one of S-records if it
        is not 0, or the entry point of an ELF file; written to such files by save(), and
        the same in clones, pickles and shared snapshots. It may be set to 0 .. 2**64 - 1,
        or None. Raises PoolRangeError, TypeError.
        """
        return self._owner.image.start_address

    @start_address.setter
    def start_address(self, address: int | None) -> None:
        facts = self._owner.image._replace(start_address=address)
        self._owner.image = facts.checked()

    @property
    def header(self) -> bytes | None:
        """The header of S-record files: the data of their first S0 record.

        `b"pymempool"` at first; None for no such record. It may be set to 252 bytes at
        most. Clones, pickles and shared snapshots have the same. Raises PoolRangeError,
        TypeError.
        """
        return self._owner.image.header

    @header.setter
    def header(self, data: bytes | None) -> None:
        self._owner.image = self._owner.image._replace(header=data).checked()

    def _begin_image(self, whole: bool, offset: int = 0) -> None:
        """For load(): a raw image is whole, of others the bytes that are set are tracked.

        offset: where a whole image begins, which was loaded; others load() now writes.
        """
        if whole and not offset:
            self._owner.image = self._owner.image._replace(whole=True)
            return
        tracked = marks.track(self._owner)
        if whole:
            ranges.fill(tracked, offset, 1, tracked.total_size - offset)

    def delta(self, base: MemoryPool) -> bytes:
        """Returns what turns the contents and the size of `base` into those of this pool.

        base: any pool, of any size and block size; a relative by cloning costs least.

        apply() takes it, and save(since=base) writes the same bytes to a file. It has the
        bytes that differ, about 200 bytes more, and 17 bytes for each run of them; runs
        less than 32 bytes apart are one. Relatives cost comparing what they do not share,
        other pools all that both hold; and two digests, see digest(). Both pools are as
        they are at one moment each.

        Raises PoolMemoryError, PoolLimitError with pinned blocks, TypeError, MemoryError.
        """
        from .images import formats

        return formats.delta(self, base)

    def apply(
        self,
        delta: ReadableBuffer | str | PathLike[str] | SupportsRead[bytes],
        *,
        progress: Progress | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Brings this pool from the contents that a delta starts from to its own.

        delta: what delta() returned, in any object of contiguous memory; or where
            save(since=) wrote it: a path (no bytes object, which is a delta), a URL as
            for save(), or a binary file that is open for reading, such as that of a
            socket. Of this just the delta is read, so that another one may follow.
        progress: called as progress(done, total), in bytes of the delta, after each
            MiB at most and at the end; total is None before.
        storage_options: as for save().

        The contents and the size of this pool must be those that the delta starts from,
        however it came to them: load() of a full image, and each delta after it, in their
        order. All or nothing, for other threads too; what they write meanwhile is undone,
        as by restore(). Costs what changes, in time and in memory, and two digests, of
        which the first hashes all that is held if this was never done: see digest().
        A delta is of contents: with track_written, the bytes that it holds are set, zeros
        too, and those that stay the same are set or not as before.

        Raises CheckpointError for a delta that is damaged, or was made for other
        contents; PoolMemoryError, PoolLimitError, OSError, TypeError, ImportError, what
        the file and `progress` raise; ValueError for storage_options without a URL. Then
        nothing has changed.
        """
        from .images import formats, locations

        formats.apply(self, locations.with_options(delta, storage_options), progress)

    @classmethod
    def load(
        cls,
        file: StrOrBytesPath | SupportsRead[bytes],
        max_block_size: SupportsIndex = 65536,
        *,
        format: str = "auto",
        memory_limit: SupportsIndex | None = None,
        wipe: bool = False,
        progress: Progress | None = None,
        pickle_path: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        offset: SupportsIndex = 0,
    ) -> Self:
        """A pool with the contents and the size of a file.

        file: a path, a URL as for save(), or a binary file that is open for reading, from
            its position on.
        format: "raw"; "hex", "srec" or "elf" for Intel HEX, Motorola S-records and the
            loaded parts of ELF programs, where addresses are offsets, gaps are holes, and
            the last byte of data is the end of the pool (extra `images`); such a pool is
            one with track_written, see written(). Or "auto", for the format that the
            first bytes show, or else the suffix, or else raw: give "raw" if a raw image
            may hold such a file.
        max_block_size, memory_limit, wipe: as for a new pool. Where data that a format
            gives addresses is scattered, blocks are smaller, of 64 bytes at least, so
            that their gaps take 1 MiB at most, or as much as the data.
        progress: as for save(), after each run of data or piece; total is None if it is
            not known.
        pickle_path: whether pickles of this pool and its clones name the file, and hold
            only what was changed since; for raw images at a path.
        storage_options: as for save().
        offset: where a raw image begins in the pool: the bytes before are not set, and
            the pool tracks what is. For other formats, what is added to the addresses
            and to the start address, also a negative number.

        The file of a path is mapped and adopted: nothing is read before it is needed,
        holes are left out where the system reports them, and the pool never writes to
        it. Nobody else may change it or make it shorter while this pool, a clone or a
        view uses it (a process that reads what was cut off is killed by the system).
        save() to the same path is fine: it makes a new file. The file stays open, and
        Windows replaces no such file. With `wipe` it is read and copied instead, and so
        is a file that cannot be mapped, such as those of the kernel.

        An open file, and what a URL names, is read to its end and copied. Blocks of zeros
        stay holes; blocks are of 1 MiB at most if there is more than that.

        With `pickle_path`, loading a pickle loads the file, at its absolute path, so that
        processes on one machine share its memory. If no file is there, that raises
        FileNotFoundError; if its size or its time of change differs, CheckpointError. If
        it was replaced or changed before the pool is pickled, the pickle holds all bytes.
        A clone of what was loaded lives as long as the pool and its clones do.

        What is adopted does not count for the memory limit, but for a last block that
        the end of the file cuts short. Raises PoolRangeError for an empty file, and for
        an `offset` that leads to addresses which no pool has; OSError,
        PoolMemoryError, PoolLimitError, TypeError, what `file` and `progress` raise;
        ValueError for another format, a damaged file, `pickle_path` with what is no raw
        image at a path, storage_options without a URL, or, with "auto", first bytes and a
        suffix that contradict each other; or what reports damage in a compressed one
        (EOFError, OSError, an error of zlib or lzma); ImportError for a missing extra.
        """
        from .images import formats, locations

        most = integer("max_block_size", max_block_size, 1, SIZE_MAX)
        load = partial(
            formats.load,
            lambda total_size, block_max=most: cls._made(
                total_size, min(most, block_max), memory_limit=memory_limit, wipe=wipe
            ),
            locations.with_options(file, storage_options),
            format,
            wipe,
            progress,
            offset=offset,
        )
        if not pickle_path:
            return load()
        from ._core import loaded

        return loaded.load(load, reload)

    # -------------------------------------------------------------------------- processes

    def share(
        self, since: SharedSnapshot[Any] | None = None, *, digest: bool = False
    ) -> SharedSnapshot[Self]:
        """Puts the contents of one moment into shared memory, for other processes.

        since: None, or an older snapshot: then only what changed is stored, and the new
            snapshot uses the segments of the older one for the rest.
        digest: whether the snapshot has the digest() of the contents, too.

        The snapshot can be sent to other processes, which open() it without a copy. Holes
        take no memory. This pool keeps its own memory, too: to have the data once, close
        it and go on with `snapshot.open()`. Which bytes were set, the start address and
        the header go along; with track_written in segments of their own, a byte more for
        each byte that was set.

        Costs a copy of what is stored. With `since` these are the blocks that changed, if
        the older snapshot was shared from an open relative of this pool, or this pool
        from that snapshot; else all bytes are compared. (With another block size, all are
        stored.) Data of older segments is stored again when they are half unused, or more
        than 16 and small beside the newer ones. To find what changed, a pool keeps its
        shared states, like clones, until it or their snapshot is closed.

        A pool that wipes its blocks does not wipe the shared memory, which the system
        clears before it gives it to others.

        Raises PoolMemoryError; PoolLimitError for frozen copies; OSError if the system
        has no room, or no descriptor, for a segment; PoolClosedError, TypeError. Then
        nothing is left behind.
        """
        from .sharing.share import share

        return share(self, since, digest)

    # ------------------------------------------------------------------------------ facts

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
        return stats.read(self._owner)

    def set_limit(self, memory_limit: SupportsIndex | None) -> None:
        """Changes the memory limit of this pool and its relatives, for all of them.

        memory_limit: bytes of blocks, 1 or more; None for no limit. Below what is held,
            nothing is freed, and calls that would need blocks fail until less is held.

        Raises PoolRangeError.
        """
        limits.set_limit(self._owner, memory_limit)

    def on_limit(self, function: Callable[[], object] | None) -> None:
        """Sets what is called before a call fails with PoolLimitError; None: nothing.

        function: called without arguments, in the thread of the call, which holds no lock
            and has changed nothing. If it returns true, it has freed something, and the
            call is tried once more. It may use all pools; its own calls ask nobody. What
            it raises, the call raises.

        There is one function for a pool and its relatives, the last one that was set,
        also for calls of C. It is not called any more once this object is closed or
        freed. Another thread may still be in the one before when this returns. Raises
        TypeError.
        """
        limits.on_limit(self._owner, function)

    def peak(self) -> Peak:
        """A context; its `bytes` are the most that was held in it, by the family.

            with pool.peak() as peak:
                work(pool)
            print(peak.bytes)

        Counted are bytes of blocks, each once, as family_bytes of the statistics. Peaks
        may be nested and overlap. Raises RuntimeError if one is entered twice.
        """
        return limits.Peak(self._owner)

    def __repr__(self) -> str:
        owner = self._owner
        if owner is CLOSED:
            return "<MemoryPool, closed>"
        return f"<MemoryPool of {stats.in_words(owner)}>"


def trim() -> int:
    """Releases cached memory to the system; returns the number of bytes."""
    return int(parallel.pool_trim())


def rebuild(*facts: Any) -> MemoryPool | None:
    """The pool that a pickle holds. No argument is trusted.

    facts: the class of the pool, and what it is made of; or nothing, for a mark, which
        only the pickler needs.
    """
    if not facts:
        return None
    kind = facts[0]
    if not (isinstance(kind, type) and issubclass(kind, MemoryPool)):
        raise TypeError(f"a class of MemoryPool is needed, not {kind!r}")
    from ._core import pickling

    pool: MemoryPool = pickling.rebuild(*facts)
    return pool


def reload(
    path: Any, size: Any, mtime_ns: Any, block_size: Any, limit: Any, wipe: Any
) -> MemoryPool:
    """The pool of a file that a pickle names; see pickle_path of load().

    Reads any file of which somebody knows the size and the time of change, else raises
    CheckpointError: an Unpickler for pickles that are not trusted leaves it out.
    """
    from ._core import loaded
    from .images import formats

    wipe = bool(wipe)
    make = partial(
        MemoryPool._made, max_block_size=block_size, memory_limit=limit, wipe=wipe
    )
    load = partial(formats.load, make, path, "raw", wipe, None)
    return loaded.load(load, reload, loaded.File(path, size, mtime_ns))
