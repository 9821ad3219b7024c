# SPDX-License-Identifier: MIT
"""Every public method of MemoryPool, each in the ways that it can go, on pools in which
there is something of each kind.

For tests of what holds for all calls. attributes() finds a method that has no case yet.
"""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

import pytest

from pymempool import MemoryPool, PoolFile, PoolMemoryError, SharedSnapshot, trim
from pymempool.testing import Fault

TOTAL, BLOCK = 1 << 16, 64
LARGE = 20_000  # more than _library.QUICK_BYTES


class Memory(bytearray):
    """Memory that takes the long way: it is not a bytearray, to be exact."""


class Scene:
    """Pools in which there is something of each kind, and objects with memory.

    From 0 on blocks shared with the clone, from 30000 written since, at 40000 pinned, at
    50000 adopted, from 51000 holes.
    """

    def __init__(self, folder: Path) -> None:
        self.pool = pool = MemoryPool(TOTAL, BLOCK)  # fills less than half of a chunk
        pool.write(0, bytes(range(1, 251)) * 150)
        self.adopted = Memory(b"a" * 1000)
        pool.adopt(50_000, self.adopted)
        self.since = pool.clone()  # of which the clone keeps what it has
        self.clone = pool.clone()
        pool.write(30_000, b"x" * 500)
        pool.discard(100, 50)
        self.pin = pool.pin(40_000, 20)
        self.pin[:] = b"p" * 20
        self.view = pool.view(0, 30)
        self.shared = self.clone.share()
        self.stranger = MemoryPool(TOTAL, BLOCK)
        self.stranger.write(1000, b"s" * LARGE)
        self.memory, self.plain = Memory(b"m" * LARGE), bytearray(b"m" * LARGE)
        self.short = Memory(b"n" * 200)
        self.image = folder / "image"
        self.folder = folder
        self.greedy = use_up(self.since)
        trim()

    def facts(self, **may_differ: int) -> list[Any]:
        """All that a call that fails has to leave alone, but for some statistics."""
        may_differ.update(metadata_bytes=0, cached_bytes=0)  # kept for the next call
        facts: list[Any] = []
        for pool in (self.pool, self.clone, self.since, self.stranger):
            facts += [pool._owner.total_size]  # what it is taken for
            stats = pool.stats._replace(**may_differ)
            facts += [pool[:], stats, list(pool.states()), list(pool.extents())]
        facts += [list(self.pool.changes(self.since)), bytes(self.view), bytes(self.pin)]
        for memory in (self.adopted, self.memory, self.plain, self.short):
            facts += [bytes(memory), sys.getrefcount(memory)]
        facts += [is_free(it) for it in (self.memory, self.plain, self.short)]
        facts += [sorted(path.name for path in self.folder.iterdir())]
        return facts


def use_up(pool: MemoryPool) -> list[MemoryPool]:
    """Relatives that take all blocks and nodes that their family has to spare.

    Without them few calls would have to allocate anything.
    """
    greedy = [pool.clone()]
    for at in range(0, TOTAL, 32 * BLOCK):  # a block below each node, so that it is there
        greedy[0].write(at, b"g")
    with pytest.raises(PoolMemoryError):
        for _ in range(TOTAL):
            greedy.append(pool.clone())
            with Fault(1):
                greedy[-1].write(0, b"g")  # takes nodes and a block
    with pytest.raises(PoolMemoryError):
        for at in range(0, TOTAL, BLOCK):
            with Fault(1):
                greedy[0].write(at, b"g")  # takes blocks alone
    return greedy


def is_free(memory: bytearray) -> bool:
    """Whether nobody holds the memory in place."""
    try:
        memory.append(0)
    except BufferError:
        return False
    del memory[-1]
    return True


# -------------------------------------------------------------------- the calls

Call = Callable[[Scene], Any]


def with_file(*steps: Callable[[PoolFile], Any]) -> Call:
    def call(scene: Scene) -> Any:
        with scene.pool.open() as file:
            return [step(file) for step in steps]

    return call


