# SPDX-License-Identifier: MIT
"""Calls on a pool over many workers that are made again, are interrupted, or come when
the client or the cluster is closed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest
from distributed_clusters import (
    both,
    cluster,
    contents,
    distributed,
    in_process,
    on_two_workers,
    run_python,
)
from internals import (
    CHANGES,
    AppliedChanges,
    End,
    Numbers,
    Part,
    Sizes,
    Transport,
    WorkerTransport,
    messages_module,
)

from pymempool import MemoryPool, PoolClosedError, PoolError
from pymempool.distributed import ShardedPool

client = pytest.fixture(in_process, scope="module")
pool = pytest.fixture(on_two_workers)


# ---------------------------------------------------------------------- numbers


def test_numbers() -> None:
    numbers = Numbers()
    with numbers.take() as first, numbers.take() as second:
        assert first[0] == second[0]
        assert first[1:] == (0, 0)
        assert second[1:] == (1, 0)
    with numbers.take() as third:
        assert third[1:] == (2, 2)
    assert Numbers().take().__enter__()[0] != first[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_fork_has_numbers_of_its_own() -> None:
    with messages_module.numbers.take() as mine:
        code = (
            "import os\n"
            "from internals import messages_module\n"
            "with messages_module.numbers.take() as mine:\n"
            "    child = os.fork()\n"
            "    with messages_module.numbers.take() as other:\n"
            "        if not child:\n"
            "            os._exit(other[0] == mine[0] or other[1:] != (0, 0))\n"
            "        assert os.waitpid(child, 0)[1] == 0\n"
            "        assert other[0] == mine[0] and other[1:] == (1, 0)\n"
        )
        ran = run_python(code)
    assert ran.returncode == 0, ran.stderr
    messages_module._after_fork()
    with messages_module.numbers.take() as other:
        assert other[0] != mine[0]


def test_messages_that_were_overtaken() -> None:
    part = Part(Sizes(100, 16, None), {})
    part.pools[""], part.ends[""] = MemoryPool(100, 16), End(100, 100)

    async def write(number: tuple[str, int, int], data: bytes) -> Any:
        return await part.apply(number, "write", "", 0, data)

    async def all_of_them() -> None:
        assert await write(("a", 5, 5), b"first") is None
        assert await write(("a", 6, 6), b"second") is None
        assert await write(("a", 5, 5), b"first") is None  # nobody waits for it
        assert await write(("b", 0, 0), b"3") is None  # of somebody else
        error = await write(("a", 8, 6), bytes(101))
        assert isinstance(error, PoolError)
        assert error.__traceback__ is None
        assert await write(("a", 8, 6), b"not again") is error
        assert await write(("a", 7, 6), b"") is None

    asyncio.run(all_of_them())
    assert part.pools[""].read(0, 6) == b"3econd"
    assert set(part.applied["a"].outcomes) == {6, 7, 8}
    assert isinstance(part.applied["b"], AppliedChanges)


# -------------------------------------------------------------------------- ends


async def calls() -> list[Any]:
    """What callers wait for in this process."""
    return [it for it in asyncio.all_tasks() if "Transport.run" in repr(it.get_coro())]


def test_an_interrupted_call(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait of the caller ends, and what the worker has begun it ends as well."""
    first, second = both(pool)
    write, begun, go_on = CHANGES["write"], threading.Event(), threading.Event()
    ended = threading.Semaphore(0)

    def slow(held: Any, *args: Any) -> None:
        begun.set()
        go_on.wait()
        write(held, *args)
        ended.release()

    wait, interrupts = threading.Event.wait, [KeyboardInterrupt()]

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread() and interrupts:
            wait(begun)
            raise interrupts.pop()
        return wait(event, timeout)

    monkeypatch.setitem(CHANGES, "write", slow)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.write(0, b"new")
    assert client.sync(calls) == []  # nothing looks at the caller's data any more
    go_on.set()
    for _ in (first, second):
        ended.acquire()
    pool.write(500, b"behind it")
    assert contents(client, first) == contents(client, second)
    assert pool.read(0, 3) == b"new"
    assert pool.stats.replicas == 2


def test_a_call_on_the_worker_itself_is_made_to_its_end(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the leader would stop with what its follower has made already."""
    first, second = both(pool)
    write, begun, go_on = CHANGES["write"], threading.Event(), threading.Event()

    def slow(held: Any, *args: Any) -> None:
        begun.set()
        go_on.wait()
        write(held, *args)

    async def give_up() -> None:
        workers = {it.address: it for it in client.cluster.workers.values()}
        data = memoryview(b"new")
        number = ("somebody", 0, 0)
        call = WorkerTransport(workers[first[0]]).request(
            first, "change", 0, number, "write", pool._remote.name, 0, data
        )
        asking = asyncio.ensure_future(call)
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()

    monkeypatch.setitem(CHANGES, "write", slow)
    client.sync(give_up)
    go_on.set()
    pool.write(500, b"behind it")
    assert contents(client, first) == contents(client, second)
    assert pool.read(0, 3) == b"new"


def test_a_call_that_fails_has_ended_everywhere(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of one part is raised when the other parts have answered as well."""
    request, fill = Transport.request, CHANGES["fill"]

    async def one_fails(
        transport: Transport, holder: Any, function: str, *args: Any
    ) -> Any:
        if function == "change" and args[0] == 0:
            raise PoolError("no")
        return await request(transport, holder, function, *args)

    def slow(held: Any, *args: Any) -> None:
        time.sleep(0.2)  # for the error to be there first
        fill(held, *args)

    monkeypatch.setitem(CHANGES, "fill", slow)
    with ShardedPool(client, 50, 30) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(Transport, "request", one_fails)
            with pytest.raises(PoolError, match=r"^no$"):
                pool.fill(0, 1, 50)
        assert pool.read(0, 50) == bytes(30) + b"\1" * 20


def test_a_clone_that_fails_leaves_nothing(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(held: Any, *args: Any) -> None:
        raise PoolError("no")

    with monkeypatch.context() as patch:
        patch.setitem(CHANGES, "clone", fail)
        with pytest.raises(PoolError, match=r"^no$"):
            pool.clone()
    assert pool._placement.names == {pool._remote.name}
    assert pool.stats.parts[0].family_pools == 1


def test_a_closed_client() -> None:
    with cluster(1, processes=False) as client:
        other = distributed.Client(client.cluster)
        pool = ShardedPool(other, 100)
        other.close()
        with pytest.raises(PoolClosedError, match="client of the pool"):
            pool.read(0, 1)
        pool.close()
        with pytest.raises(PoolClosedError, match="not connected"):
            ShardedPool(other, 100)


def test_a_client_that_is_closed_during_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages_module, "CHECK_INTERVAL", 0.01)
    with cluster(1, processes=False) as client:
        other = distributed.Client(client.cluster)
        pool = ShardedPool(other, 100)
        read = threading.Event()

        async def hang(*args: Any) -> Any:
            read.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Transport, "request", hang)
        closing = threading.Thread(target=lambda: (read.wait(), other.close()))
        closing.start()
        with pytest.raises(PoolClosedError, match="was closed"):
            pool.read(0, 1)
        closing.join()


def test_a_cluster_without_workers() -> None:
    with (
        cluster(0, processes=False) as client,
        pytest.raises(PoolError, match="has no workers"),
    ):
        ShardedPool(client, 100)
