# SPDX-License-Identifier: MIT
"""Views and pins: what they show, how long they live, and who is told of them."""

from __future__ import annotations

import ctypes
import gc
import importlib
import itertools
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from internals import SIZE_MAX, live, track

from pymempool import MemoryPool, PoolLimitError, PoolRangeError

ONES = bytes(range(1, 201))  # what the pool fixture has at 100


def count(pool: MemoryPool) -> int:
    return pool.stats.family_views


def test_views_are_frozen(pool: MemoryPool) -> None:
    view = pool.view(128, 64)
    assert (view.readonly, view.format, view.ndim, view.nbytes) == (True, "B", 1, 64)
    pool.fill(0, 255, 4096)
    assert view == ONES[28:92]
    pool.discard(0, 4096)
    assert view == ONES[28:92]
    with pytest.raises(TypeError):
        view[0] = 1


def reachable(thing: Any) -> Iterator[Any]:
    """A memoryview or array, and whatever it says that it was made of."""
    while thing is not None:
        yield thing
        thing = getattr(thing, "obj", None) if not hasattr(thing, "base") else thing.base


def test_nothing_that_leads_to_a_view_can_be_written(pool: MemoryPool) -> None:
    clone = pool.clone()
    view = pool.view(128, 64)
    made: list[Any] = [view, view[3:9], view.cast("I"), memoryview(view), view[::2]]
    made += [memoryview(each.obj) for each in made]
    made += pool.views(100, 100)
    with suppress(ImportError):
        numpy: Any = importlib.import_module("numpy")
        array = numpy.frombuffer(view, dtype="<u2")
        made += [array, array[3:], array.view("u1").reshape(4, 16)]
    for each in itertools.chain.from_iterable(map(reachable, made)):
        assert memoryview(each).readonly
        with pytest.raises((TypeError, BufferError)):
            (ctypes.c_char * 1).from_buffer(each)
        with pytest.raises((TypeError, BufferError)):
            clone.readinto(128, each)
    assert bytes(view) == clone.read(128, 64)
    assert not memoryview(pool.pin(128, 64).obj).readonly


def test_views_can_be_hashed(pool: MemoryPool) -> None:
    view = pool.view(128, 64)
    assert hash(view) == hash(bytes(view))
    assert {view: 1}[pool.view(128, 64)] == 1


def test_views_of_holes_take_no_memory(pool: MemoryPool) -> None:
    before = pool.stats.family_bytes
    view = pool.view(1024, 64)
    assert view == bytes(64)
    assert pool.stats.family_bytes == before
    pool.write(1024, b"x")
    assert view == bytes(64)


def test_pins_are_live(pool: MemoryPool) -> None:
    pin = pool.pin(1030, 10)
    assert (pin.readonly, pin.format, pin.ndim, pin.nbytes) == (False, "B", 1, 10)
    pin[:3] = b"pin"
    assert pool.read(1029, 5) == b"\0pin\0"
    pool.write(1031, b"!")
    assert pin[:3] == b"p!n"
    clone, view = pool.clone(), pool.view(1030, 3)
    pin[0] = 0
    assert clone.read(1030, 3) == view == b"p!n"
    pool.discard(0, 4096)
    assert pin == bytes(10)
    pool.restore(clone)
    assert pin[:3] == b"p!n"
    pin[1] = 1
    assert pool[1031] == 1
    assert pool.stats.pinned_blocks == 1
    pin.release()
    assert pool.stats.pinned_blocks == 0


def test_end_of_the_pool() -> None:
    pool = MemoryPool(100, 64)
    assert pool.view(64, 36).nbytes == pool.pin(64, 36).nbytes == 36
    assert pool.view(64).nbytes == pool.pin(64).nbytes == 36
    assert pool.view().nbytes == 100
    for make in (pool.view, pool.pin):
        assert len(make(100)) == 0
        with pytest.raises(PoolRangeError, match=r"^offset is 101, allowed is 0 .. 100$"):
            make(101)
    for make in (pool.view, pool.pin, pool.views):
        with pytest.raises(PoolRangeError, match=r"size at offset 64 is 37, .* 36$"):
            make(64, 37)