def past_the_end(size: int) -> Call:
    return with_file(
        lambda file: file.seek(TOTAL - 100), lambda file: file.write(b"f" * size)
    )


def exported(scene: Scene, **how: Any) -> bytes:
    file = io.BytesIO()
    scene.pool.save(file, **how)
    return file.getvalue()


def contents(snapshot: SharedSnapshot[MemoryPool]) -> bytes:
    with snapshot, snapshot.open() as pool:
        return pool[:]


def drawn_by_plot(scene: Scene) -> Any:
    figure = importlib.import_module("matplotlib.figure")
    return scene.pool.plot(figure.Figure().subplots()).get_xlim()


def by_path(path: Path) -> MemoryPool:
    return MemoryPool.load(path, 64, pickle_path=True)


def array(numbers: Iterable[Any]) -> Any:
    return importlib.import_module("numpy").array(numbers)


FEW, MANY = range(3, 3000, 300), range(5, LARGE, 100)
SPREAD = [(at, at % 200) for at in FEW]


def peak_of(pool: MemoryPool) -> int:
    with pool.peak() as peak:
        return peak.bytes


# By the attribute's name, and what is special after a comma.
CALLS: dict[str, Call] = {
    "__init__": lambda s: MemoryPool(100),
    "__init__, again": lambda s: s.clone.__init__(50),  # type: ignore[misc]
    "from_handle": lambda s: MemoryPool.from_handle(s.pool.handle),
    "close": lambda s: s.pool.clone().close(),
    "closed": lambda s: s.pool.closed,
    "__enter__": lambda s: s.pool.__enter__() is s.pool,
    "__exit__": lambda s: s.pool.clone().__exit__(None, None, None),
    "read": lambda s: s.pool.read(90, 300),
    "read, large": lambda s: s.pool.read(90, LARGE),
    "readinto": lambda s: s.pool.readinto(90, s.short),
    "readinto, large": lambda s: s.pool.readinto(90, s.memory),
    "readinto, a bytearray": lambda s: s.pool.readinto(90, s.plain),
    "write": lambda s: s.pool.write(90, b"w" * 300),
    "write, large": lambda s: s.pool.write(90, b"w" * LARGE),
    "write, a buffer": lambda s: s.pool.write(90, s.short),
    "write, a large buffer": lambda s: s.pool.write(90, s.memory),
    "write, adopted": lambda s: s.pool.write(50_100, b"w" * 300),
    "write, holes": lambda s: s.pool.write(60_000, b"w" * 300),
    "fill": lambda s: s.pool.fill(90, 7, 300),
    "fill, large": lambda s: s.pool.fill(90, 7, LARGE),
    "discard": lambda s: s.pool.discard(90, 300),
    "discard, large": lambda s: s.pool.discard(90, LARGE),
    "take": lambda s: s.pool.take(90, 300),
    "take, large": lambda s: s.pool.take(90, LARGE),
    "copy_from": lambda s: s.pool.copy_from(s.stranger, 990, 300),
    "copy_from, large": lambda s: s.pool.copy_from(s.stranger, 990, LARGE),
    "copy_from, a relative": lambda s: s.clone.copy_from(s.pool, 29_000, 3000),
    "copy_from, itself": lambda s: s.pool.copy_from(s.pool, 0, LARGE, 31),
    "resize": lambda s: s.pool.resize(20_001),
    "resize, larger": lambda s: s.pool.resize(3 * TOTAL),
    "set_limit": lambda s: s.pool.set_limit(1 << 30),
    "on_limit": lambda s: s.pool.on_limit(len),
    "peak": lambda s: peak_of(s.pool),
    "view": lambda s: s.pool.view(200, 20),
    "view, several blocks": lambda s: s.pool.view(200, 900),
    "view, large": lambda s: s.pool.view(90, LARGE),
    "view, pinned": lambda s: s.pool.view(40_000, 20),
    "view, a hole": lambda s: s.pool.view(60_000, 20),
    "views": lambda s: s.pool.views(90, 300),
    "views, pinned": lambda s: s.pool.views(39_000, 3000),
    "pin": lambda s: s.pool.pin(200, 20),
    "pin, a hole": lambda s: s.pool.pin(60_000, 20),
    "pin, adopted": lambda s: s.pool.pin(50_120, 20),
    "pin, several blocks": lambda s: s.pool.pin(29_000, 2000),
    "pin, all kinds": lambda s: s.pool.pin(40_100, 15_000),
    "pin, pinned": lambda s: s.pool.pin(40_000, 10),
    "array, numpy": lambda s: s.pool.array((9, 20), "<u4", 29_000),
    "array, frozen, numpy": lambda s: s.pool.array(5, "<u2", 200, frozen=True),
    "array, frozen copy, numpy": lambda s: s.pool.array(500, "<u2", 200, frozen=True),
    "adopt": lambda s: s.pool.adopt(90, s.short),
    "adopt, large": lambda s: s.pool.adopt(90, s.memory),
    "adopt, pinned": lambda s: s.pool.adopt(39_000, s.plain),
    "clone": lambda s: s.pool.clone(),
    "__copy__": lambda s: copy.copy(s.pool),
    "__deepcopy__": lambda s: copy.deepcopy(s.pool),
    "__reduce_ex__": lambda s: pickle.dumps(s.pool, 5),
    "__reduce_ex__, 2": lambda s: pickle.dumps(s.pool, 2),
    "__reduce_ex__, relatives": lambda s: pickle.dumps([s.pool, s.clone], 5),
    "__reduce_ex__, loaded": lambda s: pickle.loads(pickle.dumps(s.since, 5)),
    "restore": lambda s: s.pool.restore(s.clone),
    "digest": lambda s: s.pool.digest(),
    "digest, a stranger": lambda s: s.stranger.digest(),
    "same": lambda s: s.pool.same(s.clone),
    "same, a stranger": lambda s: s.stranger.same(s.pool),
    "extents": lambda s: list(s.pool.extents()),
    "start_address": lambda s: setattr(s.pool, "start_address", s.pool.start_address),
    "header": lambda s: setattr(s.pool, "header", s.pool.header),
    "written": lambda s: list(s.pool.written()),
    "changes": lambda s: list(s.pool.changes(s.clone)),
    "changes, items": lambda s: list(s.pool.changes(s.clone, 90, LARGE, item_size=7)),
    "differences": lambda s: list(s.pool.differences(s.clone)),
    "differences, a stranger": lambda s: next(s.stranger.differences(s.pool, 90)),
    "states": lambda s: list(s.pool.states()),
    "total_size": lambda s: s.pool.total_size,
    "block_size": lambda s: s.pool.block_size,
    "handle": lambda s: s.pool.handle == s.pool._owner.address,
    "_as_parameter_": lambda s: s.pool._as_parameter_.value == s.pool.handle,
    "stats": lambda s: s.pool.stats.held_bytes,
    "__repr__": lambda s: repr(s.pool),
    "__len__": lambda s: len(s.pool),
    "__bool__": lambda s: bool(s.pool),
    "__getitem__": lambda s: s.pool[95],
    "__getitem__, slice": lambda s: s.pool[90:300],
    "__getitem__, large": lambda s: s.pool[90 : 90 + LARGE],
    "__setitem__": lambda s: s.pool.__setitem__(5, 7),
    "__setitem__, slice": lambda s: s.pool.__setitem__(slice(90, 290), s.short),
    "__setitem__, integers": lambda s: s.pool.__setitem__(slice(90, 290), range(200)),
    "__setitem__, large": lambda s: s.pool.__setitem__(slice(90, 90 + LARGE), s.memory),
    "__setitem__, a pool": lambda s: s.pool.__setitem__(slice(0, TOTAL), s.stranger),
    "find": lambda s: s.pool.find(b"x" * 300),
    "find, a stranger": lambda s: s.stranger.find(b"s", 1001),
    "rfind": lambda s: s.pool.rfind(b"\1\2", 0, 29_000),
    "index": lambda s: s.pool.index(b"x" * 300),
    "rindex": lambda s: s.pool.rindex(0, 50),
    "count": lambda s: s.pool.count(b"aa", 100),
    "__contains__": lambda s: b"pp" in s.pool,
    "gather": lambda s: s.pool.gather(FEW, 8),
    "gather, large": lambda s: s.pool.gather(MANY, 80),
    "gather, out": lambda s: bytes(s.pool.gather(FEW, 20, s.short)),
    "gather, numpy": lambda s: s.pool.gather(array(MANY), 80).tobytes(),
    "scatter": lambda s: s.pool.scatter(FEW, s.short),
    "scatter, large": lambda s: s.pool.scatter(MANY, s.memory),
    "scatter, numpy": lambda s: s.pool.scatter(array(MANY), s.memory),
    "read_many": lambda s: s.pool.read_many(SPREAD),
    "read_many, large": lambda s: s.pool.read_many([(9, LARGE), *SPREAD]),
    "read_many, out": lambda s: bytes(s.pool.read_many([(9, 150), (5, 50)], s.short)),
    "read_many, numpy": lambda s: s.pool.read_many(array(SPREAD)),
    "write_many": lambda s: s.pool.write_many([(90, b"w"), (60_000, s.short)]),
    "write_many, large": lambda s: s.pool.write_many([(7, s.memory), (90, s.short)]),
    "fetch_add": lambda s: s.pool.fetch_add(5, 7),
    "compare_exchange": lambda s: s.pool.compare_exchange(60_000, 0, 7),
    "open": with_file(lambda file: file.read(300)),
    "open, write": with_file(lambda file: file.write(b"f" * 300)),
    "open, write large": with_file(lambda file: file.write(b"f" * LARGE)),
    "open, write past the end": past_the_end(300),
    "open, write large past the end": past_the_end(LARGE),
    "open, truncate": with_file(lambda file: file.truncate(20_001)),
    "save": exported,
    "save, since": lambda s: exported(s, since=s.clone),
    "save, a path": lambda s: s.pool.save(s.image),
    "load": lambda s: MemoryPool.load(io.BytesIO(s.pool[:]), 64),
    "save, a part": lambda s: exported(s, crop=(9, 70_000), fill=255, from_lowest=True),
    "load, offset": lambda s: MemoryPool.load(io.BytesIO(s.pool[:]), 64, offset=77),
    "load, a path": lambda s: MemoryPool.load(s.folder / "there", 64),
    "load, pickle_path": lambda s: pickle.loads(
        pickle.dumps(by_path(s.folder / "there"))
    ),
    "delta": lambda s: s.pool.delta(s.clone),
    "delta, a stranger": lambda s: s.pool.delta(s.stranger),
    "apply": lambda s: s.clone.apply(io.BytesIO((s.folder / "delta").read_bytes())),
    "apply, a path": lambda s: s.clone.apply(s.folder / "delta"),
    "apply, bytes": lambda s: s.clone.apply((s.folder / "delta").read_bytes()),
    "share": lambda s: contents(s.pool.share(digest=True)),
    "share, since": lambda s: s.pool.share(since=s.shared).stored_bytes,
    "share, a stranger": lambda s: contents(s.stranger.share(since=s.shared)),
    "map": lambda s: s.pool.map(since=s.clone),
    "svg": lambda s: s.pool.svg(since=s.clone),
    "plot": drawn_by_plot,
    "_repr_html_": lambda s: s.clone._repr_html_(),
}


def require(name: str) -> None:
    """Skips the test of a call for which something is missing.

    To be called first: what is skipped later holds the pools that were made.
    """
    if name.endswith("numpy"):
        pytest.importorskip("numpy", reason="numpy is not installed")
    if name == "plot":
        pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")


def attributes() -> set[str]:
    """The names of all methods and properties of a pool, but what is private."""
    kinds = [kind for kind in MemoryPool.__mro__ if kind is not object]
    return {
        name
        for kind in kinds
        for name, value in vars(kind).items()
        if (callable(value) or isinstance(value, (property, classmethod, staticmethod)))
        and (not name.startswith("_") or name.endswith("_"))
    }
