# SPDX-License-Identifier: MIT
"""mempool:// as a file system of fsspec, on its own and under what people put on it."""

from __future__ import annotations

import errno
import gc
import gzip
import importlib
import io
import os
import pickle
import signal
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any, Callable

import pytest
from at_once import run_all
from hypothesis import given, strategies as st

from pymempool import MemoryPool

fsspec = pytest.importorskip("fsspec", reason="mempool:// is for fsspec")
dirfs = importlib.import_module("fsspec.implementations.dirfs")
filesystem = importlib.import_module("pymempool.filesystem")
MempoolFileSystem = filesystem.MempoolFileSystem
from internals import (  # noqa: E402
    LENGTH_MAX,
    locks_module,
    ranges_module,
    registry_module,
)

BLOCK = 4096


@pytest.fixture(autouse=True)
def protocol() -> None:
    """What the entry point of the package does where it is installed."""
    fsspec.register_implementation("mempool", MempoolFileSystem, clobber=True)


@pytest.fixture
def fs() -> Any:
    return MempoolFileSystem()


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a store, which is dropped at the end."""
    MempoolFileSystem.drop("store")
    yield "store"
    MempoolFileSystem.drop("store")


def refused(code: int, call: Callable[..., object], *arguments: Any) -> OSError:
    """The OSError of a call, which must be the one of that number."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    assert caught.value.errno == code
    return caught.value


# -------------------------------------------------------------------------------- stores


def test_instances_have_stores_of_their_own(fs: Any) -> None:
    other = fsspec.filesystem("mempool")
    fs.pipe("/a", b"1")
    assert not other.exists("/a")
    assert fs != other
    assert fs == fs and hash(fs) == hash(fs)


def test_a_name_is_a_store_that_stays(name: str) -> None:
    with fsspec.open(f"mempool://{name}/folder/a", "wb") as file:
        file.write(b"stays")
    with fsspec.open(f"mempool://{name}/folder/a") as file:
        assert file.read() == b"stays"
    first, second = MempoolFileSystem(name), fsspec.filesystem("mempool", name=name)
    assert first == second and hash(first) == hash(second)
    assert first.unstrip_protocol("/folder/a") == f"mempool://{name}/folder/a"
    assert first.unstrip_protocol("") == f"mempool://{name}/"
    assert first.find("") == ["/folder/a"]
    with first.open("/folder/a") as file:
        MempoolFileSystem.drop(name)
        assert file.read() == b"stays"
    assert second.cat("/folder/a") == b"stays"
    assert MempoolFileSystem(name).ls("") == []
    MempoolFileSystem.drop("never there")


def test_names_and_what_a_store_is_made_of(name: str) -> None:
    for wrong, error in (("", ValueError), ("a/b", ValueError), (5, TypeError)):
        with pytest.raises(error, match="name"):
            MempoolFileSystem(wrong)
    MempoolFileSystem(name, limit=4 * BLOCK, block_size=5000)
    MempoolFileSystem(name, limit=4 * BLOCK, block_size=BLOCK)
    with pytest.raises(ValueError, match=f"limit of {4 * BLOCK}"):
        MempoolFileSystem(name, limit=1)
    with pytest.raises(ValueError, match=f"blocks of {BLOCK}"):
        MempoolFileSystem(name, block_size=64)
    MempoolFileSystem.drop(name)
    MempoolFileSystem(name)
    with pytest.raises(ValueError, match="limit of None"):
        MempoolFileSystem(name, limit=1)


def test_clear_leaves_open_files_alone(fs: Any) -> None:
    fs.pipe("/a/b", b"1")
    with fs.open("/a/b") as file:
        fs.clear()
        assert fs.ls("") == []
        assert file.read() == b"1"