def test_nothing(pool: MemoryPool) -> None:
    assert pool.view(4096, 0).readonly
    assert not pool.pin(4096, 0).readonly
    assert pool.view(3, 0) == pool.pin(3, 0) == b""
    assert pool.views(7, 0) == []
    assert count(pool) == 0
    assert pool.stats.pinned_blocks == 0


def test_views_of_any_range(pool: MemoryPool) -> None:
    found = pool.views(90, 1000)
    # To the ends of blocks; holes by blocks, and data at least so far.
    ends = [*itertools.accumulate((len(view) for view in found), initial=90)][1:]
    assert [end for end in ends if end > 320] == [*range(384, 1090, 64), 1090]
    assert {end % 64 for end in ends[:-1]} == {0}
    whole = pool.read(90, 1000)
    pool.fill(0, 9, 4096)
    assert b"".join(found) == whole
    assert (count(pool), pool.stats.family_pools) == (len(found), 1)
    del found
    assert count(pool) == 0
    assert [bytes(view) for view in pool.views(64, 64)] == [b"\t" * 64]


def test_one_view_of_any_range(pool: MemoryPool) -> None:
    before = pool.stats
    copies = [pool.view(90, 1000), pool.view(64), pool.view(), pool.view(size=900)]
    wanted = [pool.read(90, 1000), pool[64:], pool[:], pool[:900]]
    assert count(pool) == 0
    assert pool.stats == before
    pool.fill(0, 9, 4096)
    for each, shown in zip(copies, wanted):
        assert (each.readonly, each.format, each.ndim) == (True, "B", 1)
        assert each == shown
        assert hash(each) == hash(shown)


