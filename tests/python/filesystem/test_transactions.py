# SPDX-License-Identifier: MIT
"""Transactions of mempool://: all files appear in one step, or none of them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

fsspec = pytest.importorskip("fsspec", reason="mempool:// is for fsspec")

from internals import store_module  # noqa: E402

from pymempool.filesystem import MempoolFileSystem  # noqa: E402


@pytest.fixture
def fs() -> Any:
    return MempoolFileSystem()


@pytest.fixture
def other() -> Iterator[Any]:
    """Another store, which has a name."""
    MempoolFileSystem.drop("other")
    yield MempoolFileSystem("other")
    MempoolFileSystem.drop("other")


def state(fs: Any) -> dict[str, Any]:
    """All that listings say, and all bytes."""
    found = fs.find("", withdirs=True, detail=True)
    return {
        path: (one, fs.modified(path), fs.isdir(path) or fs.cat_file(path))
        for path, one in found.items()
    }


def take_by_directory(fs: Any, path: str) -> None:
    fs.pipe(path, b"written")
    fs.mkdir(path)


def take_by_file(fs: Any, path: str) -> None:
    fs.open(path, "xb").close()
    fs._open(path, "wb", autocommit=True).close()


def take_the_directory_above(fs: Any, path: str) -> None:
    fs.pipe(path, b"written")
    fs._open(fs._parent(path), "wb", autocommit=True).close()


@pytest.mark.parametrize("store", ["", "mempool://other"])
@pytest.mark.parametrize(
    ("take", "error"),
    [
        (take_by_directory, IsADirectoryError),
        (take_by_file, FileExistsError),
        (take_the_directory_above, NotADirectoryError),
    ],
)
def test_one_path_that_is_taken_undoes_all(
    fs: Any, other: Any, store: str, take: Callable[..., None], error: type[OSError]
) -> None:
    fs.pipe({"/a": b"a", "/d/1": b"1"})
    other.pipe("/a", b"other")
    before: list[Any] = []

    def fill() -> None:
        for path in ("/a", "/x/y/z", "/d/2", "mempool://other/n", "mempool://other/a"):
            fs.pipe(path, b"written")
        take(fs, store + "/taken/path")
        fs.pipe("/last", b"written")
        before.append((state(fs), state(other)))

    with pytest.raises(error), fs.transaction:
        fill()
    assert [(state(fs), state(other))] == before
    assert not fs._intrans
    fs.pipe("/after", b"1")  # which is no part of the transaction
    assert fs.cat("/after") == b"1"
    with fs.transaction:
        fs.pipe("/next", b"2")
    assert fs.cat("/next") == b"2"


def test_what_is_undone_frees_its_memory(fs: Any) -> None:
    with pytest.raises(IsADirectoryError), fs.transaction:
        fs.pipe("/a", b"1" * 10000)
        fs.pipe("/b", b"1" * 10000)
        fs.mkdir("/b")
    assert fs._store.origin.stats.family_bytes == 0


def test_of_a_path_in_two_files_the_later_stays(fs: Any) -> None:
    fs.pipe("/log", b"0")
    with fs.transaction:
        for text in (b"1", b"2"):
            with fs.open("/log", "ab") as file:
                file.write(text)
        fs.pipe("/new", b"abc")
        with fs.open("/new", "r+b") as file:
            file.write(b"X")
        with fs.open("/new", "ab") as file:
            file.write(b"d")
        fs.pipe("/twice", b"first")
        fs.pipe("/twice", b"2nd")
        assert fs.cat("/log") == b"0"
        assert not fs.exists("/new")
    assert fs.cat(["/log", "/new", "/twice"]) == {
        "/log": b"012",
        "/new": b"Xbcd",
        "/twice": b"2nd",
    }


def test_exclusive_files_of_one_transaction(fs: Any) -> None:
    with pytest.raises(FileExistsError), fs.transaction:
        fs.pipe("/kept out", b"1")
        fs.open("/x", "xb").close()
        fs.open("/x", "xb").close()
    assert fs.ls("") == []
    with fs.transaction:
        fs.open("/x", "xb").close()
    assert fs.size("/x") == 0


def test_compressed_files_and_text(fs: Any) -> None:
    for fails in (True, False):
        try:
            with fs.transaction:
                with fs.open("/a.gz", "wb", compression="infer") as file:
                    file.write(b"compressed")
                with fs.open("/a.txt", "w") as file:
                    file.write("text")
                assert fs.ls("") == []
                if fails:
                    raise KeyError
        except KeyError:
            assert fs.ls("") == []
    assert gzip.decompress(fs.cat("/a.gz")) == b"compressed"
    assert fs.cat("/a.txt") == b"text"


def test_without_a_with_statement(fs: Any) -> None:
    fs.start_transaction()
    fs.pipe({"/a": b"1", "/b": b"2"})
    assert fs.ls("") == []
    fs.end_transaction()
    assert fs.find("") == ["/a", "/b"]
    fs.start_transaction()
    fs.pipe({"/c": b"1", "/d": b"2"})
    fs.mkdir("/d")
    with pytest.raises(IsADirectoryError):
        fs.end_transaction()
    assert fs.find("") == ["/a", "/b"]


def test_two_stores_are_locked_in_one_order(fs: Any, other: Any) -> None:
    stores = [fs._store, other._store]
    start = threading.Barrier(2, timeout=60)

    def commit(order: int) -> None:
        start.wait()
        for turn in range(300):
            store_module.link_all(
                [
                    store_module.Link(store, [str(order), str(turn)], file, True)
                    for store in stores[::order]
                    for file in [store.new_file()]
                ]
            )

    threads = [threading.Thread(target=commit, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(fs.find("")) == len(other.find("")) == 600