def test_pickled_by_name_and_within_the_process(
    fs: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="with a name"):
        pickle.dumps(fs)
    named = MempoolFileSystem(name)
    named.pipe("/a", b"1")
    stored = pickle.dumps(named)
    assert b"pymempool.filesystem" in stored and b"filesystem.system" not in stored
    assert pickle.loads(stored).cat("/a") == b"1"
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ValueError, match="memory of process"):
        pickle.loads(stored)


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for name in [name for name in sys.modules if name.startswith("pymempool.filesystem")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pymempool\[fsspec\]"):
        importlib.import_module("pymempool.filesystem")


# --------------------------------------------------------------------------------- modes


@pytest.mark.parametrize("mode", ["rb", "r+b", "wb", "w+b", "ab", "a+b", "xb", "x+b"])
@pytest.mark.parametrize("there", [False, True])
def test_modes_are_those_of_local_files(
    fs: Any, tmp_path: Path, mode: str, there: bool
) -> None:
    local = tmp_path / "file"
    if there:
        local.write_bytes(b"0123456789")
        fs.pipe("/file", b"0123456789")

    def steps(open_file: Callable[[], Any]) -> list[Any]:
        done: list[Any] = []

        def add(call: Callable[[], Any]) -> None:
            try:
                done.append(call())
            except (OSError, ValueError) as error:
                done.append(getattr(error, "errno", None) or type(error))

        try:
            file = open_file()
        except OSError as error:
            return [error.errno]
        with file:
            add(lambda: file.mode)
            add(file.readable), add(file.writable), add(file.seekable), add(file.tell)
            add(lambda: file.read(2)), add(lambda: file.write(b"abc")), add(file.tell)
            add(lambda: file.seek(1)), add(lambda: file.write(b"X")), add(file.tell)
            add(lambda: file.seek(0)), add(file.read), add(lambda: file.seek(-1, 2))
            add(lambda: file.readinto(bytearray(3))), add(lambda: file.truncate(4))
            add(file.tell), add(lambda: file.seek(-100)), add(lambda: file.seek(1, 1))
            add(lambda: file.seek(6)), add(lambda: file.write(b"end")), add(file.truncate)
        for call in (file.read, file.tell, file.writable, lambda: file.write(b"")):
            add(call)
        return done

    expected = steps(lambda: io.FileIO(local, mode))
    assert steps(lambda: fs.open("/file", mode)) == expected
    assert fs.exists("/file") == local.exists()
    if local.exists():
        assert fs.cat("/file") == local.read_bytes()


def test_modes_spelled_otherwise(fs: Any, tmp_path: Path) -> None:
    with fs.open("/a", "wb+") as file, io.FileIO(tmp_path / "a", "wb+") as local:
        assert file.mode == local.mode == "rb+"
    for mode in ("bw", "rwb", "b", "r+x+b"):
        with pytest.raises(ValueError, match="mode"):
            fs.open("/a", mode)


def test_files_of_text(fs: Any) -> None:
    with fs.open("/a", "w", encoding="utf-8", newline="\r\n") as file:
        file.write("ä\nb\n")
    with fs.open("/a", "a+", encoding="utf-8") as file:
        file.write("end")
        file.seek(0)
        assert list(file) == ["ä\n", "b\n", "end"]
    assert fs.cat("/a") == "ä\r\nb\r\nend".encode()


def test_lines_longer_than_what_is_looked_at(fs: Any) -> None:
    fs.pipe("/a", b"1\n" + b"x" * 20000 + b"\n\nlast")
    with fs.open("/a") as file:
        assert [len(line) for line in file] == [2, 20001, 1, 4]
        file.seek(0)
        assert (file.readline(), file.tell()) == (b"1\n", 2)
        assert file.peek(1)[:2] == b"xx"
        assert file.tell() == 2


def test_handles_share_bytes_and_no_position(fs: Any) -> None:
    fs.pipe("/a", b"0123456789")
    with fs.open("/a") as one, fs.open("/a", "r+b") as two:
        assert one.read(3) == b"012"
        two.write(b"abcdef")
        assert (one.read(), two.read()) == (b"def6789", b"6789")
        assert (one.size, one.path, one.fs is fs, one.mode) == (10, "/a", True, "rb")


def test_appending_goes_to_the_end_of_all(fs: Any) -> None:
    with fs.open("/log", "ab") as one, fs.open("/log", "ab") as two:
        one.write(b"1")
        two.write(b"22")
        one.write(b"3")
        assert (one.tell(), two.tell()) == (4, 3)
    assert fs.cat("/log") == b"1223"


def test_holes_and_the_far_end(fs: Any) -> None:
    end = LENGTH_MAX
    with fs.open("/a", "w+b") as file:
        file.seek(end - 1)
        assert file.write(b"z") == 1
        assert file.size == end
        refused(errno.EFBIG, file.write, b"z")
        refused(errno.EINVAL, file.seek, end + 1)
        refused(errno.EINVAL, file.truncate, end + 1)
        refused(errno.EINVAL, file.truncate, -1)
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 9)
        file.seek(1 << 40)
        assert file.read(5) == bytes(5)
    assert fs.cat_file("/a", -3) == b"\0\0z"
    assert fs._store.origin.stats.family_bytes == BLOCK


def test_what_was_cut_off_does_not_come_back(fs: Any) -> None:
    with fs.open("/a", "w+b") as file:
        file.write(b"secret" * 2000)
        file.truncate(3)
        file.truncate(12000)
        file.seek(0)
        assert file.read() == b"sec" + bytes(11997)


def test_odd_buffers(fs: Any) -> None:
    numpy = pytest.importorskip("numpy", reason="arrays as buffers")
    with fs.open("/a", "w+b") as file:
        assert file.write(numpy.arange(4, dtype="<u2")) == 8
        assert file.write(memoryview(b"")) == 0
        file.seek(0)
        target = numpy.zeros((2, 2), "<u2")
        assert file.readinto(target) == 8
        assert target.tolist() == [[0, 1], [2, 3]]
        assert file.readinto(numpy.zeros((2, 0))) == 0
        for wrong in ("text", None, 5):
            with pytest.raises(TypeError):
                file.write(wrong)
        for wrong in (b"read-only", "text", None):  # at the end too
            with pytest.raises(TypeError):
                file.readinto(wrong)
        assert (file.size, file.tell()) == (8, 8)


