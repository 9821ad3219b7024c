# SPDX-License-Identifier: MIT
"""read() and readinto(): the objects that they fill, and release."""

from __future__ import annotations

import array
import sys
import sysconfig
import threading
from contextlib import suppress
from typing import Any

import pytest
from internals import QUICK_BYTES

from pymempool import MemoryPool, PoolClosedError, PoolRangeError


def test_bytes_to_fill_are_shared_with_nobody() -> None:
    # read() fills bytes(size) in place; an object that others have would change theirs.
    sizes = [*range(1, 300), 512, 1024, 4096, QUICK_BYTES]
    kept = [bytes(size) for size in sizes]
    pool = MemoryPool(QUICK_BYTES)
    pool.fill(0, 255, QUICK_BYTES)
    for size in sizes:
        assert pool.read(0, size) == b"\xff" * size
    for size, zeros in zip(sizes, kept):
        assert zeros == bytes(size) == b"\0" * size


@pytest.mark.parametrize("size", [0, 1, 8, QUICK_BYTES, QUICK_BYTES + 1, 100_000])
def test_readinto_of_all_sizes(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    pool = MemoryPool(200_000)
    pool.write(5, data)
    whole = bytearray(size + 2)
    for buffer in (bytearray(size), memoryview(bytearray(size))):
        assert pool.readinto(5, buffer) == size
        assert buffer == data[:size]
    assert pool.readinto(5, memoryview(whole)[1:-1]) == size
    assert whole == b"\0" + data[:size] + b"\0"  # nothing beside it


@pytest.mark.parametrize(
    "wrong",
    [
        memoryview(b"read-only"),
        memoryview(bytearray(8)).toreadonly(),
        memoryview(bytearray(8))[::2],
        memoryview(bytearray(8))[::-1],
    ],
    ids=["of bytes", "made read-only", "every other", "backwards"],
)
def test_readinto_refuses_unfit_views(wrong: Any, pool: MemoryPool) -> None:
    before = bytes(wrong)
    with pytest.raises(TypeError, match="writable, contiguous"):
        pool.readinto(100, wrong)
    assert bytes(wrong) == before


def test_readinto_refuses_a_released_view(pool: MemoryPool) -> None:
    view = memoryview(bytearray(8))
    view.release()
    with pytest.raises(TypeError, match="released"):
        pool.readinto(0, view)


@pytest.mark.parametrize("items", ["b", "I", "d"])
def test_readinto_of_views_of_other_items(items: str, pool: MemoryPool) -> None:
    numbers = array.array(items, [0] * 4)
    size = 4 * numbers.itemsize
    assert pool.readinto(100, memoryview(numbers)) == size
    assert numbers.tobytes() == bytes(range(1, size + 1))


def test_the_buffer_is_let_go_after_readinto(pool: MemoryPool) -> None:
    buffer = bytearray(8)
    view = memoryview(buffer)
    pool.readinto(0, view)
    view.release()  # BufferError if it was still held
    pool.readinto(0, buffer)
    buffer.append(1)
    for offset in (4092, -1, 2**70):
        with pytest.raises(PoolRangeError):
            pool.readinto(offset, buffer)
        buffer.append(1)
    with pytest.raises(TypeError):
        pool.readinto("0", buffer)  # type: ignore[arg-type]
    buffer.append(1)
    pool.close()
    with pytest.raises(PoolClosedError) as caught:
        pool.readinto(0, buffer)
    buffer.append(1)  # even while the exception with its traceback is kept
    del caught


@pytest.mark.skipif(
    sys.version_info < (3, 14) and bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="a bytearray is not safe between threads in this free-threaded Python",
)
def test_a_buffer_that_another_thread_resizes() -> None:
    # It has one of two sizes whenever it is looked at, and keeps it while C fills it.
    pool = MemoryPool(4096)
    pool.fill(0, 7, 4096)
    contents = [bytes(16), bytes(4096)]
    buffer, over = bytearray(16), threading.Event()

    def resize() -> None:
        while not over.is_set():
            for content in contents:
                with suppress(BufferError):  # just now it is held in place
                    buffer[:] = content

    thread = threading.Thread(target=resize)
    thread.start()
    try:
        sizes = {pool.readinto(0, buffer) for _ in range(20_000)}
    finally:
        over.set()
        thread.join()
    assert sizes <= {16, 4096}
