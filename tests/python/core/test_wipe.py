# SPDX-License-Identifier: MIT
"""Pools that wipe what nobody holds any more. tests/c/test_wipe.c looks at all memory."""

from __future__ import annotations

import copy
import ctypes
import pickle

import pytest

from pymempool import MemoryPool

SECRET = b"nobody is to find this"


def left_behind(pool: MemoryPool) -> bytes:
    """What a block of the pool has once it is free. It stays mapped: the pool lives."""
    pool.write(0, SECRET)
    with pool.pin(0, len(SECRET)) as pinned:
        address = ctypes.addressof(ctypes.c_char.from_buffer(pinned))
    pool.discard(0, pool.block_size)
    return ctypes.string_at(address, len(SECRET))


def test_wiped_or_not() -> None:
    assert left_behind(MemoryPool(1 << 20, 4096, wipe=True)) == bytes(len(SECRET))
    assert left_behind(MemoryPool(1 << 20, 4096)) != bytes(len(SECRET))


def test_who_descends_from_it_wipes_too() -> None:
    pool = MemoryPool(1 << 20, 4096, wipe=True)
    assert pool.stats.flags == pool.clone().stats.flags == 1
    assert copy.copy(pool).stats.flags == 1
    assert MemoryPool(4096).stats.flags == 0
    both = MemoryPool(4096, wipe=True, overcommit=True)
    assert pickle.loads(pickle.dumps(both)).stats.flags == both.stats.flags == 3


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_keep_it_and_adopt_nothing(protocol: int) -> None:
    pool = MemoryPool(1 << 20, 4096, wipe=True)
    pool.write(4096, SECRET * 1000)
    again = pickle.loads(pickle.dumps(pool, protocol))
    assert again.stats.flags == 1
    assert again.stats.adopted_blocks == 0
    assert again.read(4096, len(SECRET) * 1000) == SECRET * 1000
    assert left_behind(again) == bytes(len(SECRET))
