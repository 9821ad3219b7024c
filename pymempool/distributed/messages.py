# SPDX-License-Identifier: MIT
"""How a shard is reached, from a client and from a worker, and what the scheduler knows.

A message is Dask's own `actor_execute`. Not by Dask's Actor, which binds itself to
whatever client is current and, on a worker, keeps actors alive through a client made for
that.
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from distributed import Client, get_client, get_worker
from distributed.protocol import Serialize, to_serialize

from ..errors import PoolClosedError, PoolError
from .part import Number

Holder = tuple[str, str]  #: the worker's address, and the key of its shard

WATCH = 0.5  # seconds between two looks at whoever keeps us waiting, at most
PAUSE = 0.05  # seconds before the first of them, and before something is tried again

#: What Dask raises where a connection breaks, or was closed at our end.
_BROKEN = (OSError, RuntimeError, asyncio.TimeoutError)


class UnreachableError(Exception):
    """No answer came, and none will come to this message."""


class ElsewhereError(Exception):
    """This holder does not lead the part."""


class MovedError(ElsewhereError):
    """This holder does not lead the part; `holder` does, as far as it knows."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder[0], holder[1]


class Line:
    """The way of messages from a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def node(self) -> Any:
        """What has a loop, a scheduler and connections."""
        return self._client

    def trouble(self) -> str | None:
        """Why nothing can be asked any more, and what would be right; None if it can."""
        if self._client.status in ("closing", "closed"):
            return (
                "the client of the pool was closed, or its cluster was: a pool ends with"
                " the client that made it. Make a client of a running cluster, and a pool"
                " anew or by load() of what was saved; or unpickle one that still is open"
            )
        return None if self._client.status == "running" else self.lost()

    def lost(self) -> str:
        """What to say when there is no scheduler."""
        return (
            f"the scheduler {self.node.scheduler.address} is gone, or the connection to"
            " it is: no pool outlives that, for nobody else knows who has what. Make a"
            " client of a running cluster, and a pool anew or by load() of what was saved"
        )

    def send(self, address: str, **message: Any) -> Any:
        """An awaitable for the reply; buffers travel out of band."""
        message["args"] = [to_serialize(arg) for arg in message["args"]]
        if self._client.direct_to_workers:
            return self._client.rpc(address).actor_execute(**message)
        message["op"] = "actor_execute"
        return self.node.scheduler.proxy(worker=address, msg=message)

    async def ask(self, holder: Holder, function: str, *args: Any) -> Any:
        """The answer of a shard, or what it raised.

        Raises UnreachableError as soon as the connection breaks or the scheduler says
        that the shard is gone, whichever is first. It may have got the message.
        """
        address, key = holder
        message = {"actor": key, "function": function, "args": args, "kwargs": {}}
        reply, pause = asyncio.ensure_future(self.send(address, **message)), PAUSE
        try:
            while not (await asyncio.wait({reply}, timeout=pause))[0]:
                if not await self.alive(holder):
                    raise UnreachableError(address)
                pause = min(2 * pause, WATCH)
            answer = reply.result()
        except (*_BROKEN, KeyError) as error:
            raise UnreachableError(address) from error
        finally:
            reply.cancel()
        if answer["status"] == "OK":
            return _plain(answer["result"])
        raise _plain(answer["exception"])

    async def alive(self, *holders: Holder) -> bool:
        """Whether the scheduler knows of all these shards."""
        keys = [key for _, key in holders]
        found = await self._of_scheduler("who_has", keys=keys)
        return all(found.values())

    async def _of_scheduler(self, function: str, **arguments: Any) -> Any:
        """The scheduler's answer. Raises OSError if there is none."""
        try:
            return await getattr(self.node.scheduler, function)(**arguments)
        except _BROKEN as error:
            raise OSError("the scheduler does not answer") from error

    async def follower(self, leader: Holder, part: int) -> Holder | None:
        """Who has all that the leader of a part had, by the leader's record.

        Raises PoolClosedError if the scheduler has forgotten the shard.
        """
        found = await self._of_scheduler("get_metadata", keys=[leader[1]], default=None)
        if found is None:
            raise PoolClosedError("the pool is no more where it was made")
        follower = found.get(part)
        return None if follower is None else (follower[0], follower[1])

    async def begin_records(self, shard: Holder) -> None:
        """Makes room for the records of a shard, forgotten with the shard's task."""
        await self._of_scheduler("set_metadata", keys=[shard[1]], value={})

    async def record(self, leader: Holder, part: int, follower: Holder | None) -> None:
        """Makes the record of the leader of a part."""
        keys = [leader[1], part]
        await self._of_scheduler("set_metadata", keys=keys, value=follower)

    def check(self) -> None:
        """Raises PoolClosedError if nothing can be asked any more."""
        trouble = self.trouble()
        if trouble is not None:
            raise PoolClosedError(trouble)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Waits in this thread for a coroutine on the loop; cancels it if interrupted."""
        loop, ended = self.node.loop.asyncio_loop, threading.Event()
        if asyncio._get_running_loop() is loop:
            raise RuntimeError("a sharded pool cannot be used in Dask's event loop")

        async def whole() -> Any:
            try:
                return await function(*args)
            finally:
                ended.set()

        self.check()
        future = asyncio.run_coroutine_threadsafe(whole(), loop)
        try:
            while not ended.wait(WATCH):
                self.check()
            return future.result()
        except BaseException:
            # Messages may lie in memory of the caller, who gets it back now.
            if future.cancel():
                ended.wait(WATCH)
            raise


class WorkerLine(Line):
    """The same from a worker: directly, and without a message to itself."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    @property
    def node(self) -> Any:
        return self._worker

    def trouble(self) -> str | None:
        if self._worker.status.name in ("closing", "closed", "failed"):
            return (
                "the worker is closed, or its scheduler is gone: no task can go on here"
            )
        stream = self._worker.batched_stream
        return self.lost() if stream is not None and stream.closed() else None

    def send(self, address: str, **message: Any) -> Any:
        if address == self._worker.address:  # whoever gives up, it is made to its end
            return asyncio.shield(self._worker.actor_execute(**message))
        message["args"] = [to_serialize(arg) for arg in message["args"]]
        return self._worker.rpc(address).actor_execute(**message)


def line() -> Line:
    """The way from here: of the task that runs, else of the process's client."""
    try:
        return WorkerLine(get_worker())
    except ValueError:
        pass
    try:
        return Line(get_client())
    except ValueError:
        raise PoolError("there is no Dask client in this process") from None


def _plain(answer: Any) -> Any:
    return answer.data if isinstance(answer, Serialize) else answer


class Numbers:
    """Numbers of the changes that this process asks for, so that a holder knows them.

    A number is (origin, index, settled): nobody waits for one of this origin that is
    below `settled` any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origin = uuid.uuid4().hex
        self._next, self._open = 0, set[int]()

    @contextmanager
    def take(self) -> Iterator[Number]:
        with self._lock:
            index = self._next
            self._next += 1
            self._open.add(index)
            settled = min(self._open)
        try:
            yield self._origin, index, settled
        finally:
            with self._lock:
                self._open.discard(index)


numbers = Numbers()


def _after_fork() -> None:
    global numbers
    numbers = Numbers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
