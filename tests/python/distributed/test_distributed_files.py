# SPDX-License-Identifier: MIT
"""Pools over many workers that are resized, saved and loaded."""

from __future__ import annotations

import io
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from distributed_clusters import (
    Trouble,
    both,
    changes_made,
    in_process,
    in_stripes,
    on_two_workers,
    troubled,
)
from internals import CHANGES, TOTAL_MAX

from pymempool import (
    CheckpointError,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)
from pymempool.distributed import ShardedPool, ShardLostError

client = pytest.fixture(in_process, scope="module")
pool = pytest.fixture(in_stripes)
small = pytest.fixture(on_two_workers)
trouble = pytest.fixture(troubled)
made = pytest.fixture(changes_made)


def proxy_of(pool: ShardedPool) -> ShardedPool:
    proxy: ShardedPool = pickle.loads(pickle.dumps(pool))
    return proxy


# ------------------------------------------------------------------------- resize


def test_resize(pool: ShardedPool) -> None:
    was, clone, proxy = pool.read(0, 4096), pool.clone(), proxy_of(pool)
    pool.resize(150)
    assert pool.total_size == proxy.total_size == pool.stats.total_size == 150
    assert sum(part.total_size for part in pool.stats.parts) == 150
    assert pool.read(0, 150) == was[:150]
    assert clone.read(0, 4096) == was
    pool.resize(5000)
    assert pool.read(0, 5000) == was[:150] + bytes(4850)
    pool.write(4990, b"the end...")
    assert proxy.read(4990, 10) == b"the end..."
    assert repr(pool).startswith("<ShardedPool of 5000 bytes")
    assert list(clone.changes(pool)) != []
    pool.restore(clone)
    assert pool.total_size == 4096
    assert pool.read(0, 4096) == was == proxy.read(0, 4096)
    assert pool.stats.replicas == 2
    clone.close()


@pytest.mark.parametrize("replicas", [1, 2])
def test_parts_without_bytes(client: Any, replicas: int) -> None:
    """Nothing can be put into them, and nothing comes back out of them."""
    with ShardedPool(client, 1000, 10, replicas=replicas, max_block_size=8) as pool:
        pool.write(0, b"x" * 1000)
        proxy, clone = proxy_of(pool), pool.clone()
        assert proxy.read(20, 1) == b"x"
        pool.resize(5)
        assert [part.total_size for part in pool.stats.parts] == [5, 0, 0]
        for call in (
            lambda: proxy.read(20, 1),
            lambda: proxy.write(20, b"y"),
            lambda: proxy.fill(20, 1, 1),
            lambda: proxy.discard(20, 1),
            lambda: proxy.gather([20], 1),
            lambda: proxy.scatter([20], b"y"),
            lambda: proxy.readinto(20, bytearray(1)),
            lambda: pool.array(10, 10, "u1"),
        ):
            proxy._remote.size = pool._remote.size = (
                1000  # what is known where it was not resized
            )
            with pytest.raises(PoolRangeError):
                call()
        assert list(pool.extents()) == [(0, 5)]
        assert list(pool.changes(clone)) in ([], [(0, 5)])  # and nothing beyond
        second = pool.clone()
        pool.resize(1000)
        assert pool.read(0, 1000) == b"x" * 5 + bytes(995)
        assert second.total_size == 5
        assert clone.read(0, 1000) == b"x" * 1000
        second.restore(clone)
        assert second.read(20, 1) == b"x"
        second.close()
        clone.close()