def test_handles_outlive_their_paths(fs: Any) -> None:
    fs.pipe("/a", b"old")
    with fs.open("/a", "r+b") as file:
        fs.rm("/a")
        assert not fs.exists("/a")
        fs.pipe("/a", b"new")
        assert file.read() == b"old"
        file.write(b"er")
        fs.mv("/a", "/b")
        assert (fs.cat("/b"), file.size) == (b"new", 5)


# ------------------------------------------------------------------------------- folders


def test_listing(fs: Any) -> None:
    before = datetime.now(timezone.utc)
    fs.pipe({"/d/b": b"12", "/d/a/x": b"", "/d/c": b"1"})
    assert fs.ls("/d", detail=False) == ["/d/a", "/d/b", "/d/c"]
    listed = fs.ls("/d")
    assert [(one["size"], one["type"]) for one in listed] == [
        (0, "directory"),
        (2, "file"),
        (1, "file"),
    ]
    assert listed[1] == fs.info("d/b/") == fs.ls("/d/b")[0]
    for one in listed:
        made, changed = fs.created(one["name"]), fs.modified(one["name"])
        assert (one["created"], one["modified"]) == (made, changed)
        assert before <= made <= changed <= datetime.now(timezone.utc)
    for missing in ("/nothing", "/d/b/under a file", "/d/x/y"):
        for call in (fs.ls, fs.info, fs.created, fs.modified, fs.rm, fs.cat, fs.rmdir):
            refused(errno.ENOENT, call, missing)
        assert not fs.exists(missing)
    assert fs.info("")["type"] == "directory"


def test_folders_are_no_files(fs: Any) -> None:
    fs.mkdir("/d/e")
    fs.pipe("/f", b"1")
    for call in (fs.open, fs.rm_file, fs.cat_file, fs.touch):
        refused(errno.EISDIR, call, "/d")
    refused(errno.EISDIR, fs.open, "/", "wb")
    refused(errno.EISDIR, fs.cp_file, "/f", "/d")
    refused(errno.ENOTDIR, fs.open, "/f/x", "wb")
    refused(errno.ENOTDIR, fs.mkdir, "/f/x/y")
    refused(errno.ENOTDIR, fs.rmdir, "/f")
    refused(errno.ENOTEMPTY, fs.rmdir, "/d")
    refused(errno.ENOENT, lambda: fs.mkdir("/x/y", create_parents=False))
    for there in ("/d", "/f", ""):
        refused(errno.EEXIST, fs.mkdir, there)
        refused(errno.EEXIST, fs.makedirs, there)
        refused(errno.EEXIST, fs.open, there, "xb")
    refused(errno.EEXIST, lambda: fs.makedirs("/f", exist_ok=True))
    fs.makedirs("/d", exist_ok=True)
    refused(errno.ENOTEMPTY, fs.rmdir, "")
    fs.rmdir("/d/e")
    assert fs.ls("/d") == []
    fs.clear()
    fs.rmdir("")
    assert fs.ls("") == []


def test_paths(fs: Any) -> None:
    fs.pipe("a//b/", b"1")
    assert fs.find("") == ["/a/b"]
    for same in ("/a/b", "//a/b//", PureWindowsPath("a\\b")):
        assert fs.cat_file(same) == b"1"


