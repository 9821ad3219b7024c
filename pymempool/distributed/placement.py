# SPDX-License-Identifier: MIT
"""Placement: which shards hold the parts of a pool, and who leads each part."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable

import distributed
from distributed import Client, wait

from .. import __version__
from ..errors import PoolClosedError, PoolError
from . import messages
from .addresses import Layout
from .messages import (
    CHECK_INTERVAL,
    PAUSE,
    ElsewhereError,
    Holder,
    MovedError,
    Transport,
    UnreachableError,
)
from .part import Sizes
from .shard import Shard

_INSTALL = f"pip install 'pymempool[dask]=={__version__}' there"

_PATIENCE = 60.0  # seconds in which a worker that the scheduler knows must reply

Call = tuple[int, str, tuple[Any, ...]]  #: part, function, arguments


class ShardLostError(PoolError):
    """All workers that held a part are lost. The other parts stay usable.

    `part` and `layout` say which bytes are lost: every stripe whose number modulo
    layout.parts is part.
    """

    def __init__(self, part: int, layout: Layout, workers: list[str]) -> None:
        super().__init__(part, layout, workers)
        self.part, self.layout, self.workers = part, layout, workers

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yields the lost bytes, in order, as (start, size)."""
        size = self.layout.below(self.layout.total_size, self.part)
        return self.layout.spread(self.part, 0, size)

    def __str__(self) -> str:
        total, stripe, parts = self.layout
        start, step = self.part * stripe, parts * stripe
        workers = " and ".join(self.workers)
        if start >= total:
            return f"part {self.part}, which had no bytes, is lost with {workers}"
        more = f", and so on every {step}," if start + step < total else ""
        return (
            f"bytes {start} .. {min(start + stripe, total) - 1}{more} are lost with"
            f" {workers}"
        )


