# SPDX-License-Identifier: MIT
"""Pools saved to URLs and loaded from them: what is committed, what is discarded."""

from __future__ import annotations

import bz2
import errno
import gc
import gzip
import io
import lzma
import os
import threading
import tracemalloc
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, ClassVar

import pytest
from internals import count_adopted

from pymempool import (
    CheckpointError,
    FormatError,
    MemoryPool,
    PoolLimitError,
    PoolRangeError,
)

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

from fsspec.implementations.cached import SimpleCacheFileSystem  # noqa: E402
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # noqa: E402

PIECE = 1 << 20
OLD = b"what was there before"
SUFFIXES = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Stop(BaseException):
    """What nobody expects."""


# ------------------------------------------------------------------ a store of objects


class ShelfFile(AbstractBufferedFile):  # type: ignore[misc]
    """An object on its way in parts, which is there once it is committed."""

    fs: Shelf
    parts: list[bytes] | None = None

    def _initiate_upload(self) -> None:
        self.parts = []
        self.fs.uploads.append(self)

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self.parts is not None
        self.parts.append(self.buffer.getvalue())
        if sum(map(len, self.parts)) > self.fs.room:
            raise OSError(errno.ENOSPC, "the shelf is full")
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        if self.fs.broken:
            raise OSError(errno.EIO, "no answer")
        assert self.parts is not None
        self.discard()
        self.fs.objects[self.path] = b"".join(self.parts)

    def discard(self) -> None:
        if self.fs.broken:
            raise OSError(errno.EIO, "no answer")
        if self in self.fs.uploads:
            self.fs.uploads.remove(self)


class Shelf(AbstractFileSystem):  # type: ignore[misc]
    """Objects as a service keeps them: replaced as a whole, written from the start."""

    protocol = "shelf"
    objects: ClassVar[dict[str, bytes]] = {}
    uploads: ClassVar[list[ShelfFile]] = []
    room: ClassVar[int] = 1 << 40
    broken: ClassVar[bool] = False  #: nothing can be committed, nor discarded

    def _open(
        self, path: str, mode: str = "rb", autocommit: bool = True, **options: Any
    ) -> ShelfFile:
        options["block_size"] = 1 << 16
        return ShelfFile(self, path, mode, autocommit=autocommit, **options)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return {"name": path, "size": len(self.objects[path]), "type": "file"}

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        return self.objects[self._strip_protocol(path)][start:end]


class Hasty(Shelf):
    """The same, but close() commits, whatever was asked for."""

    protocol = "hasty"

    def _open(
        self, path: str, mode: str = "rb", autocommit: bool = True, **options: Any
    ) -> ShelfFile:
        return super()._open(path, mode, autocommit=not self._intrans, **options)


for kind in (Shelf, Hasty):
    fsspec.register_implementation(kind.protocol, kind, clobber=True)

