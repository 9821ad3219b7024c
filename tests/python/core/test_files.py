# SPDX-License-Identifier: MIT
"""Windows of a pool as files, against real files and under what is put on files."""

from __future__ import annotations

import errno
import gc
import gzip
import io
import os
import signal
import sys
import tarfile
import tempfile
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from internals import file_module

from pymempool import (
    MemoryPool,
    PoolClosedError,
    PoolFile,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)

SEEK_DATA = getattr(os, "SEEK_DATA", 3)
SEEK_HOLE = getattr(os, "SEEK_HOLE", 4)
TIB = 1 << 40


def refused(code: int, call: Callable[..., object], *arguments: Any) -> OSError:
    """The OSError of a call, which must be the one of that number."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    assert caught.value.errno == code
    return caught.value


# ---------------------------------------------------------------- windows and modes


def test_a_file_is_the_pool(pool: MemoryPool) -> None:
    with pool.open() as file:
        assert isinstance(file, PoolFile)
        assert (file.readable(), file.writable(), file.seekable()) == (True, True, True)
        assert (file.mode, file.isatty(), file.tell()) == ("rb+", False, 0)
        assert file.seek(100) == 100
        assert file.read(3) == b"\1\2\3"
        assert file.write(b"new") == 3
        assert file.tell() == 106
    assert pool[100:107] == b"\1\2\3new\7"


def test_a_window_counts_from_its_start(pool: MemoryPool) -> None:
    before = pool[:]
    with pool.open("r+b", 101, 10) as file:
        assert file.read() == bytes(range(2, 12))
        assert file.seek(-1, os.SEEK_END) == 9
        assert file.write(b"abc") == 1
        assert (file.tell(), file.read(), file.read(1)) == (10, b"", b"")
    assert pool[:] == before[:110] + b"a" + before[111:]


def test_reading_only(pool: MemoryPool) -> None:
    with pool.open("rb") as file:
        assert (file.mode, file.readable(), file.writable()) == ("rb", True, False)
        for call in (lambda: file.write(b"x"), file.truncate):
            with pytest.raises(io.UnsupportedOperation, match="for reading only"):
                call()
    assert pool[0] == 0
    assert len(pool) == 4096


@pytest.mark.parametrize("mode", ["r", "w", "wb", "ab", "rb+", "", None, 1])
def test_other_modes(pool: MemoryPool, mode: Any) -> None:
    with pytest.raises(ValueError, match=r"possible are rb and r\+b"):
        pool.open(mode)


def test_a_window_lies_in_the_pool(pool: MemoryPool) -> None:
    for offset, size in [(4097, None), (-1, None), (0, 4097), (4096, 1), (1, -1)]:
        with pytest.raises(PoolRangeError):
            pool.open("rb", offset, size)
    with pytest.raises(TypeError):
        pool.open("rb", 0.5)  # type: ignore[arg-type]
    with pool.open("rb", 4096, 0) as empty, pool.open("rb", 4096) as end:
        assert empty.read() == end.read() == b""


def test_no_descriptor(pool: MemoryPool) -> None:
    with pool.open() as file, pytest.raises(io.UnsupportedOperation):
        file.fileno()


def test_positions_are_independent(pool: MemoryPool) -> None:
    with pool.open() as one, pool.open("rb") as other:
        one.write(b"abc")
        assert (other.tell(), other.read(4)) == (0, b"abc\0")
        assert (one.tell(), one.read(1)) == (3, b"\0")


def test_repr(pool: MemoryPool) -> None:
    file = pool.open("rb", 100)
    file.seek(5)
    assert repr(file) == f"<PoolFile 'rb', position 5, from 100 to its end of {pool!r}>"
    file.close()
    assert repr(file) == "<PoolFile, closed>"
    with pool.open("r+b", 1, 2) as file:
        assert repr(file).startswith("<PoolFile 'r+b', position 0, from 1 to 3 of <Mem")


# --------------------------------------------------------------------- closed, alive


CALLS: list[Callable[[PoolFile], object]] = [
    lambda file: file.read(),
    lambda file: file.read(0),
    lambda file: file.readall(),
    lambda file: file.readinto(bytearray(1)),
    lambda file: file.write(b""),
    lambda file: file.seek(0),
    lambda file: file.tell(),
    lambda file: file.truncate(1),
    lambda file: file.readable(),
    lambda file: file.writable(),
    lambda file: file.seekable(),
]


@pytest.mark.parametrize("call", CALLS)
def test_closed(pool: MemoryPool, call: Callable[[PoolFile], object]) -> None:
    file = pool.open()
    call(file)
    file.close()
    file.close()
    assert file.closed
    with pytest.raises(ValueError, match="closed file"):
        call(file)
    with pytest.raises(ValueError, match="closed file"), file:
        pass
    assert not pool.closed


@pytest.mark.parametrize("call", CALLS)
def test_closed_pool(pool: MemoryPool, call: Callable[[PoolFile], object]) -> None:
    with pool.open() as file:
        pool.close()
        with pytest.raises(PoolClosedError):
            call(file)
        assert "closed" in repr(file)
    assert file.closed
    with pytest.raises(PoolClosedError):
        pool.open()


def test_holds_the_pool_until_it_is_closed(pool: MemoryPool) -> None:
    file = pool.clone().open()
    gc.collect()
    assert file.read(101)[-1] == 1
    assert pool.stats.family_pools == 2
    file.close()
    gc.collect()
    assert pool.stats.family_pools == 1


# ------------------------------------------------------------------------- positions


def test_places_that_there_are_not(pool: MemoryPool) -> None:
    with pool.open("r+b", 100) as file:
        file.seek(7)
        last = sys.maxsize * 2 + 1 - 100
        for offset, whence in [(-1, 0), (-8, 1), (-3997, 2), (last + 1, 0), (-TIB, 1)]:
            refused(errno.EINVAL, file.seek, offset, whence)
        for whence in (5, -1, 99):
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, whence)
        with pytest.raises(TypeError):
            file.seek(1.5)  # type: ignore[arg-type]
        assert file.tell() == 7
        assert file.seek(last) == last
        assert (file.read(1), file.readinto(bytearray(1))) == (b"", 0)
        refused(errno.ENOSPC, file.write, b"x")
        assert file.tell() == last


def test_data_and_holes() -> None:
    with MemoryPool(1 << 20, 4096) as pool:
        pool.write(3 * 4096, b"x" * 8192)
        pool.write((1 << 20) - 1, b"x")
        with pool.open("rb", 4096) as file:
            assert file.seek(0, SEEK_DATA) == 2 * 4096
            assert file.seek(2 * 4096 + 5, SEEK_DATA) == file.tell() == 2 * 4096 + 5
            assert file.seek(0, SEEK_HOLE) == 0
            assert file.seek(2 * 4096, SEEK_HOLE) == file.tell() == 4 * 4096
            end = (1 << 20) - 4096
            assert file.seek(end - 1, SEEK_DATA) == end - 1
            assert file.seek(end - 1, SEEK_HOLE) == end
            for offset in (end, end + 1, -1):
                refused(errno.ENXIO, file.seek, offset, SEEK_DATA)
                refused(errno.ENXIO, file.seek, offset, SEEK_HOLE)
            assert file.tell() == end
        with pool.open("rb", 0, 4 * 4096) as file:  # data goes on behind the window
            assert file.seek(3 * 4096, SEEK_HOLE) == 4 * 4096
        with pool.open("rb", 0, 2 * 4096) as file:
            refused(errno.ENXIO, file.seek, 0, SEEK_DATA)
            assert file.seek(5, SEEK_HOLE) == 5
        pool.discard(0, 1 << 20)
        with pool.open("rb") as file:
            refused(errno.ENXIO, file.seek, 0, SEEK_DATA)
            assert file.seek(9, SEEK_HOLE) == 9


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="no SEEK_DATA on this system")
def test_data_and_holes_by_the_numbers_of_linux(pool: MemoryPool) -> None:
    assert (file_module._SEEK_DATA, file_module._SEEK_HOLE) == (
        os.SEEK_DATA,
        os.SEEK_HOLE,
    )
    with pool.open("rb") as file, io.BufferedReader(file) as buffered:
        assert buffered.seek(0, os.SEEK_DATA) == 64


# --------------------------------------------------------------------------- reading


def test_read_takes_what_there_is(pool: MemoryPool) -> None:
    with pool.open("rb", 4000) as file:
        assert file.read(0) == b""
        assert file.read(3) == b"end"
        assert file.read(1000) == bytes(93)
        assert file.seek(1) == 1
        for read_all in (
            file.read,
            file.readall,
            lambda: file.read(-1),
            lambda: file.read(None),
        ):
            file.seek(1)
            assert read_all() == b"nd" + bytes(93)
            assert read_all() == b""
            file.seek(1 << 30)
            assert read_all() == b""
        with pytest.raises(TypeError):
            file.read(1.5)  # type: ignore[arg-type]


def test_more_than_fits_an_object() -> None:
    with MemoryPool(sys.maxsize * 2) as pool, pool.open("rb") as file:
        with pytest.raises(PoolMemoryError, match="do not fit"):
            file.read()
        assert file.tell() == 0


def test_long_reads_and_writes() -> None:
    data = bytes(range(256)) * 1000
    with MemoryPool(TIB, 4096) as pool, pool.open("r+b", TIB - len(data)) as file:
        assert file.write(data) == len(data)
        assert file.seek(0) == 0
        assert file.read() == data
        buffer = bytearray(len(data) + 5)
        file.seek(0)
        assert file.readinto(buffer) == len(data)
        assert buffer == data + bytes(5)


def test_readinto_leaves_the_rest_alone(pool: MemoryPool) -> None:
    with pool.open("rb", 4000, 3) as file:
        buffer = bytearray(b"?" * 5)
        assert file.readinto(buffer) == 3
        assert buffer == b"end??"
        assert file.readinto(buffer) == 0
        assert file.readinto(bytearray()) == 0
        file.seek(5)  # past the window, but not past the pool
        assert file.readinto(bytearray(200)) == 0
        assert file.read() == b""
        for unfit in (b"read-only", "text", None):
            with pytest.raises(TypeError):
                file.readinto(unfit)  # type: ignore[arg-type]


def test_any_buffer_of_numpy() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    with MemoryPool(64) as pool, pool.open() as file:
        assert file.write(numpy.arange(8)) == 64
        got = numpy.zeros((2, 4), numpy.int64)
        file.seek(0)
        assert file.readinto(got) == 64
        assert (got.ravel() == numpy.arange(8)).all()


# --------------------------------------------------------------------------- writing


def test_write_at_the_end_of_a_window(pool: MemoryPool) -> None:
    with pool.open("r+b", 96, 4000) as file:
        file.seek(-2, os.SEEK_END)
        assert file.write(b"abc") == 2
        refused(errno.ENOSPC, file.write, b"c")
        assert file.write(b"") == 0
        file.seek(5, os.SEEK_CUR)
        refused(errno.ENOSPC, file.write, b"c")
        with pytest.raises(TypeError):
            file.write("text")  # type: ignore[arg-type]
    assert pool[4093:] == b"\0ab"
    assert len(pool) == 4096


def test_write_past_the_end_of_the_pool(pool: MemoryPool) -> None:
    with pool.open("r+b", 96) as file:
        file.seek(-2, os.SEEK_END)
        assert file.write(b"abc") == 3
        assert (len(pool), pool[4093:]) == (4097, b"\0abc")
        file.seek(1 << 20)
        assert file.write(b"") == 0
        assert len(pool) == 4097
        assert file.write(b"far") == 3
        assert (len(pool), pool[-5:]) == ((1 << 20) + 99, b"\0\0far")
        assert file.seek(0, os.SEEK_END) == (1 << 20) + 3


def test_many_write_past_the_end() -> None:
    """None cuts off what another wrote."""
    threads_count, rounds = 4, 300
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with MemoryPool(1, 64) as pool:

            def append(number: int) -> None:
                with pool.open() as file:
                    for place in range(number, rounds * threads_count, threads_count):
                        file.seek(place)
                        file.write(b"x")

            threads = [
                threading.Thread(target=append, args=(i,)) for i in range(threads_count)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert pool[:] == b"x" * (rounds * threads_count)
    finally:
        sys.setswitchinterval(interval)


def test_past_the_end_in_a_handler_of_a_thread_that_is_there() -> None:
    """What a signal or the collector calls in the midst of a write may write too."""
    with file_module._resizing:
        entered = file_module._resizing.acquire(blocking=False)
        assert entered
        file_module._resizing.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
def test_past_the_end_in_a_child_of_a_thread_that_was_there(pool: MemoryPool) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with file_module._resizing:
            held.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork among threads
        child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends the child if the lock is held for ever
        with pool.open() as file:
            file.seek(0, os.SEEK_END)
            file.write(b"x")
            os._exit(len(pool) - 4096)
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 1 << 8
    assert len(pool) == 4096


def test_the_limit_is_a_full_disk() -> None:
    with MemoryPool(4096, 64, memory_limit=128) as pool, pool.open() as file:
        assert file.write(b"x" * 128) == 128
        error = refused(errno.ENOSPC, file.write, b"y")
        assert isinstance(error.__cause__, PoolLimitError)
        assert "128 of 128 bytes are in use" in str(error)
        assert file.tell() == 128
        assert file.write(b"") == 0
        assert pool[128] == 0
        file.seek(0, os.SEEK_END)
        refused(errno.ENOSPC, file.write, b"y")
        assert (file.tell(), len(pool)) == (4096, 4096)


def test_the_limit_for_truncate() -> None:
    with MemoryPool(128, 64, memory_limit=128) as pool, pool.open() as file:
        pool.write(0, b"x" * 128)
        clone = pool.clone()  # so that a cut within a block has to copy it
        error = refused(errno.ENOSPC, file.truncate, 100)
        assert isinstance(error.__cause__, PoolLimitError)
        assert len(pool) == 128
        clone.close()
        assert file.truncate(100) == len(pool) == 100


@pytest.mark.parametrize("place", [TIB - 5, TIB + 5])
def test_no_memory(fail_allocation: Any, place: int) -> None:
    failed = 0
    for fault in fail_allocation.each():
        with MemoryPool(TIB) as pool, pool.open() as file:
            file.seek(place)
            with fault:
                assert file.write(b"x") == 1
            if fault.error:
                failed += 1
                assert file.tell() == place
                assert list(pool.extents()) == []
                assert len(pool) == TIB
    assert failed > 1


def test_truncate(pool: MemoryPool) -> None:
    with pool.open("r+b", 96) as file, pool.open("rb", 96) as follower:
        assert file.truncate(10) == 10
        assert (file.tell(), len(pool)) == (0, 106)
        assert follower.read() == bytes(4) + bytes(range(1, 7))
        file.seek(1000)
        assert file.truncate() == 1000
        assert (file.tell(), len(pool)) == (1000, 1096)
        assert follower.read() == bytes(990)
        assert file.truncate(0) == 0
        assert len(pool) == 96
        for size in (-1, sys.maxsize * 2 + 2 - 96, -TIB):
            refused(errno.EINVAL, file.truncate, size)
    with pool.open() as file:
        refused(errno.EINVAL, file.truncate, 0)
        assert file.truncate(1) == 1
    assert len(pool) == 1


def test_truncate_with_a_size(pool: MemoryPool) -> None:
    refused_here = pytest.raises(io.UnsupportedOperation, match="opened with a size")
    with pool.open("r+b", 96, 4000) as file, refused_here:
        file.truncate()
    assert len(pool) == 4096


# ------------------------------------------------------- when others change the pool


def test_a_window_that_was_cut(pool: MemoryPool) -> None:
    with pool.open("r+b", 100, 100) as file:
        pool.resize(150)
        assert file.seek(0, os.SEEK_END) == 50
        refused(errno.ENOSPC, file.write, b"x")
        pool.resize(50)
        assert file.seek(0, os.SEEK_END) == 0
        assert file.read() == b""
        assert file.readinto(bytearray(9)) == 0
        refused(errno.ENXIO, file.seek, 0, SEEK_HOLE)
        pool.resize(4096)
        assert file.write(b"x" * 101) == 100
    assert pool[199:202] == b"x\0\0"


def test_made_smaller_in_the_midst_of_a_call(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another thread did it after the file had looked where its end is."""
    with pool.open("r+b", 100, 1000) as file:
        monkeypatch.setattr(PoolFile, "_length", lambda self: 1000)
        with MemoryPool.from_handle(pool.handle) as other:
            other.resize(104)
        assert file.read() == b"\1\2\3\4"
        assert (file.tell(), file.read()) == (4, b"")
        file.seek(2)
        error = refused(errno.ENOSPC, file.write, b"abcd")
        assert isinstance(error.__cause__, PoolRangeError)


