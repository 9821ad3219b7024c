# SPDX-License-Identifier: MIT
"""Pools that were loaded from a file and pickle as its path and what was changed."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import pickle
import pickletools
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from internals import count_adopted

from pymempool import (
    CheckpointError,
    MemoryPool,
    PoolLimitError,
    PoolRangeError,
    PoolUnrelatedError,
)
from pymempool.pool import reload

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
BLOCK = 4096
DATA = random.Random(18).randbytes(64 * BLOCK + 100)
FULL = len(DATA) * 0.9  # no pickle below that has all of it


class Mine(MemoryPool):
    """A class of a user's own."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(DATA)
    return path


def loaded(path: Path, **options: Any) -> MemoryPool:
    return MemoryPool.load(path, BLOCK, pickle_path=True, **options)


def touch(path: Path, ns: int) -> None:
    """Moves the time of change."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + ns))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_as_loaded(protocol: int, path: Path) -> None:
    pool = loaded(path)
    pickled = pickle.dumps(pool, protocol)
    assert len(pickled) < 500 + len(str(path))
    twin = pickle.loads(pickled)
    assert twin[:] == DATA
    assert twin.block_size == BLOCK
    assert twin.stats.adopted_blocks == 64  # the file's memory, and nothing else
    assert len(pickle.dumps(MemoryPool.load(path), protocol)) > FULL  # not by itself


def test_what_the_pickle_names_never_moves(path: Path) -> None:
    """Another function than other pickles: an unpickler may allow these and no files."""
    pickled = pickle.dumps(loaded(path), 2)
    names = [name for op, name, _ in pickletools.genops(pickled) if op.name == "GLOBAL"]
    assert names == [
        "pymempool.pool rebuild",
        "pymempool MemoryPool",
        "pymempool.pool reload",
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_changes_go_along(protocol: int, path: Path) -> None:
    pool = loaded(path)
    pool.write(10 * BLOCK, b"changed")
    pool.discard(20 * BLOCK, BLOCK)
    pool.resize(1 << 20)
    pool.write((1 << 20) - 3, b"end")
    pickled = pickle.dumps(pool, protocol)
    assert len(pickled) < 10 * BLOCK
    twin = pickle.loads(pickled)
    assert twin.same(pool)
    assert list(twin.extents()) == list(pool.extents())
    assert path.read_bytes() == DATA


def test_smaller_since(path: Path) -> None:
    pool = loaded(path)
    pool.resize(5 * BLOCK + 5)
    twin = pickle.loads(pickle.dumps(pool, 5))
    assert twin[:] == DATA[: 5 * BLOCK + 5]
    twin.resize(1 << 20)
    assert twin[5 * BLOCK + 5 :] == bytes((1 << 20) - (5 * BLOCK + 5))


def test_relatives(path: Path) -> None:
    """Clones name the file as well, together or alone, and so do those of a pickle."""
    pool = loaded(path)
    clone = pool.clone()
    clone.write(0, b"clone")
    again = clone.clone()
    pool.write(BLOCK, b"pool")
    alone = len(pickle.dumps(clone))
    assert alone < 2 * BLOCK
    for _ in range(3):
        pickled = pickle.dumps([pool, clone, again])
        assert len(pickled) < 3 * BLOCK
        found = pickle.loads(pickled)
        for one, other in zip(found, [pool, clone, again]):
            assert one.same(other)
        assert list(found[2].changes(found[0])) == [(0, 2 * BLOCK)]
        pool, clone, again = found
    assert len(pickle.dumps(clone)) == alone


def test_two_that_were_loaded(path: Path) -> None:
    one, other = pickle.loads(pickle.dumps([loaded(path), loaded(path)]))
    assert one.same(other)
    with pytest.raises(PoolUnrelatedError):
        list(one.changes(other))


def test_options_are_kept(path: Path) -> None:
    pool = Mine.load(path, 64, pickle_path=True, memory_limit=10 << 20, wipe=True)
    pool[5] = 5
    pickled = pickle.dumps(pool)
    assert len(pickled) < 1000
    twin = pickle.loads(pickled)
    assert (type(twin), twin.block_size) == (Mine, 64)
    assert (twin.stats.memory_limit, twin.stats.flags) == (10 << 20, 1)
    assert twin.stats.adopted_blocks == 0
    assert twin.same(pool)


def test_relative_path(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(loaded(Path("image")))
    monkeypatch.chdir(os.path.sep)
    assert pickle.loads(pickled)[:] == DATA


def test_made_anew(path: Path) -> None:
    pool = loaded(path)
    pool.__init__(1000)  # type: ignore[misc]
    path.unlink()
    assert pickle.loads(pickle.dumps(pool)).total_size == 1000


def test_missing(path: Path) -> None:
    pickled = pickle.dumps(loaded(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match="image"):
        pickle.loads(pickled)


def test_altered(path: Path) -> None:
    pool = loaded(path)
    pickled = pickle.dumps(pool)
    touch(path, 10**9)
    with pytest.raises(CheckpointError, match="is not the file"):
        pickle.loads(pickled)
    touch(path, -(10**9))
    assert pickle.loads(pickled).same(pool)
    pool.close()
    new = path.with_name("new")
    for data in (DATA[1:], b""):
        new.write_bytes(data)
        os.utime(new, ns=(0, path.stat().st_mtime_ns))
        new.replace(path)
        with pytest.raises(CheckpointError, match=f"this has {len(data)}"):
            pickle.loads(pickled)
    assert count_adopted() == 0


CHANGES = ["touched"]
if sys.platform != "win32":  # which refuses both while the file is mapped
    CHANGES += ["replaced", "removed"]


@pytest.mark.parametrize("change", CHANGES)
def test_pickled_as_a_whole_without_the_file(change: str, path: Path) -> None:
    pool = loaded(path)
    pool.write(5, b"mine")
    if change == "touched":
        touch(path, 1_000_000_000)
    elif change == "replaced":
        pool.save(path)
        touch(path, 1_000_000_000)
    else:
        path.unlink()
    pickled = pickle.dumps([pool, pool.clone()])
    assert FULL < len(pickled) < 1.1 * len(DATA)
    for twin in pickle.loads(pickled):
        assert twin.same(pool)


@pytest.mark.parametrize("format", ["hex", "srec", "elf"])
def test_other_formats(format: Any, path: Path) -> None:
    with pytest.raises(ValueError, match="raw images at a path"):
        loaded(path, format=format)


def test_no_path(path: Path) -> None:
    with pytest.raises(ValueError, match="raw images at a path"):
        MemoryPool.load(io.BytesIO(DATA), pickle_path=True)
    with path.open("rb") as file, pytest.raises(ValueError, match="raw images at a path"):
        MemoryPool.load(file, pickle_path=True)
    with pytest.raises(ValueError, match="raw images at a path"):
        MemoryPool.load(os.devnull, pickle_path=True)


def test_hostile(path: Path) -> None:
    """Only the very file is loaded, and what is no number or no path is refused."""
    file = (str(path), len(DATA), path.stat().st_mtime_ns)
    assert reload(*file, BLOCK, None, False)[:] == DATA
    for wrong in ((file[0], 5, file[2]), (*file[:2], 5), (*file[:2], None)):
        with pytest.raises(CheckpointError):
            reload(*wrong, BLOCK, None, False)
    for bad in (None, 5, [file[0]]):
        with pytest.raises(TypeError):
            reload(bad, *file[1:], BLOCK, None, False)
    with pytest.raises(PoolRangeError):
        reload(*file, 0, None, False)
    with pytest.raises(PoolLimitError):
        reload(*file, BLOCK, 1, False)
    assert count_adopted() == 0


def read(pool: MemoryPool) -> Any:
    return pool[:], pool.stats.adopted_blocks, pool.stats.family_bytes


def test_other_processes(path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    function = importlib.import_module("test_pickle_path").read
    pool = loaded(path)
    pool.write(BLOCK, b"changed")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        data, adopted, held = executor.submit(function, pool).result()
    assert data == pool[:]
    assert adopted == 65  # 64 of the file and one of the pickle
    assert held == BLOCK  # the last one, which the end of the file cuts short
