# SPDX-License-Identifier: MIT
"""No byte of another owner ever shows: memory that is used again, blocks that the end of
a pool cuts short, pickles, saved files, errors. Memory is filled with a secret and given
back; then everything that shows bytes is searched for it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Callable

import pytest
from delta_format import records_of

from pymempool import MemoryPool, PoolError, PoolLimitError, PoolRangeError

SECRET = b"\xc5\xe3\xd1\xf7\xa7\xb9\xcb\xef"  # no byte of it is in any data of the tests
BLOCK = 1024
SIZE = 64 * BLOCK + 100  # the last block is short


def holds_secret(data: Any) -> bool:
    """Whether there is a byte of it."""
    return not set(SECRET).isdisjoint(bytes(data))


def pickle_holds_secret(pickled: bytes) -> bool:
    """Whether there are two bytes of it; one may be a size or the like."""
    return any(pair in pickled for pair in pairs(SECRET + SECRET[:1]))


def pairs(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 2] for at in range(len(data) - 1))


@pytest.fixture(autouse=True)
def secrets_of_others() -> Iterator[None]:
    """What the library and Python have to use again is full of secrets."""
    for block_size in (BLOCK, 64, 1 << 16):
        with MemoryPool(1 << 20, block_size) as pool:
            pool.write(0, SECRET * ((1 << 20) // 8))
            kept = pool.clone()
            kept.write(5, SECRET * 1000)
            kept.close()
    assert MemoryPool(1).stats.cached_bytes > 0
    yield


def all_that_shows(pool: MemoryPool) -> Iterator[bytes]:
    size = pool.total_size
    yield pool[:]
    buffer = bytearray(size)
    pool.readinto(0, buffer)
    yield buffer
    yield b"".join(pool.views(0, size))
    yield pool.gather(range(0, size - 7, 8), 8)
    yield pool.gather(range(0, size, 10), 1, bytearray(-(-size // 10)))
    yield b"".join(pool.read_many([(0, size // 2), (size // 2, size - size // 2)]))
    buffers: list[pickle.PickleBuffer] = []
    pickle.dumps(pool, 5, buffer_callback=buffers.append)
    yield from map(bytes, buffers)
    with pool.clone() as clone:
        for offset in range(0, size, BLOCK):
            with clone.pin(offset, min(BLOCK, size - offset)) as pin:
                yield bytes(pin)
    with pool.clone() as clone:
        clone.resize(2 * size)  # what was beyond the end
        yield clone[:]
        yield clone.take(0, 2 * size)
        yield clone[:]


def offsets() -> range:
    """A place in each block, each at a different distance from its start."""
    return range(0, SIZE - 8, BLOCK + 13)


def limited(call: Callable[[MemoryPool], object]) -> Callable[[MemoryPool], None]:
    def run(pool: MemoryPool) -> None:
        with MemoryPool(SIZE, BLOCK, memory_limit=2 * BLOCK) as small:
            small.write(5, b"a")
            with pytest.raises(PoolLimitError):
                call(small)
            pool.copy_from(small)

    return run


def shrunk(pool: MemoryPool) -> None:
    pool.write(0, SECRET * (SIZE // 8))
    pool.resize(BLOCK + 3)
    pool.fill(0, 1, BLOCK + 3)


def restored(pool: MemoryPool) -> None:
    with pool.clone() as empty:
        pool.write(0, SECRET * (SIZE // 8))
        pool.restore(empty)
    pool.write(7, b"a")


def overwritten(pool: MemoryPool) -> None:
    pool.write(0, SECRET * (SIZE // 8))
    with pool.clone() as clone:
        clone.fill(0, 1, SIZE)
        pool.discard(0, SIZE)
        pool.copy_from(clone, 5, 5000, 2000)


def each(call: Callable[[MemoryPool, int], object]) -> Callable[[MemoryPool], None]:
    """The call for a place in each block."""

    def run(pool: MemoryPool) -> None:
        for offset in offsets():
            call(pool, offset)

    return run


WAYS: dict[str, Callable[[MemoryPool], object]] = {
    "nothing": lambda pool: None,
    "write": each(lambda pool, at: pool.write(at, b"x")),
    "write a buffer": each(lambda pool, at: pool.write(at, bytearray(3))),
    "write two blocks": each(
        lambda pool, at: pool.write(min(at, SIZE - BLOCK), bytes(BLOCK))
    ),
    "fill": each(lambda pool, at: pool.fill(at, 1, 5)),
    "discard": each(lambda pool, at: (pool.write(at, b"abc"), pool.discard(at, 2))),
    "copy": each(lambda pool, at: pool.copy_from(MemoryPool(9, 1), 0, 8, at)),
    "copy data": each(lambda pool, at: pool.copy_from(pickled(b"abc"), 0, 3, at)),
    "adopt the ends of blocks": each(lambda pool, at: pool.adopt(at, b"abc")),
    "adopt": lambda pool: pool.adopt(100, bytes(10 * BLOCK)),
    "adopt, then write": lambda pool: (
        pool.adopt(100, bytes(10 * BLOCK)),
        pool.write(2000, b"x"),
    ),
    "scatter": lambda pool: pool.scatter(offsets(), bytes(len(offsets()))),
    "write_many": lambda pool: pool.write_many([(at, b"abc") for at in offsets()]),
    "fetch_add": each(lambda pool, at: pool.fetch_add(at, 1)),
    "compare_exchange": each(lambda pool, at: pool.compare_exchange(at, 5, 1)),
    "pin": each(lambda pool, at: pool.pin(at, 1)),
    "set item": each(lambda pool, at: pool.__setitem__(at, 3)),
    "the last byte": lambda pool: pool.write(SIZE - 1, b"x"),
    "write beyond the limit": limited(lambda pool: pool.write(0, bytes(4 * BLOCK))),
    "fill beyond the limit": limited(lambda pool: pool.fill(0, 1, 4 * BLOCK)),
    "scatter beyond the limit": limited(lambda pool: pool.scatter(offsets(), bytes(64))),
    "made smaller": shrunk,
    "restored": restored,
    "overwritten": overwritten,
}


def pickled(data: bytes) -> MemoryPool:
    """A pool with some data that came out of a pickle."""
    with MemoryPool(100, 8) as pool:
        pool.write(0, data)
        made: MemoryPool = pickle.loads(pickle.dumps(pool))
        return made


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_others_shows(way: str) -> None:
    with MemoryPool(SIZE, BLOCK) as pool:
        WAYS[way](pool)
        for data in all_that_shows(pool):
            assert not holds_secret(data)
        for protocol in (3, 4, 5):
            assert not pickle_holds_secret(pickle.dumps(pool, protocol))


def test_the_search_finds_it() -> None:
    with MemoryPool(SIZE, BLOCK) as pool:
        pool.write(5000, SECRET[:2])
        found = [holds_secret(data) for data in all_that_shows(pool)]
        assert all(pickle_holds_secret(pickle.dumps(pool, it)) for it in (3, 4, 5))
    assert found[:6] == [True] * 6
    assert found[6:].count(True) == 1 + 1 + 2  # a buffer, a pin, before and in take()
    assert not found[-1]


def saved(pool: MemoryPool, folder: Path) -> Iterator[bytes]:
    """What files are made of."""
    stream = io.BytesIO()
    pool.save(stream)
    yield stream.getvalue()
    pool.save(folder / "image")
    yield (folder / "image").read_bytes()
    old = io.BytesIO(b"o" * 3000)
    pool.save(old)
    yield old.getvalue()
    with pool.open("rb") as file:
        yield file.read()
    with pool.clone() as other:
        other.discard(0, pool.total_size)
        other.write(5, b"other")
        for new, since in ((pool, other), (other, pool)):
            # Offsets, digests and checks may have any bytes.
            yield b"".join(data for *_, data in records_of(new.delta(since)))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_others_is_saved(way: str, tmp_path: Path) -> None:
    with MemoryPool(SIZE, BLOCK) as pool:
        WAYS[way](pool)
        for data in saved(pool, tmp_path):
            assert not holds_secret(data)


def test_the_search_finds_it_in_files(tmp_path: Path) -> None:
    with MemoryPool(SIZE, BLOCK) as pool:
        pool.write(5000, SECRET[:2])
        found = [holds_secret(data) for data in saved(pool, tmp_path)]
    assert found == [True] * 5 + [False]


@pytest.mark.parametrize("form", ["hex", "srec"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_others_is_in_records(way: str, form: str) -> None:
    pytest.importorskip("bincopy", reason="bincopy is not installed")

    def records() -> bytes:
        file = io.BytesIO()
        pool.save(file, format=form)
        lines = file.getvalue().decode().split()
        start, kinds = (9, (":",)) if form == "hex" else (12, ("S3",))
        data = [line for line in lines if line.startswith(kinds)]
        if form == "hex":
            data = [line for line in data if line[7:9] == "00"]
        return b"".join(bytes.fromhex(line[start:-2]) for line in data)

    with MemoryPool(SIZE, BLOCK) as pool:
        WAYS[way](pool)
        assert not holds_secret(records())
        pool.write(5, SECRET)
        assert SECRET in records()


def test_nothing_of_others_is_in_files_in_memory() -> None:
    pytest.importorskip("fsspec", reason="mempool:// is for fsspec")
    from pymempool.filesystem import MempoolFileSystem

    fs = MempoolFileSystem(block_size=BLOCK)
    with fs.open("/a", "w+b") as file:
        for place in offsets():
            file.seek(place)
            file.write(b"abc")
        for length in (5000, 4097, SIZE, 3, SIZE):  # which cuts blocks short
            file.truncate(length)
            fs.cp_file("/a", "/copy")
            file.seek(max(0, length - 2))
            file.write(b"xyz")
            for path in ("/a", "/copy"):
                data = fs.cat_file(path)
                assert not holds_secret(data)
                assert len(data.strip(b"\0")) > 0
        file.seek(0)
        file.write(SECRET * 500)
        fs.cp_file("/a", "/copy")
        for length in (3500, 9, SIZE):
            file.truncate(length)
        assert not holds_secret(fs.cat_file("/a")[9:])
        assert holds_secret(fs.cat_file("/copy")[3500:])


def frames(traceback: TracebackType | None) -> Iterator[dict[str, Any]]:
    """The variables of all functions that an error has passed through."""
    while traceback is not None:
        yield traceback.tb_frame.f_locals
        traceback = traceback.tb_next


def shown(value: Any) -> Iterator[bytes]:
    """The bytes in a variable."""
    if isinstance(value, (bytes, bytearray)):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from shown(part)


@pytest.mark.parametrize("size", [20, 5000, 1 << 16, 1 << 20])
def test_errors_show_no_old_memory(size: int) -> None:
    """C refuses what Python took for right, since somebody made the pool smaller."""
    for call in (
        lambda pool: pool.read(0, size),
        lambda pool: pool.take(0, size),
        lambda pool: pool.gather([0, 0], size // 2),
        lambda pool: pool.gather([0, size - 4], 4),
        lambda pool: pool.read_many([(0, size // 2), (1, size // 2)]),
        lambda pool: pool.read_many([(0, 1), (size - 4, 4)]),
    ):
        pool = MemoryPool(size, BLOCK)
        MemoryPool.from_handle(pool.handle).resize(1)
        garbage = [bytearray(SECRET * (size // 8)) for _ in range(4)]
        garbage.clear()  # what Python gives next is full of secrets
        with pytest.raises(PoolError) as caught:
            call(pool)
        for variables in frames(caught.value.__traceback__):
            for value in variables.values():
                for data in shown(value):
                    assert not data.strip(b"\0"), "old memory"


def test_gather_into_an_array_that_fails() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    pool = MemoryPool(4096, BLOCK)
    MemoryPool.from_handle(pool.handle).resize(100)
    with pytest.raises(PoolRangeError) as caught:
        pool.gather(numpy.array([0, 4000]), 8)
    for variables in frames(caught.value.__traceback__):
        arrays = [each for each in variables.values() if isinstance(each, numpy.ndarray)]
        assert all(array.dtype != numpy.uint8 for array in arrays)


def test_failing_leaves_the_buffer_alone() -> None:
    pool = MemoryPool(4096, BLOCK)
    MemoryPool.from_handle(pool.handle).resize(100)
    for buffer in (bytearray(b"m" * 200), memoryview(bytearray(b"m" * 200))):
        with pytest.raises(PoolRangeError):
            pool.readinto(0, buffer)
        assert buffer[100:] == b"m" * 100
