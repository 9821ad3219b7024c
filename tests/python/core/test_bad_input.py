# SPDX-License-Identifier: MIT
"""Every wrong argument: the exception that the docstring names, and nothing changed."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any, Callable

import pytest
from internals import BYTES_MAX, SIZE_MAX, library_module

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
    PoolUnrelatedError,
)

Call = Callable[[MemoryPool], Any]

# What takes a range, and what else is wrong with each of them follows from that.
RANGE_CALLS: dict[str, Callable[[MemoryPool, Any, Any], Any]] = {
    "read": lambda pool, offset, size: pool.read(offset, size),
    "take": lambda pool, offset, size: pool.take(offset, size),
    "fill": lambda pool, offset, size: pool.fill(offset, 1, size),
    "discard": lambda pool, offset, size: pool.discard(offset, size),
    "view": lambda pool, offset, size: pool.view(offset, size),
    "views": lambda pool, offset, size: pool.views(offset, size),
    "pin": lambda pool, offset, size: pool.pin(offset, size),
}
NO_RANGES = [(-1, 1), (0, -1), (4095, 2), (4097, 0), (0, 4097), (5000, 5)]
NO_RANGES += [(SIZE_MAX, 1), (SIZE_MAX, SIZE_MAX), (1, SIZE_MAX), (0, SIZE_MAX + 1)]
NO_RANGES += [(SIZE_MAX + 1, 1), (-SIZE_MAX, 1), (2**64, 2**64), (10**5000, 1)]
NO_RANGES += [(1, 10**5000), (1, -(10**5000))]
NO_NUMBERS = [1.0, "1", None, b"1", [], 1j, float("nan")]


def short_name(value: Any) -> str:
    """Names an example; decimals of a huge number are refused by Python itself."""
    if isinstance(value, tuple):
        return ", ".join(map(short_name, value))
    return f"{value:#x}" if value.bit_length() < 100 else f"{value.bit_length()} bits"


def unchanged(pool: MemoryPool, call: Call, kind: type[Exception]) -> Exception:
    """Makes a call that must raise just this kind and change nothing."""
    before, held = pool[:], list(pool.extents())
    with pytest.raises(kind) as caught:
        call(pool)
    assert caught.type is kind
    assert pool[:] == before
    assert list(pool.extents()) == held
    return caught.value


@pytest.mark.parametrize("name", RANGE_CALLS)
@pytest.mark.parametrize("place", NO_RANGES, ids=short_name)
def test_ranges_past_the_end(name: str, place: Any, pool: MemoryPool) -> None:
    error = unchanged(pool, lambda pool: RANGE_CALLS[name](pool, *place), PoolRangeError)
    assert "allowed" in str(error)


@pytest.mark.parametrize("name", RANGE_CALLS)
@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_numbers_that_are_none(name: str, wrong: Any, pool: MemoryPool) -> None:
    call = RANGE_CALLS[name]
    error = unchanged(pool, lambda pool: call(pool, wrong, 1), TypeError)
    assert str(error).startswith("offset must be an integer")
    if wrong is None and name in ("view", "pin"):
        return  # there it is the rest of the pool
    error = unchanged(pool, lambda pool: call(pool, 1, wrong), TypeError)
    assert "must be an integer" in str(error)


@pytest.mark.parametrize("size", [2, 100, 5000, 100_000])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_writes_past_the_end(size: int, kind: Any, pool: MemoryPool) -> None:
    error = unchanged(pool, lambda pool: pool.write(4095, kind(size)), PoolRangeError)
    assert str(error) == f"size at offset 4095 is {size}, allowed is 0 .. 1"
    error = unchanged(
        pool, lambda pool: pool.readinto(4095, bytearray(size)), PoolRangeError
    )
    assert str(error) == f"size at offset 4095 is {size}, allowed is 0 .. 1"


@pytest.mark.parametrize("offset", [-1, 4097, SIZE_MAX, SIZE_MAX + 1, -(2**70)])
def test_offsets_of_buffers(offset: int, pool: MemoryPool) -> None:
    unchanged(pool, lambda pool: pool.write(offset, b"x"), PoolRangeError)
    unchanged(pool, lambda pool: pool.write(offset, bytearray(1)), PoolRangeError)
    unchanged(pool, lambda pool: pool.readinto(offset, bytearray(1)), PoolRangeError)


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_offsets_of_buffers_that_are_none(wrong: Any, pool: MemoryPool) -> None:
    unchanged(pool, lambda pool: pool.write(wrong, b"x"), TypeError)
    unchanged(pool, lambda pool: pool.write(wrong, bytearray(1)), TypeError)
    unchanged(pool, lambda pool: pool.readinto(wrong, bytearray(1)), TypeError)


@pytest.mark.parametrize("wrong", [-1, 256, 2**32, 2**64])
def test_bytes_to_fill_with(wrong: int, pool: MemoryPool) -> None:
    error = unchanged(pool, lambda pool: pool.fill(0, wrong, 10), PoolRangeError)
    assert str(error) == f"byte is {wrong}, allowed is 0 .. 255"
    unchanged(pool, lambda pool: pool.fill(0, "a", 10), TypeError)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, -1, SIZE_MAX + 1, 10**5000], ids=short_name)
def test_sizes_of_a_new_pool(wrong: int) -> None:
    with pytest.raises(PoolRangeError, match="total_size"):
        MemoryPool(wrong)
    with pytest.raises(PoolRangeError, match="max_block_size"):
        MemoryPool(4096, wrong)
    with pytest.raises(PoolRangeError, match=r"^block_size"):
        MemoryPool(4096, block_size=wrong)
    with pytest.raises(PoolRangeError, match="memory_limit"):
        MemoryPool(4096, memory_limit=wrong)
    with pytest.raises(PoolRangeError, match="address"):
        MemoryPool.from_handle(wrong)
    with pytest.raises(PoolRangeError, match="address"):
        MemoryPool.from_handle(wrong, retain=False)
    with MemoryPool(10) as pool, pytest.raises(PoolRangeError, match="total_size"):
        pool.resize(wrong)


@pytest.mark.parametrize("total", [1, 5, 64, 100, 65536, 70_000, SIZE_MAX])
@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 4096, 65536, 1 << 17, SIZE_MAX])
def test_the_size_of_blocks_that_is_wanted(total: int, size: int) -> None:
    with MemoryPool(total, size) as pool:
        made = pool.block_size
    if made == size:
        with MemoryPool(total, block_size=size) as pool:
            assert (pool.total_size, pool.block_size) == (total, size)
        return
    with pytest.raises(
        PoolRangeError, match=rf"^block_size is {size}, .* {made} would do$"
    ):
        MemoryPool(total, block_size=size)
    with MemoryPool(total, block_size=made) as pool:
        assert pool.block_size == made


def test_the_size_of_blocks_is_any_integer_or_left_out() -> None:
    numpy_like = type("Int", (), {"__index__": lambda self: 512})()
    assert MemoryPool(4096, block_size=numpy_like).block_size == 512
    assert MemoryPool(4096, 1024, block_size=None).block_size == 1024
    assert MemoryPool(1 << 20, block_size=None).block_size == 65536
    assert inspect.signature(MemoryPool).parameters["max_block_size"].default == 65536


@pytest.mark.parametrize("most", [65536, 512, True, None])
def test_one_size_of_blocks_is_given(most: Any) -> None:
    with pytest.raises(TypeError, match="max_block_size or block_size may be given"):
        MemoryPool(4096, most, block_size=512)
    with pytest.raises(TypeError, match="max_block_size or block_size may be given"):
        MemoryPool(4096, max_block_size=most, block_size=512)


def test_a_pool_made_again_with_a_wrong_size_stays(pool: MemoryPool) -> None:
    before = pool.handle, pool[:], pool.stats.references
    with pytest.raises(PoolRangeError):
        pool.__init__(4096, block_size=100)  # type: ignore[misc]
    assert (pool.handle, pool[:], pool.stats.references) == before


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_sizes_of_a_new_pool_that_are_none(wrong: Any) -> None:
    with pytest.raises(TypeError, match="total_size"):
        MemoryPool(wrong)
    with pytest.raises(TypeError, match="max_block_size"):
        MemoryPool(4096, wrong)
    with pytest.raises(TypeError, match="address"):
        MemoryPool.from_handle(wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match=r"^block_size"):
            MemoryPool(4096, block_size=wrong)
        with pytest.raises(TypeError, match="memory_limit"):
            MemoryPool(4096, memory_limit=wrong)


def test_a_pool_that_could_not_be_made_is_closed() -> None:
    pool = MemoryPool.__new__(MemoryPool)
    with pytest.raises(PoolRangeError):
        pool.__init__(0)  # type: ignore[misc]
    assert pool.closed
    pool.close()


def test_other_things_than_pools(pool: MemoryPool) -> None:
    for wrong in (None, 5, pool.handle, b"pool", object()):
        unchanged(pool, lambda pool, it=wrong: pool.copy_from(it), TypeError)  # type: ignore[misc]
        unchanged(pool, lambda pool, it=wrong: pool.restore(it), TypeError)  # type: ignore[misc]
        unchanged(pool, lambda pool, it=wrong: pool.changes(it), TypeError)  # type: ignore[misc]
        unchanged(pool, lambda pool, it=wrong: pool.differences(it), TypeError)  # type: ignore[misc]
        unchanged(pool, lambda pool, it=wrong: pool.same(it), TypeError)  # type: ignore[misc]
        unchanged(pool, lambda pool, it=wrong: pool.delta(it), TypeError)  # type: ignore[misc]


def test_strangers(pool: MemoryPool) -> None:
    stranger = MemoryPool(4096, 64)
    error = unchanged(pool, lambda pool: pool.restore(stranger), PoolUnrelatedError)
    assert isinstance(error, ValueError)
    unchanged(pool, lambda pool: pool.changes(stranger), PoolUnrelatedError)


def test_limits_that_are_too_small() -> None:
    pool = MemoryPool(1 << 20, 64, memory_limit=256)
    pool.write(0, b"x" * 64)
    for call in (
        lambda pool: pool.write(0, b"y" * 257),
        lambda pool: pool.write(0, bytearray(300)),
        lambda pool: pool.write(0, bytes(1 << 20)),
        lambda pool: pool.fill(0, 1, 300),
        lambda pool: pool.__setitem__(slice(100, 400), bytes(300)),
    ):
        error = unchanged(pool, call, PoolLimitError)
        assert isinstance(error, (PoolMemoryError, MemoryError))
        assert "64 of 256 bytes" in str(error)
    assert pool.write(64, b"z" * 192) == 192


def test_more_than_a_bytes_object_can_be() -> None:
    pool = MemoryPool(SIZE_MAX)
    for size in (SIZE_MAX, BYTES_MAX + 1, BYTES_MAX):
        for call in (pool.read, pool.take):
            with pytest.raises(MemoryError):
                call(0, size)


def test_old_memory_does_not_get_out_by_a_traceback(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only another user of the pool could make a read fall short. Here the library does.
    def short(*arguments: Any) -> int:
        return 0

    monkeypatch.setattr("pymempool.pool._read_bytes", lambda *arguments: None)
    monkeypatch.setattr(library_module.quick, "pool_read", short)
    monkeypatch.setattr(library_module.quick, "pool_take", short)
    for call in (pool.read, pool.take):
        with pytest.raises(PoolError) as caught:
            call(0, 2000)
        for entry in caught.traceback:
            if "pymempool" in str(entry.path):
                assert not any(
                    isinstance(value, bytes) and len(value) == 2000
                    for value in entry.frame.f_locals.values()
                )


CLOSED_CALLS: dict[str, Call] = {
    "read": lambda pool: pool.read(0, 1),
    "read, large": lambda pool: pool.read(0, 1 << 30),
    "read, wrong": lambda pool: pool.read(-1, 1),
    "readinto": lambda pool: pool.readinto(0, bytearray(1)),
    "write": lambda pool: pool.write(0, b"x"),
    "write, a buffer": lambda pool: pool.write(0, bytearray(1)),
    "write, large": lambda pool: pool.write(0, bytes(100_000)),
    "fill": lambda pool: pool.fill(0, 1, 1),
    "discard": lambda pool: pool.discard(0, 1),
    "take": lambda pool: pool.take(0, 1),
    "open": lambda pool: pool.open(),
    "save": lambda pool: pool.save(io.BytesIO()),
    "len": len,
    "item": lambda pool: pool[0],
    "slice": lambda pool: pool[:],
    "set item": lambda pool: pool.__setitem__(0, 1),
    "set slice": lambda pool: pool.__setitem__(slice(0, 1), b"x"),
    "copy_from": lambda pool: pool.copy_from(MemoryPool(1)),
    "copy_from it": lambda pool: MemoryPool(1).copy_from(pool),
    "set slice to integers": lambda pool: pool.__setitem__(slice(0, 1), [1]),
    "set slice to a pool": lambda pool: pool.__setitem__(slice(0, 1), MemoryPool(1)),
    "set slice to it": lambda pool: MemoryPool(1).__setitem__(slice(0, 1), pool),
    "resize": lambda pool: pool.resize(1),
    "set_limit": lambda pool: pool.set_limit(None),
    "on_limit": lambda pool: pool.on_limit(None),
    "peak": lambda pool: pool.peak(),
    "find": lambda pool: pool.find(b"x"),
    "find nothing": lambda pool: pool.find(b""),
    "rfind": lambda pool: pool.rfind(b"x", -5),
    "index": lambda pool: pool.index(0),
    "rindex": lambda pool: pool.rindex(0),
    "count": lambda pool: pool.count(b"x", 5, 4),
    "in": lambda pool: b"x" in pool,
    "gather": lambda pool: pool.gather([0], 1),
    "gather nothing": lambda pool: pool.gather([], 0),
    "scatter": lambda pool: pool.scatter([0], b"x"),
    "scatter nothing": lambda pool: pool.scatter([], b""),
    "read_many": lambda pool: pool.read_many([(0, 1)]),
    "read_many of nothing": lambda pool: pool.read_many([]),
    "write_many": lambda pool: pool.write_many([(0, b"x")]),
    "write_many of nothing": lambda pool: pool.write_many([]),
    "fetch_add": lambda pool: pool.fetch_add(0, 1),
    "compare_exchange": lambda pool: pool.compare_exchange(0, 0, 1),
    "view": lambda pool: pool.view(0, 1),
    "view nothing": lambda pool: pool.view(0, 0),
    "views": lambda pool: pool.views(0, 1),
    "pin": lambda pool: pool.pin(0, 1),
    "pin nothing": lambda pool: pool.pin(0, 0),
    "array, numpy": lambda pool: pool.array(1),
    "array of nothing, frozen, numpy": lambda pool: pool.array(0, frozen=True),
    "adopt": lambda pool: pool.adopt(0, b"x"),
    "_as_parameter_": lambda pool: pool._as_parameter_,
    "pickle": pickle.dumps,
    "pickle, protocol 5": lambda pool: pickle.dumps(pool, 5),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "clone": lambda pool: pool.clone(),
    "restore": lambda pool: pool.restore(MemoryPool(1)),
    "restore from": lambda pool: MemoryPool(1).restore(pool),
    "digest": lambda pool: pool.digest(),
    "same": lambda pool: pool.same(MemoryPool(1)),
    "same as it": lambda pool: MemoryPool(1).same(pool),
    "differences": lambda pool: pool.differences(MemoryPool(1)),
    "differences from": lambda pool: MemoryPool(1).differences(pool),
    "extents": lambda pool: pool.extents(),
    "start_address": lambda pool: pool.start_address,
    "start_address, set": lambda pool: setattr(pool, "start_address", None),
    "header": lambda pool: pool.header,
    "header, set": lambda pool: setattr(pool, "header", b""),
    "written": lambda pool: pool.written(),
    "states": lambda pool: pool.states(),
    "map": lambda pool: pool.map(),
    "delta": lambda pool: pool.delta(MemoryPool(1)),
    "share": lambda pool: pool.share(),
    "share, since": lambda pool: pool.share(since=MemoryPool(1).share()),
    "delta from": lambda pool: MemoryPool(1).delta(pool),
    "save since it": lambda pool: MemoryPool(1).save(io.BytesIO(), since=pool),
    "apply": lambda pool: pool.apply(io.BytesIO()),
    "apply bytes": lambda pool: pool.apply(b""),
    "map since it": lambda pool: MemoryPool(1).map(since=pool),
    "svg": lambda pool: pool.svg(),
    "plot": lambda pool: pool.plot(),
    "svg since it": lambda pool: MemoryPool(1).svg(since=pool),
    "changes": lambda pool: pool.changes(MemoryPool(1)),
    "changes from": lambda pool: MemoryPool(1).changes(pool),
    "stats": lambda pool: pool.stats,
    "total_size": lambda pool: pool.total_size,
    "block_size": lambda pool: pool.block_size,
    "handle": lambda pool: pool.handle,
    "with": lambda pool: pool.__enter__(),
}


@pytest.mark.parametrize("name", CLOSED_CALLS)
def test_closed_pools(name: str, pool: MemoryPool) -> None:
    if name.endswith("numpy"):
        pytest.importorskip("numpy", reason="numpy is not installed")
    pool.close()
    with pytest.raises(PoolClosedError, match="closed"):
        CLOSED_CALLS[name](pool)
    with pytest.raises(ValueError):
        CLOSED_CALLS[name](pool)


def test_all_that_is_public_is_tried_closed() -> None:
    tried = " ".join(CLOSED_CALLS)
    harmless = {"close", "closed", "from_handle", "load"}
    for name in dir(MemoryPool):
        if not name.startswith("_") and name not in harmless:
            assert name in tried