@pytest.mark.parametrize("odd", ["[1]", "*", "?", "**", "a[!b]c"])
def test_names_that_look_like_patterns(fs: Any, tmp_path: Path, odd: str) -> None:
    """What exists is meant literally; what does not is a pattern."""
    names = {f"/x{odd}": b"file", f"/d{odd}/f{odd}": b"below"}
    others = {"/x1": b"1", "/xa": b"2", "/d1/f1": b"3", "/da/fa": b"4", "/daac/f": b"5"}
    fs.pipe({**names, **others})
    for path, data in names.items():
        assert fs.cat(path) == fs.cat([path])[path] == fs.open(path).read() == data
        assert fs.cat_ranges([path], [0], [9]) == [data]
        assert fs.expand_path(path) == [path]
        assert fs.info(path)["size"] == fs.size(path) == fs.du(path) == len(data)
        assert fs.get_mapper(fs._parent(path))[path.rpartition("/")[2]] == data
        fs.get_file(path, f"{tmp_path}/got")
        assert (tmp_path / "got").read_bytes() == data
    below = [f"/d{odd}", f"/d{odd}/f{odd}"]
    assert fs.find(f"/d{odd}", withdirs=True) == below
    assert fs.expand_path(f"/d{odd}", recursive=True) == below
    assert fs.expand_path([f"/d{odd}", "/x1"], recursive=True) == [*below, "/x1"]
    assert fs.expand_path(f"/d{odd}", recursive=True, maxdepth=1) == below
    fs.copy(f"/d{odd}", "/copy", recursive=True)  # as fsspec has it for patterns
    assert fs.find("/copy") == [f"/copy/f{odd}"]
    fs.cp_file(f"/x{odd}", f"/y{odd}")
    fs.copy(f"/x{odd}", "/z/")
    fs.mv(f"/x{odd}", f"/moved{odd}")
    assert fs.cat(f"/y{odd}") == fs.cat(f"/z/x{odd}") == fs.cat(f"/moved{odd}") == b"file"
    fs.mv([f"/moved{odd}"], "/into")
    fs.rm(f"/into/moved{odd}")
    fs.rm([f"/y{odd}", f"/z/x{odd}", "/z"])
    fs.rm(f"/d{odd}", recursive=True)
    fs.rm("/copy", recursive=True)
    fs.rmdir("/into")
    assert fs.cat(fs.find("")) == others
    assert len(fs.expand_path("/x[1-9a]")) == len(fs.expand_path("/x?")) == 2
    with pytest.raises(FileNotFoundError):
        fs.rm("/z?")


def test_removing(fs: Any) -> None:
    fs.pipe({"/d/1": b"", "/d/e/f/2": b"", "/k": b"", "/l": b""})
    fs.mkdir("/d/empty/empty")
    refused(errno.ENOTEMPTY, fs.rm, "/d")
    fs.rm("/d", recursive=True)
    assert fs.find("", withdirs=True) == ["/k", "/l"]
    fs.rm(["/k", "/l"])
    assert fs.ls("") == []
    fs.pipe("/d/1", b"")
    fs.rm("/", recursive=True)
    assert fs.ls("") == []


def test_moving(fs: Any) -> None:
    fs.pipe({"/d/e/1": b"1", "/2": b"2", "/3": b"3"})
    made = fs.created("/2")
    fs.mv("/d", "/new/d")
    assert fs.find("") == ["/2", "/3", "/new/d/e/1"]
    fs.mv("/2", "/new")
    fs.mv("/3", "/4/")
    assert fs.find("") == ["/4/3", "/new/2", "/new/d/e/1"]
    assert fs.created("/new/2") == made
    fs.mv("/new/2", "/4/3")
    assert fs.cat("/4/3") == b"2"
    fs.mv("/4/3", "/4/3")
    fs.mv("/4/*", "/new/")
    assert fs.find("") == ["/new/3", "/new/d/e/1"]
    refused(errno.ENOENT, fs.mv, "/nothing", "/x")
    refused(errno.EINVAL, fs.mv, "/new", "/new/d/x")
    refused(errno.EINVAL, fs.mv, "/", "/x")
    refused(errno.EINVAL, fs.mv, "/", "/new")
    refused(errno.EEXIST, fs.mv, "/new/d", "/new/3")
    refused(errno.ENOTDIR, fs.mv, "/new/d", "/new/3/x")
    fs.mkdir("/d")
    fs.mkdir("/new/into/d")
    refused(errno.EISDIR, fs.mv, "/d", "/new/into")
    assert fs.find("") == ["/new/3", "/new/d/e/1"]


def test_moves_onto_themselves_change_nothing(name: str) -> None:
    fs = MempoolFileSystem(name)
    fs.pipe({"/src/d/1": b"1", "/src/f": b"f", "/g": b"g", "/[x]*": b"x"})
    there = {path: (fs.info(path), fs.isdir(path) or fs.cat_file(path)) for path in ALL}
    for source, target in (
        ("/src", "/src"),
        ("/src", "/src/"),
        ("/src/d", "/src"),
        ("/src/d", "/src/"),
        ("/src/f", "/src"),
        ("/g", "/g"),
        ("/g", "/g/"),
        ("/g", "/"),
        ("/", "/"),
        ("/*", "/"),
        ("/s*", "/"),
        ("/src/*", "/src"),
        ("/[x]*", "/[x]*"),
        (["/g", "/src"], ["/g", "/src"]),
        (["/g", "/src"], "/"),
    ):
        fs.mv(source, target)
        fs.mv(source, target, recursive=True, maxdepth=1)
        if isinstance(source, str):
            fs.mv(f"mempool://{name}{source}", target)
            fs.mv(source, f"mempool://{name}{target}")
        for path, before in there.items():
            assert (fs.info(path), fs.isdir(path) or fs.cat_file(path)) == before
    assert fs.find("", withdirs=True) == sorted(ALL)
    for missing in ("/nothing", "/nothing*"):
        with pytest.raises(FileNotFoundError):
            fs.mv(missing, missing)


