# SPDX-License-Identifier: MIT
"""Transports: how messages reach a shard, and the records that the scheduler keeps.

A message is Dask's own `actor_execute`. It is not sent by Dask's Actor, which binds
itself to the current client, and on a worker makes a client to keep actors alive.
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

CHECK_INTERVAL = 0.5  # seconds at most between two checks that a reply can still come
PAUSE = 0.05  # seconds before the first check, and before a retry

#: What Dask raises if a connection breaks, or was closed at this end.
_BROKEN = (OSError, RuntimeError, asyncio.TimeoutError)


class UnreachableError(Exception):
    """No reply came to a message, and none will come."""


class ElsewhereError(Exception):
    """This holder does not lead the part."""


class MovedError(ElsewhereError):
    """This holder does not lead the part; `holder` does, as far as it knows."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder[0], holder[1]


class Transport:
    """Sends messages from a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def node(self) -> Any:
        """Returns what has the event loop, the scheduler and the connections."""
        return self._client

    def trouble(self) -> str | None:
        """Returns why no message can be sent any more, and what to do; else None."""
        if self._client.status in ("closing", "closed"):
            return (
                "the client of the pool was closed, or its cluster was: a pool ends with"
                " the client that made it. Make a client of a running cluster, and a pool"
                " anew or by load() of what was saved; or unpickle one that still is open"
            )
        return None if self._client.status == "running" else self.lost()

    def lost(self) -> str:
        """Returns what to say if there is no scheduler."""
        return (
            f"the scheduler {self.node.scheduler.address} is closed, or the connection to"
            " it is: no pool outlives that, for nobody else knows who has what. Make a"
            " client of a running cluster, and a pool anew or by load() of what was saved"
        )

    def send(self, address: str, **message: Any) -> Any:
        """Returns an awaitable for the reply. Buffers are sent out of band."""
        message["args"] = [to_serialize(arg) for arg in message["args"]]
        if self._client.direct_to_workers:
            return self._client.rpc(address).actor_execute(**message)
        message["op"] = "actor_execute"
        return self.node.scheduler.proxy(worker=address, msg=message)

    async def request(self, holder: Holder, function: str, *args: Any) -> Any:
        """Returns what a method of a shard returns, or raises what it raises.

        Raises UnreachableError as soon as the connection breaks or the scheduler does not
        know the shard any more. The shard may have received the message all the same.
        """
        address, key = holder
        message = {"actor": key, "function": function, "args": args, "kwargs": {}}
        reply, pause = asyncio.ensure_future(self.send(address, **message)), PAUSE
        try:
            while not (await asyncio.wait({reply}, timeout=pause))[0]:
                if not await self.alive(holder):
                    raise UnreachableError(address)
                pause = min(2 * pause, CHECK_INTERVAL)
            answer = reply.result()
        except (*_BROKEN, KeyError) as error:
            raise UnreachableError(address) from error
        finally:
            reply.cancel()
        if answer["status"] == "OK":
            return _plain(answer["result"])
        raise _plain(answer["exception"])

    async def alive(self, *holders: Holder) -> bool:
        """Returns whether the scheduler knows all these shards."""
        keys = [key for _, key in holders]
        found = await self._of_scheduler("who_has", keys=keys)
        return all(found.values())

    async def _of_scheduler(self, function: str, **arguments: Any) -> Any:
        """Returns the reply of the scheduler. Raises OSError if there is none."""
        try:
            return await getattr(self.node.scheduler, function)(**arguments)
        except _BROKEN as error:
            raise OSError("the scheduler does not answer") from error

    async def follower(self, leader: Holder, part: int) -> Holder | None:
        """Returns the follower that the record of a leader names; None if it names none.

        Raises PoolClosedError if the scheduler has forgotten the shard.
        """
        found = await self._of_scheduler("get_metadata", keys=[leader[1]], default=None)
        if found is None:
            raise PoolClosedError("the pool is no more where it was made")
        follower = found.get(part)
        return None if follower is None else (follower[0], follower[1])

    async def begin_records(self, shard: Holder) -> None:
        """Begins the records of a shard. They end with the task of the shard."""
        await self._of_scheduler("set_metadata", keys=[shard[1]], value={})

    async def record(self, leader: Holder, part: int, follower: Holder | None) -> None:
        """Records who follows the leader of a part."""
        keys = [leader[1], part]
        await self._of_scheduler("set_metadata", keys=keys, value=follower)

    def check(self) -> None:
        """Raises PoolClosedError if no message can be sent any more."""
        trouble = self.trouble()
        if trouble is not None:
            raise PoolClosedError(trouble)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a coroutine on the event loop and waits; cancels it if interrupted."""
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
            while not ended.wait(CHECK_INTERVAL):
                self.check()
            return future.result()
        except BaseException:
            # Messages may be in memory of the caller, who may change it from now on.
            if future.cancel():
                ended.wait(CHECK_INTERVAL)
            raise


class WorkerTransport(Transport):
    """Sends messages from a worker: directly, and with no message to itself."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    @property
    def node(self) -> Any:
        return self._worker

    def trouble(self) -> str | None:
        if self._worker.status.name in ("closing", "closed", "failed"):
            return "the worker is closed, or its scheduler is: no task can go on here"
        stream = self._worker.batched_stream
        return self.lost() if stream is not None and stream.closed() else None

    def send(self, address: str, **message: Any) -> Any:
        if address == self._worker.address:  # it is completed even if the caller gives up
            return asyncio.shield(self._worker.actor_execute(**message))
        message["args"] = [to_serialize(arg) for arg in message["args"]]
        return self._worker.rpc(address).actor_execute(**message)


def transport() -> Transport:
    """Returns the transport of the task that runs, or of the client of the process."""
    try:
        return WorkerTransport(get_worker())
    except ValueError:
        pass
    try:
        return Transport(get_client())
    except ValueError:
        raise PoolError("there is no Dask client in this process") from None


def _plain(answer: Any) -> Any:
    return answer.data if isinstance(answer, Serialize) else answer


class Numbers:
    """Numbers the changes that this process requests: a holder applies each of them once.

    A number is (origin, index, settled). No thread waits any more for a change of this
    origin with an index below `settled`.
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
