# SPDX-License-Identifier: MIT
"""Segments on POSIX: how they are made without memfd, and what addresses refuse."""

from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if os.name != "posix":
    pytest.skip("Windows has segments of its own", allow_module_level=True)

import fcntl

from internals import posix_module

from pymempool import MemoryPool, SharedSnapshot, SharingError


@pytest.fixture
def snapshot(pool: MemoryPool) -> Iterator[SharedSnapshot[MemoryPool]]:
    with pool.share() as made:
        yield made


def segment_of(snapshot: SharedSnapshot[Any]) -> Any:
    (segment,) = snapshot.__reduce__()[1][1]
    return segment


def address_of(snapshot: SharedSnapshot[Any]) -> list[Any]:
    """Machine, process, descriptor, device and inode."""
    return [*segment_of(snapshot).__reduce__()[1][1:]]


def refused(address: list[Any]) -> str:
    with pytest.raises(SharingError) as caught:
        posix_module.at_address(*address)
    return str(caught.value)


# ------------------------------------------------------------------------- made how

MEMFD = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there is no memfd")


@MEMFD
def test_sealed(snapshot: SharedSnapshot[MemoryPool]) -> None:
    descriptor = address_of(snapshot)[2]
    assert not os.get_inheritable(descriptor)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == seals | fcntl.F_SEAL_WRITE
    for change in (
        lambda: os.pwrite(descriptor, b"x", 0),
        lambda: os.ftruncate(descriptor, 0),
        lambda: mmap.mmap(descriptor, 100, prot=mmap.PROT_WRITE),
    ):
        with pytest.raises(PermissionError):
            change()


def refuse_memfd(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)


def no_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)


def memfd_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_memfd(monkeypatch, errno.EPERM)


def no_memory_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    no_memfd(monkeypatch)
    monkeypatch.setattr(posix_module, "_MEMORY_FOLDER", "/no/such/folder")


def no_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fcntl, "F_ADD_SEALS", raising=False)


@pytest.mark.parametrize("missing", [no_memfd, memfd_refused, no_memory_folder, no_seals])
def test_other_systems(
    missing: Any, pool: MemoryPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file without a name does as well, for addresses, too."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    missing(monkeypatch)
    with pool.share() as older:
        pool.write(100, b"newer")
        with pool.share(since=older) as snapshot:
            assert [*tmp_path.iterdir()] == []
            with pickle.loads(pickle.dumps(snapshot)) as loaded, loaded.open() as opened:
                assert opened[:] == pool[:]
                assert opened.stats.adopted_blocks == opened.stats.held_blocks


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_descriptors(
    number: int, pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no reason to put the memory somewhere else."""
    refuse_memfd(monkeypatch, number)
    monkeypatch.delattr("tempfile.TemporaryFile")
    with pytest.raises(OSError, match="Too many open files"):
        pool.share()


def test_no_room(pool: MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Part of it is written, then the file system is full: nothing is left."""
    write, found = os.write, []

    def fill_up(descriptor: int, data: Any) -> int:
        if found:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        found.append(descriptor)
        return write(descriptor, data[:10])

    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(OSError, match="No space left"):
        pool.share()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(found[0])


# ---------------------------------------------------------------------------- mapped


def test_a_process_maps_a_segment_once(snapshot: SharedSnapshot[MemoryPool]) -> None:
    loaded = pickle.loads(pickle.dumps(snapshot))
    segment, other = segment_of(snapshot), segment_of(loaded)
    assert segment is not other
    mapping = segment.map()
    assert other.map() is mapping
    with pytest.raises(TypeError, match=r"read-?only"):
        mapping[0] = 1


# -------------------------------------------------------------------------- addresses


def test_address(snapshot: SharedSnapshot[MemoryPool]) -> None:
    found = posix_module.at_address(*address_of(snapshot))
    assert found.size == segment_of(snapshot).size
    assert not os.get_inheritable(found.__reduce__()[1][3])


def test_address_on_another_machine(snapshot: SharedSnapshot[MemoryPool]) -> None:
    assert "another machine or container" in refused(["b", *address_of(snapshot)[1:]])


def test_address_where_there_is_no_proc(
    snapshot: SharedSnapshot[MemoryPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix_module, "_PROCESSES", "/no/such/folder")
    assert "without /proc" in refused(address_of(snapshot))


def test_address_of_another_user(
    snapshot: SharedSnapshot[MemoryPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = address_of(snapshot)

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "stat", refuse)
    message = refused(address)
    monkeypatch.undo()
    assert "different users" in message


def test_descriptor_of_another_file(snapshot: SharedSnapshot[MemoryPool]) -> None:
    """Its number is used again. A pipe would keep one that opens it waiting."""
    address = address_of(snapshot)
    ends = os.pipe()
    try:
        for descriptor in ends:
            address[2] = descriptor
            assert "no longer there" in refused(address)
    finally:
        for descriptor in ends:
            os.close(descriptor)


def test_descriptor_that_is_used_again_just_now(
    snapshot: SharedSnapshot[MemoryPool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, opened = address_of(snapshot), os.open
    (tmp_path / "other").write_bytes(b"other")
    monkeypatch.setattr(os, "open", lambda path, flags: opened(tmp_path / "other", flags))
    assert "no longer there" in refused(address)


@pytest.mark.parametrize("place", [1, 2])
def test_address_that_is_no_number(
    snapshot: SharedSnapshot[MemoryPool], place: int
) -> None:
    address = address_of(snapshot)
    address[place] = "../1"
    with pytest.raises(ValueError, match="format code"):
        posix_module.at_address(*address)


class Passed:
    """A descriptor on its way, which does not arrive."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def detach(self) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        EOFError(),
        RuntimeError(),
        multiprocessing.AuthenticationError(),
    ],
)
def test_passed_descriptor_is_lost(
    snapshot: SharedSnapshot[MemoryPool], error: BaseException
) -> None:
    address = address_of(snapshot)
    assert posix_module.received(Passed(error), *address).size > 0
    address[0] = "b"
    with pytest.raises(SharingError):
        posix_module.received(Passed(error), *address)


# ------------------------------------------------------------------------------- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork()")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_of_fork_has_its_own(pool: MemoryPool) -> None:
    snapshot = pool.share()
    child = os.fork()
    if child == 0:  # no test fails here: its end says what happened
        wrong = 1
        try:
            with snapshot, snapshot.open() as opened:
                wrong = opened[:] != pool[:]
            with pool.share() as again, pickle.loads(pickle.dumps(again)) as loaded:
                wrong |= loaded.open()[:] != pool[:]
        finally:
            os._exit(wrong)
    assert os.waitpid(child, 0)[1] == 0
    with snapshot.open() as opened:
        assert opened[:] == pool[:]