def test_threads_with_a_file_each() -> None:
    """Each write is one step: nobody reads parts of two."""
    size, rounds = 40000, 60
    torn: list[bytes] = []
    with MemoryPool(size, 64) as pool:

        def write(byte: int) -> None:
            with pool.open() as file:
                for _ in range(rounds):
                    file.seek(0)
                    assert file.write(bytes([byte]) * size) == size

        def read() -> None:
            with pool.open("rb") as file:
                for _ in range(rounds):
                    file.seek(0)
                    data = file.read()
                    if data != data[:1] * size:
                        torn.append(data)

        threads = [threading.Thread(target=write, args=(byte,)) for byte in (1, 2)]
        threads += [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torn == []
        assert set(pool[:]) in ({1}, {2})


# ------------------------------------------------------------ what is put upon files


def test_buffered_and_text() -> None:
    with MemoryPool(1000, 64) as pool:
        with io.BufferedRandom(pool.open(), 16) as buffered:
            buffered.write(b"one\ntwo\n" * 10)
            buffered.seek(4)
            assert buffered.readline() == b"two\n"
            buffered.write(b"six")
            assert buffered.peek(1)[:1] == b"\n"
        assert pool[:12] == b"one\ntwo\nsix\n"
        with io.TextIOWrapper(pool.open("r+b", 100, 9), "utf-8", newline="") as text:  # type: ignore[arg-type]
            text.write("grün\nä")
            text.seek(0)
            assert text.readlines() == ["grün\n", "ä\0"]
        with io.BufferedReader(pool.open("rb", 0, 12)) as reader:
            assert list(reader) == [b"one\n", b"two\n", b"six\n"]
        with io.BufferedWriter(pool.open("r+b", 0, 3)) as writer:
            writer.write(b"abc")
        full = io.BufferedWriter(pool.open("r+b", 0, 3))
        full.write(b"defg")
        refused(errno.ENOSPC, full.flush)
        refused(errno.ENOSPC, full.close)
        assert full.raw.closed
        assert pool[:4] == b"def\n"


MEMBERS = {"a.txt": b"text\n" * 5000, "folder/b.bin": bytes(range(256)) * 300}


def test_zip() -> None:
    at = TIB - (1 << 20)
    with MemoryPool(TIB, 4096) as pool:
        with pool.open("r+b", at) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in MEMBERS.items():
                    archive.writestr(name, data)
            file.truncate()  # the directory of a ZIP file is looked for at its end
        with pool.open("r+b", at) as file, zipfile.ZipFile(file, "a") as archive:
            archive.writestr("more", b"more")
        with pool.open("rb", at) as file, zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [*MEMBERS, "more"]
            for name, data in MEMBERS.items():
                assert archive.read(name) == data


def test_tar() -> None:
    with MemoryPool(TIB, 4096) as pool:
        for mode in ("w", "w:gz"):
            with pool.open("r+b", 77) as file:
                with tarfile.open(fileobj=file, mode=mode) as archive:
                    for name, data in MEMBERS.items():
                        member = tarfile.TarInfo(name)
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
                size = file.tell()
            with pool.open("rb", 77, size) as file, tarfile.open(fileobj=file) as archive:
                for name, data in MEMBERS.items():
                    extracted = archive.extractfile(name)
                    assert extracted is not None
                    assert extracted.read() == data


def test_gzip() -> None:
    with MemoryPool(TIB) as pool:
        with pool.open() as file:
            with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                packed.write(MEMBERS["a.txt"])
            size = file.tell()
        with gzip.open(pool.open("rb", 0, size)) as packed:
            assert packed.read() == MEMBERS["a.txt"]


def test_hdf5() -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with MemoryPool(1 << 24, 4096) as pool, pool.open("r+b", 4096) as file:
        file.truncate(0)  # HDF5 makes a file anew only if it is empty
        with h5py.File(file, "w") as stored:
            stored["numbers"] = range(10000)
        with h5py.File(pool.open("rb", 4096), "r") as stored:
            assert list(stored["numbers"][9990:]) == list(range(9990, 10000))


def test_arrow() -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow has no parquet")
    table = arrow.table({"number": range(1000), "text": list(map(str, range(1000)))})
    with MemoryPool(TIB) as pool, pool.open() as file:
        parquet.write_table(table, arrow.PythonFile(file, mode="w"))
        file.truncate()
        assert parquet.read_table(pool.open("rb")).equals(table)


def test_pictures() -> None:
    pictures = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    with MemoryPool(TIB) as pool, pool.open("r+b", 5) as file:
        pictures.new("RGB", (40, 30), "teal").save(file, "PNG")
        with pictures.open(pool.open("rb", 5)) as picture:
            assert picture.size == (40, 30)
            assert picture.getpixel((39, 29)) == (0, 128, 128)


# --------------------------------------------------------------- against a real file


class Files(RuleBasedStateMachine):
    """Two files on one pool, against two unbuffered ones on a file of the system."""

    numbers = st.sampled_from([0, 1])
    sizes = st.integers(0, 400)

    @initialize(
        start=st.integers(0, 40),
        size=st.integers(1, 300),
        behind=st.none() | st.integers(0, 40),
    )
    def create(self, start: int, size: int, behind: int | None) -> None:
        self.start, self.fixed = start, behind is not None
        self.pool = MemoryPool(start + size + (behind or 0), 8)
        self.around = bytes([1]) * start, bytes([2]) * (behind or 0)
        self.pool.write(0, self.around[0])
        self.pool.write(start + size, self.around[1])
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "model"
        path.write_bytes(bytes(size))
        window = size if self.fixed else None
        self.ours = [self.pool.open("r+b", start, window) for _ in range(2)]
        self.real = [path.open("r+b", buffering=0) for _ in range(2)]
        self.path = path

    def room(self, number: int) -> int:
        return max(0, self.path.stat().st_size - self.real[number].tell())

    @rule(number=numbers, size=st.none() | st.integers(-1, 400))
    def read(self, number: int, size: int | None) -> None:
        assert self.ours[number].read(size) == self.real[number].read(size)

    @rule(number=numbers)
    def readall(self, number: int) -> None:
        assert self.ours[number].readall() == self.real[number].readall()

    @rule(number=numbers, size=sizes)
    def readinto(self, number: int, size: int) -> None:
        ours, real = bytearray(b"?" * size), bytearray(b"?" * size)
        assert self.ours[number].readinto(ours) == self.real[number].readinto(real)
        assert ours == real

    @rule(number=numbers, size=sizes, byte=st.integers(0, 255))
    def write(self, number: int, size: int, byte: int) -> None:
        data = bytes((byte + i) & 255 for i in range(size))
        room = self.room(number) if self.fixed else size
        if size and not room:
            refused(errno.ENOSPC, self.ours[number].write, data)
        else:  # where it is fixed, a real file would grow
            written = self.real[number].write(data[:room])
            assert self.ours[number].write(data) == written

    @rule(number=numbers, offset=st.integers(-400, 400), whence=st.integers(0, 2))
    def seek(self, number: int, offset: int, whence: int) -> None:
        try:
            place = self.real[number].seek(offset, whence)
        except OSError as error:
            assert error.errno is not None
            refused(error.errno, self.ours[number].seek, offset, whence)
        else:
            assert self.ours[number].seek(offset, whence) == place

    @rule(number=numbers, offset=st.integers(-2, 400), data=st.booleans())
    def seek_data_or_hole(self, number: int, offset: int, data: bool) -> None:
        size = self.path.stat().st_size
        in_data = [False] * size
        for start, count in self.pool.extents():
            for at in range(start - self.start, start - self.start + count):
                if 0 <= at < size:
                    in_data[at] = True
        whence = SEEK_DATA if data else SEEK_HOLE
        places = [at for at in range(size) if at >= offset and in_data[at] is data]
        if not data:
            places.append(size)
        if not 0 <= offset < size or not places:
            refused(errno.ENXIO, self.ours[number].seek, offset, whence)
        else:
            place = self.ours[number].seek(offset, whence)
            assert place == places[0]
            self.real[number].seek(place)

    @rule(number=numbers, size=st.none() | st.integers(0, 400))
    def truncate(self, number: int, size: int | None) -> None:
        kept = self.real[number].tell() if size is None else size
        if self.fixed:
            with pytest.raises(io.UnsupportedOperation):
                self.ours[number].truncate(size)
        elif self.start + kept == 0:
            refused(errno.EINVAL, self.ours[number].truncate, size)
        else:
            assert self.ours[number].truncate(size) == self.real[number].truncate(size)

    @rule(number=numbers, offset=sizes, size=sizes)
    def discard(self, number: int, offset: int, size: int) -> None:
        total = self.path.stat().st_size
        offset = min(offset, total)
        size = min(size, total - offset)
        self.pool.discard(self.start + offset, size)
        place = self.real[number].tell()
        self.real[number].seek(offset)
        self.real[number].write(bytes(size))
        self.real[number].seek(place)

    @invariant()
    def are_equal(self) -> None:
        before, behind = self.around
        assert self.pool[:] == before + self.path.read_bytes() + behind
        for ours, real in zip(self.ours, self.real):
            assert ours.tell() == real.tell()

    def teardown(self) -> None:
        for file in (*self.ours, *self.real):
            file.close()
        self.pool.close()
        self.folder.cleanup()


TestFiles = Files.TestCase
TestFiles.settings = settings(max_examples=25, stateful_step_count=40)