def test_a_view_that_has_no_room() -> None:
    pool = MemoryPool(SIZE_MAX, 4096)
    with pytest.raises(MemoryError):
        pool.view()
    with pytest.raises(MemoryError):
        pool.view(5, SIZE_MAX // 2 - 5)
    assert count(pool) == 0


def test_views_of_what_a_pin_has_laid_side_by_side(pool: MemoryPool) -> None:
    wanted = pool.read(90, 1000)
    pool.pin(64, 2048).release()
    view, rest = pool.view(90, 1000), pool.views(90, 3000)
    assert count(pool) == 1 + len(rest)
    pool.fill(0, 9, 4096)
    assert view == wanted
    assert len(rest[0]) == 64 + 2048 - 90
    assert b"".join(rest)[:1000] == wanted


def test_views_are_of_one_moment() -> None:
    size = 64 * 64
    pool = MemoryPool(size, 64)
    for at in reversed(range(0, size, 64)):  # so that blocks do not follow each other
        pool.write(at, b"x")
    assert len(pool.views(0, size)) == 64
    stop = threading.Event()

    def write() -> None:
        byte = 0
        while not stop.is_set():
            byte = (byte + 1) % 256
            pool.write(0, bytes([byte]) * size)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        sys.setswitchinterval(1e-6)
        for _ in range(300):
            data = b"".join(pool.views(0, size))
            assert data.count(data[0]) == size
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()


def test_gathered_output(pool: MemoryPool, tmp_path: Path) -> None:
    if not hasattr(socket.socket, "sendmsg"):
        pytest.skip("no sendmsg() on this system")
    one, other = socket.socketpair()
    with one, other:
        assert one.sendmsg(pool.views(90, 1000)) == 1000
        assert other.recv(1000, socket.MSG_WAITALL) == pool.read(90, 1000)
    with open(tmp_path / "file", "w+b") as file:
        assert os.pwritev(file.fileno(), pool.views(90, 1000), 5) == 1000
        file.seek(5)
        assert file.read() == pool.read(90, 1000)


# ---------------------------------------------------------------------- lifetime


@pytest.mark.parametrize("kind", ["view", "pin"])
def test_given_back(kind: str, pool: MemoryPool) -> None:
    make = getattr(pool, kind)
    window = make(128, 64)
    assert count(pool) == 1
    window.release()
    assert count(pool) == 0
    with make(128, 64) as window:
        assert window[0] == ONES[28]
        assert count(pool) == 1
    assert count(pool) == 0
    window = make(128, 64)
    part = window[8:16].cast("I")
    window.release()
    assert count(pool) == 1
    assert part.tobytes() == ONES[36:44]
    del part
    assert count(pool) == 0


@pytest.mark.parametrize("kind", ["view", "pin"])
def test_outlives_the_pool(kind: str) -> None:
    pool = MemoryPool(1 << 20, 4096)
    pool.fill(0, 7, 1 << 20)
    window = getattr(pool, kind)(8192, 4096)
    clone = pool.clone()
    pool.close()
    assert window == b"\7" * 4096
    clone.close()
    more = [MemoryPool(1 << 20, 4096) for _ in range(3)]
    for other in more:
        other.fill(0, 9, 1 << 20)
    assert window == b"\7" * 4096
    if kind == "pin":
        window[:] = bytes(4096)
        assert window == bytes(4096)


def test_out_of_a_cycle(pool: MemoryPool) -> None:
    cycle: list[Any] = [pool.view(128, 5), pool.pin(128, 5)]
    cycle.append(cycle)
    assert count(pool) == 2
    del cycle
    gc.collect()
    assert count(pool) == 0


def test_given_back_by_other_threads(pool: MemoryPool) -> None:
    windows = [pool.view(128, 64) for _ in range(1000)]
    windows += [pool.pin(128, 64) for _ in range(1000)]

    def drop() -> None:
        try:
            while True:
                windows.pop()
        except IndexError:
            pass

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(pool) == 0


def test_numpy_arrays_hold_the_memory(pool: MemoryPool) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    numbers = numpy.frombuffer(pool.pin(1024, 64), dtype="<u4")[2:5]
    numbers[:] = 1, 2, 3
    assert pool.read(1032, 12) == numpy.array([1, 2, 3], dtype="<u4").tobytes()
    pool.write(1032, b"\5")
    assert numbers[0] == 5
    frozen = numpy.asarray(pool.view(1024, 64))
    assert not frozen.flags.writeable
    observer = pool.clone()
    pool.close()
    gc.collect()
    assert count(observer) == 2
    numbers += 1
    assert numbers.tolist() == [6, 3, 4]
    assert frozen[8] == 5
    del numbers, frozen
    assert count(observer) == 0


def test_pinned_blocks_count_for_the_limit() -> None:
    pool = MemoryPool(4096, 64, memory_limit=64)
    pin = pool.pin(0, 5)
    with pytest.raises(PoolLimitError):
        pool.pin(64, 5)
    assert pool.view(0, 5) == pin == bytes(5)  # zeros need no frozen copy
    pin[0] = 1
    with pytest.raises(PoolLimitError):
        pool.view(0, 5)
    assert count(pool) == 1
    assert pool.view(64, 5) == bytes(5)
    assert pin == b"\1\0\0\0\0"


def test_limit_for_copies_of_pinned_blocks() -> None:
    pool = MemoryPool(4096, 64, memory_limit=128)
    relative = pool.clone()
    pool.write(64, b"x")
    with pool.pin(0, 5) as pin:
        pin[0] = 1
        for call in (
            pool.clone,
            lambda: pool.views(500, 200),
            lambda: relative.restore(pool),
            lambda: pool.__reduce_ex__(5),
        ):
            with pytest.raises(PoolLimitError, match="128 of 128 bytes"):
                call()
            assert count(pool) == 1
    assert len(pool.views(500, 200)) == 4


# ------------------------------------------------------------------ who holds what


def test_tracking(pool: MemoryPool) -> None:
    before = pool.view(128, 3)
    assert live() == []
    track(True)
    try:
        assert live() == []
        view = pool.view(128, 5)
        part = pool.pin(1030, 7)[2:3]
        kinds = [(held.kind, held.offset, held.size) for held in live()]
        assert kinds == [("view", 128, 5), ("pin", 1030, 7)]
        for held in live():
            file, _, line = held.where.rpartition(":")
            assert os.path.basename(file) == "test_views.py"
            assert "pool." in Path(file).read_text().splitlines()[int(line) - 1]
        view.release()
        assert [held.kind for held in live()] == ["pin"]
        del part
        assert live() == []
        view = pool.view(128, 5)
    finally:
        track(False)
    assert live() == []
    assert view[:3] == before
    track(True)  # what was made before is not told of
    assert live() == []
    track(False)