ALL = ["/g", "/src", "/src/d", "/src/d/1", "/src/f", "/[x]*"]


def test_moving_many(fs: Any) -> None:
    fs.pipe({"/a/x": b"1", "/a/d/y": b"2", "/b/x": b"3", "/c": b"4"})
    fs.mv(["/a/x", "/c"], ["/1", "/2"])
    fs.mv("/a/*", "/new")  # a directory with what is in it
    assert fs.find("") == ["/1", "/2", "/b/x", "/new/d/y"]
    fs.mv(["/1", "/b/x"], "/new")
    assert fs.find("") == ["/2", "/new/1", "/new/d/y", "/new/x"]
    fs.pipe("/b/x", b"5")
    for paths, target in (
        (["/b/x", "/new/x"], "/one"),
        (["/b/x", "/new/x"], ["/one", "/one"]),
        (["/b/x", "/new/x"], ["/one"]),
    ):
        with pytest.raises(ValueError, match="2 paths"):
            fs.mv(paths, target)
    assert (fs.cat("/b/x"), fs.cat("/new/x"), fs.exists("/one")) == (b"5", b"3", False)


# ---------------------------------------------------------------------- copies and limits


def test_copies_share_memory_until_written_to(fs: Any) -> None:
    data = bytes(range(256)) * 16 * 8
    fs.pipe("/a", data)
    held = fs._store.origin.stats.family_bytes
    with fs.open("/a", "r+b") as file:
        fs.cp_file("/a", "/a")
        file.write(b"\xff")  # it is still the same file
        assert fs.cat("/a") == b"\xff" + data[1:]
        file.seek(0)
        file.write(data[:1])
    fs.cp_file("/a", "/b")
    assert fs._store.origin.stats.family_bytes == held == 8 * BLOCK
    with fs.open("/b", "r+b") as file:
        file.write(b"new")
    assert fs._store.origin.stats.family_bytes == 9 * BLOCK
    assert (fs.cat("/a"), fs.cat("/b")) == (data, b"new" + data[3:])
    fs.rm("/a"), fs.rm("/b")
    assert fs._store.origin.stats.family_bytes == 0


def test_a_limit_for_all_files() -> None:
    fs = MempoolFileSystem(limit=2 * BLOCK)
    fs.pipe("/a", b"a" * BLOCK)
    with fs.open("/b", "wb") as file:
        file.write(b"b")
        refused(errno.ENOSPC, file.write, bytes(BLOCK))
        assert (file.tell(), file.size) == (1, 1)
        file.write(b"c")
    fs.cp_file("/a", "/c")
    with fs.open("/c", "r+b") as file:
        refused(errno.ENOSPC, file.truncate, 5)
        assert file.size == BLOCK
    assert (fs.cat("/a"), fs.cat("/b")) == (b"a" * BLOCK, b"bc")
    fs.rm("/b")
    gc.collect()  # tracebacks of the errors above hold the file
    fs.pipe("/d", b"d")
    assert fs.cat("/c") == b"a" * BLOCK


# --------------------------------------------------------------------------- transactions


def test_transactions(fs: Any) -> None:
    fs.pipe({"/old": b"old", "/log": b"1", "/part": b"part"})

    def change() -> None:
        fs.pipe("/new/file", b"new")
        fs.pipe("/old", b"O")
        with fs.open("/log", "ab") as file:
            file.write(b"2")
        with fs.open("/part", "r+b") as file:
            file.write(b"P")
        assert fs.cat(["/old", "/log", "/part"]) == before
        assert not fs.exists("/new")

    before = fs.cat(["/old", "/log", "/part"])
    with pytest.raises(KeyError), fs.transaction:
        change()
        raise KeyError
    assert fs.cat(["/old", "/log", "/part"]) == before
    assert not fs.exists("/new")
    with fs.transaction:
        change()
    assert fs.cat(fs.find("")) == {
        "/new/file": b"new",
        "/old": b"O",
        "/log": b"12",
        "/part": b"Part",
    }


def test_commit_and_discard(fs: Any) -> None:
    with fs.open("/a", "xb", autocommit=False) as file:
        file.write(b"1")
    fs.pipe("/a", b"first")
    refused(errno.EEXIST, file.commit)
    file.discard()
    file.commit()
    assert fs.cat("/a") == b"first"
    with fs.open("/a", "wb", autocommit=False) as file, fs.open("/a") as reader:
        file.write(b"second")
        file.commit()
        assert (fs.cat("/a"), reader.read()) == (b"second", b"first")
        fs.rm("/a")
        file.commit()
    assert not fs.exists("/a")


def test_memory_of_what_is_not_committed() -> None:
    fs = MempoolFileSystem(limit=BLOCK)

    def held() -> int:
        return int(fs._store.origin.stats.family_bytes)

    for settle in ("commit", "discard"):
        with fs.open("/a", "wb", autocommit=False) as file:
            file.write(b"1")
        assert held() == BLOCK
        getattr(file, settle)()
        fs.clear()
        assert held() == 0  # though the closed file is still there


