# SPDX-License-Identifier: MIT
"""Shared snapshots on their way between processes, and after one of them has ended.

The functions that other processes run are those of sharing_workers.py.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Callable

import pytest
import sharing_workers as workers

from pymempool import MemoryPool, SharingError

DATA = bytes(range(256)) * 40 + b"a part of a page"
CHANGED = b"\xff" + DATA[1:]

pytest_plugins = ["pytest_runs"]

KILLED = -getattr(signal, "SIGKILL", signal.SIGTERM)  #: what such a process returns

METHODS = [
    pytest.param(
        method,
        # A child of a process with other threads: newer Pythons warn of that.
        marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    )
    for method in multiprocessing.get_all_start_methods()
]
every_method = pytest.mark.parametrize("method", METHODS)


@contextmanager
def child(
    method: str, job: Callable[..., None], *arguments: Any, exitcode: int = 0
) -> Iterator[tuple[Any, Any]]:
    """Another process, and this end of a pipe to it; it must end as expected."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=job, args=(theirs, *arguments))
    process.start()
    theirs.close()
    with ours:
        yield process, ours
    process.join()
    assert process.exitcode == exitcode
    process.close()


# ------------------------------------------------------------------ there and back again


@every_method
def test_argument_of_a_process(method: str) -> None:
    """The sender keeps nothing: neither the pool nor the snapshot."""
    with child(method, workers.send_contents, workers.make(DATA)) as (_, connection):
        gc.collect()
        assert connection.recv() == DATA


@every_method
def test_pipe(method: str) -> None:
    with child(method, workers.answer) as (_, connection):
        connection.send(workers.make(DATA))
        answer = connection.recv()
        connection.send("received")
    assert workers.contents(answer) == CHANGED


@every_method
def test_queue(method: str) -> None:
    context = multiprocessing.get_context(method)
    requests, answers = context.Queue(), context.Queue()
    process = context.Process(target=workers.answer_queue, args=(requests, answers))
    process.start()
    requests.put(workers.make(DATA))
    answer = answers.get()
    requests.put("received")
    process.join()
    assert process.exitcode == 0
    assert workers.contents(answer) == CHANGED
    for queue in (requests, answers):
        queue.close()
        queue.join_thread()


@every_method
def test_manager(method: str) -> None:
    """The manager's process holds the snapshots; those who put them there may end."""
    context = multiprocessing.get_context(method)
    with context.Manager() as manager:
        shared = manager.dict(request=workers.make(DATA))
        process = context.Process(target=workers.answer_dict, args=(shared,))
        process.start()
        process.join()
        assert process.exitcode == 0
        answer = shared["answer"]
        assert workers.contents(shared["request"]) == DATA
    assert workers.contents(answer) == CHANGED


@every_method
def test_pool_of_processes(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as processes:
        assert processes.apply(workers.contents, (workers.make(DATA),)) == DATA
        several = [workers.make(DATA) for _ in range(5)]
        answers = list(processes.imap(workers.changed, several))
    assert [workers.contents(it) for it in answers] == [CHANGED] * 5


@every_method
def test_executor(method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert executor.submit(workers.contents, workers.make(DATA)).result() == DATA
        several = [workers.make(DATA) for _ in range(5)]
        answers = list(executor.map(workers.changed, several))
    assert [workers.contents(it) for it in answers] == [CHANGED] * 5


def test_joblib() -> None:
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    several = [workers.make(DATA) for _ in range(5)]
    for backend in ("loky", "threading"):
        with joblib.Parallel(n_jobs=2, backend=backend) as parallel:
            found = parallel(joblib.delayed(workers.contents)(it) for it in several)
            assert found == [DATA] * 5
            jobs = (joblib.delayed(workers.make)(DATA) for _ in range(5))
            answers = parallel(jobs)
        assert [workers.contents(it) for it in answers] == [DATA] * 5
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def test_dask() -> None:
    """Its pickles are addresses: who made a snapshot must keep it until it is opened."""
    from distributed_clusters import cluster

    with cluster(2, processes=True) as client:
        snapshot = workers.make(DATA)
        futures = client.map(workers.contents, [snapshot] * 4, pure=False)
        assert client.gather(futures) == [DATA] * 4
        made = client.submit(workers.make, CHANGED)
        assert workers.contents(made.result()) == CHANGED
        other = client.submit(workers.contents, made)
        assert other.result() == CHANGED


def test_xdist(pytester: pytest.Pytester) -> None:
    """One copy for all workers of a test run: the controller shares, they open it."""
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    pytester.makeconftest(
        """
        import pickle
        import pytest
        import pymempool

        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                pool = pymempool.MemoryPool(1 << 20)
                pool.write(5, b"once for all")
                config.shared = pool.share()

        def pytest_configure_node(node):
            node.workerinput["shared"] = pickle.dumps(node.config.shared)

        @pytest.fixture
        def data(request):
            with pickle.loads(request.config.workerinput["shared"]).open() as pool:
                yield pool
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_data(data, number):
            assert data.stats.adopted_blocks == 1
            assert data.read(5, 12) == b"once for all"
            data[5] = number
        """
    )
    plain = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    pytester.runpytest_subprocess("-n", "2", *plain).assert_outcomes(passed=4)


# ------------------------------------------------------------------------------ who lives


@every_method
@pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])
def test_what_was_opened_outlives_the_owner(method: str, kill: bool) -> None:
    with_arrays = find_spec("numpy") is not None
    link, other_end = multiprocessing.get_context(method).Pipe()
    with child(method, workers.read_windows, link, with_arrays) as (_, reader):
        with child(
            method, workers.own, other_end, DATA, exitcode=KILLED if kill else 0
        ) as (process, owner):
            assert reader.recv() == "opened"
            if kill:
                process.kill()
            else:
                owner.send("end")
        reader.send("read")
        assert reader.recv() == [DATA] * (2 + with_arrays)
    link.close()
    other_end.close()


@every_method
def test_address(method: str) -> None:
    """A pickle of one's own is good as often as one likes, while the owner keeps it."""
    with child(method, workers.own_address, DATA) as (_, connection):
        address = connection.recv()
        snapshot, other = pickle.loads(address), pickle.loads(address)
        assert workers.contents(snapshot) == workers.contents(other) == DATA
        other.close()
        connection.send("close it")
        assert connection.recv() == "closed"
        refused(address)
        connection.send("end")
    refused(address)
    assert workers.contents(snapshot) == DATA


def refused(address: bytes) -> None:
    """On Windows an address is a name, which is good while any process has the memory."""
    if os.name != "nt":
        with pytest.raises(SharingError, match="has closed it or ended"):
            pickle.loads(address).open()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_inherits_snapshots() -> None:
    """A child of os.fork() opens what its parent shared, however late."""
    snapshot = workers.make(DATA)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.read(read_end, 1)  # until the parent has closed its own
            status = 0 if workers.contents(snapshot) == DATA else 2
        finally:
            os._exit(status)
    snapshot.close()
    os.write(write_end, b"!")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(read_end)
    os.close(write_end)


@every_method
def test_followers(method: str) -> None:
    """One publishes each state by what changed since the last; readers see wholes."""
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    pool = MemoryPool(1 << 20, 4096)
    with child(method, workers.follow, queue) as (_, connection):
        snapshot = None
        for number in range(20):
            pool[number * 5000] = number + 1
            newer = pool.share(since=snapshot) if snapshot else pool.share()
            queue.put(newer)
            snapshot = newer
            assert connection.recv() == pool[:]
        queue.put(None)
    queue.close()
    queue.join_thread()
