# SPDX-License-Identifier: MIT
"""SharedSnapshot: a state of a pool in shared memory, for any number of processes.

    segments ─► read-only mappings ─► adopted by a pool, extent by extent ─► its clones

A pool with marks has a second snapshot within the first: that of its marks, which are a
pool as well, with segments of their own.

To find what changed since, the process that shared the pool keeps a clone of that state,
as long as both the snapshot and the pool are open: so closing the pool frees its memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .._core import marks
from .._core.image import ImageFacts
from .._core.names import publish
from .._core.owner import Owned, Owner, holder
from .._core.weak import Weak, weak
from ..errors import PoolClosedError
from .segment import Segment, register_with_loky
from .table import Table, unpack

if TYPE_CHECKING:
    from typing_extensions import Self

_Pool = TypeVar("_Pool", bound=Owned)

# The states that this process shared, each as long as there is its snapshot, whose key it
# has, and as long as the pool is open, of which it has a weak reference.
_states: dict[int, tuple[Owned, Weak, Weak]] = {}


class SharedSnapshot(Generic[_Pool]):
    """A state of a pool in shared memory; made by MemoryPool.share().

    It can be sent to other processes of the machine, and opened there without a copy:
    open() makes a pool that uses the shared memory. Snapshots, the pools opened from them
    and their views live independently. The memory is freed when the last of them in the
    last process has ended, killed or not: it has no name that could be left behind.

    Sending: picklers of multiprocessing (for arguments, results, queues and pipes),
    concurrent.futures and joblib's loky take the memory along, so that the sender may
    drop its snapshot at once; such a pickle is loaded once, in a process that has the
    sender alive, and one that nobody loads keeps the memory until the sender ends. All
    other pickles are addresses: any number of processes of the same user may load them,
    while the process that made the pickle keeps its snapshot. Where the memory cannot be
    reached, a snapshot is loaded all the same, and its methods and facts raise
    SharingError, or the OSError of the system.

    A process has one open file for each segment of its snapshots, and one for each
    segment that opened pools use (none with Python 3.13 or later). They are closed with
    the last snapshot, or pool and view, that uses the segment.

    Threads may share a snapshot. A child of fork() has its own. Facts are there after
    close(), too; other methods raise PoolClosedError then.
    """

    def __init__(
        self,
        kind: type[_Pool],
        segments: tuple[Segment | OSError, ...],
        image: Mapping[str, Any] | None = None,
        marks: tuple[Segment | OSError, ...] | None = None,
        *,
        table: Table | None = None,
    ) -> None:
        """The snapshot in some segments, which makes pools of a class. None is trusted.

        image: what is known of the image of the pool, see ImageFacts.packed(), if any.
        marks: the segments of its marks, if it has any.
        table: what the segments hold, if that is known.

        In place of a segment there may be the error that opening it raised.

        Raises FormatError, PoolRangeError, TypeError.
        """
        if not (isinstance(kind, type) and issubclass(kind, Owned)):
            raise TypeError(f"a class of MemoryPool is needed, not {kind!r}")
        self._kind: Any = kind
        self._image = ImageFacts.unpacked({} if image is None else image)
        self._marks = None if marks is None else SharedSnapshot(kind, marks)
        self._error = next((it for it in segments if isinstance(it, OSError)), None)
        there = tuple(it for it in segments if not isinstance(it, OSError))
        if table is None and self._error is None:
            table = unpack(there)
        self._unpacked = table
        self._segments: tuple[Segment, ...] | None = there  # None once closed
        self._base: Any = None  # the pool that was opened first
        register_with_loky()

    def open(self) -> _Pool:
        """Makes a pool with the contents, the size and the block size of the one shared.

        It also has the start address and the header, and knows which bytes were set.
        It uses the shared memory and copies nothing but a last block that the end of the
        pool cuts; a write copies the block, for this pool alone. Costs something for each
        block, 20 ms for 262,144, the first time; then a clone. Pools that a process
        opens from one snapshot are relatives.

        The pool has no memory limit. If the one shared wipes its blocks, so does this
        one, which copies the data, because adopted memory cannot be wiped.

        Raises PoolMemoryError, OSError if there is no room for the mapping or its open
        file, and in a subinterpreter NotImplementedError.
        """
        return self._opened().clone()  # type: ignore[no-any-return]

    def _opened(self) -> Any:
        """The pool that the others are clones of."""
        segments, base = self._open_segments(), self._base
        if base is None:
            marked = None if self._marks is None else self._marks._opened()
            base = _adopt(self._kind, self._table, segments)
            base._owner.image = self._image
            if marked is not None:
                marks.attach(base._owner, marked._owner)
            self._base = base
        return base

    def _open_segments(self) -> tuple[Segment, ...]:
        if self._segments is None:
            raise PoolClosedError("the shared snapshot is closed")
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._segments

    @property
    def _table(self) -> Table:
        """What the segments hold; also there once they are closed."""
        if self._unpacked is None:
            assert self._error is not None
            raise self._error.with_traceback(None)
        return self._unpacked

    @property
    def _tables(self) -> list[Table]:
        """That of the pool, and that of its marks, if it has any."""
        return [self._table, *(self._marks._tables if self._marks is not None else [])]

    def _remember(self, owner: Owner, state: Owner) -> None:
        """Keeps the state of the pool that was shared, as long as that is open."""
        key = id(self)
        ends = weak(self, _states, key), weak(owner, _states, key)
        _states[key] = holder(state), *ends
        if self._marks is not None:
            assert owner.marked is not None is not state.marked
            self._marks._remember(owner.marked.marks, state.marked.marks)

    def _relatives(self) -> list[Owned]:
        """Pools of this state, of which the one that is shared next may be a relative."""
        state = _states.get(id(self))
        pools = None if state is None else state[0], self._base
        return [pool for pool in pools if pool is not None]

    # ---------------------------------------------------------------------------- facts

    @property
    def total_size(self) -> int:
        """Bytes that can be addressed in the pool."""
        return self._table.total_size

    @property
    def block_size(self) -> int:
        """Bytes in a block, a power of two."""
        return self._table.block_size

    @property
    def digest(self) -> bytes | None:
        """What digest() of the pool was, if share() was called with digest=True."""
        return self._table.digest

    @property
    def stored_bytes(self) -> int:
        """Bytes that share() stored for this snapshot: data, and marks of bytes set."""
        return sum(table.stored[-1] for table in self._tables)

    @property
    def segments(self) -> int:
        """How many shared memory objects it needs.

        One, and more after share(since=). A pool with track_written needs as many for
        the marks of what was set.
        """
        return sum(len(table.stored) for table in self._tables)

    def __repr__(self) -> str:
        if self.closed:
            return "<SharedSnapshot, closed>"
        if self._error is not None:
            return f"<SharedSnapshot, unreachable: {self._error}>"
        count = f"{self.segments} segment{'s' if self.segments > 1 else ''}"
        return (
            f"<SharedSnapshot of {self.total_size} bytes,"
            f" {self.stored_bytes} of data stored, {count} in use>"
        )

    # ----------------------------------------------------------------------------- life

    def close(self) -> None:
        """Drops this process's hold on the shared memory, but for what pools use.

        Closing twice does nothing. Pools opened from it, and snapshots shared since it,
        stay what they are. Do not close it right after it was put into a queue or sent to
        an executor: these pickle it later, in a thread.
        """
        self._segments = self._base = None
        if self._marks is not None:
            self._marks.close()
        _states.pop(id(self), None)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._segments is None

    def __enter__(self) -> Self:
        self._open_segments()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        facts, image = (self._kind, self._open_segments()), self._image.packed()
        if self._marks is not None:
            return SharedSnapshot, (*facts, image, self._marks._open_segments())
        return SharedSnapshot, (*facts, image) if image else facts


publish("pymempool", SharedSnapshot)


def _adopt(kind: Any, table: Table, segments: tuple[Segment, ...]) -> Any:
    """The pool of a table."""
    total, block = table.total_size, table.block_size
    # Blocks are never larger than a new pool, only than one that was made smaller.
    pool = kind._made(max(total, block), block_size=block, wipe=table.wipe)
    try:
        if total < block:
            pool.resize(total)
        memories = [memoryview(segment.map()) for segment in segments]
        put = pool.write if table.wipe else pool.adopt  # what is adopted cannot be wiped
        for offset, size, segment, place in table.extents:
            put(offset, memories[segment][place : place + size])
    except BaseException:
        pool.close()
        raise
    return pool