def test_saving_pools_is_all_or_nothing(pool: MemoryPool, name: str) -> None:
    url = f"mempool://{name}/images/ram.bin"
    fs = MempoolFileSystem(name)
    for suffix in ("", ".gz"):
        pool.save(url + suffix)
        kept = fs.cat(f"/images/ram.bin{suffix}")
        with MemoryPool.load(url + suffix) as loaded:
            assert loaded[:] == pool[:]

        def fail(done: int, total: int | None) -> None:
            raise KeyError

        pool.write(0, b"other")
        with pytest.raises(KeyError):
            pool.save(url + suffix, progress=fail)
        assert fs.cat(f"/images/ram.bin{suffix}") == kept
    assert fs.cat("/images/ram.bin")[100:103] == b"\1\2\3"


def test_touching(fs: Any) -> None:
    fs.touch("/d/a")
    assert fs.size("/d/a") == 0
    fs.pipe("/d/a", b"1")
    changed = fs.modified("/d/a")
    fs.touch("/d/a", truncate=False)
    assert fs.cat("/d/a") == b"1"
    assert fs.modified("/d/a") >= changed
    fs.touch("/d/a")
    assert fs.size("/d/a") == 0


# --------------------------------------------------------------------------- real clients


def test_what_fsspec_does_with_all_file_systems(fs: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "1").write_bytes(b"one")
    (tmp_path / "in" / "sub" / "2").write_bytes(b"two")
    fs.put(f"{tmp_path}/in", "/d", recursive=True)
    assert fs.find("/d") == ["/d/1", "/d/sub/2"]
    assert list(fs.walk("/d")) == [("/d", ["sub"], ["1"]), ("/d/sub", [], ["2"])]
    assert fs.glob("/d/**/[0-9]") == ["/d/1", "/d/sub/2"]
    assert fs.glob("*") == ["/d"]
    assert (fs.du("/d"), fs.disk_usage("")) == (6, 6)
    assert fs.expand_path("/d", recursive=True) == ["/d", "/d/1", "/d/sub", "/d/sub/2"]
    fs.copy("/d", "/copy", recursive=True)
    fs.copy("/d/1", "/copy/sub/")
    assert fs.find("/copy") == ["/copy/1", "/copy/sub/1", "/copy/sub/2"]
    fs.get("/copy", f"{tmp_path}/out", recursive=True)
    assert (tmp_path / "out" / "sub" / "2").read_bytes() == b"two"
    ranges = fs.cat_ranges(
        ["/d/1", "/d/1", "/d/sub/2", "/d/1"], [0, -2, 1, 2], [1, None, 9, 1]
    )
    assert ranges == [b"o", b"ne", b"wo", b""]
    assert (fs.head("/d/1", 2), fs.tail("/d/1", 2)) == (b"on", b"ne")
    assert fs.read_block("/d/1", 1, 1) == b"n"


def test_mappers_and_subfolders(fs: Any) -> None:
    mapper = fs.get_mapper("/root", create=True)
    mapper["a/b"] = b"1"
    mapper["c"] = b"2"
    assert dict(mapper) == {"a/b": b"1", "c": b"2"}
    del mapper["c"]
    assert list(mapper) == ["a/b"]
    with pytest.raises(KeyError):
        mapper["c"]
    below = dirfs.DirFileSystem("/root", fs)
    below.pipe("x/y", b"3")
    assert below.find("") == ["a/b", "x/y"]
    assert fs.cat("/root/x/y") == b"3"
    below.mv("x", "z", recursive=True)
    assert fs.find("/root") == ["/root/a/b", "/root/z/y"]


