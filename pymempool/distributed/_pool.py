# SPDX-License-Identifier: MIT
"""ShardedPool: the face of a pool that lies on many machines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from distributed import Client

from .._arguments import byte_range, integer
from .._buffers import readable, writable
from .._signatures import SIZE_MAX
from .._stats import PoolStats
from ..errors import PoolClosedError, PoolError, PoolUnrelatedError
from ._addresses import TOTAL_MAX, merged
from ._array import array
from ._items import gather, plain, scatter
from ._placement import Placement

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class ShardedStats(NamedTuple):
    """Facts about a sharded pool; no single moment."""

    total_size: int  #: bytes that can be addressed
    stripe: int  #: bytes in a stripe
    held_bytes: int  #: bytes of blocks of this pool, on the leaders alone
    replicas: int  #: the fewest workers that have all of some part
    parts: tuple[PoolStats, ...]  #: of each part, on its leader


class ShardedPool:
    """One byte space over the workers of a Dask cluster, which starts as zeros.

    Stripe i lies in part i % n, and each part is a MemoryPool on a worker, or with
    replicas=2 on two. What one call moves goes to all parts at the same time, in one
    message each; to the workers directly if the client was made with
    direct_to_workers=True, else through the scheduler.

    What is atomic: a call within one stripe. Of a call over several parts each part's
    share is one step by itself, and one that raises may have changed the parts that did
    not fail. gather() and scatter(): each item's share in a stripe. clone() and restore()
    take each part at a moment of its own: hold still meanwhile if it must be one moment.
    An interrupted call is made in each part either wholly or not at all.

    With replicas=2 changes go through the leader of a part to its follower, in one order
    whoever makes them, and return when both have them. If one worker dies, calls go on
    with the other, and a change that was under way is made once. repair() makes a second
    replica anew. With one replica, what a dead worker held raises ShardLostError. It is
    for the scheduler to say which worker is dead; calls wait for it.

    Any number of threads may use one. It can be pickled into tasks and to other clients:
    what arrives there is another face of the same pool, which ends with the object that
    was made first. It cannot be used in Dask's own event loop.
    """

    def __init__(
        self,
        client: Client,
        total_size: SupportsIndex,
        stripe: SupportsIndex = 1 << 20,
        *,
        replicas: SupportsIndex = 1,
        max_block_size: SupportsIndex = 65536,
        memory_limit: SupportsIndex | None = None,
    ) -> None:
        """Makes a pool of zeros on all workers, or on as many as there are stripes.

        client: a distributed.Client, which stays the caller's to close.
        total_size: 1 .. 2**62. stripe: bytes in a stripe, 1 or more.
        replicas: 1 or 2, on as many workers.
        max_block_size: as for MemoryPool.
        memory_limit: the most bytes of blocks that each part and its clones may hold
            together; a worker holds as many parts as there are replicas.

        Raises PoolRangeError, and PoolError if a worker cannot make its part.
        """
        total_size = integer("total_size", total_size, 1, TOTAL_MAX)
        stripe = integer("stripe", stripe, 1, TOTAL_MAX)
        block = integer("max_block_size", max_block_size, 1, SIZE_MAX)
        if memory_limit is not None:
            memory_limit = integer("memory_limit", memory_limit, 1, SIZE_MAX)
        if not isinstance(client, Client) or client.asynchronous:
            raise TypeError("a distributed.Client is needed, not an asynchronous one")
        if client.status != "running":
            raise PoolClosedError("the client is not connected")
        workers = len(client.nthreads())
        if not workers:
            raise PoolError("the cluster has no workers")
        replicas = integer("replicas", replicas, 1, min(2, workers))
        self._client: Client | None = client  # None in a face from a pickle
        self._owns, self._closed = True, False
        self._placement, self._name = Placement.make(
            client, total_size, stripe, replicas, (block, memory_limit)
        )

    @classmethod
    def _face(cls, placement: Placement, name: str) -> ShardedPool:
        """Another object for a pool, which does not own it."""
        made = cls.__new__(cls)
        made._client, made._owns, made._closed = None, False, False
        made._placement, made._name = placement, name
        return made

    # ------------------------------------------------------------------ lifetime

    def close(self) -> None:
        """Gives up the pool, and frees its memory unless this is a face from a pickle."""
        if self._closed:
            return
        self._closed = True
        placement = self._placement
        placement.names.discard(self._name)
        try:
            if self._owns:
                self._change_all("drop")
        except PoolError:
            pass  # what is lost needs no closing
        finally:
            if self._client is not None and not placement.names:
                placement.release()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def __enter__(self) -> ShardedPool:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedPool._face, (self._open(), self._name)

    def __repr__(self) -> str:
        if self._closed:
            return "<ShardedPool, closed>"
        total, stripe, parts = self._placement.layout
        return f"<ShardedPool of {total} bytes, stripes of {stripe} in {parts} parts>"

    def _open(self) -> Placement:
        if self._closed:
            raise PoolClosedError("the pool is closed")
        return self._placement

    def _range(self, offset: Any, size: Any) -> tuple[int, int]:
        return byte_range(offset, size, self.total_size)

    def _change_all(self, change: str, *args: Any) -> None:
        """The same change of all parts."""
        parts = range(self._placement.layout.parts)
        self._placement.change([(part, change, (self._name, *args)) for part in parts])

    # --------------------------------------------------------------------- bytes

    def read(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """The `size` bytes at `offset`. Raises PoolRangeError, ShardLostError."""
        pieces = self._read(*self._range(offset, size))
        return b"".join(piece for _, piece in sorted(pieces, key=lambda it: it[0]))

    def readinto(self, offset: SupportsIndex, buffer: WriteableBuffer) -> int:
        """Fills `buffer` with the bytes at `offset`; returns how many, which is its size.

        buffer: as MemoryPool.readinto() takes it. Raises what read() does, and TypeError
        for an unfit buffer; then nothing was copied.
        """
        with writable(buffer) as held:
            offset, size = self._range(offset, held.size)
        target = plain(buffer)
        for start, piece in self._read(offset, size):
            target[start : start + len(piece)] = piece
        return size

    def _read(self, offset: int, size: int) -> list[tuple[int, memoryview]]:
        """What lies in a range: pieces, and where in it."""
        placement = self._open()
        runs = placement.layout.runs(offset, size)
        found = placement.query(
            [(part, "read", (self._name, *run)) for part, *run in runs]
        )
        pieces = []
        for (part, *_), data in zip(runs, found):
            done = 0
            for start, end in placement.layout.pieces(offset, size, part):
                pieces.append((start, memoryview(data)[done : done + end - start]))
                done += end - start
        return pieces

    def write(self, offset: SupportsIndex, data: ReadableBuffer) -> int:
        """Puts `data` at `offset`; returns the number of bytes, which is all of them.

        data: as MemoryPool.write() takes it. Raises PoolRangeError, TypeError, then
        nothing was written; PoolMemoryError, PoolLimitError, ShardLostError.
        """
        with readable(data) as held:
            offset, size = self._range(offset, held.size)
        source = plain(data)
        placement, calls = self._open(), []
        for part, start, _ in placement.layout.runs(offset, size):
            cuts = placement.layout.pieces(offset, size, part)
            pieces = [source[a:b] for a, b in cuts]
            # Joined here, for the part to write it in one step; what is one piece is not.
            whole = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
            calls.append((part, "write", (self._name, start, whole)))
        placement.change(calls)
        return size

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255; else as write()."""
        offset, size = self._range(offset, size)
        byte = integer("byte", byte, 0, 255)
        self._change_range("fill", offset, size, byte)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the range a hole, which reads as zeros. Raises what write() does."""
        self._change_range("discard", *self._range(offset, size))

    def _change_range(self, change: str, offset: int, size: int, *byte: int) -> None:
        placement = self._open()
        runs = placement.layout.runs(offset, size)
        placement.change(
            [(part, change, (self._name, at, *byte, count)) for part, at, count in runs]
        )

    # ------------------------------------------------------------- many at once

    def gather(self, offsets: Any, item_size: SupportsIndex, out: Any = None) -> Any:
        """The items of `item_size` bytes at each of the offsets, one after the other.

        Arguments, result and errors are those of MemoryPool.gather(), and ShardLostError.
        """
        return gather(self._open(), self._name, offsets, item_size, out)

    def scatter(self, offsets: Any, data: ReadableBuffer) -> None:
        """Puts equal parts of `data` at the offsets, in their order.

        Arguments and errors are those of MemoryPool.scatter(), and ShardLostError. Where
        items overlap the order counts within each stripe.
        """
        scatter(self._open(), self._name, offsets, data)

    # ----------------------------------------------------------------- snapshots

    def clone(self) -> ShardedPool:
        """A pool of its own with the same contents, in constant time on each worker.

        It lies on the same workers and shares their memory limits. Close it in the end:
        the memory that it alone holds is not given back otherwise before the whole family
        is closed.
        """
        placement, new = self._open(), uuid.uuid4().hex
        made = ShardedPool._face(placement, new)
        made._client, made._owns = self._client, True
        placement.names.add(new)
        try:
            self._change_all("clone", new)
        except BaseException:
            made.close()
            raise
        return made

    def restore(self, source: ShardedPool) -> None:
        """Makes the contents those of `source`, its relative by cloning.

        Raises PoolUnrelatedError, ShardLostError.
        """
        self._open()
        self._change_all("restore", self._relative(source))

    def _relative(self, other: ShardedPool) -> str:
        if not isinstance(other, ShardedPool):
            raise TypeError(f"a ShardedPool is needed, not {type(other).__name__}")
        if other._open().family != self._open().family:
            raise PoolUnrelatedError("the pools do not descend from one another")
        return other._name

    # ------------------------------------------------------- where there is what

    def extents(self) -> Iterator[tuple[int, int]]:
        """The runs of data, in order, each as (start, size); each part as it is now."""
        return self._runs("extents")

    def changes(self, base: ShardedPool) -> Iterator[tuple[int, int]]:
        """The runs in which this pool may differ from `base`, a relative, in order."""
        return self._runs("changes", self._relative(base))

    def _runs(self, question: str, *args: Any) -> Iterator[tuple[int, int]]:
        layout = self._open().layout
        runs = sorted(
            run
            for part, found in enumerate(self._of_parts(question, *args))
            for start, size in found
            for run in layout.spread(part, start, size)
        )
        return merged(runs)

    def _of_parts(self, question: str, *args: Any) -> list[Any]:
        placement = self._open()
        parts = range(placement.layout.parts)
        return placement.query([(part, question, (self._name, *args)) for part in parts])

    @property
    def total_size(self) -> int:
        """Bytes that can be addressed."""
        return self._open().layout.total_size

    @property
    def stats(self) -> ShardedStats:
        """Facts about the parts."""
        layout = self._open().layout
        parts = tuple(self._of_parts("stats"))
        held = sum(stats.held_bytes for stats in parts)
        replicas = min(self._placement.holders())
        return ShardedStats(layout.total_size, layout.stripe, held, replicas, parts)

    # ----------------------------------------------------------------------- Dask

    def array(
        self, offset: SupportsIndex, shape: Any, dtype: Any, stripes: SupportsIndex = 1
    ) -> Any:
        """A dask.array of the bytes at `offset` as they are now, read where they lie.

        shape: an integer, or a sequence of one or more.
        dtype: what numpy takes for one, without references to Python objects.
        stripes: how many of them make a chunk, 1 or more. Chunks are cut along the first
            axis; a stripe and the offset must be multiples of a row unless all fits one.

        The chunks are made by tasks that run on the workers that have the first stripe of
        each. Each keeps its bytes for as long as the array, or one made of it, lives.
        Raises PoolRangeError; PoolError if this is a face from a pickle.
        """
        return array(self, self._owner(), offset, shape, dtype, stripes)

    def repair(self) -> int:
        """Gives each part that has lost a replica a new one; returns how many it gave.

        On workers that are left and on new ones; with replicas=1 on none. Changes to such
        a part wait meanwhile, reads do not. Raises PoolLimitError, ShardLostError;
        PoolError if this is a face from a pickle.
        """
        self._open()
        client = self._owner()
        return self._placement.repair(client)

    def _owner(self) -> Client:
        self._open()
        if self._client is None:
            raise PoolError("only the pool that was made first can do that")
        return self._client
