# SPDX-License-Identifier: MIT
"""What outlives the scheduler of a pool over many workers, which is nothing; and a worker
that the scheduler has given up while it was stopped."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from distributed_clusters import apart, cluster, distributed, leader
from internals import WorkerTransport

from pymempool import PoolClosedError, PoolError
from pymempool.distributed import ShardedPool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are needed")


def calls(pool: ShardedPool, relative: ShardedPool) -> dict[str, Callable[[], Any]]:
    """Every call that asks something of the cluster, or promises to."""
    return {
        "read": lambda: pool.read(0, 1),
        "read nothing": lambda: pool.read(0, 0),
        "readinto": lambda: pool.readinto(0, bytearray(3)),
        "write": lambda: pool.write(0, b"x"),
        "fill": lambda: pool.fill(0, 1, 1),
        "discard": lambda: pool.discard(0, 1),
        "resize": lambda: pool.resize(7),
        "gather": lambda: pool.gather([0], 1),
        "scatter": lambda: pool.scatter([0], b"x"),
        "read_many": lambda: pool.read_many([(0, 1)]),
        "write_many": lambda: pool.write_many([(0, b"x")]),
        "clone": lambda: pool.clone(),
        "restore": lambda: pool.restore(relative),
        "save": lambda: pool.save(io.BytesIO()),
        "save since": lambda: pool.save(io.BytesIO(), since=relative),
        "apply": lambda: pool.apply(io.BytesIO()),
        "extents": lambda: pool.extents(),
        "changes": lambda: pool.changes(relative),
        "digest": lambda: pool.digest(),
        "delta": lambda: pool.delta(relative),
        "stats": lambda: pool.stats,
        "total_size": lambda: pool.total_size,
        "array": lambda: pool.array(0, 8, "u1"),
        "repair": lambda: pool.repair(),
        "rebalance": lambda: pool.rebalance(),
        "with": lambda: pool.__enter__(),
        "pickle": lambda: pickle.dumps(pool),
    }


def test_every_call_is_here() -> None:
    public = {name for name in vars(ShardedPool) if not name.startswith("_")}
    pool: Any = object()
    assert public - {"close", "closed", "load"} <= set(calls(pool, pool))


def refuse_all(pool: ShardedPool, relative: ShardedPool, message: str) -> None:
    for name, call in calls(pool, relative).items():
        with pytest.raises(PoolClosedError, match=message):
            pytest.fail(f"{name} has returned {call()!r}")
    assert repr(pool).endswith(" parts, out of reach>")


OTHER = """
import pickle, sys
from distributed import Client
from pymempool import PoolError
if __name__ == "__main__":
    pool = pickle.loads(bytes.fromhex(sys.argv[2]))
    with Client(scheduler_file=sys.argv[1]):
        print(pool.read(0, 3), flush=True)
        sys.stdin.readline()
        try:
            while True:
                pool.read(0, 3)
        except PoolError as error:
            print(error, flush=True)
        pool.close()
        print("closed", flush=True)
"""


def test_the_scheduler_dies(tmp_path: Path) -> None:
    """All calls of all objects fail at once, and none of them waits for a connection."""
    with apart(2, tmp_path) as made:
        pool = ShardedPool(made.client, 1000, 100, replicas=2)
        pool.write(0, b"old")
        clone, data = pool.clone(), pickle.dumps(pool)
        used, unused = pickle.loads(data), pickle.loads(data)
        assert used.read(0, 3) == b"old"
        script = f"import sys; sys.path[:] = {sys.path!r}\n{OTHER}"
        file = tmp_path / "scheduler.json"
        other = subprocess.Popen(
            [sys.executable, "-c", script, str(file), data.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "b'old'\n"

        made.scheduler.kill()
        made.scheduler.wait()
        with pytest.raises(
            PoolClosedError, match=r"scheduler tcp://.* is closed, or the"
        ):
            while True:  # until the client has heard of it
                pool.read(0, 1)
        for it, relative in ((pool, clone), (clone, pool), (used, pool), (unused, used)):
            refuse_all(it, relative, r"no pool outlives that.*load\(\) of what was saved")
        for make in (
            lambda: ShardedPool(made.client, 10),
            lambda: ShardedPool.load(made.client, io.BytesIO(b"x")),
        ):
            with pytest.raises(PoolClosedError, match="not connected to a scheduler"):
                make()
        for it in (unused, used, clone, pool):
            it.close()
            assert repr(it) == "<ShardedPool, closed>"

        out, _ = other.communicate("\n", timeout=120)
        assert "no pool outlives that" in out
        assert out.endswith("\nclosed\n")


def test_the_scheduler_dies_during_a_call(tmp_path: Path) -> None:
    """The call waits for workers that are stopped, and would do so for ever."""
    with apart(2, tmp_path) as made:
        pool = ShardedPool(made.client, 1000, 100, replicas=2)
        for pid in made.client.run(os.getpid).values():
            os.kill(pid, signal.SIGSTOP)
        errors: list[BaseException] = []
        begun = threading.Event()

        def read() -> None:
            begun.set()
            try:
                pool.read(0, 1000)
            except PoolError as error:
                errors.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        begun.wait()
        made.scheduler.kill()
        reading.join()
        assert [type(error) for error in errors] == [PoolClosedError]
        pool.close()


def test_a_client_that_was_closed() -> None:
    with cluster(2, processes=False) as client:
        pools = []
        with distributed.Client(client.cluster) as other:
            pool = ShardedPool(other, 1000, 100, replicas=2)
            pools = [pool, pool.clone(), pickle.loads(pickle.dumps(pool))]
            pools[2]._placement._transport = pool._placement.transport
        for it in pools:
            refuse_all(it, pool, "the client of the pool was closed, or")
        for it in pools:
            it.close()
            assert it.closed


def test_a_stopped_worker_answers_with_nothing_stale(tmp_path: Path) -> None:
    """A leader is stopped and given up, another one leads, and then it goes on.

    It never hears that it was given up, so that whoever asks it comes in time.
    """
    with apart(3, tmp_path, ttl="2s") as made:
        pool = ShardedPool(made.client, 1000, 1000, replicas=2)
        pool.write(0, b"old")
        other = pickle.loads(pickle.dumps(pool))
        assert other.read(0, 3) == b"old"
        old = leader(pool)

        def stop_hearing(dask_worker: Any) -> int:
            async def go_on(*args: Any, **options: Any) -> None:
                pass

            for callback in dask_worker.periodic_callbacks.values():
                callback.stop()
            dask_worker.stream_handlers["close"] = lambda **options: None
            dask_worker.close = go_on
            return os.getpid()

        pid = made.client.run(stop_hearing, workers=[old[0]])[old[0]]
        os.kill(pid, signal.SIGSTOP)
        pool.write(0, b"new")  # waits until the scheduler has given it up
        assert leader(pool) != old == leader(other)
        os.kill(pid, signal.SIGCONT)
        assert other.read(0, 3) == b"new"
        assert pool.repair() == 1
        assert pool.read(0, 3) == b"new"


@pytest.mark.parametrize("status", ["closing", "closed", "failed"])
def test_a_line_of_a_worker_that_is_closed_says_so(status: str) -> None:
    stream = SimpleNamespace(closed=lambda: False)
    worker = SimpleNamespace(
        status=SimpleNamespace(name="running"), batched_stream=stream
    )
    transport = WorkerTransport(worker)
    assert transport.trouble() is None
    worker.status.name = status
    assert "the worker is closed" in str(transport.trouble())
