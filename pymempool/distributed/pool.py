# SPDX-License-Identifier: MIT
"""ShardedPool: the face of a pool that lies on many machines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, cast

from distributed import Client

from .._core.stats import PoolStats
from .._native.arguments import integer
from .._native.buffers import readable, writable
from .._native.signatures import SIZE_MAX
from ..errors import PoolClosedError, PoolError, PoolUnrelatedError
from ..images import formats
from ..images.progress import Progress
from .addresses import TOTAL_MAX, merged
from .array import array
from .files import load
from .items import gather, plain, scatter
from .placement import Placement
from .remote import Remote
from .upkeep import rebalance, repair

if TYPE_CHECKING:
    from _typeshed import (
        ReadableBuffer,
        StrOrBytesPath,
        SupportsRead,
        SupportsWrite,
        WriteableBuffer,
    )


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
    not fail. gather() and scatter(): each item's share in a stripe. clone(), restore(),
    resize() and save() take each part at a moment of its own: hold still meanwhile if it
    must be one moment. An interrupted call is made in each part wholly or not at all.

    With replicas=2 changes go through the leader of a part to its follower, in one order
    whoever makes them, and return when both have them. If one worker dies, calls go on
    with the other, and a change that was under way is made once. repair() makes a second
    replica anew, and rebalance() moves parts to workers that joined. With one replica,
    what a dead worker held raises ShardLostError. It is for the scheduler to say which
    worker is dead; calls wait for it. A read sees all that was acknowledged before it
    began, also if a worker answers that was stopped and given up; and it may see a change
    that is still under way.

    A pool ends with its scheduler, and with the client that it was made with. Then each
    call but close() and repr() raises PoolClosedError: at once, or within half a second
    if it is under way.

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
        workers = _workers(client)
        replicas = integer("replicas", replicas, 1, min(2, workers))
        self._client: Client | None = client  # None in a face from a pickle
        self._owns, self._closed = True, False
        placement, name = Placement.make(
            client, total_size, stripe, replicas, (block, memory_limit)
        )
        self._remote = Remote(placement, name, total_size)

    @classmethod
    def _face(cls, placement: Placement, name: str, size: int) -> ShardedPool:
        """Another object for a pool, which does not own it."""
        made = cls.__new__(cls)
        made._client, made._owns, made._closed = None, False, False
        made._remote = Remote(placement, name, size)
        return made

    # ------------------------------------------------------------------ lifetime

    def close(self) -> None:
        """Gives up the pool, and frees its memory unless this is a face from a pickle."""
        if self._closed:
            return
        self._closed = True
        placement = self._placement
        placement.names.discard(self._remote.name)
        try:
            if self._owns:
                self._remote.change(self._remote.all("drop"))
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
        remote = self._open()
        return ShardedPool._face, (remote.placement, remote.name, remote.size)

    def __repr__(self) -> str:
        if self._closed:
            return "<ShardedPool, closed>"
        total, stripe, parts = self._remote.layout
        text = f"ShardedPool of {total} bytes, stripes of {stripe} in {parts} parts"
        return f"<{text}{', out of reach' if self._placement.trouble() else ''}>"

    def _open(self) -> Remote:
        if self._closed:
            raise PoolClosedError("the pool is closed")
        self._placement.check()
        return self._remote

    @property
    def _placement(self) -> Placement:
        return self._remote.placement

    # --------------------------------------------------------------------- bytes

    def read(self, offset: SupportsIndex, size: SupportsIndex) -> bytes:
        """The `size` bytes at `offset`. Raises PoolRangeError, ShardLostError."""
        pieces = self._open().again(lambda: self._read(*self._remote.range(offset, size)))
        return b"".join(piece for _, piece in sorted(pieces, key=lambda it: it[0]))

    def readinto(self, offset: SupportsIndex, buffer: WriteableBuffer) -> int:
        """Fills `buffer` with the bytes at `offset`; returns how many, which is its size.

        buffer: as MemoryPool.readinto() takes it. Raises what read() does, and TypeError
        for an unfit buffer; then nothing was copied.
        """
        remote = self._open()
        with writable(buffer) as held:
            size: int = held.size
            remote.again(lambda: remote.range(offset, size))
        target = plain(buffer)
        pieces = remote.again(lambda: self._read(*remote.range(offset, size)))
        for start, piece in pieces:
            target[start : start + len(piece)] = piece
        return size

    def _read(self, offset: int, size: int) -> list[tuple[int, memoryview]]:
        """What lies in a range: pieces, and where in it."""
        layout = self._remote.layout
        runs = layout.runs(offset, size)
        found = self._remote.query([(part, "read", tuple(run)) for part, *run in runs])
        pieces = []
        for (part, *_), data in zip(runs, found):
            done = 0
            for start, end in layout.pieces(offset, size, part):
                pieces.append((start, memoryview(data)[done : done + end - start]))
                done += end - start
        return pieces

    def write(self, offset: SupportsIndex, data: ReadableBuffer) -> int:
        """Puts `data` at `offset`; returns the number of bytes, which is all of them.

        data: as MemoryPool.write() takes it. Raises PoolRangeError, TypeError, then
        nothing was written; PoolMemoryError, PoolLimitError, ShardLostError.
        """
        with readable(data) as held:
            size: int = held.size
            self._open().again(lambda: self._remote.range(offset, size))
        source = plain(data)
        self._open().again(lambda: self._write(*self._remote.range(offset, size), source))
        return size

    def _write(self, offset: int, size: int, source: memoryview) -> None:
        layout, calls = self._remote.layout, []
        for part, start, _ in layout.runs(offset, size):
            pieces = [source[a:b] for a, b in layout.pieces(offset, size, part)]
            # Joined here, for the part to write it in one step; what is one piece is not.
            whole = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
            calls.append((part, "write", (start, whole)))
        self._remote.change(calls)

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255; else as write()."""
        self._open().again(lambda: self._remote.range(offset, size))
        value = integer("byte", byte, 0, 255)
        self._change_range("fill", offset, size, value)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the range a hole, which reads as zeros. Raises what write() does."""
        self._change_range("discard", offset, size)

    def _change_range(self, change: str, offset: Any, size: Any, *byte: int) -> None:
        remote = self._open()

        def call() -> None:
            runs = remote.layout.runs(*remote.range(offset, size))
            remote.change(
                [(part, change, (at, *byte, count)) for part, at, count in runs]
            )

        remote.again(call)

    def resize(self, total_size: SupportsIndex) -> None:
        """Makes the pool larger, by a hole, or smaller, discarding what is beyond.

        total_size: 1 .. 2**62. The number of parts and the size of their blocks stay, so
            that a pool that is to grow is best made large and then made small.

        Each part is resized at a moment of its own: others must not resize the same pool
        or use what is cut off or added meanwhile. Raises PoolRangeError, PoolMemoryError,
        PoolLimitError, ShardLostError; then the size is what it was, as far as there are
        workers to say so, and bytes past the new end may have become zeros.
        """
        total_size = integer("total_size", total_size, 1, TOTAL_MAX)
        remote, was = self._open(), self.total_size
        try:
            remote.resize(total_size)
        except BaseException:
            with suppress(PoolError):
                remote.resize(was)
            raise
        remote.size = total_size

    # ------------------------------------------------------------- many at once

    def gather(self, offsets: Any, item_size: SupportsIndex, out: Any = None) -> Any:
        """The items of `item_size` bytes at each of the offsets, one after the other.

        Arguments, result and errors are those of MemoryPool.gather(), and ShardLostError.
        """
        self._open()
        remote = self._open()
        return remote.again(lambda: gather(remote, offsets, item_size, out))

    def scatter(self, offsets: Any, data: ReadableBuffer) -> None:
        """Puts equal parts of `data` at the offsets, in their order.

        Arguments and errors are those of MemoryPool.scatter(), and ShardLostError. Where
        items overlap the order counts within each stripe.
        """
        self._open()
        remote = self._open()
        remote.again(lambda: scatter(remote, offsets, data))

    # ----------------------------------------------------------------- snapshots

    def clone(self) -> ShardedPool:
        """A pool of its own with the same contents, in constant time on each worker.

        It lies on the same workers and shares their memory limits. Close it in the end:
        the memory that it alone holds is not given back otherwise before the whole family
        is closed.
        """
        remote, new = self._open(), uuid.uuid4().hex
        placement = remote.placement
        made = ShardedPool._face(placement, new, remote.size)
        made._client, made._owns = self._client, True
        placement.names.add(new)
        try:
            remote.change(remote.all("clone", new))
        except BaseException:
            made.close()
            raise
        return made

    def restore(self, source: ShardedPool) -> None:
        """Makes the contents those of `source`, its relative by cloning.

        Raises PoolUnrelatedError, ShardLostError.
        """
        remote = self._open()
        remote.change(remote.all("restore", self._relative(source)))
        remote.size = source._remote.size

    def _relative(self, other: ShardedPool) -> str:
        if not isinstance(other, ShardedPool):
            raise TypeError(f"a ShardedPool is needed, not {type(other).__name__}")
        if other._open().placement.family != self._open().placement.family:
            raise PoolUnrelatedError("the pools do not descend from one another")
        return other._remote.name

    # --------------------------------------------------------------------- files

    def save(
        self,
        file: StrOrBytesPath | SupportsWrite[memoryview],
        *,
        format: str = "raw",
        since: ShardedPool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Writes the contents to a file, as MemoryPool.save() does and load() takes it.

        file, format, since, progress: as for MemoryPool.save(); a path is one of this
            process's machine.

        What is written is a clone: of each part the contents of one moment when the call
        began, and of the whole if nobody writes then. 1 MiB of it is here at a time.
        Raises what MemoryPool.save() does, and ShardLostError; then the old file stays as
        it was.
        """
        moment: Any = self
        formats.save(moment, file, format, cast("Any", since), progress)

    def apply(
        self,
        file: StrOrBytesPath | SupportsRead[bytes],
        *,
        progress: Progress | None = None,
    ) -> None:
        """Brings this pool from the contents that a checkpoint began with to its own.

        file, progress: as for MemoryPool.apply().

        The whole file is read and checked before anything changes; then each part
        changes in one step, as by restore(). Raises what MemoryPool.apply() does, and
        ShardLostError, with which the parts that are not lost may have changed.
        """
        target: Any = self
        formats.apply(target, file, progress)

    @classmethod
    def load(
        cls,
        client: Client,
        file: StrOrBytesPath | SupportsRead[bytes],
        stripe: SupportsIndex = 1 << 20,
        *,
        format: str = "raw",
        replicas: SupportsIndex = 1,
        max_block_size: SupportsIndex = 65536,
        memory_limit: SupportsIndex | None = None,
        progress: Progress | None = None,
    ) -> ShardedPool:
        """A pool over all workers with the contents and the size of a file.

        client, stripe, replicas, max_block_size, memory_limit: as for a new pool.
        file, format, progress: as for MemoryPool.load(); a path is one of this process's
            machine.

        The file is read and copied, 1 MiB at a time; blocks of zeros and holes stay
        holes. What is loaded counts for the memory limit. Raises what MemoryPool.load()
        and a new pool raise; then nothing is left behind.
        """
        workers = _workers(client)
        stripe = integer("stripe", stripe, 1, TOTAL_MAX)
        block = integer("max_block_size", max_block_size, 1, SIZE_MAX)

        def make(total_size: int) -> ShardedPool:
            return cls(
                client,
                total_size,
                stripe,
                replicas=replicas,
                max_block_size=block,
                memory_limit=memory_limit,
            )

        room = workers * stripe * -(-block // stripe)
        return load(make, room, block, file, format, progress)

    # ------------------------------------------------------- where there is what

    def extents(self) -> Iterator[tuple[int, int]]:
        """The runs of data, in order, each as (start, size); each part as it is now."""
        return self._runs("extents")

    def changes(self, base: ShardedPool) -> Iterator[tuple[int, int]]:
        """The runs in which this pool may differ from `base`, a relative, in order."""
        return self._runs("changes", self._relative(base))

    def _runs(self, question: str, *args: Any) -> Iterator[tuple[int, int]]:
        remote = self._open()
        found_in, layout = remote.query(remote.all(question, *args)), remote.layout
        runs = sorted(
            run
            for part, found in enumerate(found_in)
            for start, size in found
            for run in layout.spread(part, start, size)
        )
        return merged(runs)

    @property
    def total_size(self) -> int:
        """Bytes that can be addressed, as of now."""
        return self._open().learn_size()

    @property
    def stats(self) -> ShardedStats:
        """Facts about the parts."""
        remote, total_size = self._open(), self.total_size
        parts = tuple(remote.query(remote.all("stats")))
        held = sum(stats.held_bytes for stats in parts)
        replicas = min(map(len, self._placement.holders()))
        return ShardedStats(total_size, remote.layout.stripe, held, replicas, parts)

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
        client = self._owner()
        self._open().learn_size()  # for tasks find out too late
        return array(self, self._open(), client, offset, shape, dtype, stripes)

    def repair(self) -> int:
        """Gives each part that has lost a replica a new one; returns how many it gave.

        On the workers that hold least, of those that are left and new ones; with
        replicas=1 on none. Changes to such a part wait meanwhile, reads do not.

        Raises ShardLostError if parts are lost, after it has given the others what they
        lack; PoolError if there are not two workers for a part, which says who is gone
        and what is needed; PoolLimitError; PoolError if this is a face from a pickle.
        """
        client = self._owner()
        return repair(self._placement, client)

    def rebalance(self) -> int:
        """Moves parts until all workers, new ones too, hold as many and lead as many.

        Returns how many it moved, of each replica that holds a part. Changes to a part
        wait while it is copied, reads do not. A part does not lose a replica by it, and
        if it ends early, what was moved stays moved and all can be used: call it again.
        There are as many parts as there were workers when the pool was made, so that no
        more workers than that, or twice that with replicas=2, can be used.

        Raises PoolError if a worker cannot be used, ShardLostError if parts are lost,
        PoolLimitError; PoolError if this is a face from a pickle.
        """
        client = self._owner()
        return rebalance(self._placement, client)

    def _owner(self) -> Client:
        self._open()
        if self._client is None:
            raise PoolError("only the pool that was made first can do that")
        return self._client


def _workers(client: Any) -> int:
    """How many workers the cluster of a client has."""
    if not isinstance(client, Client) or client.asynchronous:
        raise TypeError("a distributed.Client is needed, not an asynchronous one")
    if client.status != "running":
        raise PoolClosedError("the client is not connected to a scheduler")
    workers = len(client.nthreads())
    if not workers:
        raise PoolError("the cluster has no workers")
    return workers
