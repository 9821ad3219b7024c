# SPDX-License-Identifier: MIT
"""Shared snapshots on the way to other processes: by multiprocessing and by address."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import types
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
from internals import segment_module

from pymempool import MemoryPool, PoolClosedError, SharedSnapshot, SharingError

METHODS = [
    pytest.param(
        method,
        # A child of a process with other threads: newer Pythons warn of that.
        marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    )
    for method in multiprocessing.get_all_start_methods()
]


class Mine(MemoryPool):
    """A class of a user."""


def importable(name: str) -> Any:
    """What a child finds, too: in this module as it is named there."""
    return getattr(importlib.import_module("test_sending"), name)


def answer(snapshot: SharedSnapshot[Any]) -> SharedSnapshot[Any]:
    """In a worker: opens a snapshot, changes the pool, and shares that."""
    with snapshot, snapshot.open() as pool:
        assert type(pool).__name__ == "Mine"
        pool.write(100, b"answer")
        changed: SharedSnapshot[Any] = pool.share(since=snapshot)
        return changed


@pytest.mark.parametrize("method", METHODS)
def test_arguments_and_results(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the pickle keeps a snapshot that is sent, on both ways."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    pool = importable("Mine")(1 << 20, 4096)
    pool.write(0, bytes(range(256)) * 1000)
    pool.write(900_000, b"end")
    with multiprocessing.get_context(method).Pool(2) as workers:
        results = workers.map(importable("answer"), (pool.share() for _ in range(5)))
    pool.write(100, b"answer")
    for result in results:
        assert (result.segments, result.stored_bytes) == (2, 4096)
        with result.open() as opened:
            assert opened[:] == pool[:]


def wait_with(snapshot: SharedSnapshot[Any], pipe: Any) -> None:
    with snapshot.open() as pool:
        pipe.send(pool[100:103])
        pipe.recv()


@pytest.mark.parametrize("method", METHODS)
def test_argument_of_a_process(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent closes its snapshot while the child uses it."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    context = multiprocessing.get_context(method)
    with MemoryPool(4096, 64) as pool:
        pool.write(100, b"abc")
        older = pool.share()
        pool.write(2000, b"xyz")
        newer = pool.share(since=older)
    ours, theirs = context.Pipe()
    child = context.Process(target=importable("wait_with"), args=(newer, theirs))
    child.start()
    older.close()
    newer.close()
    assert ours.recv() == b"abc"
    ours.send("end")
    child.join()
    assert child.exitcode == 0


def test_snapshots_in_one_pickle_send_a_segment_once(pool: MemoryPool) -> None:
    with pool.share() as older, pool.share(since=older) as newer:
        one, two = ForkingPickler.loads(ForkingPickler.dumps([older, newer]))
        first, second = one.__reduce__()[1][1], two.__reduce__()[1][1]
        assert first[0] is second[0]
        with one, two, two.open() as opened:
            assert opened[:] == pool[:]


def lost(loaded: SharedSnapshot[Any], why: str) -> None:
    """Loading does not raise: multiprocessing.Pool would wait for ever."""
    assert why in repr(loaded)
    for use in (
        loaded.open,
        loaded.__enter__,
        lambda: loaded.total_size,
        lambda: loaded.segments,
        lambda: pickle.dumps(loaded),
        lambda: MemoryPool(1024).share(since=loaded),
    ):
        with pytest.raises(SharingError, match=why):
            use()
    assert not loaded.closed
    loaded.close()
    assert loaded.closed
    with pytest.raises(PoolClosedError):
        loaded.open()


def test_pickle_with_descriptor_is_loaded_twice(pool: MemoryPool) -> None:
    """The second time it is an address, which is good while the sender has it."""
    snapshot = pool.share()
    pickled = bytes(ForkingPickler.dumps(snapshot))
    for _ in range(2):
        with pickle.loads(pickled) as loaded, loaded.open() as opened:
            assert opened[:] == pool[:]
    snapshot.close()
    lost(pickle.loads(pickled), "no longer there")


def test_pickle_with_descriptor_outlives_the_snapshot(pool: MemoryPool) -> None:
    with pool.share() as snapshot:
        pickled = bytes(ForkingPickler.dumps(snapshot))
    with pickle.loads(pickled) as loaded, loaded.open() as opened:
        assert opened[:] == pool[:]


def in_new_python(script: str, data: bytes = b"") -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", script], input=data, check=True, stdout=subprocess.PIPE
    )
    return done.stdout


def test_address_is_opened_by_any_process(pool: MemoryPool) -> None:
    pool.fill(1024, 1, 2048)
    with pool.share() as older:
        pool.write(200, b"changed")
        with pool.share(since=older) as newer:
            pickled = pickle.dumps(newer)
            assert newer.segments == 2
            assert len(pickled) < 1000
            for _ in range(2):
                printed = in_new_python(
                    "import pickle, sys\n"
                    "with pickle.load(sys.stdin.buffer).open() as pool:\n"
                    "    sys.stdout.buffer.write(pool[100:300].hex().encode())",
                    pickled,
                )
                assert bytes.fromhex(printed.decode()) == pool[100:300]


def test_address_of_a_snapshot_that_was_closed(pool: MemoryPool) -> None:
    with pool.share() as snapshot:
        pickled = pickle.dumps(snapshot)
    lost(pickle.loads(pickled), "no longer there")


def test_address_in_a_process_that_ended() -> None:
    printed = in_new_python(
        "import pickle\n"
        "from pymempool import MemoryPool\n"
        "snapshot = MemoryPool(100).share()\n"
        "print(pickle.dumps(snapshot).hex())"
    )
    lost(pickle.loads(bytes.fromhex(printed.decode())), "ended")


def test_loky_is_registered_with(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own package and in joblib's, once it is imported: by any new snapshot."""
    registered: list[Any] = []
    for name in ("loky.backend.reduction", "joblib.externals.loky.backend.reduction"):
        fake = types.ModuleType(name)
        monkeypatch.setattr(fake, "register", registered.append, raising=False)
        fake.register = lambda *pair: registered.append(pair)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, fake)
    with pool.share() as snapshot:
        kind, reduce = registered[0]
        assert registered == [(kind, reduce)] * 2
        assert kind is segment_module.Segment
        (segment,) = snapshot.__reduce__()[1][1]
        assert len(reduce(segment)[1]) == len(segment.__reduce__()[1]) + 1


def test_old_protocols(pool: MemoryPool) -> None:
    with pool.share() as snapshot:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            file = io.BytesIO(pickle.dumps(snapshot, protocol))
            with pickle.load(file) as loaded, loaded.open() as opened:
                assert opened[:] == pool[:]
