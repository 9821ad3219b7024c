# SPDX-License-Identifier: MIT
"""ShardedPool: a proxy for a pool that is on many machines."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, cast

from distributed import Client

from .._core.stats import PoolStats
from .._native.arguments import integer
from .._native.buffers import readable, writable
from .._native.signatures import SIZE_MAX
from ..errors import PoolClosedError, PoolError, PoolUnrelatedError
from ..images import formats
from ..images.progress import Progress
from . import digests, ranges
from .addresses import TOTAL_MAX, merged
from .array import array
from .files import load
from .items import gather, plain, read_many, scatter, write_many
from .placement import Placement, count_workers
from .remote import Remote
from .upkeep import rebalance, repair

if TYPE_CHECKING:
    from os import PathLike

    from _typeshed import (
        ReadableBuffer,
        StrOrBytesPath,
        SupportsRead,
        SupportsWrite,
        WriteableBuffer,
    )


class ShardedStats(NamedTuple):
    """Facts about a sharded pool, of no single moment."""

    total_size: int  #: bytes that can be addressed
    stripe: int  #: bytes in a stripe
    held_bytes: int  #: bytes of blocks of this pool, on the leaders only
    replicas: int  #: the smallest number of replicas of a part
    parts: tuple[PoolStats, ...]  #: of each part, on its leader


class ShardedPool:
    """One byte space over the workers of a Dask cluster, which starts as zeros.

    Stripe i is in part i % n. Each part is a MemoryPool on one worker, or with replicas=2
    on two. A call sends one message to each part that it needs, all at the same time:
    directly to the workers if the client was made with direct_to_workers=True, else
    through the scheduler.

    Atomic is a call within one stripe. A call over several parts is one atomic step in
    each part, and if it raises, the parts that did not fail may have changed. gather()
    and scatter(): what an item has in one stripe is one step. clone(), restore(),
    resize() and save() see each part at a moment of its own: to get one moment of the
    whole pool, do not write meanwhile. An interrupted call is done in each part wholly or
    not at all.

    With replicas=2 the leader of a part orders all changes and sends them to its
    follower; a change returns when both have applied it. If one worker dies, calls go on
    with the other, and a change that was under way is applied once. repair() makes a new
    second replica, and rebalance() moves parts to workers that joined. With one replica,
    a call to a part of a dead worker raises ShardLostError. The scheduler decides which
    worker is dead, and calls wait for that. A read sees all changes that returned before
    it began, even if the reply comes from a worker that was stopped and declared dead;
    it may see a change that is still under way.

    A pool ends with its scheduler, and with the client that it was made with. Then each
    call but close() and repr() raises PoolClosedError: at once, or within half a second
    if it is under way.

    Any number of threads may use a pool. It can be pickled into tasks and to other
    clients: the result is another proxy for the same pool, which ends with the object
    that was made first. A pool cannot be used in Dask's own event loop.
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

        client: a distributed.Client; the caller must close it.
        total_size: int, in bytes, 1 .. 2**62.
        stripe: int, the bytes in a stripe, 1 or more.
        replicas: 1 or 2, each on a worker of its own.
        max_block_size: as for MemoryPool.
        memory_limit: int, the most bytes of blocks that each part and its clones may hold
            together; a worker holds as many parts as there are replicas. None for none.

        Raises PoolRangeError; PoolError if a worker cannot make its part.
        """
        total_size = integer("total_size", total_size, 1, TOTAL_MAX)
        stripe = integer("stripe", stripe, 1, TOTAL_MAX)
        block = integer("max_block_size", max_block_size, 1, SIZE_MAX)
        if memory_limit is not None:
            memory_limit = integer("memory_limit", memory_limit, 1, SIZE_MAX)
        workers = count_workers(client)
        replicas = integer("replicas", replicas, 1, min(2, workers))
        self._client: Client | None = client  # None in a proxy from a pickle
        self._owns, self._closed = True, False
        placement, name = Placement.make(
            client, total_size, stripe, replicas, (block, memory_limit)
        )
        self._remote = Remote(placement, name, total_size)

    @classmethod
    def _proxy(cls, placement: Placement, name: str, size: int) -> ShardedPool:
        """Returns another object for a pool, which does not own it.

        Pickles of pools name this.
        """
        proxy = cls.__new__(cls)
        proxy._client, proxy._owns, proxy._closed = None, False, False
        proxy._remote = Remote(placement, name, size)
        return proxy

    # ------------------------------------------------------------------ lifetime

    def close(self) -> None:
        """Closes the pool, and frees its memory unless this is a proxy from a pickle."""
        if self._closed:
            return
        self._closed = True
        placement = self._placement
        placement.names.discard(self._remote.name)
        try:
            if self._owns:
                self._remote.change(self._remote.all("drop"))
        except PoolError:
            pass  # lost parts need no closing
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

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        remote = self._open()
        return ShardedPool._proxy, (remote.placement, remote.name, remote.size)

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
        """Reads the `size` bytes at `offset`. Raises PoolRangeError, ShardLostError."""
        remote = self._open()
        pieces = remote.retry(lambda: ranges.read(remote, offset, size))
        return b"".join(piece for _, piece in sorted(pieces, key=lambda it: it[0]))

    def readinto(self, offset: SupportsIndex, buffer: WriteableBuffer) -> int:
        """Reads the bytes at `offset` into all of `buffer`; returns its size in bytes.

        buffer: as for MemoryPool.readinto().

        Raises what read() raises; TypeError for an unsuitable buffer. Then nothing was
        copied.
        """
        remote = self._open()
        with writable(buffer) as held:
            size: int = held.size
            remote.retry(lambda: remote.range(offset, size))
        target = plain(buffer)
        pieces = remote.retry(lambda: ranges.read(remote, offset, size))
        for start, piece in pieces:
            target[start : start + len(piece)] = piece
        return size

    def write(self, offset: SupportsIndex, data: ReadableBuffer) -> int:
        """Writes `data` at `offset`; returns its size in bytes.

        data: as for MemoryPool.write().

        Raises PoolRangeError, TypeError, with nothing written; PoolMemoryError,
        PoolLimitError, ShardLostError.
        """
        remote = self._open()
        with readable(data) as held:
            size: int = held.size
            remote.retry(lambda: remote.range(offset, size))
        source = plain(data)
        remote.retry(lambda: ranges.write(remote, offset, source))
        return size

    def fill(
        self, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
    ) -> None:
        """Sets the `size` bytes at `offset` to `byte`, 0 .. 255. Raises as write()."""
        self._open().retry(lambda: self._remote.range(offset, size))
        value = integer("byte", byte, 0, 255)
        self._change_range("fill", offset, size, value)

    def discard(self, offset: SupportsIndex, size: SupportsIndex) -> None:
        """Makes the range a hole, which reads as zeros. Raises what write() raises."""
        self._change_range("discard", offset, size)

    def _change_range(self, change: str, offset: Any, size: Any, *byte: int) -> None:
        remote = self._open()
        remote.retry(lambda: ranges.change(remote, change, offset, size, *byte))

    def resize(self, total_size: SupportsIndex) -> None:
        """Makes the pool larger, by a hole, or smaller, which discards the bytes beyond.

        total_size: int, in bytes, 1 .. 2**62. The number of parts and the size of their
            blocks stay: if a pool is to grow, make it large first and then small.

        Each part is resized at a moment of its own: meanwhile no other thread may resize
        the pool, or use the bytes that are cut off or added. Raises PoolRangeError,
        PoolMemoryError, PoolLimitError, ShardLostError. Then the size is the old one on
        all workers that are left, but bytes past the new end may have become zeros.
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
        """Reads the items of `item_size` bytes at the offsets, one after the other.

        Arguments, result and errors are those of MemoryPool.gather(), and ShardLostError.
        """
        remote = self._open()
        return remote.retry(lambda: gather(remote, offsets, item_size, out))

    def scatter(self, offsets: Any, data: ReadableBuffer) -> None:
        """Writes equal items of `data` to the offsets, in their order.

        Arguments and errors are those of MemoryPool.scatter(), and ShardLostError. If
        items overlap, the later one wins within each stripe.
        """
        remote = self._open()
        remote.retry(lambda: scatter(remote, offsets, data))

    def read_many(self, ranges: Any, out: Any = None) -> Any:
        """Reads the bytes of each of the ranges, whose sizes differ.

        Arguments, result and errors are those of MemoryPool.read_many(), and
        ShardLostError.
        """
        return read_many(self._open(), ranges, out)

    def write_many(self, items: Iterable[tuple[SupportsIndex, ReadableBuffer]]) -> None:
        """Writes data of different sizes to many offsets, in their order.

        Arguments and errors are those of MemoryPool.write_many(), and ShardLostError. If
        ranges overlap, the later one wins within each stripe.
        """
        write_many(self._open(), items)

    # ----------------------------------------------------------------- snapshots

    def clone(self) -> ShardedPool:
        """Returns a copy-on-write copy, made in constant time on each worker.

        The clone is on the same workers and shares their memory limits. Close it after
        use: otherwise the memory that only the clone holds is freed only with the family.
        """
        remote, new = self._open(), uuid.uuid4().hex
        placement = remote.placement
        clone = ShardedPool._proxy(placement, new, remote.size)
        clone._client, clone._owns = self._client, True
        placement.names.add(new)
        try:
            remote.change(remote.all("clone", new))
        except BaseException:
            clone.close()
            raise
        return clone

    def restore(self, source: ShardedPool) -> None:
        """Makes the contents and size those of `source`, a relative by cloning.

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

    def digest(self) -> bytes:
        """Returns 32 bytes that identify the contents and the size.

        They are those of MemoryPool.digest() for the same contents. All data is read and
        hashed here, each time, so save(since=) and apply() cost that too. Raises
        ShardLostError.
        """
        with self.clone() as moment:
            return digests.digest(moment)

    # --------------------------------------------------------------------- files

    def save(
        self,
        file: StrOrBytesPath | SupportsWrite[memoryview],
        *,
        format: str = "auto",
        since: ShardedPool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Writes the contents to a file, in the formats of MemoryPool.save().

        file, format, since, progress: as for MemoryPool.save(); a path is one on the
            machine of this process.

        A clone is written: each part as it was at one moment when the call began, and the
        whole pool at one moment if nobody wrote then. 1 MiB of it is here at a time.
        Raises what MemoryPool.save() raises; ShardLostError, and the old file stays.
        """
        moment: Any = self
        formats.save(moment, file, format, cast("Any", since), progress)

    def delta(self, base: ShardedPool) -> bytes:
        """Returns what turns the contents and the size of `base` into those of this pool.

        base: any sharded pool; a relative by cloning costs least.

        It is what MemoryPool.delta() returns for the same contents, and a MemoryPool can
        apply it. Raises what that raises; ShardLostError.
        """
        moment: Any = self
        return formats.delta(moment, cast("Any", base))

    def apply(
        self,
        delta: ReadableBuffer | str | PathLike[str] | SupportsRead[bytes],
        *,
        progress: Progress | None = None,
    ) -> None:
        """Gives the pool the contents and size that a delta leads to.

        delta, progress: as for MemoryPool.apply().

        The whole delta is read and checked before anything changes; then each part
        changes in one step, as by restore(). Raises what MemoryPool.apply() raises;
        ShardLostError, and the parts that are not lost may have changed.
        """
        target: Any = self
        formats.apply(target, delta, progress)

    @classmethod
    def load(
        cls,
        client: Client,
        file: StrOrBytesPath | SupportsRead[bytes],
        stripe: SupportsIndex = 1 << 20,
        *,
        format: str = "auto",
        replicas: SupportsIndex = 1,
        max_block_size: SupportsIndex = 65536,
        memory_limit: SupportsIndex | None = None,
        progress: Progress | None = None,
    ) -> ShardedPool:
        """Makes a pool over all workers with the contents and the size of a file.

        client, stripe, replicas, max_block_size, memory_limit: as for a new pool.
        file, format, progress: as for MemoryPool.load(); a path is one on the machine of
            this process.

        The file is read and copied, 1 MiB at a time; blocks of zeros and holes stay
        holes. The data counts for the memory limit. Raises what MemoryPool.load() and a
        new pool raise; then no part of the new pool is left.
        """
        workers = count_workers(client)
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
        """Yields the runs of data, in order, as (start, size); each part as it is now."""
        return self._runs("extents")

    def changes(self, base: ShardedPool) -> Iterator[tuple[int, int]]:
        """Yields the runs in which the pool may differ from `base`, a relative."""
        return self._runs("changes", self._relative(base))

    def _runs(self, query: str, *args: Any) -> Iterator[tuple[int, int]]:
        remote = self._open()
        found_in, layout = remote.query(remote.all(query, *args)), remote.layout
        runs = sorted(
            run
            for part, found in enumerate(found_in)
            for start, size in found
            for run in layout.spread(part, start, size)
        )
        return merged(runs)

    @property
    def total_size(self) -> int:
        """The number of bytes that can be addressed, now."""
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
        """Returns a dask.array of the bytes at `offset` now, read where they are.

        shape: int, or a sequence of ints.
        dtype: a dtype of numpy, or what makes one; no references to Python objects.
        stripes: int, the stripes in a chunk, 1 or more. Chunks are cut along the first
            axis; a stripe and the offset must be multiples of a row, unless one chunk
            holds everything.

        Tasks on the workers that have the first stripe of each chunk make the chunks. A
        chunk keeps its bytes while the array, or one made of it, lives. Raises
        PoolRangeError; PoolError if this is a proxy from a pickle.
        """
        client = self._owner()
        self._open().learn_size()  # tasks would notice an old size too late
        return array(self, self._open(), client, offset, shape, dtype, stripes)

    def repair(self) -> int:
        """Makes new replicas for parts that have lost one; returns how many it made.

        They are on the workers with the fewest parts, old or new; with replicas=1 there
        are none to make. Meanwhile changes to such a part wait; reads do not.

        Raises ShardLostError if parts are lost, after the other parts are repaired;
        PoolError if there are not two workers for a part, which names the
        lost workers and says what is needed; PoolLimitError; PoolError if this is a proxy
        from a pickle.
        """
        client = self._owner()
        return repair(self._placement, client)

    def rebalance(self) -> int:
        """Moves replicas until all workers, old and new, hold as many and lead as many.

        Returns how many replicas it moved. Changes to a part wait while it is copied;
        reads do not. No part loses a replica meanwhile. If the call ends early, the pool
        stays usable, and a second call goes on from there. The number of parts is that
        of the workers when the pool was made, so a pool uses at most so many workers, or
        twice as many with replicas=2.

        Raises PoolError if a worker cannot be used; ShardLostError if parts are lost;
        PoolLimitError; PoolError if this is a proxy from a pickle.
        """
        client = self._owner()
        return rebalance(self._placement, client)

    def _owner(self) -> Client:
        self._open()
        if self._client is None:
            raise PoolError(
                "a proxy from a pickle cannot do that: use the pool made first"
            )
        return self._client
