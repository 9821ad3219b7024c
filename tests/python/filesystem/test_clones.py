# SPDX-License-Identifier: MIT
"""Stores of mempool://: listed by name, and cloned with all that is in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fsspec", reason="mempool:// is for fsspec")

from pymempool.filesystem import MempoolFileSystem

BLOCK = 4096


@pytest.fixture
def fs() -> Any:
    return MempoolFileSystem()


@pytest.fixture(autouse=True)
def no_stores() -> Iterator[None]:
    for name in MempoolFileSystem.stores():
        MempoolFileSystem.drop(name)
    yield
    for name in MempoolFileSystem.stores():
        MempoolFileSystem.drop(name)


def test_names_of_stores(fs: Any) -> None:
    assert MempoolFileSystem.stores() == []
    one = MempoolFileSystem("one")
    fs.pipe("mempool://b/x", b"1")
    assert fs.stores() == one.stores() == ["b", "one"]
    fs.drop("one")
    assert fs.stores() == ["b"]


def test_a_clone_has_all_and_keeps_the_times(fs: Any) -> None:
    fs.pipe({"/d/e/1": b"1" * 10000, "/d/2": b"2", "/0": b""})
    fs.mkdir("/empty")
    fs.rm("/0")
    clone = fs.clone()
    for detail in fs.find("", withdirs=True, detail=True).values():
        assert clone.info(detail["name"]) == detail
    assert clone.find("", withdirs=True) == fs.find("", withdirs=True)
    assert clone.info("") == fs.info("")
    assert clone.cat("/d/e/1") == b"1" * 10000
    assert clone != fs and clone.name is None


def test_what_is_done_to_one_leaves_the_other(fs: Any) -> None:
    fs.pipe({"/d/1": b"1", "/d/2": b"2" * 10000})
    clone, again = fs.clone(), fs.clone().clone()
    fs.pipe("/d/1", b"changed")
    with fs.open("/d/2", "r+b") as file:
        file.write(b"changed")
    fs.mv("/d", "/moved")
    clone.rm("/d/1")
    clone.pipe("/new", b"3")
    assert again.cat(again.find("")) == {"/d/1": b"1", "/d/2": b"2" * 10000}
    assert clone.cat(clone.find("")) == {"/d/2": b"2" * 10000, "/new": b"3"}
    assert fs.find("") == ["/moved/1", "/moved/2"]
    fs.clear()
    assert clone.find("") == ["/d/2", "/new"]


def test_clones_share_blocks_and_the_limit() -> None:
    fs = MempoolFileSystem(limit=4 * BLOCK)
    fs.pipe("/a", b"a" * 3 * BLOCK)
    clone = fs.clone("clone")
    assert clone._store.limit == 4 * BLOCK
    assert fs._store.origin.stats.family_bytes == 3 * BLOCK
    with clone.open("/a", "r+b") as file:
        file.write(b"b" * BLOCK)
        with pytest.raises(OSError, match="limit"):
            file.write(b"b" * BLOCK)
    assert fs.cat("/a") == b"a" * 3 * BLOCK
    fs.cp_file("mempool://clone/a", "/back")  # no block is copied
    assert fs._store.origin.stats.family_bytes == 4 * BLOCK
    assert fs.cat("/back")[BLOCK - 1 : BLOCK + 1] == b"ba"


def test_names_of_clones(fs: Any) -> None:
    fs.pipe("/a", b"1")
    clone = fs.clone("snapshot")
    assert clone == MempoolFileSystem("snapshot") and clone.name == "snapshot"
    assert clone.unstrip_protocol("/a") == "mempool://snapshot/a"
    assert clone.cat("mempool://snapshot/a") == fs.cat("mempool://snapshot/a") == b"1"
    assert clone.find("mempool://snapshot") == ["mempool://snapshot/a"]
    for name, error in (("snapshot", ValueError), ("a/b", ValueError), (5, TypeError)):
        with pytest.raises(error, match="name"):
            fs.clone(name)
    assert fs.stores() == ["snapshot"]


def test_open_files_and_transactions_are_no_part_of_a_clone(fs: Any) -> None:
    with fs.open("/a", "wb") as file:
        file.write(b"1")
        clone = fs.clone()
        file.write(b"2")
    with fs.transaction:
        fs.pipe("/b", b"3")
        later = fs.clone()
    assert (clone.cat("/a"), later.find(""), fs.find("")) == (b"1", ["/a"], ["/a", "/b"])


def test_a_deep_tree(fs: Any) -> None:
    path = "/d" * 3000
    fs.pipe(path, b"deep")
    assert fs.clone().cat_file(path) == b"deep"


def test_a_clone_is_of_one_moment(fs: Any) -> None:
    """Files that one thread writes to in turn never differ by more than one step."""
    paths = [f"/{number}" for number in range(20)]
    fs.pipe(dict.fromkeys(paths, b"\0"))
    done = threading.Event()

    def count() -> None:
        files = [fs.open(path, "r+b") for path in paths]
        for turn in range(200):
            for file in files:
                file.seek(0)
                file.write(bytes([turn]))
        for file in files:
            file.close()
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not done.is_set():
        clone = fs.clone()
        seen = [clone.cat_file(path)[0] for path in paths]
        assert sorted(seen, reverse=True) == seen and seen[0] - seen[-1] <= 1
    thread.join()