OBJECTS = pytest.mark.parametrize("protocol", ["shelf", "hasty"])


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    Shelf.objects.clear()
    Shelf.uploads.clear()
    MemoryFileSystem.store.clear()
    SimpleCacheFileSystem.clear_instance_cache()  # the next one has a folder of its own
    yield
    gc.collect()
    assert Shelf.uploads == []
    assert count_adopted() == 0
    assert list(tmp_path.glob(".*")) == []
    for protocol in ("shelf", "hasty", "memory"):
        assert not fsspec.filesystem(protocol).transaction.files
    MemoryFileSystem.store.clear()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What a URL begins with."""
    kind = str(request.param)
    if kind == "file":
        return tmp_path.as_uri() + "/"
    return kind


PLACES = pytest.mark.parametrize(
    "place",
    ["memory://", "file", "shelf://", "hasty://", "simplecache::shelf://"],
    indirect=True,
)


def filled(size: int, block_size: int = 4096) -> MemoryPool:
    """A pool with data at both ends, in its midst, and holes between."""
    pool = MemoryPool(size, block_size)
    for offset in (0, size // 3, size - 1):
        pool.write(offset, b"data"[: size - offset])
    return pool


def stopping(at: int, error: type[BaseException] = Stop) -> Callable[..., None]:
    def progress(done: int, total: int | None) -> None:
        if done >= at:
            raise error

    return progress


class Watched(MemoryPool):
    """Pools that are all known."""

    made: ClassVar[list[Watched]] = []

    def __new__(cls, *arguments: Any, **options: Any) -> Watched:
        pool = super().__new__(cls)
        cls.made.append(pool)
        return pool


# ------------------------------------------------------------------------ round trips


@PLACES
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
@pytest.mark.parametrize("size", [1, 4097, 3 * PIECE + 12345])
def test_round_trips(place: str, suffix: str, size: int) -> None:
    pool, url = filled(size), f"{place}image{suffix}"
    calls: list[tuple[int, int | None]] = []
    for _ in range(2):  # the second one replaces the first
        pool.write(size // 2, b"!"[: size - size // 2])
        pool.save(url, progress=lambda *call: calls.append(call))
        assert calls[-1] == (size, size)
        with Watched.load(url, 4096) as twin:
            assert type(twin) is Watched
            assert twin[:] == pool[:]
            mapped = place.startswith("file:") and not suffix
            assert (twin.stats.adopted_blocks > 0) == mapped
            if os.name == "posix" or not mapped:  # Windows does not tell of holes
                assert twin.stats.held_blocks <= 4  # holes are holes again


@PLACES
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_deltas(place: str, suffix: str) -> None:
    """One after the other at the same URL; cut off, and with more behind them."""
    pool, url = filled(PIECE), f"{place}delta{suffix}"
    twin = filled(PIECE, 65536)
    for number in range(3):
        with pool.clone() as base:
            pool.write(number * 1000, b"changed")
            pool.save(url, since=base)
            delta = pool.delta(base)
        with fsspec.open(url, "rb", compression="infer") as file:
            assert file.read() == delta
        twin.apply(url)
        assert twin.same(pool)
        with pytest.raises(CheckpointError, match="made for other contents"):
            twin.apply(url)
    for wrong in (delta + b"more", delta[:-1]):
        with fsspec.open(url, "wb", compression="infer") as file:
            file.write(wrong)
        with base_of(delta, pool) as twin, pytest.raises(CheckpointError):
            twin.apply(url)
    with pytest.raises(FileNotFoundError):
        twin.apply(f"{place}none{suffix}")


def base_of(delta: bytes, pool: MemoryPool) -> MemoryPool:
    """The pool that the last delta of that test starts from."""
    base = pool.clone()
    base.write(2000, bytes(7))
    with base.clone() as trial:
        trial.apply(delta)
        assert trial.same(pool)
    return base


@PLACES
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_can_read_it(place: str, suffix: str) -> None:
    pool, url = filled(2 * PIECE + 5), f"{place}image{suffix}"
    pool.save(url)
    with fsspec.open(url, "rb") as raw, SUFFIXES[suffix](raw) as file:
        assert file.read() == pool[:]
    with fsspec.open(url, "rb", compression="infer") as file:
        assert file.read() == pool[:]


@PLACES
def test_formats_are_compressed_too(place: str) -> None:
    pytest.importorskip("bincopy", reason="bincopy is not installed")
    pool, url = filled(100_000, 64), f"{place}image.hex.gz"
    pool.save(url, format="hex")
    with fsspec.open(url, "rb") as raw, gzip.open(raw) as file:
        assert file.readline().startswith(b":20000000")
    with MemoryPool.load(url, 64, format="hex") as twin:
        assert twin[:] == pool[: len(twin)]
        assert len(pool) - len(twin) < 64


def test_no_name_of_a_temporary_file_is_within(tmp_path: Path) -> None:
    filled(5000).save(f"{tmp_path.as_uri()}/image.gz")
    data = (tmp_path / "image.gz").read_bytes()
    assert data[:2] == b"\x1f\x8b"
    assert data[3] == 0  # no name, no comment, nothing extra


def test_member_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("folder/image", filled(5000)[:])
        archive.writestr("folder/image.xz", lzma.compress(filled(5000)[:]))
    for name in ("image", "image.xz"):
        url = f"zip://folder/{name}::{tmp_path.as_uri()}/archive.zip"
        with MemoryPool.load(url) as pool:
            assert pool[:] == filled(5000)[:]
        gc.collect()


def test_a_member_of_a_new_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    system = fsspec.filesystem("zip", fo=str(path), mode="w")
    with system.open("image", "wb") as file:
        filled(5000).save(file)
    system.close()
    assert zipfile.ZipFile(path).read("image") == filled(5000)[:]


def test_blocks_of_zeros_stay_holes() -> None:
    data = bytearray(3 * PIECE)
    data[5] = data[PIECE + 4096] = 1
    Shelf.objects["image"] = bytes(data)
    MemoryFileSystem().pipe_file("/image.gz", gzip.compress(data))
    for url in ("shelf://image", "memory://image.gz"):
        with MemoryPool.load(url, 4096) as pool:
            assert list(pool.extents()) == [(0, 4096), (PIECE + 4096, 4096)]
        with MemoryPool.load(url, 4096, memory_limit=8192) as pool:
            assert pool[:] == data
        with pytest.raises(PoolLimitError):
            MemoryPool.load(url, 4096, memory_limit=8191)


def test_progress_of_loading() -> None:
    filled(2 * PIECE + 5).save("shelf://image")
    calls: list[tuple[int, int | None]] = []
    MemoryPool.load("shelf://image", progress=lambda *call: calls.append(call)).close()
    assert calls == [(PIECE, None), (2 * PIECE, None), (2 * PIECE + 5, None)]


# --------------------------------------------------------------- files of this machine


def test_file_urls_are_paths(tmp_path: Path) -> None:
    path, pool = tmp_path / "image ä", filled(PIECE)
    path.write_bytes(OLD)
    url = f"file://{tmp_path.as_posix()}/image ä"
    seen: list[bytes] = []

    def look(*_: Any) -> None:
        seen.append(path.read_bytes())

    pool.save(url, progress=look)
    assert set(seen) == {OLD}
    assert path.read_bytes() == pool[:]
    with MemoryPool.load(url, 4096) as twin:
        assert twin.stats.adopted_blocks > 0
        assert twin[:] == pool[:]


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
@pytest.mark.parametrize("exists", [False, True])
def test_failing_file_urls(suffix: str, exists: bool, tmp_path: Path) -> None:
    path, pool = tmp_path / f"image{suffix}", filled(3 * PIECE)
    if exists:
        path.write_bytes(OLD)
    with pytest.raises(Stop):
        pool.save(path.as_uri(), progress=stopping(PIECE))
    assert list(tmp_path.iterdir()) == ([path] if exists else [])
    assert not exists or path.read_bytes() == OLD
    assert pool.stats.family_pools == 1


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk(
    function: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / f"image{suffix}"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="full"):
        filled(5000).save(path.as_uri())
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("named", [False, True])
def test_all_of_it_is_on_the_disk_before_it_is_renamed(
    named: bool, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pool, steps = tmp_path / f"image{suffix}", filled(5000), []
    path.write_bytes(OLD)
    fsync, replace = os.fsync, os.replace
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    def synced(file: int) -> None:
        steps.append(("fsync", os.fstat(file).st_size))
        fsync(file)

    def replaced(source: str, target: str) -> None:
        steps.append(("replace", os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    pool.save(path.as_uri())
    size = path.stat().st_size
    assert steps == [("fsync", size), ("replace", size)]


def test_no_folder_is_made(tmp_path: Path) -> None:
    for folder in (tmp_path.as_uri(), f"simplecache::{tmp_path.as_uri()}"):
        with pytest.raises(FileNotFoundError):
            MemoryPool.load(f"{folder}/folder/image")
    with pytest.raises(FileNotFoundError):
        filled(5).save(f"{tmp_path.as_uri()}/folder/image")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------- failed saves


@OBJECTS
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("at", [1, 2 * PIECE, 3 * PIECE + 5])
@pytest.mark.parametrize("exists", [False, True])
def test_nothing_is_committed(protocol: str, suffix: str, at: int, exists: bool) -> None:
    pool, name = MemoryPool(3 * PIECE + 5), f"image{suffix}"
    pool.write(0, os.urandom(3 * PIECE + 5))
    if exists:
        Shelf.objects[name] = OLD
    with pytest.raises(Stop):
        pool.save(f"{protocol}://{name}", progress=stopping(at))
    gc.collect()
    assert Shelf.objects == ({name: OLD} if exists else {})
    assert Shelf.uploads == []
    assert pool.stats.family_pools == 1


@OBJECTS
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("room", [0, PIECE, 3 * PIECE])
def test_out_of_space(
    protocol: str, suffix: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, name = MemoryPool(3 * PIECE + 5), f"image{suffix}"
    pool.write(0, os.urandom(3 * PIECE + 5))
    Shelf.objects[name] = OLD
    monkeypatch.setattr(Shelf, "room", room)
    with pytest.raises(OSError, match="shelf is full"):
        pool.save(f"{protocol}://{name}")
    gc.collect()
    assert Shelf.objects == {name: OLD}
    assert Shelf.uploads == []


@OBJECTS
@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
def test_other_compressions(
    protocol: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, name = MemoryPool(PIECE + 5), f"image{suffix}"
    pool.write(0, os.urandom(100_000))
    Shelf.objects[name] = OLD
    with pytest.raises(Stop):
        pool.save(f"{protocol}://{name}", progress=stopping(PIECE))
    monkeypatch.setattr(Shelf, "room", 50_000)
    with pytest.raises(OSError, match="shelf is full"):
        pool.save(f"{protocol}://{name}")
    gc.collect()
    assert Shelf.objects == {name: OLD}
    assert Shelf.uploads == []


@OBJECTS
def test_committed_once(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, commits = ShelfFile.commit, []
    monkeypatch.setattr(ShelfFile, "commit", lambda it: (commits.append(it), commit(it)))
    filled(3 * PIECE).save(f"{protocol}://image")
    assert len(commits) == 1


@OBJECTS
def test_failing_commit(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Shelf.objects["image"] = OLD

    def refuse(file: ShelfFile) -> None:
        raise OSError(errno.EIO, "no answer")

    monkeypatch.setattr(ShelfFile, "commit", refuse)
    with pytest.raises(OSError, match="no answer"):
        filled(3 * PIECE).save(f"{protocol}://image")
    assert Shelf.objects == {"image": OLD}
    assert Shelf.uploads == []  # the parts that are there were let go


@OBJECTS
def test_failing_discard(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is the one that is told, and still nothing is committed."""
    Shelf.objects["image"] = OLD

    def stop(*_: Any) -> None:
        monkeypatch.setattr(Shelf, "broken", True)
        raise Stop

    with pytest.raises(Stop):
        filled(3 * PIECE).save(f"{protocol}://image", progress=stop)
    monkeypatch.setattr(Shelf, "broken", False)  # the collector would come through now
    gc.collect()
    assert Shelf.objects == {"image": OLD}
    Shelf.uploads.clear()


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_failing_in_memory(suffix: str) -> None:
    """memory:// has what is written at once: half a file must not stay there."""
    store, url = MemoryFileSystem.store, f"memory://image{suffix}"
    MemoryFileSystem().pipe_file("/other", OLD)
    with pytest.raises(Stop):
        filled(3 * PIECE).save(url, progress=stopping(PIECE))
    assert list(store) == ["/other"]
    filled(5000).save(url)
    with pytest.raises(Stop):
        filled(3 * PIECE).save(url, progress=stopping(PIECE))
    assert list(store) == ["/other"]


