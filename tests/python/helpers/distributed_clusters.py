# SPDX-License-Identifier: MIT
"""Clusters for the tests of pymempool.distributed, and ways to break them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

dask = pytest.importorskip("dask", reason="dask is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")
pytest.importorskip("numpy", reason="numpy is not installed")

from internals import (  # noqa: E402
    CHANGES,
    Transport,
    UnreachableError,
    WorkerTransport,
)

from pymempool.distributed import ShardedPool  # noqa: E402

# Workers that are forked from a process that has imported all start ten times as fast.
_METHODS = multiprocessing.get_all_start_methods()
_METHOD = "forkserver" if "forkserver" in _METHODS else "spawn"


@contextmanager
def cluster(workers: int = 3, *, direct: bool = True, **options: Any) -> Iterator[Any]:
    """A client of a new cluster, with no port that others may want."""
    options = {"threads_per_worker": 2, "dashboard_address": ":0", **options}
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": _METHOD}),
        distributed.LocalCluster(n_workers=workers, **options) as made,
        distributed.Client(made, direct_to_workers=direct) as client,
    ):
        yield client


class Apart(NamedTuple):
    """A scheduler and workers that are processes of nobody else."""

    client: Any
    scheduler: subprocess.Popen[bytes]
    start_worker: Callable[[], subprocess.Popen[bytes]]


@contextmanager
def apart(workers: int, folder: Path, ttl: str = "5 minutes") -> Iterator[Apart]:
    """A cluster without nannies, for tests that end or stop any of its processes.

    ttl: how long a silent worker is waited for.
    """
    file, started = folder / "scheduler.json", []

    def start(*args: str) -> subprocess.Popen[bytes]:
        every = "dask", *args, "--scheduler-file", str(file), "--no-dashboard"
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; sys.argv = {[*every]!r}\n"
            "from dask.__main__ import main; main()"
        )
        environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": ttl}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return started[-1]

    def start_worker() -> subprocess.Popen[bytes]:
        return start(
            *("worker", "--host", "127.0.0.1", "--no-nanny"),
            *("--nthreads", "1", "--memory-limit", "0"),
        )

    try:
        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
        for _ in range(workers):
            start_worker()
        with distributed.Client(
            scheduler_file=str(file), direct_to_workers=True, timeout=120
        ) as client:
            client.wait_for_workers(workers)
            yield Apart(client, scheduler, start_worker)
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


# ------------------------------------- what test modules make fixtures of


def in_process() -> Iterator[Any]:
    """A client of a cluster in this process."""
    with cluster(processes=False) as made:
        yield made


def on_two_workers(client: Any) -> Iterator[ShardedPool]:
    """A pool of one part on two workers."""
    with ShardedPool(client, 1000, 1000, replicas=2, max_block_size=16) as made:
        made.write(0, b"old")
        yield made


def in_stripes(client: Any) -> Iterator[ShardedPool]:
    """4096 bytes in stripes of 100, as the fixture of single pools is filled."""
    with ShardedPool(client, 4096, 100, replicas=2, max_block_size=16) as made:
        made.write(100, bytes(range(1, 201)))
        made.write(4000, b"end")
        yield made


def changes_made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The changes that shards make: their names and arguments."""
    seen: list[tuple[str, Any]] = []
    for name, change in list(CHANGES.items()):

        def counted(
            held: Any, *args: Any, name: str = name, change: Any = change
        ) -> None:
            seen.append((name, args))
            change(held, *args)

        monkeypatch.setitem(CHANGES, name, counted)
    return seen


# ------------------------------------------------------------- looking and breaking


def leader(pool: ShardedPool, part: int = 0) -> Any:
    """The address and the shard of whoever leads a part, as far as the pool knows."""
    return pool._placement.leaders[part]


def both(pool: ShardedPool) -> tuple[Any, Any]:
    """The leader of the first part, and who follows it."""
    first, second = pool._placement.shards[:2]
    return (first, second) if leader(pool) == first else (second, first)


def held_by(client: Any, holder: Any) -> Any:
    """The part as a worker has it."""
    address, key = holder
    workers = {worker.address: worker for worker in client.cluster.workers.values()}
    return workers[address].state.actors[key].parts[0]


def contents(client: Any, holder: Any) -> list[bytes]:
    held = held_by(client, holder)
    return [pool.read(0, 20) for pool in held.pools.values()]


def kill(client: Any, address: str) -> None:
    """Ends a worker's process at once."""
    pid = client.run(os.getpid, workers=[address])[address]
    os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)


class Trouble:
    """What can happen to the workers of a cluster in this process."""

    def __init__(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone: set[str] = set()  # shards and workers that were given up
        self.cut: set[tuple[str, str]] = set()  # ways (from, to) that lose messages
        self.deaf: set[tuple[str, str]] = set()  # ways that lose the next answer
        handlers = client.cluster.scheduler.handlers
        who_has, request = handlers["who_has"], Transport.request

        def known(keys: Any) -> Any:
            found = who_has(keys=keys)
            return {
                key: [it for it in found[key] if not {key, it} & self.gone]
                for key in keys
            }

        async def troubled(
            transport: Transport, holder: Any, function: str, *args: Any
        ) -> Any:
            here = (
                transport.node.address
                if isinstance(transport, WorkerTransport)
                else "client"
            )
            way = (here, holder[0])
            if way in self.cut:
                raise UnreachableError(holder[0])
            answer = await request(transport, holder, function, *args)
            if way in self.deaf:
                self.deaf.discard(way)
                raise UnreachableError(holder[0])
            return answer

        monkeypatch.setitem(handlers, "who_has", known)
        monkeypatch.setattr(Transport, "request", troubled)

    def lose(self, holder: Any) -> None:
        """A worker is given up and is silent; it may still run."""
        self.gone.add(holder[1])
        self.cut.add(("client", holder[0]))


def troubled(client: Any, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    """Trouble, for a fixture."""
    return Trouble(client, monkeypatch)


def run_python(code: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Another interpreter, which finds the package that this one has."""
    code = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
    return subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)
