# SPDX-License-Identifier: MIT
"""Pins over many blocks: one memory, exact changes, and other pins in the way."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
from ctypes import addressof, c_char
from typing import Any

import pytest

from pymempool import MemoryPool, PoolLimitError, PoolMemoryError, PoolRangeError
from pymempool.testing import FailAllocation

BLOCK = 4096
MIB = 1 << 20


def address(memory: memoryview) -> int:
    return addressof((c_char * 0).from_buffer(memory))


def new_pool(**options: Any) -> MemoryPool:
    """1 MiB in blocks of 4 KiB, with data here and there."""
    pool = MemoryPool(MIB, BLOCK, **options)
    for at in range(0, MIB, 5 * BLOCK):
        pool.write(at + 100, b"%d" % at)
    return pool


def test_one_memory_over_data_and_holes() -> None:
    pool = new_pool()
    wanted = pool[:]
    pin = pool.pin()
    assert (pin.readonly, pin.format, pin.ndim, pin.nbytes) == (False, "B", 1, MIB)
    assert (pin.contiguous, bytes(pin)) == (True, wanted)
    pin[BLOCK - 2 : BLOCK + 3] = b"write"
    assert pool.read(BLOCK - 2, 5) == b"write"
    pool.write(3 * BLOCK - 1, b"call")
    assert pin[3 * BLOCK - 1 : 3 * BLOCK + 3] == b"call"
    stats = pool.stats
    assert stats.pinned_blocks == stats.held_blocks == MIB // BLOCK
    pin.release()
    assert pool.stats.pinned_blocks == 0
    assert pool.read(BLOCK - 2, 5) == b"write"


@pytest.mark.parametrize(
    ("arguments", "offset", "size"),
    [
        ((), 0, MIB),
        ((5000,), 5000, MIB - 5000),
        ((5000, None), 5000, MIB - 5000),
        ((5000, 20_000), 5000, 20_000),
        ((MIB - 1, 1), MIB - 1, 1),
        ((BLOCK, BLOCK), BLOCK, BLOCK),
        ((MIB, None), MIB, 0),
        ((MIB, 0), MIB, 0),
    ],
)
@pytest.mark.parametrize("kind", ["pin", "view"])
def test_ranges(kind: str, arguments: tuple[Any, ...], offset: int, size: int) -> None:
    pool = new_pool()
    memory = getattr(pool, kind)(*arguments)
    assert memory == pool.read(offset, size)
    assert memory.nbytes == size
    assert memory.readonly == (kind == "view")


def test_clones_of_pins_differ_where_it_was_written_and_only_there() -> None:
    pool = new_pool()
    pin = pool.pin()
    states = []
    for number in range(100):
        pin[number * 7000] = number + 1
        states.append((pool.clone(), pool[:]))
    for number, (clone, contents) in enumerate(states):
        assert clone[:] == contents
        if number:
            earlier = states[number - 1][0]
            block = number * 7000 // BLOCK * BLOCK
            assert list(clone.changes(earlier)) == [(block, BLOCK)]
    assert list(pool.changes(states[-1][0])) == []
    pin[5] = pin[5]  # written, but the same
    assert list(pool.changes(states[-1][0])) == []
    pin[5] ^= 1
    assert list(pool.changes(states[-1][0])) == [(0, BLOCK)]


def test_restore_writes_the_other_state_to_the_same_memory() -> None:
    pool = new_pool()
    pin = pool.pin()
    place, before, contents = address(pin), pool.clone(), bytes(pin)
    pin[:] = b"\xff" * MIB
    after = pool.clone()
    for state, shown in [(before, contents), (after, b"\xff" * MIB), (before, contents)]:
        pool.restore(state)
        assert (address(pin), bytes(pin)) == (place, shown)
        assert list(pool.changes(state)) == []
        pin[99] ^= 1
        assert list(pool.changes(state)) == [(0, BLOCK)]


def test_views_of_a_pin_are_frozen() -> None:
    pool = new_pool()
    pin = pool.pin(0, 5 * BLOCK)
    view, contents = pool.view(), pool[:]
    views = pool.views(0, MIB)
    pin[:] = b"\xff" * len(pin)
    assert view == contents
    assert b"".join(views) == contents


# ------------------------------------------------------------------ other pins


def test_a_pin_within_a_pin_is_the_same_memory() -> None:
    pool = new_pool()
    pin = pool.pin(BLOCK, 10 * BLOCK)
    part = pool.pin(3 * BLOCK + 5, 2 * BLOCK)
    assert address(part) == address(pin) + 2 * BLOCK + 5
    pin.release()
    part[:3] = b"abc"
    assert pool.read(3 * BLOCK + 5, 3) == b"abc"
    assert address(pool.pin(BLOCK, 10 * BLOCK)) == address(part) - 2 * BLOCK - 5


@pytest.mark.parametrize(
    ("offset", "size", "allowed", "met"),
    [
        (0, MIB, 8 * BLOCK, "[32768, 49152)"),
        (7 * BLOCK + 9, BLOCK, BLOCK - 9, "[32768, 32777)"),
        (8 * BLOCK, 5 * BLOCK, 4 * BLOCK, "[32768, 49152)"),
        (11 * BLOCK + 1, BLOCK, BLOCK - 1, "[45057, 49152)"),
    ],
)
def test_a_pin_in_the_way_is_reported(
    offset: int, size: int, allowed: int, met: str
) -> None:
    pool = new_pool()
    pin = pool.pin(8 * BLOCK + 50, 3 * BLOCK)  # of four blocks
    others = [pool.pin(0, 0), pool.pin(13 * BLOCK, 1)]
    before, contents = pool.stats, pool[:]
    with pytest.raises(PoolRangeError) as caught:
        pool.pin(offset, size)
    text = str(caught.value)
    assert (
        f"size at offset {offset} is {size}, allowed is 0 .. {allowed}: in {met}" in text
    )
    assert "another pin" in text and "release it" in text
    assert (pool.stats, pool[:]) == (before, contents)
    assert len(pool.pin(offset, allowed)) == allowed
    pin.release()
    del others
    assert len(pool.pin(offset, size)) == size


def test_a_pin_in_the_way_of_an_array_is_reported() -> None:
    pytest.importorskip("numpy", reason="numpy is not installed")
    pool = new_pool()
    pin = pool.pin(8 * BLOCK, 5)
    with pytest.raises(PoolRangeError, match="another pin"):
        pool.array(MIB, "u1")
    assert pin == pool.array(5, "u1", 8 * BLOCK).data


# -------------------------------------------------------------------- failures


def test_limits() -> None:
    pool = new_pool(memory_limit=MIB)
    pin = pool.pin()  # takes all; what was moved does not count twice
    before, contents = pool.stats, pool[:]
    for call in (pool.clone, pool.view, lambda: pool.views(0, MIB)):
        pin[:] = contents
        pin[7] = contents[7] ^ 1
        with pytest.raises(PoolLimitError):
            call()  # a frozen copy of the whole pool has no room
        pin[7] = contents[7]
        assert (pool.stats, pool[:]) == (before, contents)
    with pytest.raises(PoolLimitError, match="memory limit"):
        MemoryPool(MIB, BLOCK, memory_limit=MIB - 1).pin()


def test_each_allocation_of_a_pin_fails(fail_allocation: FailAllocation) -> None:
    for fault in fail_allocation.each():
        pool = new_pool()
        clone, before, contents = pool.clone(), pool.stats, pool[:]
        held = list(pool.extents())
        with fault:
            assert pool.pin(50, MIB // 2) == contents[50 : 50 + MIB // 2]
        if fault.error is not None:
            assert type(fault.error) is PoolMemoryError
            now = pool.stats._replace(metadata_bytes=0, cached_bytes=0)
            assert now == before._replace(metadata_bytes=0, cached_bytes=0)
            assert list(pool.extents()) == held
        assert pool[:] == clone[:] == contents


# -------------------------------------------------------------------- lifetime


def test_pins_outlive_the_pool_and_end_with_their_last_part() -> None:
    pool = new_pool()
    observer = pool.clone()
    part = pool.pin()[5:100].cast("B")
    contents = bytes(part)
    pool.close()
    gc.collect()
    assert observer.stats.family_views == 1
    assert part == contents
    part[0] = 1
    cycle: list[Any] = [part]
    cycle.append(cycle)
    del part, cycle
    gc.collect()
    assert observer.stats.family_views == 0


def test_pools_made_smaller_and_larger_again() -> None:
    pool = new_pool()
    pin = pool.pin()
    pin[:] = b"p" * MIB
    pool.resize(10 * BLOCK + 5)
    pool.resize(MIB)
    assert pin[10 * BLOCK + 5 : 11 * BLOCK] == bytes(BLOCK - 5)
    pin[20 * BLOCK] = 1  # detached, and still memory
    assert pool.read(20 * BLOCK, 1) == b"\0"
    fresh = pool.pin(11 * BLOCK, 20 * BLOCK)
    fresh[:] = b"f" * len(fresh)
    assert pool.read(11 * BLOCK, len(fresh)) == fresh
    assert pin[11 * BLOCK] == ord("p")


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_of_pools_with_pins(protocol: int) -> None:
    pool = new_pool()
    pin = pool.pin()
    pin[9000] = 77
    again = pickle.loads(pickle.dumps(pool, protocol))
    assert again[:] == pool[:]
    assert again.stats.pinned_blocks == 0
    with pytest.raises(TypeError):
        pickle.dumps(pin, protocol)


def test_threads_write_to_their_parts_of_a_pin_while_others_clone() -> None:
    pool = MemoryPool(4 * MIB, BLOCK)
    pin = pool.pin()
    rounds = 30

    def write(part: memoryview) -> None:
        for number in range(1, rounds + 1):
            part[:] = bytes([number]) * len(part)

    threads = [
        threading.Thread(target=write, args=[pin[at : at + MIB]])
        for at in range(0, 4 * MIB, MIB)
    ]
    for thread in threads:
        thread.start()
    states = []
    while any(thread.is_alive() for thread in threads):
        state = pool.clone()
        states = [*states[-3:], (state, state[:])]
    for thread in threads:
        thread.join()
    assert all(state[:] == contents for state, contents in states)
    last = pool.clone()
    assert last[:] == pin == bytes([rounds]) * 4 * MIB
    assert list(pool.changes(last)) == []


# --------------------------------------------------------------- page tracking

TRACKED = """
from pymempool import MemoryPool

pool = MemoryPool(1 << 20, 4096)
pin = pool.pin()
pin[:] = bytes(range(256)) * 4096
before = pool.clone()
pin[70_000] ^= 1
pool.write(200_000, b"call")
after = pool.clone()
print(pool.stats.page_tracking)
print(list(after.changes(before)), list(pool.changes(after)))
pool.restore(before)
print(bytes(pin) == before[:], list(pool.changes(before)))
"""


def run(code: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def test_page_tracking() -> None:
    kinds = {"linux": {"pagemap_scan", "compare"}, "win32": {"write_watch", "compare"}}
    assert MemoryPool(1).stats.page_tracking in kinds.get(sys.platform, {"compare"})
    tracked, compared = run(TRACKED), run(TRACKED, POOL_WRITTEN_PAGES="none")
    assert compared[0] == "compare"
    assert tracked[1:] == compared[1:]
    assert compared[1:] == ["[(69632, 4096), (196608, 4096)] []", "True []"]
