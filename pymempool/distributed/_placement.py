# SPDX-License-Identifier: MIT
"""Which shards hold the parts of a pool, and how the leader of each is found."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import distributed
from distributed import Client, wait

from ..errors import PoolClosedError, PoolError
from . import _messages
from ._addresses import Layout
from ._messages import PAUSE, WATCH, ElsewhereError, Holder, Line, UnreachableError
from ._part import Sizes
from ._shard import Shard

_PATIENCE = 60.0  # seconds in which a worker that is not gone has to be reached

Call = tuple[int, str, tuple[Any, ...]]  #: part, function, arguments


class ShardLostError(PoolError):
    """All workers that held a part are gone. `part` and `layout` say which bytes it had:
    every stripe whose number modulo layout.parts is part. Others go on working."""

    def __init__(self, part: int, layout: Layout, workers: list[str]) -> None:
        super().__init__(part, layout, workers)
        self.part, self.layout, self.workers = part, layout, workers

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The lost bytes, in order, each range as (start, size)."""
        size = self.layout.below(self.layout.total_size, self.part)
        return self.layout.spread(self.part, 0, size)

    def __str__(self) -> str:
        total, stripe, parts = self.layout
        start, step = self.part * stripe, parts * stripe
        more = f", and so on every {step}," if start + step < total else ""
        return (
            f"bytes {start} .. {min(start + stripe, total) - 1}{more} are lost with"
            f" {' and '.join(self.workers)}"
        )


class Placement:
    """What a pool, its clones and its faces elsewhere share."""

    def __init__(self, family: str, layout: Layout, leaders: list[Holder]) -> None:
        self.family, self.layout = family, layout
        self.leaders = leaders  # of each part, as far as is known here
        self.replicas = 1  # here and below: of whom made the pool, alone
        self.shards: list[Holder] = []
        self.futures: list[Any] = []  # what keeps the shards alive
        self.names: set[str] = set()  # the pools that are open
        self._line: Line | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Placement, (self.family, self.layout, self.leaders)

    @classmethod
    def make(
        cls, client: Client, total_size: int, stripe: int, replicas: int, sizes: Any
    ) -> tuple[Placement, str]:
        """Parts with one pool of zeros, on all workers or as many as can be used.

        sizes: the block size and the memory limit. Returns also the name of the pool.
        """
        workers = sorted(client.nthreads())
        parts = min(len(workers), -(-total_size // stripe))
        layout, name = Layout(total_size, stripe, parts), uuid.uuid4().hex
        placement = cls(uuid.uuid4().hex, layout, [])
        placement._line, placement.replicas = Line(client), replicas
        placement.names.add(name)

        async def place(part: int) -> None:
            whole = Sizes(layout.below(total_size, part), *sizes)
            await placement.ask(part, "lead", whole, name)
            other = placement.shards[(part + 1) % len(placement.shards)]
            if replicas == 2 and await placement.ask(part, "mirror", other) is False:
                raise PoolError(f"worker {other[0]} cannot hold a part")

        async def place_all() -> None:
            await asyncio.gather(*map(place, range(parts)))

        try:
            placement._add_shards(client, workers[: max(parts, replicas)])
            placement.leaders = placement.shards[:parts]
            placement.run(place_all)
        except BaseException:
            placement.release()
            raise
        return placement, name

    def _add_shards(self, client: Client, workers: list[str]) -> None:
        shards = [(worker, f"pymempool-shard-{uuid.uuid4().hex}") for worker in workers]
        futures = [
            client.submit(Shard, key, key=key, workers=[worker], actor=True, pure=False)
            for worker, key in shards
        ]
        self.futures += futures
        for (worker, _), future in zip(shards, futures):
            while future.status == "pending" and worker in client.nthreads():
                with suppress(distributed.TimeoutError):
                    wait(future, timeout=WATCH)
            if future.status != "finished":
                raise PoolError(
                    f"worker {worker} cannot hold a part: {future.status}. Is pymempool"
                    " there? pip install 'pymempool[dask]'"
                ) from (future.exception() if future.status == "error" else None)

        async def begin_all() -> None:
            await asyncio.gather(*map(self.line.begin_records, shards))

        self.run(begin_all)
        self.shards += shards

    def release(self) -> None:
        """Lets the workers forget their shards."""
        while self.futures:
            self.futures.pop().release()

    # -------------------------------------------------------------------- messages

    @property
    def line(self) -> Line:
        if self._line is None:
            self._line = _messages.line()
        return self._line

    def run(self, function: Any, *args: Any) -> Any:
        """Waits for a coroutine, in this thread."""
        try:
            return self.line.run(function, *args)
        except OSError as error:
            raise PoolClosedError("the cluster of the pool does not answer") from error

    def query(self, calls: list[Call]) -> list[Any]:
        """The answers of parts, asked at the same time; raises the first error."""
        return self._all([(part, "query", (what, *args)) for part, what, args in calls])

    def change(self, calls: list[Call]) -> None:
        """Makes changes to parts at the same time; raises the first error."""
        with _messages.numbers.take() as number:
            self._all(
                [(part, "change", (number, what, *args)) for part, what, args in calls]
            )

    def holders(self) -> list[int]:
        """How many have all that each part has."""
        return self._all([(part, "holders", ()) for part in range(self.layout.parts)])

    def _all(self, calls: list[Call]) -> list[Any]:
        async def gather() -> list[Any]:
            asked = (self.ask(part, function, *args) for part, function, args in calls)
            results = await asyncio.gather(*asked, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            return results

        results: list[Any] = self.run(gather)
        return results

    async def ask(self, part: int, function: str, *args: Any) -> Any:
        """The answer of whoever leads the part: the search of rule 7 of _shard."""
        asked: list[str] = []
        holder, patience = self.leaders[part], time.monotonic() + _PATIENCE
        while True:
            try:
                answer = await self.line.ask(holder, function, part, *args)
            except (UnreachableError, ElsewhereError, OSError) as error:
                if await self.line.alive(holder):
                    if time.monotonic() > patience:
                        raise PoolError(f"worker {holder[0]} is not reached") from error
                    await asyncio.sleep(PAUSE)
                    continue
                asked.append(holder[0])
                follower = await self.line.follower(holder, part)
                if follower is None:
                    raise ShardLostError(part, self.layout, asked) from None
                holder, patience = follower, time.monotonic() + _PATIENCE
            else:
                self.leaders[part] = holder
                return answer

    # ---------------------------------------------------------------------- repair

    def repair(self, client: Client) -> int:
        """Gives parts that have lost a follower one; returns how many."""
        if self.replicas == 1:
            return 0
        known = {worker for worker, _ in self.shards}
        self._add_shards(client, sorted(set(client.nthreads()) - known))
        return int(self.run(self._repair))

    async def _repair(self) -> int:
        there = [shard for shard in self.shards if await self.line.alive(shard)]
        repaired = 0
        for part in range(self.layout.parts):
            for i in range(len(there)):
                other = there[(part + 1 + i) % len(there)]
                done = await self.ask(part, "mirror", other)
                if done is not False:
                    repaired += done is True
                    break
        return repaired
