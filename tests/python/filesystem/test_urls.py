# SPDX-License-Identifier: MIT
"""URLs of mempool://: bytes go to, come from and leave the store that a URL names."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Callable

import pytest

fsspec = pytest.importorskip("fsspec", reason="mempool:// is for fsspec")

from fsspec import generic  # noqa: E402

from pymempool.filesystem import MempoolFileSystem  # noqa: E402

BLOCK = 4096


@pytest.fixture(autouse=True)
def stores() -> Iterator[None]:
    """The protocol, and the stores one, two and three, which are empty."""
    fsspec.register_implementation("mempool", MempoolFileSystem, clobber=True)
    for name in ("one", "two", "three"):
        MempoolFileSystem.drop(name)
    yield
    for name in ("one", "two", "three"):
        MempoolFileSystem.drop(name)


@pytest.fixture
def one() -> Any:
    return MempoolFileSystem("one")


@pytest.fixture
def two() -> Any:
    return MempoolFileSystem("two")


# ---------------------------------------------------------------------- what a URL names


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_chained(one: Any, tmp_path: Path) -> None:
    one.pipe("/folder/z.zip", zipped(a=b"in a", b=b"in b"))
    with fsspec.open("zip://a::mempool://one/folder/z.zip") as file:
        assert file.read() == b"in a"
    with fsspec.open("dir://z.zip::mempool://one/folder") as file:
        assert file.read() == one.cat("/folder/z.zip")
    files = fsspec.open_files("zip://*::mempool://one/folder/z.zip")
    assert [file.path for file in files] == ["a", "b"]
    system = fsspec.filesystem("zip", fo="mempool://two/new.zip", mode="w")
    system.pipe("c", b"in c")
    system.close()
    with fsspec.open("zip://c::mempool://two/new.zip") as file:
        assert file.read() == b"in c"
    with fsspec.open(
        "zip://a::simplecache::mempool://one/folder/z.zip",
        simplecache={"cache_storage": str(tmp_path)},
    ) as file:
        assert file.read() == b"in a"


def test_the_protocol_beside_the_path(one: Any) -> None:
    with fsspec.open("/x", "wb", protocol="mempool", name="one") as file:
        file.write(b"1")
    assert one.cat("/x") == b"1"
    for url, options in (("mempool://one/x", {}), ("mempool://one/x", {"name": "one"})):
        with fsspec.open(url, protocol="mempool", **options) as file:
            assert file.read() == b"1"
    system, path = fsspec.url_to_fs("x", protocol="mempool", name="one")
    assert (system, path) == (one, "/x")


def test_paths_are_short_only_within_their_store(one: Any) -> None:
    for path, short in (
        ("mempool://one", ""),
        ("mempool://one/a//b/", "/a/b"),
        ("mempool://two/", "mempool://two"),
        ("mempool://two//a", "mempool://two/a"),
        (["mempool://one/x", "y"], ["/x", "/y"]),
    ):
        assert one._strip_protocol(path) == short
    assert MempoolFileSystem._strip_protocol("mempool://one/a/") == "mempool://one/a"
    for path, above in (
        ("/a/b", "/a"),
        ("/a", "/"),
        ("/", "/"),
        ("mempool://two/a", "mempool://two"),
        ("mempool://two", "mempool://two"),
    ):
        assert one._parent(path) == above
    assert one.unstrip_protocol("/a") == "mempool://one/a"
    assert one.unstrip_protocol("mempool://two/a/") == "mempool://two/a"
    assert one.unstrip_protocol("mempool://two") == "mempool://two/"
    with pytest.raises(ValueError, match="no URLs"):
        MempoolFileSystem().unstrip_protocol("/a")


@pytest.mark.parametrize("url", ["mempool:///a", "mempool:///"])
def test_urls_that_name_no_store(one: Any, url: str) -> None:
    for call in (
        lambda: fsspec.open(url, "wb"),
        lambda: fsspec.url_to_fs(url),
        lambda: generic.rsync("mempool://one", url),
    ):
        with pytest.raises(ValueError, match="name"):
            call()
    system, path = fsspec.url_to_fs(url, name="one")
    assert (system, path) == (one, url[len("mempool://") :].rstrip("/"))
    assert one.unstrip_protocol(url) == url.replace("///", "//one/")
    one.pipe("/a", b"1")
    assert one.ls(url, detail=False) == one.find(url) == ["/a"]
    with fsspec.open("mempool:///a", name="one") as file:
        assert file.read() == b"1"


def test_paths_of_pathlib_have_one_slash(one: Any) -> None:
    for path in ("mempool:/one/a", PurePosixPath("mempool://one/a")):
        for call in (one.cat_file, one.unstrip_protocol, one.touch, one.ls, one.rm):
            with pytest.raises(ValueError, match="names no store"):
                call(path)
    assert one.ls("") == []


# --------------------------------------------------------------- every method with a path

HERE, THERE = "/d/f", "mempool://two/d/f"

#: Calls that read, with what they give for a file of b"here" and b"there".
READS: dict[str, Callable[[Any, str], Any]] = {
    "cat": lambda fs, path: fs.cat(path),
    "cat of many": lambda fs, path: next(iter(fs.cat([path]).values())),
    "cat_file": lambda fs, path: fs.cat_file(path),
    "cat_ranges": lambda fs, path: fs.cat_ranges([path], [0], [9])[0],
    "open": lambda fs, path: fs.open(path).read(),
    "read_bytes": lambda fs, path: fs.read_bytes(path),
    "read_text": lambda fs, path: fs.read_text(path).encode(),
    "head": lambda fs, path: fs.head(path, 9),
    "tail": lambda fs, path: fs.tail(path, 9),
    "mapper": lambda fs, path: fs.get_mapper(path[:-2])["f"],
    "glob": lambda fs, path: fs.cat_file(fs.glob(path[:-1] + "?")[0]),
    "find": lambda fs, path: fs.cat_file(fs.find(path[:-2])[0]),
    "walk": lambda fs, path: b"%s" % fs.cat_file(next(fs.walk(path[:-2]))[0] + "/f"),
    "ls": lambda fs, path: fs.cat_file(fs.ls(path[:-2], detail=False)[0]),
    "info": lambda fs, path: b"here" if fs.info(path)["size"] == 4 else b"there",
    "size": lambda fs, path: b"here" if fs.size(path) == 4 else b"there",
    "du": lambda fs, path: b"here" if fs.du(path[:-2]) == 4 else b"there",
}


@pytest.mark.parametrize("call", READS)
def test_reads_come_from_the_store_of_the_url(one: Any, two: Any, call: str) -> None:
    one.pipe(HERE, b"here")
    two.pipe(HERE, b"there")
    for fs in (one, fsspec.filesystem("mempool", name="one")):
        assert READS[call](fs, HERE) == b"here"
        assert READS[call](fs, "mempool://one" + HERE) == b"here"
        assert READS[call](fs, THERE) == b"there"


@pytest.mark.parametrize("call", READS)
def test_nothing_is_read_from_another_store(one: Any, call: str) -> None:
    one.pipe(HERE, b"here")
    with pytest.raises((OSError, IndexError, KeyError, StopIteration, AssertionError)):
        assert READS[call](one, THERE) == b"here"


def put_file(fs: Any, path: str, folder: Path) -> None:
    (folder / "local").write_bytes(b"new")
    fs.put_file(str(folder / "local"), path)


WRITES: dict[str, Callable[[Any, str, Path], object]] = {
    "pipe": lambda fs, path, folder: fs.pipe(path, b"new"),
    "pipe of many": lambda fs, path, folder: fs.pipe({path: b"new"}),
    "pipe_file": lambda fs, path, folder: fs.pipe_file(path, b"new"),
    "write_bytes": lambda fs, path, folder: fs.write_bytes(path, b"new"),
    "write_text": lambda fs, path, folder: fs.write_text(path, "new"),
    "put_file": put_file,
    "mapper": lambda fs, path, folder: fs.get_mapper(path[:-2]).update(f=b"new"),
    "copy": lambda fs, path, folder: fs.copy("/source", path),
    "cp_file": lambda fs, path, folder: fs.cp_file("/source", path),
    "mv": lambda fs, path, folder: fs.mv("/source", path),
}


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("old", [b"", b"old"])
def test_writes_go_to_the_store_of_the_url(
    one: Any, two: Any, call: str, old: bytes, tmp_path: Path
) -> None:
    one.pipe("/source", b"new")
    if old:
        two.pipe(HERE, old)
    WRITES[call](one, THERE, tmp_path)
    assert two.cat(HERE) == b"new"
    assert one.find("") == ([] if call == "mv" else ["/source"])
    one.pipe("/source", b"new")
    WRITES[call](one, HERE, tmp_path)
    assert one.cat(HERE) == b"new"


def test_changes_of_the_tree_are_in_the_store_of_the_url(one: Any, two: Any) -> None:
    for fs in (one, two):
        fs.pipe({"/d/f": b"1", "/d/g": b"2"})
        fs.mkdir("/empty")
    one.rm("mempool://two/d/f")
    one.rm_file("mempool://two/d/g")
    one.rmdir("mempool://two/empty")
    one.mkdir("mempool://two/new/sub")
    one.makedirs("mempool://two/made")
    one.touch("mempool://two/touched")
    assert two.find("", withdirs=True) == [
        "/d",
        "/made",
        "/new",
        "/new/sub",
        "/touched",
    ]
    assert one.find("", withdirs=True) == ["/d", "/d/f", "/d/g", "/empty"]
    assert one.created("mempool://two/touched") == two.created("/touched")
    assert one.modified("mempool://two/touched") == two.modified("/touched")
    one.rm(["/d", "mempool://two/new"], recursive=True)
    assert (one.find(""), two.exists("/new"), one.isdir(THERE)) == ([], False, False)
    with pytest.raises(FileNotFoundError, match="mempool://two/nothing"):
        one.rm("mempool://two/nothing")
    with pytest.raises(FileNotFoundError):
        one.mkdir("mempool://two/x/y", create_parents=False)
    with pytest.raises(FileExistsError):
        one.mkdir("mempool://two/made")
    one.rm("mempool://two", recursive=True)
    assert two.ls("") == []


def test_what_is_found_is_named_as_the_path_is(one: Any, two: Any) -> None:
    for fs in (one, two):
        fs.pipe("/d/f", b"1")
    for top in ("", "mempool://one", "mempool://two"):
        path = f"{top}/d/f"
        assert one.find(top or "/") == one.glob(f"{top}/**/f") == [path]
        assert one.ls(f"{top}/d", detail=False) == one.ls(path, detail=False) == [path]
        assert one.info(path)["name"] == one.ls(f"{top}/d")[0]["name"] == path
        assert one.info(top or "/")["name"] == top
        for found in (one.find(top, detail=True), one.glob(path, detail=True)):
            assert [(key, info["name"]) for key, info in found.items()] == [(path, path)]


def test_data_sets_of_pyarrow(one: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="writes and reads data sets")
    parquet = pytest.importorskip("pyarrow.parquet", reason="writes and reads data sets")
    fs, path = fsspec.url_to_fs("mempool://one/set")
    table = pyarrow.table({"a": [1, 2, 3], "b": ["x", "y", "x"]})
    parquet.write_to_dataset(table, path, partition_cols=["b"], filesystem=fs)
    assert one.ls("/set", detail=False) == ["/set/b=x", "/set/b=y"]
    read = parquet.read_table(path, filesystem=fs).to_pydict()
    assert sorted(zip(read["a"], read["b"])) == [(1, "x"), (2, "y"), (3, "x")]


def test_files_keep_to_their_stores(one: Any, two: Any) -> None:
    with one.transaction:
        one.pipe({"/a": b"1", "mempool://two/a": b"2"})
        assert not (one.exists("/a") or two.exists("/a"))
    assert (one.cat("/a"), two.cat("/a")) == (b"1", b"2")
    with fsspec.open_files(["mempool://one/b", "mempool://two/b"], "wb") as files:
        for number, file in enumerate(files):
            file.write(b"%d" % number)
    assert (one.cat("/b"), two.cat("/b")) == (b"0", b"1")
    with one.open("mempool://two/a", "r+b") as file:
        MempoolFileSystem.drop("two")
        file.write(b"3")
        assert file.path == "mempool://two/a"
    assert two.cat("/a") == b"3"
    assert not one.exists("mempool://two/a")  # another one, which is empty


# -------------------------------------------------------------------- from store to store


def test_copies_between_stores(one: Any, two: Any) -> None:
    one.pipe({"/d/e/1": b"1", "/d/2": b"2"})
    one.mkdir("/d/empty")
    one.copy("/d", "mempool://two/copy", recursive=True)
    expected = ["/copy", "/copy/2", "/copy/e", "/copy/e/1", "/copy/empty"]
    assert two.find("", withdirs=True) == expected
    with one.open("/far", "wb") as file:
        file.seek(1 << 40)
        file.write(b"end")
    one.cp_file("/far", "mempool://two/far")
    assert two.size("/far") == (1 << 40) + 3
    assert two.cat_file("/far", -3) == b"end"
    assert two._store.origin.stats.family_bytes < 10 * BLOCK
    one.touch("/empty")
    one.cp_file("/empty", "mempool://two/nothing")
    assert two.cat("/nothing") == b""


def test_moves_between_stores(one: Any, two: Any) -> None:
    one.pipe({"/d/e/1": b"1", "/d/2": b"2", "/f": b"f"})
    one.mv("/d", "mempool://two/new")
    assert (one.find("", withdirs=True), two.find("")) == (
        ["/f"],
        ["/new/2", "/new/e/1"],
    )
    one.mv("/f", "mempool://two/new/")
    one.mv("mempool://two/new/e", "/back")
    assert (one.find(""), two.find("")) == (["/back/1"], ["/new/2", "/new/f"])
    one.mv("mempool://two/new", "mempool://two/newer")
    assert two.find("") == ["/newer/2", "/newer/f"]
    with pytest.raises(FileNotFoundError):
        one.mv("/nothing", "mempool://two/x")


def test_a_copy_that_the_other_store_has_no_room_for(one: Any) -> None:
    two = MempoolFileSystem("two", limit=BLOCK)
    one.pipe("/a", bytes(range(1, 201)) * 100)
    for call in (one.cp_file, one.mv):
        with pytest.raises(OSError) as caught:
            call("/a", "mempool://two/a")
        assert caught.value.errno == errno.ENOSPC
    assert (two.ls(""), one.size("/a")) == ([], 20000)


@pytest.mark.parametrize("method", ["default", "options"])
def test_rsync(one: Any, two: Any, tmp_path: Path, method: str) -> None:
    one.pipe({"/dir/sub/1": b"1", "/dir/2": b"2"})
    options = {"default_method": method}
    generic.rsync("mempool://one/dir", "mempool://three/dir", inst_kwargs=options)
    three = MempoolFileSystem("three")
    assert three.cat(three.find("")) == {"/dir/2": b"2", "/dir/sub/1": b"1"}
    assert len(one.find("")) == 2
    three.pipe("/dir/3", b"3")
    generic.rsync("mempool://one/dir", "mempool://three/dir", delete_missing=True)
    assert three.find("") == ["/dir/2", "/dir/sub/1"]
    generic.rsync("mempool://three/dir", f"file://{tmp_path.as_posix()}/out")
    assert (tmp_path / "out" / "sub" / "1").read_bytes() == b"1"
    generic.rsync(f"file://{tmp_path.as_posix()}/out", "mempool://two/in")
    assert two.cat("/in/sub/1") == b"1"
