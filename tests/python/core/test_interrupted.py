# SPDX-License-Identifier: MIT
"""Exceptions that a signal's handler raises in the middle of calls: all or nothing was
done, and nothing is left behind.

Signals arrive at any time, but Python runs their handlers between two instructions only:
where a function begins and after a call. Here a handler is made to raise at each such
place in pymempool, one by one, as the tests of failing allocations go through the
allocations.
"""

from __future__ import annotations

import _imp
import gc
import io
import itertools
import os
import pickle
import random
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import pytest
from every_call import is_free
from internals import count_adopted, count_windows, readable
from interrupts import Interrupted, interrupted_at

from pymempool import MemoryPool, PoolLimitError, SharedSnapshot

# ---------------------------------------------------------------- at every place

Call = Callable[[MemoryPool, bytearray], Any]

CALLS: dict[str, Call] = {
    "create": lambda pool, memory: MemoryPool(100),
    "from_handle": lambda pool, memory: MemoryPool.from_handle(pool.handle),
    "read": lambda pool, memory: pool.read(90, 300),
    "read, large": lambda pool, memory: pool.read(0, 1 << 16),
    "readinto": lambda pool, memory: pool.readinto(0, memory),
    "readinto, items": lambda pool, memory: pool.readinto(
        0, memoryview(memory).cast("I")
    ),
    "write": lambda pool, memory: pool.write(90, b"x" * 300),
    "write, a buffer": lambda pool, memory: pool.write(90, memory),
    "write, large": lambda pool, memory: pool.write(0, b"x" * (1 << 16)),
    "fill": lambda pool, memory: pool.fill(90, 5, 300),
    "discard": lambda pool, memory: pool.discard(90, 300),
    "take": lambda pool, memory: pool.take(90, 300),
    "copy_from": lambda pool, memory: pool.copy_from(pool, 0, 300, 1000),
    "resize": lambda pool, memory: pool.resize(1 << 15),
    "item": lambda pool, memory: pool[100],
    "set item": lambda pool, memory: pool.__setitem__(100, 5),
    "set slice": lambda pool, memory: pool.__setitem__(slice(0, 1000), memory),
    "gather": lambda pool, memory: pool.gather(range(0, 4000, 9), 8),
    "gather, out": lambda pool, memory: pool.gather(range(0, 1000, 8), 8, memory),
    "scatter": lambda pool, memory: pool.scatter(range(0, 1000, 4), memory),
    "read_many": lambda pool, memory: pool.read_many([(9, 90), (0, 1000), (5, 0)]),
    "read_many, out": lambda pool, memory: pool.read_many([(9, 600), (0, 400)], memory),
    "write_many": lambda pool, memory: pool.write_many([(2000, memory), (7, b"seven")]),
    "fetch_add": lambda pool, memory: pool.fetch_add(100, 7),
    "compare_exchange": lambda pool, memory: pool.compare_exchange(2000, 0, 5),
    "clone": lambda pool, memory: pool.clone(),
    "restore": lambda pool, memory: pool.restore(pool),
    "extents": lambda pool, memory: list(pool.extents()),
    "changes": lambda pool, memory: list(pool.changes(pool)),
    "digest": lambda pool, memory: pool.digest(),
    "same": lambda pool, memory: pool.same(pool.clone()),
    "differences": lambda pool, memory: list(pool.differences(MemoryPool(500))),
    "find": lambda pool, memory: pool.find(memory),
    "rfind": lambda pool, memory: pool.rfind(b"end", 0, -70_000),
    "count": lambda pool, memory: pool.count(0),
    "in": lambda pool, memory: 7 in pool,
    "view": lambda pool, memory: pool.view(100, 20),
    "views": lambda pool, memory: pool.views(0, 300),
    "view, several": lambda pool, memory: pool.view(0, 300),
    "pin": lambda pool, memory: pool.pin(100, 20),
    "pin, several": lambda pool, memory: pool.pin(0, 5000),
    "adopt": lambda pool, memory: pool.adopt(64, memory),
    "adopt, past the end": lambda pool, memory: pool.adopt(1 << 16, memory),
    "set_limit": lambda pool, memory: pool.set_limit(1 << 30),
    "on_limit": lambda pool, memory: pool.on_limit(len),
    "peak": lambda pool, memory: pool.peak().__enter__().__exit__(None, None, None),
    "stats": lambda pool, memory: pool.stats,
    "repr": lambda pool, memory: repr(pool),
    "close": lambda pool, memory: pool.clone().close(),
    "pickle": lambda pool, memory: pickle.dumps([pool, pool.clone()], 5),
    "share": lambda pool, memory: pool.share(),
    "share, since": lambda pool, memory: pool.share(since=pool.share()),
    "open": lambda pool, memory: pool.share().open().read(90, 300),
    "open, sent": lambda pool, memory: sent(pool.share()).open(),
}


