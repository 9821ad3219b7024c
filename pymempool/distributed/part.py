# SPDX-License-Identifier: MIT
"""One part of a sharded pool on one worker: the queries and the changes that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Callable, NamedTuple

import numpy as np

from .._core.batches import put_ranges
from .._core.owner import owner_of
from .._core.pairs import checked
from .._core.stats import PoolStats
from ..errors import PoolClosedError, PoolRangeError
from ..pool import MemoryPool

Number = tuple[str, int, int]  #: of a change; see Numbers in messages.py

Run = tuple[int, int]  # offset in the part, and size

_COPY_PIECE = 1 << 22  # the most bytes in one message when a part is copied


class Sizes(NamedTuple):
    """The arguments of MemoryPool for the pools of a part."""

    total_size: int
    max_block_size: int
    memory_limit: int | None


class End(NamedTuple):
    """Where a pool ends."""

    total: int  #: bytes in the sharded pool
    here: int  #: bytes of it in this part; if 0, the MemoryPool has 1 byte all the same


class AppliedChanges:
    """The changes from one process that were applied, so that none is applied twice.

    These are all below `settled`, and those whose outcomes are here.
    """

    def __init__(self) -> None:
        self.settled = 0
        self.outcomes: dict[int, Exception | None] = {}

    def settle(self, settled: int) -> None:
        """Drops the outcomes that no process waits for any more."""
        if settled > self.settled:
            self.settled = settled
            for old in [index for index in self.outcomes if index < settled]:
                del self.outcomes[old]


class Part:
    """The pools of one part by their names. They are one family."""

    def __init__(self, sizes: Sizes, applied: dict[str, AppliedChanges]) -> None:
        self.sizes, self.applied = sizes, applied
        self.pools: dict[str, MemoryPool] = {}
        self.ends: dict[str, End] = {}

    def pool(self, name: str) -> MemoryPool:
        try:
            return self.pools[name]
        except KeyError:
            raise PoolClosedError("the pool is closed") from None

    def bytes(self, name: str) -> MemoryPool:
        """Returns the pool, for a call that has a range in this part."""
        pool = self.pool(name)
        if not self.ends[name].here:
            raise PoolRangeError("the pool has no bytes in this part")
        return pool

    def close(self) -> None:
        """Frees the pools."""
        while self.pools:
            self.pools.popitem()[1].close()

    async def query(self, query: str, *args: Any) -> Any:
        """Answers a query, in a thread."""
        return await asyncio.to_thread(QUERIES[query], self, *args)

    async def apply(self, number: Number, change: str, *args: Any) -> Exception | None:
        """Applies a change in a thread, unless it was applied; returns what it raised.

        The caller has locked the part.
        """
        origin, index, settled = number
        applied = self.applied.setdefault(origin, AppliedChanges())
        applied.settle(settled)
        if index < applied.settled:
            return None  # a late message; no process waits for the answer
        if index not in applied.outcomes:
            outcome = None
            try:
                await asyncio.to_thread(CHANGES[change], self, *args)
            except Exception as error:
                outcome = error.with_traceback(None)  # it would keep the data alive
            applied.outcomes[index] = outcome
        return applied.outcomes[index]

    def copy(self) -> Iterator[tuple[Any, ...]]:
        """Yields the changes that make all pools of this part in an empty one.

        Each pool is cloned from the earlier one that differs least from it, so that
        blocks are shared as they are here.
        """
        done: list[str] = []
        for name, pool in list(self.pools.items()):
            runs, end = list(pool.extents()), self.ends[name]
            if not done:
                yield "create", name, end.total
            else:
                every = [(list(pool.changes(self.pools[it])), it) for it in done]
                runs, nearest = min(every, key=lambda it: sum(size for _, size in it[0]))
                yield "clone", nearest, name
            yield "resize", name, *end
            for start, size in _clipped(runs, end.here):
                for at in range(start, start + size, _COPY_PIECE):
                    data = pool.read(at, min(_COPY_PIECE, start + size - at))
                    if data.strip(b"\0"):
                        yield "write", name, at, memoryview(data)
                    else:
                        yield "discard", name, at, len(data)
            done.append(name)


# ---------------------------------------------------------------------- queries


def _gather(held: Part, name: str, starts: Any, sizes: Any) -> Any:
    out = np.empty(int(sizes.sum()), np.uint8)
    return held.bytes(name).read_many(np.stack([starts, sizes], axis=1), out)


def _clipped(runs: Iterable[Run], here: int) -> list[Run]:
    """Returns the runs up to the end of the pool: runs of whole blocks may pass it."""
    return [(start, min(size, here - start)) for start, size in runs if start < here]


def _changes(held: Part, name: str, base: str) -> list[Run]:
    return _clipped(held.pool(name).changes(held.pool(base)), held.ends[name].here)


def _stats(held: Part, name: str) -> PoolStats:
    return held.pool(name).stats._replace(total_size=held.ends[name].here)


def _size(held: Part, name: str) -> int:
    held.pool(name)
    return held.ends[name].total


QUERIES: dict[str, Callable[..., Any]] = {
    "read": lambda held, name, *run: memoryview(held.bytes(name).read(*run)),
    "gather": _gather,
    "extents": lambda held, name: _clipped(
        held.pool(name).extents(), held.ends[name].here
    ),
    "changes": _changes,
    "stats": _stats,
    "size": _size,
}

# ---------------------------------------------------------------------- changes


def _create(held: Part, name: str, total: int) -> None:
    here, block, limit = held.sizes
    held.pools[name] = MemoryPool(here, block, memory_limit=limit)
    held.ends[name] = End(total, here)


def _scatter(held: Part, name: str, starts: Any, sizes: Any, data: Any) -> None:
    owner = owner_of(held.bytes(name))
    put_ranges(owner, checked(owner, np.stack([starts, sizes], axis=1)), data)


def _clone(held: Part, name: str, new: str) -> None:
    held.pools[new] = held.pool(name).clone()
    held.ends[new] = held.ends[name]


def _restore(held: Part, name: str, source: str) -> None:
    held.pool(name).restore(held.pool(source))
    held.ends[name] = held.ends[source]


def _resize(held: Part, name: str, total: int, here: int) -> None:
    pool = held.pool(name)
    if here:
        pool.resize(here)
    else:  # the one byte that a MemoryPool must have becomes 0
        with pool.clone() as empty:
            empty.discard(0, empty.total_size)
            empty.resize(1)
            pool.restore(empty)
    held.ends[name] = End(total, here)


def _drop(held: Part, name: str) -> None:
    with suppress(KeyError):
        held.pools.pop(name).close()
        del held.ends[name]


CHANGES: dict[str, Callable[..., Any]] = {
    "create": _create,
    "write": lambda held, name, at, data: held.bytes(name).write(at, data),
    "fill": lambda held, name, *args: held.bytes(name).fill(*args),
    "discard": lambda held, name, *run: held.bytes(name).discard(*run),
    "scatter": _scatter,
    "clone": _clone,
    "restore": _restore,
    "resize": _resize,
    "drop": _drop,
}