def test_a_star_is_a_name_like_any() -> None:
    filled(5000).save("memory://folder/image")
    with pytest.raises(Stop):
        filled(3 * PIECE).save("memory://folder/*", progress=stopping(PIECE))
    assert list(MemoryFileSystem.store) == ["/folder/image"]


@pytest.mark.parametrize("fails", ["progress", "upload"])
def test_failing_behind_a_cache(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, url = filled(PIECE), "simplecache::shelf://image"
    pool.save(url)
    other = filled(3 * PIECE)
    if fails == "progress":
        with pytest.raises(Stop):
            other.save(url, progress=stopping(PIECE))
    else:
        monkeypatch.setattr(Shelf, "room", PIECE)
        with pytest.raises(OSError, match="shelf is full"):
            other.save(url)
        monkeypatch.undo()
    Shelf.uploads.clear()  # of put(), which is the file system's own
    gc.collect()
    for again in (url, "shelf://image"):
        with MemoryPool.load(again) as twin:
            assert twin[:] == pool[:]


class Plain(io.BytesIO):
    """A file that knows of no discard(), but of close()."""


def test_file_systems_that_cannot_discard(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Plain()
    monkeypatch.setattr(Shelf, "_open", lambda *_, **__: file)
    with pytest.raises(Stop):
        filled(5000).save("shelf://image", progress=stopping(1))
    assert file.closed


def test_read_only_file_systems() -> None:
    with pytest.raises((NotImplementedError, ValueError)):
        filled(5).save("data://,abc")


# ------------------------------------------------------------------------ transactions


@OBJECTS
def test_own_transaction_commits_at_its_end(protocol: str) -> None:
    system = fsspec.filesystem(protocol)
    with system.transaction:
        filled(5000).save(f"{protocol}://one")
        filled(6000).save(f"{protocol}://two.gz")
        with pytest.raises(Stop):
            filled(PIECE).save(f"{protocol}://three", progress=stopping(1))
        assert Shelf.objects == {}
    assert sorted(Shelf.objects) == ["one", "two.gz"]
    assert Shelf.objects["one"] == filled(5000)[:]
    assert gzip.decompress(Shelf.objects["two.gz"]) == filled(6000)[:]


@OBJECTS
def test_own_transaction_that_fails(protocol: str) -> None:
    with pytest.raises(Stop), fsspec.filesystem(protocol).transaction:
        filled(5000).save(f"{protocol}://one")
        raise Stop
    assert Shelf.objects == {}


def test_own_transaction_in_which_the_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What close() could not write is not committed by the transaction."""
    with fsspec.filesystem("shelf").transaction:
        filled(5000).save("shelf://one")
        monkeypatch.setattr(Shelf, "room", 5000)
        with pytest.raises(OSError, match="shelf is full"):
            filled(6000).save("shelf://two")
    assert list(Shelf.objects) == ["one"]


def test_own_transaction_in_memory() -> None:
    with fsspec.filesystem("memory").transaction:
        filled(5000).save("memory://one")
        with pytest.raises(Stop):
            filled(PIECE).save("memory://two", progress=stopping(1))
        assert MemoryFileSystem.store == {}
    assert list(MemoryFileSystem.store) == ["/one"]


def test_no_transaction_is_begun_nor_ended() -> None:
    system = fsspec.filesystem("shelf")

    def look(*_: Any) -> None:
        assert not system._intrans
        assert not system.transaction.files
        assert not any(file.autocommit for file in Shelf.uploads)

    filled(PIECE).save("shelf://image", progress=look)
    with system.transaction:
        filled(PIECE).save("shelf://image")
        assert system._intrans


def test_other_files_of_a_transaction_that_change_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files: deque[Any] = deque()

    class Leaving:
        """What another thread takes out while it is looked at."""

        def __eq__(self, other: object) -> bool:
            files.remove(next(it for it in files if it is self))
            return False

        __hash__ = None  # type: ignore[assignment]

    system = fsspec.filesystem("shelf")
    system.transaction.files = files
    files.extend([Leaving(), Leaving()])
    filled(5000).save("shelf://image")
    assert not files
    assert Shelf.objects["image"] == filled(5000)[:]


def test_two_saves_at_once() -> None:
    """One fails while the other is under way, and takes nothing of it along."""
    begun, failed = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def wait(*_: Any) -> None:
        begun.set()
        assert failed.wait(60)

    def save() -> None:
        try:
            filled(3 * PIECE).save("shelf://one", progress=wait)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    assert begun.wait(60)
    with pytest.raises(Stop):
        filled(3 * PIECE).save("shelf://two", progress=stopping(PIECE))
    filled(5000).save("shelf://three")
    assert sorted(Shelf.objects) == ["three"]
    failed.set()
    thread.join()
    assert errors == []
    assert sorted(Shelf.objects) == ["one", "three"]
    assert Shelf.objects["one"] == filled(3 * PIECE)[:]


# ---------------------------------------------------------------------- hostile inputs


@PLACES
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_off(place: str, suffix: str) -> None:
    url = f"{place}image{suffix}"
    pool = MemoryPool(PIECE + 70_000)
    pool.write(PIECE, os.urandom(70_000))
    pool.save(url)
    with fsspec.open(url, "rb") as file:
        data = file.read()
    with fsspec.open(url, "wb") as file:
        file.write(data[:-5])
    Watched.made.clear()
    with pytest.raises(EOFError):
        Watched.load(url)
    assert Watched.made
    assert all(pool.closed for pool in Watched.made)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_much_that_was_compressed_to_little(suffix: str) -> None:
    """The limit of the pool is kept, and nothing is unpacked beside it."""
    pytest.importorskip("bincopy", reason="bincopy is not installed")
    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
    Shelf.objects[f"image{suffix}"] = compress(b"x" * (64 << 20))
    url, limit = f"shelf://image{suffix}", 2 * PIECE
    with MemoryPool(64 << 20, memory_limit=limit) as pool:
        tracemalloc.start()
        with pytest.raises(PoolLimitError):
            MemoryPool.load(url, memory_limit=limit)
        with pytest.raises(CheckpointError):
            pool.apply(url)
        for form in ("hex", "srec", "elf"):
            with pytest.raises(FormatError):
                MemoryPool.load(url, format=form)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert pool.stats.held_bytes == 0
    assert peak < 16 << 20


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_not_compressed_at_all(suffix: str) -> None:
    Shelf.objects[f"image{suffix}"] = OLD
    with pytest.raises((OSError, lzma.LZMAError)):
        MemoryPool.load(f"shelf://image{suffix}")


@PLACES
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_empty(place: str, suffix: str) -> None:
    with fsspec.open(f"{place}image{suffix}", "wb", compression="infer") as file:
        file.write(b"")
    with pytest.raises(PoolRangeError, match="image is empty"):
        MemoryPool.load(f"{place}image{suffix}")


@PLACES
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_missing(place: str, suffix: str) -> None:
    with pytest.raises(FileNotFoundError):
        MemoryPool.load(f"{place}image{suffix}")


def test_unknown_protocols(pool: MemoryPool) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        pool.save("nonsense://image")
    with pytest.raises(ValueError, match="nonsense"):
        MemoryPool.load("nonsense://image")


@PLACES
def test_arguments_are_checked_first(place: str, pool: MemoryPool) -> None:
    url, wrong = f"{place}image", "much"
    pool.save(url)
    with pytest.raises(ValueError, match="format is 'much'"):
        pool.save(url, format=wrong)
    with pytest.raises(ValueError, match="format is 'much'"):
        MemoryPool.load(url, format=wrong)
    with pytest.raises(TypeError, match="progress"):
        pool.save(url, progress=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_block_size"):
        MemoryPool.load(url, wrong)  # type: ignore[arg-type]
    closed = pool.clone()
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.save(url)
    with MemoryPool.load(url) as twin:
        assert twin[:] == pool[:]


@PLACES
def test_formats_are_checked_before_the_old_file_is_touched(place: str) -> None:
    pytest.importorskip("bincopy", reason="bincopy is not installed")
    url, pool = f"{place}image", filled(5000)
    pool.save(url)
    with MemoryPool(1 << 33) as large:
        large.write(1 << 32, b"too far")
        with pytest.raises(ValueError):
            large.save(url, format="hex")
    if place == "memory://":
        assert MemoryFileSystem.store == {}  # as it is documented
        return
    with MemoryPool.load(url) as twin:
        assert twin[:] == pool[:]