def sent(snapshot: SharedSnapshot[MemoryPool]) -> Any:
    """As another process has it, or as this one would a second time."""
    return pickle.loads(pickle.dumps(snapshot))


def open_files() -> int:
    """How many descriptors this process has open, where the system tells."""
    # The library opens two, for as long as the process lives, when it first needs them.
    with MemoryPool(10) as pool, pool.share():
        pass
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def made() -> MemoryPool:
    pool = MemoryPool(1 << 16, 64)
    pool.write(100, bytes(range(1, 201)))
    pool.write(4000, b"end")
    return pool


# Files of Python's own are closed when they are freed, and say that this was late.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("name", CALLS)
def test_every_place(name: str) -> None:
    with made() as pool:
        before = pool[:]
        with suppress(IndexError):
            CALLS[name](pool, bytearray(b"m" * 1000))
        after = pool[:]
    gc.collect()
    files = open_files()

    for number in itertools.count(1):
        pool, memory = made(), bytearray(b"m" * 1000)
        try:
            done = not interrupted_at(number, lambda: CALLS[name](pool, memory))  # noqa: B023
        except IndexError:
            done = True
        stats = pool.stats
        left = (stats.references, stats.family_pools, stats.family_views)
        assert left == (1, 1, 0), number
        assert pool[:] in (before, after), number
        pool.close()
        assert is_free(memory), number
        assert count_adopted() == 0, number
        assert open_files() == files, number
        if done:
            break
    assert number > 1


def test_no_error_of_a_handler_is_taken_for_a_refusal() -> None:
    for number in itertools.count(1):
        pool, memory = made(), bytearray(b"m" * 1000)
        done = not interrupted_at(number, lambda: pool.adopt(64, memory), PoolLimitError)  # noqa: B023
        assert is_free(memory) == (pool.stats.adopted_blocks == 0), number
        if done:
            break
    assert number > 1


def test_memory_that_nobody_releases() -> None:
    memory = bytearray(9)
    held = readable(memory)
    assert not is_free(memory)
    del held  # as an exception does, with no step of Python's own in between
    assert is_free(memory)


# ------------------------------------------------------------------ by real signals

LONG = 8 << 20

