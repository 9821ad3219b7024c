# SPDX-License-Identifier: MIT
"""Objects whose memory is written from and read into, without a copy."""

from __future__ import annotations

import array
import ctypes
import mmap
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pymempool import MemoryPool, PoolLimitError, PoolRangeError

SOURCES: dict[str, Any] = {
    "bytes": b"abcdefgh",
    "bytearray": bytearray(b"abcdefgh"),
    "memoryview": memoryview(b"..abcdefgh..")[2:10],
    "memoryview, 2 x 4": memoryview(b"abcdefgh").cast("B", (2, 4)),
    "memoryview of ints": memoryview(array.array("I", [1, 2])),
    "array of doubles": array.array("d", [1.5, -2.5]),
    "ctypes array": (ctypes.c_uint16 * 3)(1, 2, 3),
    "ctypes struct": ctypes.c_uint64(12345),
    "subclass of bytes": type("Mine", (bytes,), {})(b"abc"),
    "empty bytes": b"",
    "empty bytearray": bytearray(),
    "empty array": array.array("d"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_write_takes_any_contiguous_memory(name: str, pool: MemoryPool) -> None:
    data = SOURCES[name]
    wanted = bytes(memoryview(data).cast("B")) if len(bytes(data)) else b""
    assert pool.write(1000, data) == len(wanted)
    assert pool.read(1000, len(wanted)) == wanted
    pool[2000 : 2000 + len(wanted)] = data
    assert pool.read(2000, len(wanted)) == wanted


@pytest.mark.parametrize(
    "buffer",
    [
        bytearray(8),
        memoryview(bytearray(8)),
        memoryview(bytearray(8)).cast("B", (2, 4)),
        array.array("i", [0, 0]),
        (ctypes.c_uint16 * 4)(),
        bytearray(),
    ],
    ids=repr,
)
def test_readinto_fills_any_writable_memory(buffer: Any, pool: MemoryPool) -> None:
    size = memoryview(buffer).nbytes
    assert pool.readinto(100, buffer) == size
    assert bytes(memoryview(buffer).cast("B")) == bytes(range(1, size + 1))


@pytest.mark.parametrize(
    "wrong",
    ["text", None, 5, 1.5, [1, 2], object(), memoryview(bytes(16))[::2], {}],
    ids=repr,
)
def test_what_has_no_contiguous_memory_is_refused(wrong: Any, pool: MemoryPool) -> None:
    before = pool[:]
    for call in (pool.write, pool.readinto):
        with pytest.raises(TypeError, match="contiguous bytes-like object is needed"):
            call(0, wrong)
    assert pool[:] == before


@pytest.mark.parametrize(
    "wrong", [b"read", memoryview(b"only"), memoryview(b"")], ids=repr
)
def test_readinto_refuses_read_only_memory(wrong: Any, pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="writable"):
        pool.readinto(0, wrong)


def test_readinto_refuses_references(pool: MemoryPool) -> None:
    # Bytes in place of references to Python objects would crash the interpreter.
    array_of_objects = (ctypes.py_object * 2)(1, 2)
    with pytest.raises(TypeError, match="references"):
        pool.readinto(0, array_of_objects)
    assert list(array_of_objects) == [1, 2]


def test_released_memory_is_refused(pool: MemoryPool) -> None:
    view = memoryview(bytearray(8))
    view.release()
    with pytest.raises(TypeError, match="released"):
        pool.write(0, view)


def test_buffers_are_let_go(pool: MemoryPool) -> None:
    buffer = bytearray(5000)
    for call in (pool.write, pool.readinto):
        with pytest.raises(PoolRangeError):
            call(0, buffer)
        buffer.extend(b"x")  # BufferError if somebody held it
    del buffer[100:]
    pool.write(0, buffer)
    pool.readinto(0, buffer)
    buffer.clear()
    limited = MemoryPool(100, memory_limit=1)
    buffer = bytearray(b"x" * 100)
    with pytest.raises(PoolLimitError):
        limited.write(0, buffer)
    buffer.clear()


def test_failed_read_leaves_the_buffer_alone(pool: MemoryPool) -> None:
    buffer = bytearray(b"?" * 100)
    with pytest.raises(PoolRangeError):
        pool.readinto(4000, buffer)
    assert buffer == b"?" * 100


def test_mapped_files(pool: MemoryPool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 16)
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert pool.write(0, mapped) == 4096
            with pytest.raises(TypeError, match="writable"):
                pool.readinto(0, mapped)
        assert pool[:] == path.read_bytes()
        pool.fill(0, 7, 4096)
        with mmap.mmap(file.fileno(), 0) as mapped:
            assert pool.readinto(0, mapped) == 4096
    assert path.read_bytes() == b"\7" * 4096


def test_numpy_arrays(pool: MemoryPool) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    table = numpy.arange(24, dtype=">u4").reshape(2, 3, 4)
    table.flags.writeable = False
    assert pool.write(0, table) == 96
    assert pool.read(0, 96) == table.tobytes()
    for wrong in (table[:, ::2], table.T):
        with pytest.raises(TypeError):
            pool.write(0, wrong)
    with pytest.raises(TypeError, match="writable"):
        pool.readinto(0, table)
    copy = numpy.zeros((2, 3, 4), dtype=">u4")
    assert pool.readinto(0, copy) == 96
    assert (copy == table).all()
    assert pool.write(8, numpy.float64(1.5)) == 8
    assert pool.write(8, numpy.empty((0, 5))) == 0
    assert pool.read(numpy.uint8(8), numpy.int64(8)) == numpy.float64(1.5).tobytes()
    with pytest.raises(TypeError):
        pool.readinto(0, copy[:, :, ::2])
    dates = numpy.zeros(2, dtype="datetime64[s]")
    assert pool.write(0, dates) == pool.readinto(0, dates) == 16
    names = numpy.zeros(2, dtype=[("O", "i4"), ("NO", "i4")])
    assert pool.readinto(0, names) == 16
    for wrong in (numpy.array([None]), numpy.zeros(1, dtype=[("i", "i4"), ("o", "O")])):
        with pytest.raises(TypeError, match="references"):
            pool.readinto(0, wrong)


def test_nothing_is_copied_on_the_way() -> None:
    size = 8 << 20
    pool = MemoryPool(size)
    buffer = bytearray(b"x") * size
    data = bytes(buffer)

    def peak_of(call: Any, *arguments: Any) -> int:
        tracemalloc.start()
        call(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_of(pool.write, 0, buffer) < size // 8
    assert peak_of(pool.write, 0, data) < size // 8
    assert peak_of(pool.readinto, 0, buffer) < size // 8
    assert size <= peak_of(pool.read, 0, size) < size + size // 8
    assert size <= peak_of(pool.take, 0, size) < size + size // 8