def test_another_proxy_does_not_know_the_size(pool: ShardedPool) -> None:
    proxy = proxy_of(pool)
    pool.resize(9000)
    for call in (
        lambda: proxy.write(8000, b"a"),
        lambda: proxy.fill(8001, 98, 1),
        lambda: proxy.scatter([8002], b"c"),
    ):
        proxy._remote.size = 4096
        call()
    proxy._remote.size = 4096
    assert proxy.read(8000, 3) == b"abc"
    proxy._remote.size = 4096
    assert proxy.gather([8002, 8000], 1) == b"ca"
    proxy._remote.size = 4096
    proxy.discard(8001, 1)
    proxy._remote.size = 4096
    target = bytearray(3)
    assert proxy.readinto(8000, target) == 3
    assert target == b"a\0c"
    proxy._remote.size = 4096
    assert bytes(proxy_of(proxy).read(8000, 1)) == b"a"
    pool.resize(100)
    with pytest.raises(PoolRangeError, match=r"is 1, allowed is 0$") as told:
        proxy.read(100, 1)
    with pytest.raises(PoolRangeError) as wanted:
        MemoryPool(100).read(100, 1)
    assert str(told.value) == str(wanted.value)


def test_sizes_that_no_pool_has(pool: ShardedPool) -> None:
    for size in (0, -1, TOTAL_MAX + 1):
        with pytest.raises(PoolRangeError, match="total_size"):
            pool.resize(size)
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError):
            pool.resize(wrong)  # type: ignore[arg-type]
    assert pool.total_size == 4096
    pool.resize(TOTAL_MAX)
    pool.write(TOTAL_MAX - 3, b"end")
    assert pool.read(TOTAL_MAX - 3, 3) == b"end"


def test_a_resize_that_fails(
    client: Any, pool: ShardedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, resize = pool.read(0, 4096), CHANGES["resize"]

    def fail(held: Any, name: str, total: int, here: int) -> None:
        if total != 4096 and here % 100:
            raise PoolLimitError("no room")
        resize(held, name, total, here)

    monkeypatch.setitem(CHANGES, "resize", fail)
    with pytest.raises(PoolLimitError, match="no room"):
        pool.resize(9001)
    assert pool.total_size == 4096 == sum(part.total_size for part in pool.stats.parts)
    assert pool.read(0, 4096) == was
    assert pool.stats.replicas == 2


def test_a_new_replica_of_resized_pools(
    client: Any, small: ShardedPool, trouble: Trouble
) -> None:
    first, second = both(small)
    clone, empty = small.clone(), small.clone()
    small.resize(2000)
    small.write(1990, b"beyond")
    clone.resize(2)
    empty.resize(1)
    trouble.lose(first)
    assert small.repair() == 1
    trouble.lose(second)
    assert small.read(0, 3) == b"old"
    assert small.read(1985, 15) == bytes(5) + b"beyond" + bytes(4)
    assert (clone.total_size, empty.total_size) == (2, 1)
    assert clone.read(0, 2) == b"ol"
    for it in (clone, empty):
        it.resize(10)
    assert clone.read(0, 10) == b"ol" + bytes(8)
    assert empty.read(0, 10) == b"o" + bytes(9)
    clone.close()
    empty.close()


# ------------------------------------------------------------------- save and load


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("stripe", [1000, 1 << 16, 1 << 20])
def test_a_path(client: Any, tmp_path: Path, stripe: int, replicas: int) -> None:
    data = random.Random(1).randbytes(300_000)
    with ShardedPool(client, 5_000_001, stripe, replicas=replicas) as pool:
        pool.write(1_000_000, data)
        pool.write(5_000_000, b"!")
        was = pool.read(0, 5_000_001)
        pool.save(tmp_path / "image")
    file = tmp_path / "image"
    assert file.read_bytes() == was
    if hasattr(os, "SEEK_HOLE"):
        assert file.stat().st_blocks * 512 < 2_000_000
    with MemoryPool.load(file) as single:
        assert single.read(0, 5_000_001) == was
    done: list[Any] = []
    with ShardedPool.load(
        client, file, stripe, replicas=replicas, progress=lambda *it: done.append(it)
    ) as pool:
        assert pool.total_size == 5_000_001
        assert pool.read(0, 5_000_001) == was
        assert pool.stats.replicas == replicas
        assert len(pool.stats.parts) == 3
        assert pool.stats.held_bytes < 1_000_000
        assert {part.block_size for part in pool.stats.parts} == {65536}
    assert done[-1] == (5_000_001, 5_000_001)


def test_binary_files_and_urls(client: Any, pool: ShardedPool, tmp_path: Path) -> None:
    was = pool.read(0, 4096)
    file = io.BytesIO(b"before, and what was there until now")
    file.seek(7)
    pool.save(file)
    assert file.getvalue() == b"before," + was
    file.seek(7)
    with ShardedPool.load(client, file, 100) as loaded:
        assert loaded.read(0, 4096) == was
        assert len(loaded.stats.parts) == 3
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    for url in ("memory://pool.raw.gz", f"file://{tmp_path}/pool"):
        pool.save(url)
        with ShardedPool.load(client, url, 100, max_block_size=16) as loaded:
            assert loaded.read(0, 4096) == was


def test_a_stream_of_unknown_length(client: Any, made: Any) -> None:
    """The pool grows as it comes, in few steps; and it is piece by piece."""
    data = bytearray(5 << 20)
    data[3 << 20 : 4 << 20] = random.Random(2).randbytes(1 << 20)
    data[100:200] = b"x" * 100

    class Stream(io.RawIOBase):
        at = most = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), 10_000, len(data) - self.at)
            buffer[:size] = data[self.at : self.at + size]
            self.at += size
            return size

    del made[:]
    with ShardedPool.load(client, Stream(), 1 << 16) as pool:
        assert pool.total_size == len(data)
        assert pool.read(0, len(data)) == data
        held = pool.stats.held_bytes
        assert 1 << 20 < held < (1 << 20) + 300_000
    writes = [args for name, args in made if name == "write"]
    assert max(len(args[2]) for args in writes) <= 1 << 20
    assert len([name for name, _ in made if name == "resize"]) < 3 * 6


