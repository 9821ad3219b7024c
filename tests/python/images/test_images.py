# SPDX-License-Identifier: MIT
"""Pools as raw images: what comes back, what is left out, what survives a failure."""

from __future__ import annotations

import bz2
import errno
import gc
import gzip
import io
import itertools
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest
from at_once import run_all
from internals import count_adopted, raw_module, replacement_module
from interrupts import interrupted_at

from pymempool import MemoryPool, PoolClosedError, PoolLimitError, PoolRangeError

PIECE = 1 << 20
POSIX = pytest.mark.skipif(os.name != "posix", reason="only POSIX systems have it")
Progress = list[tuple[int, "int | None"]]


class Mine(MemoryPool):
    """A class of a user's own."""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Any:
    yield
    gc.collect()
    assert count_adopted() == 0
    assert list(tmp_path.glob(".*")) == []


def collected() -> tuple[Progress, Callable[[int, int | None], None]]:
    calls: Progress = []
    return calls, lambda done, total: calls.append((done, total))


def is_progress(calls: Progress, size: int, total: int | None) -> bool:
    done = [call[0] for call in calls]
    totals = {call[1] for call in calls}
    return done == sorted(done) and done[-1] == size and totals == {total}


def sparse(path: Path) -> bool:
    """Whether the system keeps and tells holes of files here."""
    with open(path, "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"x")
    with open(path, "rb") as file:
        try:
            kept = os.lseek(file.fileno(), 0, os.SEEK_DATA) > 0
        except (AttributeError, OSError):
            kept = False
    os.unlink(path)
    return kept


def filled(size: int, block_size: int = 4096) -> MemoryPool:
    """A pool with data at both ends, in its midst, and holes between."""
    pool = MemoryPool(size, block_size)
    for offset in (0, size // 3, size - 1):
        pool.write(offset, b"data"[: size - offset])
    return pool


# ----------------------------------------------------------------------- round trips

SIZES = [1, 2, 4095, 4096, 4097, 65536 + 5, PIECE, PIECE + 1, 3 * PIECE + 12345]


@pytest.mark.parametrize("wipe", [False, True])
@pytest.mark.parametrize("max_block_size", [1000, 4096, 65536, 1 << 22])
@pytest.mark.parametrize("size", SIZES)
def test_paths(size: int, max_block_size: int, wipe: bool, tmp_path: Path) -> None:
    pool, path = filled(size), tmp_path / "image"
    calls, progress = collected()
    assert pool.save(path, progress=progress) is None  # type: ignore[func-returns-value]
    assert is_progress(calls, size, size)
    assert path.read_bytes() == pool[:]
    calls, progress = collected()
    twin = Mine.load(path, max_block_size, wipe=wipe, progress=progress)
    assert is_progress(calls, size, size)
    assert type(twin) is Mine
    assert twin[:] == pool[:]
    assert twin.block_size == MemoryPool(size, max_block_size).block_size
    assert twin.stats.flags == wipe
    whole = size // twin.block_size
    assert twin.stats.adopted_blocks <= (0 if wipe else whole)
    twin.close()


@pytest.mark.parametrize("size", SIZES)
def test_files(size: int) -> None:
    pool, file = filled(size), io.BytesIO()
    calls, progress = collected()
    pool.save(file, progress=progress)
    assert is_progress(calls, size, size)
    assert file.getvalue() == pool[:]
    assert file.tell() == size
    file.seek(0)
    calls, progress = collected()
    twin = Mine.load(file, progress=progress)
    assert is_progress(calls, size, None)
    assert type(twin) is Mine
    assert twin[:] == pool[:]


def test_random_pools(tmp_path: Path) -> None:
    draw = random.Random(6)
    for _ in range(30):
        size = draw.randrange(1, 3 * PIECE)
        pool = MemoryPool(size, draw.choice([64, 4096, 65536]))
        for _ in range(draw.randrange(6)):
            offset = draw.randrange(size)
            pool.write(offset, draw.randbytes(draw.randrange(size - offset + 1)))
        path, file = tmp_path / "image", io.BytesIO(b"old" * draw.randrange(PIECE))
        pool.save(path)
        pool.save(file)
        assert path.read_bytes() == pool[:] == file.getvalue()[:size]
        for wipe in (False, True):
            with MemoryPool.load(path, draw.choice([64, 65536]), wipe=wipe) as twin:
                assert twin[:] == pool[:]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_kinds_of_paths(kind: Any, pool: MemoryPool, tmp_path: Path) -> None:
    path = kind(str(tmp_path / "image ä"))
    pool.save(path)
    with MemoryPool.load(path) as twin:
        assert twin[:] == pool[:]


def test_relative_path(
    pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pool.save("image")
    assert (tmp_path / "image").read_bytes() == pool[:]


def test_one_moment(tmp_path: Path) -> None:
    pool = MemoryPool(4 * PIECE)
    pool.fill(0, 1, 4 * PIECE)
    pool.save(tmp_path / "image", progress=lambda *_: pool.fill(0, 2, 4 * PIECE))
    assert (tmp_path / "image").read_bytes() == b"\1" * (4 * PIECE)
    assert pool[:] == b"\2" * (4 * PIECE)


# ------------------------------------------------------------------------------ holes


def test_holes_of_files(tmp_path: Path) -> None:
    if not sparse(tmp_path / "try"):
        pytest.skip("files have no holes here")
    size, path = 100 << 30, tmp_path / "image"
    pool = MemoryPool(size, memory_limit=1 << 20)
    pool.write(5 << 30, b"first")
    pool.write((70 << 30) - 3, b"second")
    try:
        pool.save(path)
    except OSError as error:
        pytest.skip(f"no file of 100 GiB here: {error}")
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 <= 4 * 65536
    for wipe in (False, True):
        with MemoryPool.load(path, wipe=wipe, memory_limit=1 << 20) as twin:
            stats = twin.stats
            assert stats.total_size == size
            assert 0 < stats.held_blocks <= 3
            assert stats.adopted_blocks == (0 if wipe else 3)
            assert stats.metadata_bytes < 1 << 16
            assert twin.read(5 << 30, 6) == b"first\0"
            assert twin.read((70 << 30) - 3, 7) == b"second\0"
            twin.save(tmp_path / "again")
        assert (tmp_path / "again").stat().st_blocks <= path.stat().st_blocks


def test_hole_at_the_end_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "image"
    calls, progress = collected()
    MemoryPool(PIECE + 1).save(path, progress=progress)
    assert calls == [(PIECE + 1, PIECE + 1)]
    assert path.read_bytes() == bytes(PIECE + 1)
    if sys.platform == "linux":
        assert path.stat().st_blocks == 0
    calls, progress = collected()
    with MemoryPool.load(path, progress=progress) as twin:
        assert is_progress(calls, PIECE + 1, PIECE + 1)
        assert twin[:] == bytes(PIECE + 1)


def test_holes_of_open_files(tmp_path: Path) -> None:
    if not sparse(tmp_path / "try"):
        pytest.skip("files have no holes here")
    pool, path = MemoryPool(4 * PIECE), tmp_path / "file"
    pool.write(3 * PIECE, b"data")
    path.write_bytes(b"o" * PIECE)
    with open(path, "r+b") as file:
        file.seek(PIECE)
        pool.save(file)
    assert path.read_bytes() == b"o" * PIECE + pool[:]
    assert path.stat().st_blocks * 512 < PIECE + 3 * 65536


def test_small_holes_of_streams() -> None:
    data = bytearray(3 * PIECE)
    data[5] = data[PIECE + 4096] = data[-1] = 1
    with MemoryPool.load(io.BytesIO(data), 4096) as pool:
        assert pool[:] == data
        last = 3 * PIECE - 4096
        assert list(pool.extents()) == [(0, 4096), (PIECE + 4096, 4096), (last, 4096)]


@pytest.mark.parametrize("code", [None, errno.EINVAL])
def test_systems_that_tell_no_holes(
    code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: int) -> int:
        raise OSError(code, "does not tell")

    pool, path = filled(PIECE + 4096), tmp_path / "image"
    pool.save(path)
    if code is None:
        monkeypatch.delattr(os, "SEEK_DATA", raising=False)
        monkeypatch.delattr(os, "SEEK_HOLE", raising=False)
    else:
        monkeypatch.setattr(os, "SEEK_DATA", 3, raising=False)
        monkeypatch.setattr(os, "SEEK_HOLE", 4, raising=False)
        monkeypatch.setattr(os, "lseek", refuse)
    with MemoryPool.load(path, 4096) as twin:
        assert twin[:] == pool[:]
        assert twin.stats.adopted_blocks == 257
    with MemoryPool.load(path, 4096, wipe=True) as twin:
        assert twin[:] == pool[:]
        assert twin.stats.held_blocks == 3


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], []),
        ([(0, 1)], [(0, 10)]),
        ([(13, 14)], [(10, 20)]),
        ([(10, 20)], [(10, 20)]),
        ([(0, 9), (11, 12)], [(0, 20)]),  # side by side
        ([(3, 4), (6, 7), (8, 15)], [(0, 20)]),  # in the same block
        ([(3, 4), (21, 22), (40, 50)], [(0, 10), (20, 30), (40, 50)]),
        ([(60, 63)], [(60, 63)]),  # the last block ends with the file
        ([(3, 4), (59, 61)], [(0, 10), (50, 63)]),
    ],
)
def test_runs_of_data_become_whole_blocks(
    runs: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert list(raw_module._in_blocks(iter(runs), 10, 63)) == expected


def test_runs_of_data_that_are_no_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems may tell of holes in units smaller than a block."""
    path, size = tmp_path / "image", 6 * 4096 + 7
    path.write_bytes(b"x" * size)
    runs = [(100, 200), (4000, 5000), (4 * 4096 + 1, 4 * 4096 + 2), (size - 1, size)]

    def lseek(file: int, at: int, what: int) -> int:
        return next(run[what - 3] for run in runs if at < run[1])

    monkeypatch.setattr(os, "SEEK_DATA", 3, raising=False)
    monkeypatch.setattr(os, "SEEK_HOLE", 4, raising=False)
    monkeypatch.setattr(os, "lseek", lseek)
    calls, progress = collected()
    with MemoryPool.load(path, 4096, progress=progress) as pool:
        assert list(pool.extents()) == [(0, 8192), (16384, 4096), (24576, 7)]
        assert pool.stats.adopted_blocks == 3
    assert calls == [(8192, size), (20480, size), (size, size)]


def test_file_that_grows_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x" * 5000)
    monkeypatch.setattr(os, "SEEK_DATA", 3, raising=False)
    monkeypatch.setattr(os, "SEEK_HOLE", 4, raising=False)
    monkeypatch.setattr(os, "lseek", lambda file, at, what: 9000)
    with MemoryPool.load(path) as pool:  # as if data came after a hole up to the end
        assert (len(pool), list(pool.extents())) == (5000, [])


# ------------------------------------------------------------------- files of the path


@pytest.mark.parametrize("refusal", [OSError(errno.ENODEV, "no mapping"), ValueError()])
@pytest.mark.parametrize("size", [5, 3 * PIECE + 7])
def test_files_that_cannot_be_mapped(
    size: int, refusal: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of the kernel, and of some file systems."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise refusal

    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    monkeypatch.setattr(raw_module.mmap, "mmap", refuse)
    with MemoryPool.load(tmp_path / "file") as pool:
        assert pool[:] == data
        assert pool.stats.adopted_blocks == 0


@pytest.mark.skipif(
    not os.path.exists("/sys/kernel/notes"), reason="this kernel has no such file"
)
def test_a_file_of_the_kernel() -> None:
    with MemoryPool.load("/sys/kernel/notes") as pool:
        assert pool[:] == Path("/sys/kernel/notes").read_bytes()


def test_loaded_pool_never_changes_the_file(tmp_path: Path) -> None:
    pool, path = filled(PIECE), tmp_path / "image"
    pool.save(path)
    before = path.read_bytes()
    with MemoryPool.load(path, 4096) as twin, twin.clone() as clone:
        assert twin.stats.adopted_blocks > 0
        clone.fill(0, 7, PIECE)
        twin.write(3, b"twin")
        assert clone[:] == b"\7" * PIECE
        assert twin[:8] == b"dattwin\0"
        assert path.read_bytes() == before


@POSIX
def test_saving_over_a_file_that_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "image"
    filled(PIECE).save(path)
    before = path.read_bytes()
    first = MemoryPool.load(path, 4096)
    other = first.clone()
    other.write(100, b"other")
    other.save(path)
    assert first[:] == before
    second = MemoryPool.load(path)
    assert second[:] == other[:] != before
    second.resize(5)
    second.save(path)
    assert path.read_bytes() == before[:5]
    assert first[:] == before
    for pool in (first, other, second):
        pool.close()


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o400])
@pytest.mark.parametrize("named", [False, True])
def test_permissions(
    named: bool,
    mode: int,
    pool: MemoryPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    named = not hasattr(os, "O_TMPFILE")
    path = tmp_path / "image"
    path.write_bytes(b"old")
    path.chmod(mode)
    seen = []

    def look(done: int, total: int | None) -> None:
        seen.extend(it.stat().st_mode & 0o777 for it in tmp_path.glob(".*"))

    old = os.umask(0o077)
    try:
        pool.save(path, progress=look)
        pool.save(tmp_path / "new")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert set(seen) == ({mode} if named else set())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@POSIX
def test_secrets_are_never_open_to_all(
    pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"old")
    path.chmod(0o600)
    monkeypatch.setattr(os, "chmod", lambda *_: None)  # as between making it and that
    old = os.umask(0)
    try:
        pool.save(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root can")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o660])
def test_a_group_that_could_not_read_the_old_file(
    mode: int, pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it is written nor later, even if we must not give it away."""
    path, chown = tmp_path / "image", os.fchown
    owner, group = 12345, 23456
    refused: set[int] = set()
    seen = []

    def fsync(file: int) -> None:
        seen.append(os.fstat(file))

    def fchown(file: int, owner: int, group: int) -> None:
        assert os.fstat(file).st_mode & 0o077 == 0  # nobody else is let in before
        if owner in refused:
            raise PermissionError(errno.EPERM, "not yours")
        chown(file, owner, group)

    monkeypatch.setattr(os, "fchown", fchown)
    monkeypatch.setattr(os, "fsync", fsync)
    for refused, expected, facts in (  # noqa: B007
        (set(), mode, (owner, group)),
        ({owner}, mode, (0, group)),
        ({owner, -1}, mode & 0o707 | (mode & 7) << 3 & mode, (0, os.getegid())),
    ):
        path.write_bytes(b"old")
        path.chmod(mode)
        os.chown(path, owner, group)
        pool.save(path)
        for found in (path.stat(), seen.pop()):
            assert stat.S_IMODE(found.st_mode) == expected
            assert (found.st_uid, found.st_gid) == facts
        path.unlink()


@POSIX
def test_a_link_in_place_of_the_temporary_file(
    pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can rename files of the folder gets at the permissions of no other file."""
    path, other, chown = tmp_path / "image", tmp_path / "other", os.fchown
    path.write_bytes(b"old")
    path.chmod(0o666)
    other.write_bytes(b"other")
    other.chmod(0o600)

    def swap(*arguments: int) -> None:
        chown(*arguments)
        (temporary,) = tmp_path.glob(".pymempool-*.tmp")
        temporary.unlink()
        temporary.symlink_to(other)

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, "fchown", swap)
    pool.save(path)
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert other.read_bytes() == b"other"


@POSIX
def test_other_names_of_the_old_file_keep_it(pool: MemoryPool, tmp_path: Path) -> None:
    path, other = tmp_path / "image", tmp_path / "other"
    path.write_bytes(b"old")
    os.link(path, other)
    pool.save(path)
    assert (path.read_bytes(), other.read_bytes()) == (pool[:], b"old")


@POSIX
def test_symbolic_links_stay(pool: MemoryPool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "image", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    pool.save(link)
    assert link.is_symlink()
    assert target.read_bytes() == pool[:]


# Is killed when a part of the data is written, or when it calls a function of os.
KILLED = """
import os, signal, sys
from pymempool import MemoryPool

path, place, named = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
pool = MemoryPool(8 << 20)
pool.fill(0, 2, 8 << 20)

def kill(*arguments, **more):
    os.kill(os.getpid(), signal.SIGKILL)

def report(done, total):
    if place == "data" and done >= 4 << 20:
        kill()

if named:
    del os.O_TMPFILE
if place != "data":
    setattr(os, place, kill)
pool.save(path, progress=report)
"""


def killed_while_saving(path: Path, place: str, named: bool) -> list[Path]:
    """What is left beside the path."""
    command = [sys.executable, "-c", KILLED, str(path), place, str(named)]
    done = subprocess.run(command, cwd=path.parent)
    assert done.returncode == -signal.SIGKILL
    return [it for it in path.parent.iterdir() if it != path]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files have names here")
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("place", ["data", "fsync", "link"])
def test_killed_while_saving(
    place: str, exists: bool, pool: MemoryPool, tmp_path: Path
) -> None:
    """Until it takes the place of the old one nothing is seen of the new file."""
    path = tmp_path / "image"
    if exists:
        pool.save(path)
    assert killed_while_saving(path, place, named=False) == []
    assert path.read_bytes() == pool[:] if exists else not path.exists()


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files have names here")
def test_killed_when_the_old_file_is_replaced(pool: MemoryPool, tmp_path: Path) -> None:
    """Between two calls of the system the whole new file has a name of its own."""
    path = tmp_path / "image"
    pool.save(path)
    (left,) = killed_while_saving(path, "replace", named=False)
    assert re.fullmatch(r"\.pymempool-[0-9a-f]{16}\.tmp", left.name)
    assert left.read_bytes() == b"\2" * (8 << 20)
    assert path.read_bytes() == pool[:]
    left.unlink()


@POSIX
def test_killed_while_saving_to_a_name(pool: MemoryPool, tmp_path: Path) -> None:
    path = tmp_path / "image"
    pool.save(path)
    named = hasattr(os, "O_TMPFILE")  # it would be without
    (left,) = killed_while_saving(path, "data", named)
    assert re.fullmatch(r"\.pymempool-[0-9a-f]{16}\.tmp", left.name)
    assert path.read_bytes() == pool[:]
    left.unlink()


@POSIX
@pytest.mark.parametrize("missing", ["O_TMPFILE", "the file system's", "/proc"])
@pytest.mark.parametrize("exists", [False, True])
def test_systems_without_files_without_a_name(
    missing: str,
    exists: bool,
    pool: MemoryPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "image"
    if exists:
        path.write_bytes(b"old")
    opened = os.open

    def refuse(name: Any, flags: int, *more: Any, **others: Any) -> int:
        if flags & getattr(os, "O_TMPFILE", 0) == getattr(os, "O_TMPFILE", -1):
            raise OSError(errno.EOPNOTSUPP, "not supported", name)
        return opened(name, flags, *more, **others)

    if missing == "O_TMPFILE":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif missing == "/proc":
        monkeypatch.setattr(
            replacement_module, "_proc", lambda file: f"{tmp_path}/none/{file}"
        )
    else:
        monkeypatch.setattr(os, "open", refuse)
    before = len(os.listdir("/dev/fd"))
    pool.save(path)
    assert path.read_bytes() == pool[:]
    assert list(tmp_path.iterdir()) == [path]
    assert len(os.listdir("/dev/fd")) == before


@POSIX
def test_an_error_names_the_path_of_the_caller(
    pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str, **more: Any) -> None:
        raise OSError(errno.EDQUOT, "too much", source, None, target)

    path = tmp_path / "image"
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="too much") as caught:
        pool.save(path)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_somebody_makes_the_file_meanwhile(pool: MemoryPool, tmp_path: Path) -> None:
    path = tmp_path / "image"
    pool.save(path, progress=lambda done, total: path.write_bytes(b"other"))
    assert path.read_bytes() == pool[:]
    assert list(tmp_path.iterdir()) == [path]


class Stop(BaseException):
    """What nobody expects."""


@pytest.mark.parametrize("at", [PIECE, 3 * PIECE, 4 * PIECE])
@pytest.mark.parametrize("exists", [False, True])
def test_failing_leaves_nothing(at: int, exists: bool, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == at:
            raise Stop

    pool, path = MemoryPool(4 * PIECE), tmp_path / "image"
    pool.fill(0, 1, 3 * PIECE)
    if exists:
        path.write_bytes(b"old")
    with pytest.raises(Stop):
        pool.save(path, progress=stop)
    assert list(tmp_path.iterdir()) == ([path] if exists else [])
    if exists:
        assert path.read_bytes() == b"old"
    assert pool.stats.family_pools == 1


def open_descriptors() -> int | None:
    """How many there are, where the system tells it."""
    folder = "/proc/self/fd"
    return len(os.listdir(folder)) if os.path.isdir(folder) else None


@pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="a trace function, unlike a signal, ends generators without their handlers",
)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize(
    ("exists", "named"), [(False, False), (True, False), (True, True)]
)
def test_interrupted_at_every_place_of_saving(
    exists: bool, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception of a signal's handler, wherever it can come."""
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = tmp_path / "image"
    for number in itertools.count(1):
        path.unlink(missing_ok=True)
        if exists:
            path.write_bytes(b"old")
        descriptors = open_descriptors()
        with MemoryPool(1 << 16, 64) as pool:
            pool.write(100, b"data")
            done = not interrupted_at(number, lambda: pool.save(path))
            assert pool.stats.family_pools == 1
            assert open_descriptors() == descriptors, number
            names = os.listdir(tmp_path)
            assert names in (["image"], ["image"] if exists else []), number
            if names:
                assert path.read_bytes() in (pool[:], b"old"), number
        if done:
            break
    assert number > 50
    assert path.read_bytes()[100:104] == b"data"


def test_saving_to_one_path_at_once(tmp_path: Path) -> None:
    """Whoever loads it finds one of the images, whole."""
    path, size = tmp_path / "image", 2 * PIECE
    MemoryPool(size).save(path)

    def save(byte: int) -> None:
        with MemoryPool(size) as pool:
            pool.fill(0, byte, size)
            for _ in range(20):
                pool.save(path)

    def load() -> None:
        for _ in range(40):
            with MemoryPool.load(path, wipe=True) as pool:
                assert pool[:] == pool[:1] * size

    if os.name == "nt":
        run_all(partial(save, 1))  # Windows replaces no file that somebody has open
    else:
        run_all(*(partial(save, byte) for byte in (1, 2, 3)), load)
    assert set(path.read_bytes()) < {1, 2, 3}
    assert os.listdir(tmp_path) == ["image"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk(
    function: str, pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / "image"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="full"):
        pool.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_synced_before_it_is_renamed(
    pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    (tmp_path / "image").write_bytes(b"old")
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (steps.append("replace"), replace(*a)))
    pool.save(tmp_path / "image", progress=lambda *_: steps.append("write"))
    assert steps[-3:] == ["write", "fsync", "replace"]


# ------------------------------------------------------------------------ open files


@pytest.mark.parametrize("start", [0, 1, 5000, 3 * PIECE])
@pytest.mark.parametrize("buffering", [0, -1])
def test_bytes_that_were_there(start: int, buffering: int, tmp_path: Path) -> None:
    size, path = PIECE + 77, tmp_path / "file"
    pools = [filled(size), MemoryPool(size)]
    pools[1].write(10, b"begin")
    for pool in pools:
        for old in (0, 5000, size // 2, size, start + size, start + size + 9):
            before = b"o" * old
            path.write_bytes(before)
            with open(path, "r+b", buffering=buffering) as file:
                file.seek(start)
                pool.save(file)
                assert file.tell() == start + size
            expected = before[:start].ljust(start, b"\0") + pool[:]
            assert path.read_bytes() == expected + before[start + size :]


@pytest.mark.parametrize("how", ["mode", "flag"])
def test_files_that_append(how: str, tmp_path: Path) -> None:
    path, pool = tmp_path / "file", filled(PIECE + 5)
    path.write_bytes(b"old")
    if how == "mode":
        file: Any = open(path, "ab")  # noqa: SIM115
    else:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "ab" if os.name == "nt" else "wb")
    with file:
        pool.save(file)
    assert path.read_bytes() == b"old" + pool[:]


def test_appending_without_a_descriptor() -> None:
    class Appends(io.BytesIO):
        mode = "ab"

        def write(self, data: Any) -> int:
            self.seek(0, os.SEEK_END)
            return super().write(data)

    file, pool = Appends(b"old"), filled(PIECE)
    pool.save(file)
    assert file.getvalue() == b"old" + pool[:]


@pytest.mark.parametrize("opener", [gzip.open, bz2.open], ids=["gzip", "bz2"])
def test_compressed(opener: Any, tmp_path: Path) -> None:
    pool, path = filled(3 * PIECE + 1), tmp_path / "image"
    with opener(path, "wb") as file:
        pool.save(file)
    assert path.stat().st_size < 10000
    with opener(path, "rb") as file, MemoryPool.load(file, 4096) as twin:
        assert twin[:] == pool[:]
        assert twin.stats.held_blocks == 3


@pytest.mark.parametrize("buffering", [0, -1])
def test_pipes(buffering: int) -> None:
    pool = filled(2 * PIECE + 3)
    reading, writing = os.pipe()

    def send() -> None:
        with open(writing, "wb", buffering=buffering) as file:
            pool.save(file)

    thread = threading.Thread(target=send)
    thread.start()
    with open(reading, "rb", buffering=buffering) as file:
        twin = MemoryPool.load(file)
    thread.join()
    assert twin[:] == pool[:]


@POSIX
def test_path_of_a_pipe(tmp_path: Path) -> None:
    pool, path = filled(PIECE + 3), tmp_path / "pipe"
    os.mkfifo(path)

    def send() -> None:
        with open(path, "wb") as file:
            pool.save(file)

    thread = threading.Thread(target=send)
    thread.start()
    with MemoryPool.load(path) as twin:
        assert twin[:] == pool[:]
    thread.join()
    with pytest.raises(OSError, match="not a regular file"):
        pool.save(path)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_files_that_take_and_give_little() -> None:
    class Little(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:1000])

        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 777))

    file, pool = Little(), filled(100000)
    pool.save(file)
    assert file.getvalue() == pool[:]
    file.seek(0)
    with MemoryPool.load(file) as twin:
        assert twin[:] == pool[:]
        assert twin.block_size == 65536