def test_archives_and_compression(fs: Any) -> None:
    with fs.open("/a.zip", "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("member", b"text" * 1000)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("second", b"2")
    with fs.open("/a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["member", "second"]
    with fs.open("/a.gz", "wb", compression="gzip") as file:
        file.write(b"text" * 1000)
    assert gzip.decompress(fs.cat("/a.gz")) == b"text" * 1000
    with fs.open("/a.gz", compression="infer") as file:
        assert file.read() == b"text" * 1000
    with fs.open("/b.gz", "w+b") as file:
        with gzip.GzipFile(fileobj=file, mode="wb") as archive:
            archive.write(b"text" * 1000)
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as archive:  # which reads, by file.mode
            assert archive.read() == b"text" * 1000
    with io.BufferedRandom(fs.open("/a", "w+b")) as buffered:
        buffered.write(b"12345")
        buffered.seek(1)
        assert (buffered.read(2), buffered.read()) == (b"23", b"45")


def test_arrays_and_pickles(fs: Any) -> None:
    numpy = pytest.importorskip("numpy", reason="saves arrays")
    array = numpy.arange(10000).reshape(100, 100)
    with fs.open("/a.npy", "wb") as file:
        numpy.save(file, array)
    with fs.open("/a.npy") as file:
        assert numpy.array_equal(numpy.load(file), array)
    with fs.open("/a.pickle", "wb") as file:
        pickle.dump({"key": b"x" * 100000}, file)
    with fs.open("/a.pickle") as file:
        assert pickle.load(file) == {"key": b"x" * 100000}


def test_cached_files(name: str, tmp_path: Path) -> None:
    MempoolFileSystem(name).pipe("/a", b"1")
    url = f"simplecache::mempool://{name}/a"
    with fsspec.open(url, simplecache={"cache_storage": str(tmp_path)}) as file:
        assert file.read() == b"1"
    with fsspec.open(url, "wb", simplecache={"cache_storage": str(tmp_path)}) as file:
        file.write(b"2")
    assert MempoolFileSystem(name).cat("/a") == b"2"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # fsspec leaves its files open
@pytest.mark.parametrize("cache", ["blockcache", "cached", "filecache", "simplecache"])
def test_caches_in_front(name: str, tmp_path: Path, cache: str) -> None:
    data = bytes(range(256)) * 100
    MempoolFileSystem(name).pipe({"/d/a": data, "/empty": b"", "/short": b"s"})
    for folder, chained in (("one", True), ("two", False), ("two", False)):
        storage = {"cache_storage": str(tmp_path / folder)}
        if chained:
            fs, path = fsspec.url_to_fs(
                f"{cache}::mempool://{name}/d/a", **{cache: storage}
            )
        else:
            target = {"target_protocol": "mempool", "target_options": {"name": name}}
            fs, path = fsspec.filesystem(cache, **target, **storage), "/d/a"
        with fs.open(path) as file:
            assert (file.read(3), file.seek(-2, 2), file.read()) == (
                data[:3],
                25598,
                data[-2:],
            )
            assert (file.seek(5000), file.read(5000)) == (5000, data[5000:10000])
        assert fs.cat(path) == data
        assert fs.cat("/short") == b"s"
        assert fs.ls("/d", detail=False) == ["/d/a"]
        assert fs.size(f"mempool://{name}/d/a") == len(data)
        if cache != "simplecache":  # whose files to be written are local ones
            continue
        with fs.open("/new", "wb") as file:
            file.write(b"new")
        assert MempoolFileSystem(name).cat("/new") == b"new"
    gc.collect()


@pytest.mark.parametrize("kind", ["none", "readahead", "bytes", "blockcache", "all"])
def test_read_caches_of_open_files(fs: Any, kind: str) -> None:
    data = bytes(range(256)) * 100
    fs.pipe("/a", data)
    with fs.open("/a", block_size=999, cache_type=kind) as file:
        fs.rm("/a")
        assert (file.read(2), file.seek(2000), file.read(), file.size) == (
            data[:2],
            2000,
            data[2000:],
            len(data),
        )


# -------------------------------------------------------------------------------- threads


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns at almost every step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(work: Callable[[int], None]) -> None:
    """Calls work(0) .. work(3) at once."""
    run_all(*(partial(work, number) for number in range(4)))


def test_appending_in_threads(name: str, eager: None) -> None:
    size = 20000  # so many are copied while other threads run

    def work(number: int) -> None:
        with MempoolFileSystem(name).open("/log", "ab") as file:
            for _ in range(50):
                file.write(bytes([number]) * size)

    in_threads(work)
    log = MempoolFileSystem(name).cat("/log")
    records = [log[at : at + size] for at in range(0, len(log), size)]
    expected = [bytes([number]) * size for number in range(4) for _ in range(50)]
    assert sorted(records) == expected


def test_one_store_for_all_threads(name: str, eager: None) -> None:
    made: list[Any] = []
    for _ in range(20):
        MempoolFileSystem.drop(name)
        made.clear()
        in_threads(lambda number: made.append(MempoolFileSystem(name)))
        assert len(made) == 4
        assert all(one == made[0] for one in made)


def test_the_tree_in_threads(fs: Any, eager: None) -> None:
    fs.pipe({f"/shared/{turn}": b"" for turn in range(100)})
    abreast = threading.Barrier(4, timeout=30)
    first: list[int] = []

    def work(number: int) -> None:
        for turn in range(100):
            abreast.wait()
            with suppress(FileExistsError), fs.open(f"/first/{turn}", "xb"):
                first.append(turn)
            with fs._open(f"/new{turn}/{number}", "wb", autocommit=False) as file:
                file.write(b"1")
            abreast.wait()
            file.commit()
            abreast.wait()
            with suppress(FileNotFoundError):  # another one was faster
                fs.mv(f"/shared/{turn}", f"/got/{turn}-{number}")
            fs.find("")

    in_threads(work)
    assert first == list(range(100))
    assert len(fs.glob("/new*/*")) == 400
    assert [path.split("-")[0] for path in fs.ls("/got", detail=False)] == sorted(
        f"/got/{turn}" for turn in range(100)
    )
    assert fs.ls("/shared") == []


READS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda fs: bytes(fs.open("/a").read()),
    "readinto": lambda fs: io.BufferedReader(fs.open("/a"), 1 << 20).read(),
    "cat_file": lambda fs: bytes(fs.cat_file("/a", None, None)),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("change", ["truncate", "write"])
def test_reads_are_one_step(
    name: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees bytes that are cut off as zeros, nor half of a write past the end."""
    fs = MempoolFileSystem(limit=BLOCK)  # with a limit all files have blocks
    fs.pipe("/a", b"0123456789")
    spot = {"truncate": (MemoryPool, "discard"), "write": (ranges_module, "put")}[change]
    call, seen, read = getattr(*spot), [], threading.Event()

    def look() -> None:
        seen.append(READS[name](fs))
        read.set()

    def halfway(*arguments: Any) -> None:
        call(*arguments)
        reader.start()
        read.wait(0.3)  # time enough to see it, for who does not wait

    reader = threading.Thread(target=look)
    with fs.open("/a", "r+b") as file, monkeypatch.context() as patch:
        patch.setattr(*spot, halfway)
        if change == "truncate":
            file.truncate(4)
        else:
            file.seek(8)
            file.write(b"abcd")
    reader.join()
    assert seen == [b"0123" if change == "truncate" else b"01234567abcd"]


def test_locks_are_made_anew(fs: Any) -> None:
    """What a forked child does, whose other threads are gone."""
    fs.pipe("/a", b"1")

    def locks() -> list[Any]:
        owners = registry_module._named, fs._store, fs._file("/a")
        return [owner.lock for owner in owners]

    before = locks()
    locks_module._renew()
    assert not any(new in before for new in locks())
    assert fs.cat("/a") == b"1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
def test_in_a_child_of_a_thread_that_had_the_locks(fs: Any, name: str) -> None:
    fs.pipe("/a", b"1")
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with registry_module._named.lock, fs._store.lock, fs._file("/a").lock:
            held.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork among threads
        child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends the child if a lock is held for ever
        with fs.open("/a", "ab") as file:
            file.write(b"2")
        MempoolFileSystem(name)
        os._exit(int(fs.cat("/a")))
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 12 << 8
    assert fs.cat("/a") == b"1"


# ---------------------------------------------------------- against fsspec's memory files

paths = st.sampled_from(["/a", "/b", "/d/a", "/d/b", "/d/e/a"])
contents = st.binary(max_size=50)
steps = st.one_of(
    st.tuples(st.just("pipe"), paths, contents),
    st.tuples(st.just("copy"), paths, paths),
    st.tuples(st.just("rm"), paths),
    st.tuples(st.just("cat"), paths, st.integers(-60, 60), st.integers(-60, 60)),
    st.tuples(st.just("append"), paths, contents),
    st.tuples(st.just("patch"), paths, st.integers(0, 60), contents),
    st.tuples(st.just("cut"), paths, st.integers(0, 60)),
)


def perform(fs: Any, action: str, path: str, *rest: Any) -> Any:
    """One step; what it returns, or FileNotFoundError."""
    try:
        if action == "append":
            with fs.open(path, "ab") as file:
                return file.write(rest[0])
        if action == "patch":
            with fs.open(path, "r+b") as file:
                file.seek(rest[0])
                return file.write(rest[1])
        if action == "cut":
            with fs.open(path, "r+b") as file:
                file.seek(0)
                return file.truncate(min(rest[0], fs.size(path)))
        if action == "cat":
            return fs.cat_file(path, *rest)
        call = {"pipe": fs.pipe_file, "copy": fs.cp_file, "rm": fs.rm_file}[action]
        return call(path, *rest)
    except FileNotFoundError:
        return FileNotFoundError


@given(st.lists(steps, max_size=30))
def test_steps_give_what_they_give_in_memory(actions: list[tuple[Any, ...]]) -> None:
    ours = MempoolFileSystem(block_size=16)
    theirs = fsspec.filesystem("memory", skip_instance_cache=True)
    theirs.store, theirs.pseudo_dirs = {}, [""]  # not the one of the process
    for action in actions:
        if action[0] == "patch" and not action[-1]:
            continue  # BytesIO alone fills up to where nothing is written
        if action[0] == "append" and not theirs.exists(action[1]):
            theirs.touch(action[1])  # which older ones do not by themselves
        assert perform(ours, *action) == perform(theirs, *action)
        assert ours.find("") == theirs.find("")
    for path in ours.find(""):
        assert ours.cat(path) == theirs.cat(path)
        assert ours.size(path) == theirs.size(path)