@pytest.mark.parametrize("format", ["hex", "srec"])
def test_formats(client: Any, pool: ShardedPool, tmp_path: Path, format: str) -> None:
    pytest.importorskip("bincopy", reason="bincopy is not installed")
    was, file = pool.read(0, 4096), tmp_path / "image"
    pool.save(file, format=format)
    with MemoryPool.load(file, format=format) as single:
        size = single.total_size
        assert single.read(0, size) == was[:size]
    with ShardedPool.load(client, file, 100, format=format) as loaded:
        assert loaded.total_size == size
        assert loaded.read(0, size) == was[:size]


def test_checkpoints(client: Any, pool: ShardedPool, tmp_path: Path) -> None:
    full, change = tmp_path / "full", tmp_path / "change"
    base = pool.clone()
    base.save(full)
    pool.write(2000, b"changed")
    pool.resize(6000)
    pool.write(5990, b"new end")
    pool.save(change, since=base)
    now = pool.read(0, 6000)
    delta = change.read_bytes()
    assert delta == pool.delta(base)
    with MemoryPool.load(full) as single:
        was, digest = single.clone(), single.digest()
        assert digest == base.digest()
        single.apply(change)
        assert delta == single.delta(was)
        assert single.digest() == pool.digest()
        assert single.read(0, 6000) == now
    with ShardedPool.load(client, full, 1000, replicas=2) as loaded:
        proxy = proxy_of(loaded)
        loaded.apply(change)
        assert loaded.total_size == proxy.total_size == 6000
        assert loaded.read(0, 6000) == now
        with pytest.raises(CheckpointError, match="a pool of 4096 bytes"):
            loaded.apply(change)
        assert pool.delta(loaded) == pool.delta(pool)
        with pytest.raises(TypeError):
            pool.save(io.BytesIO(), since=single)  # type: ignore[arg-type]
        assert loaded.read(0, 6000) == now
        assert loaded.stats.parts[0].family_pools == 1
    base.close()


def test_what_is_saved_is_what_was_there(pool: ShardedPool) -> None:
    """Of each part; what is written during the save is not in it."""
    was, file = pool.read(0, 4096), io.BytesIO()
    pool.save(file, progress=lambda *done: pool.fill(0, 1, 4096))
    assert file.getvalue() == was
    assert pool.read(0, 4096) == b"\1" * 4096
    assert pool.stats.parts[0].family_pools == 1