LONG_CALLS: dict[str, Call] = {
    "read": lambda pool, memory: pool.read(0, LONG),
    "readinto": lambda pool, memory: pool.readinto(0, memory),
    "readinto, items": lambda pool, memory: pool.readinto(
        0, memoryview(memory).cast("I")
    ),
    "write": lambda pool, memory: pool.write(0, memory),
    "fill": lambda pool, memory: pool.fill(0, 1, LONG),
    "discard": lambda pool, memory: pool.discard(0, LONG),
    "take": lambda pool, memory: pool.take(0, LONG),
    "gather": lambda pool, memory: pool.gather(range(0, LONG, 4096), 4096),
    "scatter": lambda pool, memory: pool.scatter(range(0, LONG, 4096), memory),
    "clone and write": lambda pool, memory: pool.clone().write(0, memory),
    "extents": lambda pool, memory: list(pool.extents()),
    "changes": lambda pool, memory: list(pool.changes(pool.clone())),
    "differences": lambda pool, memory: list(pool.differences(MemoryPool(LONG))),
    "digest": lambda pool, memory: pool.digest(),
    "find": lambda pool, memory: pool.find(bytes(9), 0, LONG),
    "rfind": lambda pool, memory: pool.rfind(memory, 0, LONG),
    "count": lambda pool, memory: pool.count(b"m" * 7),
    "views": lambda pool, memory: b"".join(pool.views(0, LONG // 64)),
    "view": lambda pool, memory: pool.view(0, LONG),
    "pin": lambda pool, memory: [pool.pin(at, 9) for at in range(0, LONG // 64, 4096)],
    "pin, long": lambda pool, memory: pool.pin(0, LONG),
    "adopt": lambda pool, memory: pool.adopt(0, memory),
    "pickle": lambda pool, memory: pickle.dumps([pool, pool.clone()], 5),
}


@pytest.fixture
def handler() -> Iterator[None]:
    """SIGALRM raises Interrupted.

    It comes from the system's timer: a thread would send it where this one lets go of the
    interpreter's lock, and so at the same few places again and again.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handle)
    yield
    signal.signal(signal.SIGALRM, before)
    give_imports_back()


def give_imports_back() -> None:
    """Releases the lock of imports, if a handler raised just after it was acquired.

    CPython has a gap there. It is only in a first import, so what is called under signals
    is called once before; but its own library imports as well. Another thread that
    imports would wait for ever.
    """
    while _imp.lock_held():
        _imp.release_lock()


def repeat(call: Callable[[], Any], delay: float) -> None:
    """Makes the call until a signal comes."""
    with suppress(Interrupted):
        signal.setitimer(signal.ITIMER_REAL, delay)
        while True:
            call()


@pytest.mark.skipif(
    os.name == "nt",
    reason="Windows has no such signals, and a call seldom sees what stands for them",
)
@pytest.mark.parametrize("name", LONG_CALLS)
def test_in_long_calls(name: str, handler: None) -> None:
    for round in range(6):
        pool, memory = MemoryPool(1 << 30, 4096), bytearray(b"m" * LONG)
        pool.write(0, memory)
        if round == 0:
            LONG_CALLS[name](pool, memory)
            continue
        repeat(lambda: LONG_CALLS[name](pool, memory), 0.001 + round / 300)  # noqa: B023
        stats = pool.stats
        assert (stats.references, stats.family_pools, stats.family_views) == (1, 1, 0)
        assert pool[:LONG] in (bytes(LONG), b"\1" * LONG, b"m" * LONG)
        pool.close()
        assert is_free(memory)
        assert count_adopted() == 0


# ------------------------------------------------------------- at random moments

_SMALL = 1 << 18


def _delta(pool: MemoryPool, folder: Path) -> None:
    base = pool.clone()
    pool.write(5000, b"since")
    pool.save(folder / "delta", since=base)
    base.apply(folder / "delta")
    pool.apply(pool.delta(base))


def _store(pool: MemoryPool, folder: Path) -> None:
    system = sys.modules["fsspec"].filesystem("mempool", name="interrupted")
    with system.open("/file", "wb") as file:
        file.write(pool.read(0, 9000))
    with system.transaction, system.open("/other", "wb") as file:
        file.write(b"o" * 9000)
    system.cat_file("/file")
    system.rm("/file")


def _clone_and_restore(pool: MemoryPool, folder: Path) -> None:
    clone = pool.clone()
    clone.write(3, b"x")
    list(clone.changes(pool))
    pool.restore(clone)


def _copy(pool: MemoryPool, folder: Path) -> None:
    with MemoryPool(_SMALL) as other:
        other.copy_from(pool)


def _file(pool: MemoryPool, folder: Path) -> None:
    with pool.open() as file:
        file.write(b"q" * 9000)
        file.seek(0)
        file.readinto(bytearray(100))


def _publish(pool: MemoryPool, folder: Path) -> None:
    first = pool.share()
    pool.write(5000, b"since")
    sent(pool.share(since=first)).open().read(0, 9000)


ShortCall = Callable[[MemoryPool, Path], Any]

SHORT_CALLS: dict[str, ShortCall] = {
    "read": lambda pool, folder: pool.read(3, 30_000),
    "readinto": lambda pool, folder: pool.readinto(3, bytearray(20_000)),
    "write": lambda pool, folder: pool.write(3, bytearray(30_000)),
    "take": lambda pool, folder: pool.take(3, 9000),
    "view": lambda pool, folder: pool.view(100, 100)[5:],
    "views": lambda pool, folder: pool.views(100, 50_000),
    "pin": lambda pool, folder: pool.pin(100, 100).__setitem__(0, 1),
    "adopt": lambda pool, folder: pool.adopt(4096, bytearray(20_000)),
    "adopt, and let go": lambda pool, folder: (
        pool.adopt(4096, bytearray(70_000)),
        pool.discard(0, _SMALL),
    ),
    "gather": lambda pool, folder: pool.gather(range(0, _SMALL, 777), 8),
    "gather, out": lambda pool, folder: pool.gather(range(9), 8, bytearray(72)),
    "scatter": lambda pool, folder: pool.scatter(range(0, 9000, 90), bytearray(800)),
    "integers": lambda pool, folder: (
        pool.fetch_add(5, 1),
        pool.compare_exchange(5, 0, 1),
    ),
    "clone and restore": _clone_and_restore,
    "copy": _copy,
    "extents": lambda pool, folder: list(pool.extents()),
    "file": _file,
    "save": lambda pool, folder: pool.save(io.BytesIO()),
    "save to a path": lambda pool, folder: pool.save(folder / "image"),
    "load": lambda pool, folder: MemoryPool.load(folder / "there").close(),
    "delta": _delta,
    "pickle": lambda pool, folder: pickle.loads(pickle.dumps(pool, 5)).close(),
    "picture": lambda pool, folder: str(pool.map()),
    "share": lambda pool, folder: pool.share().open().write(5000, b"since"),
    "share, since": _publish,
    "store": _store,
}


@pytest.fixture
def interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[float], Callable[[], bool]]]:
    """Has a handler raise Interrupted twice; not any more if 0 is given."""
    left = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            raise Interrupted

    def arm(delay: float) -> Callable[[], bool]:
        """Whether the handler has yet to raise can then be asked: what it raised may have
        been swallowed, twice, as in a finalizer of somebody else's."""
        nonlocal left
        left = 2 if delay else 0
        signal.setitimer(signal.ITIMER_REAL, delay, 1e-4)
        return lambda: left > 0

    # Files of Python's own tell of what is raised while they are closed. To show that
    # takes long enough to be interrupted again.
    monkeypatch.setattr(sys, "unraisablehook", deque[object](maxlen=0).append)
    before = signal.signal(signal.SIGALRM, handle)
    yield arm
    arm(0)
    signal.signal(signal.SIGALRM, before)
    give_imports_back()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", SHORT_CALLS)
def test_at_random_moments(
    name: str, interrupt: Callable[[float], Callable[[], bool]], tmp_path: Path
) -> None:
    """Handlers that raise, in what cleans up after an exception as well."""
    if name == "store":
        pytest.importorskip("fsspec", reason="fsspec is not installed")
    rng = random.Random(name)
    (tmp_path / "there").write_bytes(b"there" * 2000)
    call = SHORT_CALLS[name]
    with MemoryPool(_SMALL, 4096) as pool:
        call(pool, tmp_path)
    held = count_windows(), count_adopted()
    gc.collect()
    files = open_files()
    for _ in range(150):
        pool = MemoryPool(_SMALL, 4096)
        pool.write(0, bytes(range(256)) * 100)
        delay = 1e-5 + rng.random() * rng.choice([3e-5, 1e-4, 4e-4])
        try:
            try:
                raises = interrupt(delay)
                while raises():
                    call(pool, tmp_path)
            except Interrupted:
                interrupt(0)
        except Interrupted:
            pass
        interrupt(0)
        stats = pool.stats
        pool.close()
        if (stats.references, stats.family_pools, stats.family_views) != (1, 1, 0):
            raise AssertionError(stats)
    gc.collect()
    assert (count_windows(), count_adopted()) == held
    assert open_files() == files
    with MemoryPool(10) as pool:
        pool.save(tmp_path / "image")  # which removes what a handler kept from removing
    assert {path.name for path in tmp_path.iterdir()} <= {"there", "image", "delta"}