class Placement:
    """What a pool, its clones and its proxies share."""

    def __init__(self, family: str, layout: Layout, leaders: list[Holder]) -> None:
        self.family, self.layout = family, layout
        self.leaders = leaders  # of each part, as last known
        self.replicas = 1  # this and the rest: only where the pool was made
        self.shards: list[Holder] = []
        self.futures: list[Any] = []  # what keeps the shards alive
        self.names: set[str] = set()  # the pools that are open
        self._transport: Transport | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Placement, (self.family, self.layout, self.leaders)

    @classmethod
    def make(
        cls, client: Client, total_size: int, stripe: int, replicas: int, sizes: Any
    ) -> tuple[Placement, str]:
        """Makes the parts with one pool of zeros; returns the placement and its name.

        sizes: the block size and the memory limit.

        The parts are on all workers, or on as many as can be used.
        """
        workers = sorted(client.nthreads())
        parts = min(len(workers), -(-total_size // stripe))
        layout, name = Layout(total_size, stripe, parts), uuid.uuid4().hex
        placement = cls(uuid.uuid4().hex, layout, [])
        placement._transport, placement.replicas = Transport(client), replicas
        placement.names.add(name)

        async def place(part: int) -> None:
            whole = Sizes(layout.below(total_size, part), *sizes)
            await placement.request(part, "lead", whole, name, total_size)
            other = placement.shards[(part + 1) % len(placement.shards)]
            if replicas == 2 and await placement.request(part, "mirror", other) is False:
                raise PoolError(f"worker {other[0]} cannot hold a part")

        async def place_all() -> None:
            await asyncio.gather(*map(place, range(parts)))

        try:
            for error in placement.add_shards(client, workers[: max(parts, replicas)]):
                raise error
            placement.leaders = placement.shards[:parts]
            placement.run(place_all)
        except BaseException:
            placement.release()
            raise
        return placement, name

    def add_shards(self, client: Client, workers: list[str]) -> list[PoolError]:
        """Makes shards on workers; returns the errors of those that could not."""
        errors: list[PoolError] = []
        find = _version_finder()
        asked = [
            (worker, client.submit(find, workers=[worker], pure=False))
            for worker in workers
        ]
        made = []
        for worker, future in asked:
            try:
                _check_version(worker, self._answer(client, worker, future))
            except PoolError as error:
                errors.append(error)
            else:
                key = f"pymempool-shard-{uuid.uuid4().hex}"
                made.append(((worker, key), self._submit(client, worker, key)))
        for shard, future in made:
            try:
                self._await(client, shard[0], future)
                self.run(self.transport.begin_records, shard)
            except PoolError as error:
                errors.append(error)
                future.release()
            else:
                self.shards.append(shard)
                self.futures.append(future)
        return errors

    def _submit(self, client: Client, worker: str, key: str) -> Any:
        return client.submit(
            Shard, key, key=key, workers=[worker], actor=True, pure=False
        )

    def _answer(self, client: Client, worker: str, future: Any) -> Any:
        while True:
            self._await(client, worker, future)
            with suppress(distributed.TimeoutError):  # of a worker that ends just now
                return future.result(timeout=10 * CHECK_INTERVAL)

    def _await(self, client: Client, worker: str, future: Any) -> None:
        """Waits for what a worker has to make. Raises PoolError with the reason."""
        while future.status == "pending" and worker in client.nthreads():
            self.transport.check()
            with suppress(distributed.TimeoutError):
                wait(future, timeout=CHECK_INTERVAL)
        if future.status == "finished":
            return
        error = future.exception() if future.status == "error" else None
        if worker not in client.nthreads():
            raise PoolError(
                f"worker {worker} is lost: it ended before it could hold a part"
            ) from error
        if isinstance(error, ImportError):
            raise PoolError(
                f"worker {worker} cannot hold a part, since it lacks a package ({error}):"
                f" {_INSTALL}"
            ) from error
        raise PoolError(f"worker {worker} cannot hold a part: {error!r}") from error

    def release(self) -> None:
        """Releases the shards, which ends them."""
        while self.futures:
            self.futures.pop().release()

    # -------------------------------------------------------------------- messages

    @property
    def transport(self) -> Transport:
        if self._transport is None:
            self._transport = messages.transport()
        return self._transport

    def trouble(self) -> str | None:
        """Returns why no message can be sent any more, if that is known."""
        return None if self._transport is None else self._transport.trouble()

    def check(self) -> None:
        """Raises PoolClosedError if it is known that no message can be sent any more."""
        if self._transport is not None:
            self._transport.check()

    def run(self, function: Any, *args: Any) -> Any:
        """Runs a coroutine, and waits for it in this thread."""
        try:
            return self.transport.run(function, *args)
        except OSError as error:
            raise PoolClosedError(
                f"the cluster of the pool does not answer: {self.transport.lost()}"
            ) from error

    def query(self, calls: list[Call]) -> list[Any]:
        """Sends queries to parts at the same time; returns the answers.

        Raises the first error.
        """
        return self._all([(part, "query", (what, *args)) for part, what, args in calls])

    def change(self, calls: list[Call]) -> None:
        """Sends changes to parts at the same time. Raises the first error."""
        with messages.numbers.take() as number:
            self._all(
                [(part, "change", (number, what, *args)) for part, what, args in calls]
            )

    def holders(self) -> list[list[Holder]]:
        """Returns the holders of each part, the leader first."""
        return self._all([(part, "placed", ()) for part in range(self.layout.parts)])

    def _all(self, calls: list[Call]) -> list[Any]:
        async def gather() -> list[Any]:
            asked = (
                self.request(part, function, *args) for part, function, args in calls
            )
            results = await asyncio.gather(*asked, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            return results

        results: list[Any] = self.run(gather)
        return results

    async def request(self, part: int, function: str, *args: Any) -> Any:
        """Returns the reply of the leader of a part, found by rule 7 of shard.py."""
        lost: list[Holder] = []
        seen: set[Holder] = set()
        holder, patience = self.leaders[part], time.monotonic() + _PATIENCE
        while True:
            seen.add(holder)
            found = holder
            reason: Exception
            try:
                answer = await self.transport.request(holder, function, part, *args)
            except MovedError as error:
                found, reason = error.holder, error
            except (UnreachableError, ElsewhereError, OSError) as error:
                reason = error
                if not await self.transport.alive(holder):
                    if holder not in lost:
                        lost.append(holder)
                        patience = time.monotonic() + _PATIENCE
                    found = await self._next(part, holder, lost)
            else:
                self.leaders[part] = holder
                return answer
            if found in seen:  # it will take the lead, or be given up: wait
                if time.monotonic() > patience:
                    raise PoolError(f"worker {found[0]} is not reached") from reason
                await asyncio.sleep(PAUSE)
            holder = found

    async def _next(self, part: int, holder: Holder, lost: list[Holder]) -> Holder:
        """Returns the follower that the record of a lost holder names."""
        named = await self.transport.follower(holder, part)
        if named is None or named in lost:
            workers = [worker for worker, _ in lost]
            raise ShardLostError(part, self.layout, workers) from None
        return named


def _version_finder() -> Callable[[], str]:
    """Returns a function that finds the version of the package on a worker.

    A worker that receives an object of a package that it lacks ends without a reason. The
    function is sent as code, because it has no name in this module.
    """

    def find() -> str:
        import pymempool
        import pymempool.distributed.shard

        return pymempool.__version__

    return find


def _check_version(worker: str, version: str) -> None:
    if version != __version__:
        raise PoolError(
            f"worker {worker} cannot hold a part, since it has pymempool {version}, and"
            f" here is {__version__}: {_INSTALL}"
        )


def count_workers(client: Any) -> int:
    """Returns how many workers the cluster of a client has.

    Raises TypeError for what is no client; PoolClosedError, PoolError if there are none.
    """
    if not isinstance(client, Client) or client.asynchronous:
        raise TypeError("a distributed.Client is needed, not an asynchronous one")
    if client.status != "running":
        raise PoolClosedError("the client is not connected to a scheduler")
    workers = len(client.nthreads())
    if not workers:
        raise PoolError("the cluster has no workers")
    return workers