def test_saves_that_fail(client: Any, pool: ShardedPool, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"old")

    def fail(*done: Any) -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        pool.save(file, progress=fail)
    assert [it.name for it in tmp_path.iterdir()] == ["image"]
    assert file.read_bytes() == b"old"
    with pytest.raises(ValueError, match="format is 'odd'"):
        pool.save(file, format="odd")
    for wrong in (None, 1, io.StringIO()):
        with pytest.raises(TypeError):
            pool.save(wrong)  # type: ignore[arg-type]
    assert pool.stats.parts[0].family_pools == 1
    with ShardedPool(client, 100) as closed:
        pass
    with pytest.raises(PoolClosedError):
        closed.save(file)
    assert file.read_bytes() == b"old"


def test_a_save_of_what_is_lost(client: Any, trouble: Trouble, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"old")
    with ShardedPool(client, 3000, 1000) as pool:
        pool.write(0, b"x" * 3000)
        pool.resize(2500)
        trouble.lose(pool._placement.leaders[2])
        with pytest.raises(
            ShardLostError, match=r"^bytes 2000 \.\. 2499 are lost"
        ) as lost:
            pool.save(file)
        assert list(lost.value.ranges()) == [(2000, 500)]
    assert file.read_bytes() == b"old"


def test_loads_that_fail(client: Any, tmp_path: Path) -> None:
    def shards() -> set[str]:
        return {key for key in client.cluster.scheduler.tasks if "shard" in key}

    file = tmp_path / "image"
    file.write_bytes(b"x" * 100_000)

    def fail(*done: Any) -> None:
        raise KeyError("no")

    before = shards()
    for arguments, options, error in (
        ((io.BytesIO(b""),), {}, PoolRangeError),
        ((tmp_path / "missing",), {}, FileNotFoundError),
        ((tmp_path,), {}, OSError),
        ((io.StringIO("x"),), {}, TypeError),
        ((file, 0), {}, PoolRangeError),
        ((file, "1"), {}, TypeError),
        ((file,), {"replicas": 3}, PoolRangeError),
        ((file,), {"max_block_size": 0}, PoolRangeError),
        ((file,), {"memory_limit": 1000}, PoolLimitError),
        ((file,), {"format": "odd"}, ValueError),
        ((file,), {"progress": fail}, KeyError),
        ((file,), {"progress": 1}, TypeError),
    ):
        with pytest.raises(error):
            ShardedPool.load(client, *arguments, **options)
    with pytest.raises(TypeError, match="Client"):
        ShardedPool.load(None, file)  # type: ignore[arg-type]
    while shards() - before:  # nothing of them is left
        client.sync(client.scheduler.identity)


def test_errors_are_those_of_one_pool(client: Any, tmp_path: Path) -> None:
    assert issubclass(PoolLimitError, PoolMemoryError)
    for call in (
        lambda make: make(tmp_path / "missing"),
        lambda make: make(io.BytesIO(b"")),
        lambda make: make(io.BytesIO(b"x"), format="odd"),
        lambda make: make(io.BytesIO(b"x"), progress=1),
        lambda make: make(1),
    ):
        with pytest.raises((PoolError, OSError, ValueError, TypeError)) as wanted:
            call(MemoryPool.load)
        with pytest.raises((PoolError, OSError, ValueError, TypeError)) as found:
            call(lambda file, **more: ShardedPool.load(client, file, **more))
        assert (found.type, str(found.value)) == (wanted.type, str(wanted.value))


def test_a_load_that_fails_at_its_end_leaves_no_pool(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(300))
    closed = []
    close = ShardedPool.close

    def fail(pool: ShardedPool, total_size: int) -> None:
        raise PoolMemoryError(f"no memory for {total_size}")

    def note(pool: ShardedPool) -> None:
        closed.append(pool)
        close(pool)

    monkeypatch.setattr(ShardedPool, "resize", fail)
    monkeypatch.setattr(ShardedPool, "close", note)
    with pytest.raises(PoolMemoryError, match="no memory for 300"):
        ShardedPool.load(client, image, stripe=100)
    assert len(closed) == 1