def test_files_that_only_write_or_read() -> None:
    class Only:
        def __init__(self) -> None:
            self.got = bytearray()

        def write(self, data: Any) -> None:
            self.got += data

        def read(self, size: int) -> bytes:
            found = bytes(self.got[:size])
            del self.got[:size]
            return found

    file, pool = Only(), filled(PIECE + 9)
    pool.save(file)
    assert file.got == pool[:]
    assert MemoryPool.load(file)[:] == pool[:]


class Odd(io.RawIOBase):
    """A file that answers with what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def write(self, data: Any) -> Any:
        return self.read()

    def read(self, size: int = -1) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), OSError),
        (None, BlockingIOError),
        (0, OSError),
        (-1, OSError),
        (10**9, OSError),
        ("1", TypeError),
    ],
)
def test_write_errors(answer: Any, kind: type[Exception], pool: MemoryPool) -> None:
    with pytest.raises(kind):
        pool.save(Odd(answer))
    assert pool.stats.family_pools == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (OSError(errno.EIO, "broken"), OSError),
        (None, BlockingIOError),
        ("text", TypeError),
        (5, TypeError),
        (b"", PoolRangeError),
    ],
)
def test_read_errors(answer: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        MemoryPool.load(Odd(answer))


# ------------------------------------------------------------------------------ URLs


@pytest.mark.parametrize("missing", ["fsspec", "fsspec.core"])
def test_urls_without_fsspec(
    missing: str, pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "fsspec.core", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    for url in ("memory://image", "file:///image", "://"):
        with pytest.raises(ImportError, match=r"pip install 'pymempool\[fsspec\]'"):
            pool.save(url)
        with pytest.raises(ImportError, match=r"pip install 'pymempool\[fsspec\]'"):
            MemoryPool.load(url)


@pytest.mark.parametrize("kind", [os.fsencode, Path])
def test_urls_are_text(
    kind: Any, pool: MemoryPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Not a URL, but a path in a folder "memory:", which there is not.
    with pytest.raises(OSError):
        pool.save(kind("memory://image"))
    with pytest.raises(OSError):
        MemoryPool.load(kind("memory://image"))


def test_suffixes_of_paths_say_nothing(pool: MemoryPool, tmp_path: Path) -> None:
    path = tmp_path / "image.gz"
    pool.save(path)
    assert path.read_bytes() == pool[:]
    with MemoryPool.load(path) as twin:
        assert twin[:] == pool[:]


# --------------------------------------------------------------------- hostile inputs


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"")
    for empty in (path, io.BytesIO()):
        with pytest.raises(PoolRangeError, match="image is empty"):
            MemoryPool.load(empty)


def test_folders(pool: MemoryPool, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        pool.save(tmp_path)
    with pytest.raises(PermissionError if os.name == "nt" else IsADirectoryError):
        MemoryPool.load(tmp_path)


@pytest.mark.parametrize("name", ["missing", "image"])
def test_the_name_of_a_folder_makes_no_file(
    name: str, pool: MemoryPool, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(b"old")
    for kind in (str, os.fsencode):
        with pytest.raises(IsADirectoryError):
            pool.save(kind(f"{tmp_path}/{name}/"))
    assert [it.read_bytes() for it in tmp_path.iterdir()] == [b"old"]


def test_missing(pool: MemoryPool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MemoryPool.load(tmp_path / "image")
    path = tmp_path.resolve() / "folder" / "image"
    with pytest.raises(FileNotFoundError) as failed:
        pool.save(path)
    assert failed.value.filename == str(path)  # not that of the temporary file


@pytest.mark.parametrize("wrong", [None, 5, 1.5, [], object, io.StringIO("text")])
def test_wrong_types(wrong: Any, pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="file"):
        pool.save(wrong)
    with pytest.raises(TypeError, match="file"):
        MemoryPool.load(wrong)


def test_other_wrong_arguments(pool: MemoryPool, tmp_path: Path) -> None:
    path, wrong = tmp_path / "image", "much"
    with pytest.raises(TypeError, match="progress"):
        pool.save(path, progress=wrong)  # type: ignore[arg-type]
    assert not path.exists()
    pool.save(path)
    for source in (path, io.BytesIO(b"x")):
        with pytest.raises(TypeError, match="progress"):
            MemoryPool.load(source, progress=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="max_block_size"):
            MemoryPool.load(source, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        pool.save("a\0b")
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        pool.save(closed)


def test_closed_pool(pool: MemoryPool, tmp_path: Path) -> None:
    pool.close()
    with pytest.raises(PoolClosedError):
        pool.save(tmp_path / "image")
    assert list(tmp_path.iterdir()) == []


def test_too_large(tmp_path: Path) -> None:
    if sys.maxsize < 1 << 62:
        pytest.skip("no pool is too large for a file where addresses have 32 bits")
    pool = MemoryPool(2**64 - 1)
    (tmp_path / "file").write_bytes(b"old")
    with open(tmp_path / "file", "r+b") as file, pytest.raises(OSError) as raised:
        pool.save(file)
    assert raised.value.errno == errno.EFBIG
    with pytest.raises(OSError) as raised:
        pool.save(tmp_path / "image")
    assert raised.value.errno == errno.EFBIG
    assert [it.read_bytes() for it in tmp_path.iterdir()] == [b"old"]


def test_memory_limit(tmp_path: Path) -> None:
    pool, path = MemoryPool(8192 + 5, 4096), tmp_path / "image"
    pool.fill(0, 1, 8197)
    pool.save(path)
    with MemoryPool.load(path, 4096, memory_limit=4096) as twin:
        assert twin[:] == pool[:]
        assert (twin.stats.adopted_blocks, twin.stats.family_bytes) == (2, 4096)
    with pytest.raises(PoolLimitError):
        MemoryPool.load(path, 4096, memory_limit=4095)
    with pytest.raises(PoolLimitError):
        MemoryPool.load(path, 4096, memory_limit=8192, wipe=True)
    with open(path, "rb") as file, pytest.raises(PoolLimitError):
        MemoryPool.load(file, 4096, memory_limit=8192)


@pytest.mark.parametrize("wipe", [False, True])
def test_failing_load_lets_go(wipe: bool, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise Stop

    path = tmp_path / "image"
    filled(PIECE).save(path)
    with pytest.raises(Stop) as raised:
        MemoryPool.load(path, wipe=wipe, progress=stop)
    with pytest.raises(Stop), open(path, "rb") as file:
        MemoryPool.load(file, wipe=wipe, progress=stop)
    del raised
