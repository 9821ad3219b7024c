# SPDX-License-Identifier: MIT
"""Shared snapshots within one process: what they hold, store, open, and how they end."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pymempool import (
    FormatError,
    MemoryPool,
    PoolClosedError,
    SharedSnapshot,
    SharingError,
)

BLOCK = 64


class Mine(MemoryPool):
    """A class of a user."""


def contents(snapshot: SharedSnapshot[Any]) -> bytes:
    with snapshot.open() as pool:
        whole: bytes = pool[:]
        return whole


# ----------------------------------------------------------------------- one snapshot


def test_opened_pool_is_like_the_shared_one(pool: MemoryPool) -> None:
    with pool.share() as snapshot, snapshot.open() as opened:
        assert opened[:] == pool[:]
        assert [*opened.extents()] == [*pool.extents()]
        assert opened.block_size == pool.block_size == snapshot.block_size
        assert opened.total_size == pool.total_size == snapshot.total_size
        assert snapshot.stored_bytes == pool.stats.held_bytes
        assert snapshot.segments == 1


def test_opened_pool_copies_nothing_before_a_write(pool: MemoryPool) -> None:
    with pool.share() as snapshot, snapshot.open() as opened:
        assert opened.stats.adopted_blocks == opened.stats.held_blocks
        assert opened.stats.family_bytes == 0
        opened.write(130, b"x")
        assert opened.stats.family_bytes == BLOCK


def test_the_three_are_independent(pool: MemoryPool) -> None:
    before = pool[:]
    snapshot = pool.share()
    one, other = snapshot.open(), snapshot.open()
    pool.write(100, b"pool")
    one.write(100, b"one")
    assert other[:] == before == contents(snapshot)
    pool.close()
    view = other.view(100, 50)
    snapshot.close()
    assert other[:] == before
    other.close()
    assert view == before[100:150]
    assert one[100:103] == b"one"


def test_pools_of_one_snapshot_are_relatives(pool: MemoryPool) -> None:
    with pool.share() as snapshot, snapshot.open() as one, snapshot.open() as other:
        one.write(100, b"x")
        assert [*one.changes(other)] == [(64, 64)]


def test_what_is_large_is_written_in_pieces() -> None:
    data = os.urandom(1 << 20)
    with MemoryPool(3 << 20, 4096) as pool:
        pool.write(5000, data)
        pool.write((2 << 20) + 7, data[:300_000])
        with pool.share() as snapshot:
            assert contents(snapshot) == pool[:]


@pytest.mark.parametrize("total", [1, BLOCK, 100, 10 * BLOCK])
def test_sizes(total: int) -> None:
    """Also a pool that is smaller than a block, and one whose last block is cut."""
    with MemoryPool(1000, BLOCK) as pool:
        pool.resize(total)
        pool.write(total - 1, b"e")
        with pool.share() as snapshot, snapshot.open() as opened:
            assert opened[:] == pool[:]
            assert (opened.total_size, opened.block_size) == (total, BLOCK)
            opened.resize(1000)
            assert opened[:] == pool[:] + bytes(1000 - total)


def test_nothing_but_a_hole() -> None:
    with MemoryPool(1 << 40) as pool, pool.share() as snapshot:
        assert snapshot.stored_bytes == 0
        with snapshot.open() as opened:
            assert opened.total_size == 1 << 40
            assert [*opened.extents()] == []


def test_digest_travels(pool: MemoryPool) -> None:
    with pool.share() as without, pool.share(digest=True) as snapshot:
        assert without.digest is None
        assert snapshot.digest == pool.digest()
        with pool.share(snapshot, digest=True) as again:
            assert again.digest == snapshot.digest


def test_class_is_that_of_the_pool() -> None:
    with Mine(4096) as pool, pool.share() as snapshot, snapshot.open() as opened:
        assert type(opened) is Mine


def test_options() -> None:
    with MemoryPool(4096, BLOCK, wipe=True, memory_limit=4096) as pool:
        pool.write(100, b"secret")
        with pool.share() as snapshot, snapshot.open() as opened:
            assert opened[:] == pool[:]
            assert opened.stats.flags == pool.stats.flags == 1
            assert opened.stats.adopted_blocks == 0
            assert opened.stats.memory_limit == 0


def test_pins_are_shared_as_they_are(pool: MemoryPool) -> None:
    with pool.pin(100, 20) as pin:
        pin[:] = b"p" * 20
        snapshot = pool.share()
        pin[:] = b"q" * 20
        second = pool.share(since=snapshot)
        assert contents(snapshot)[100:120] == b"p" * 20
        assert contents(second) == pool[:]
        assert second.stored_bytes == BLOCK


def test_repr(pool: MemoryPool) -> None:
    snapshot = pool.share()
    assert (
        repr(snapshot)
        == "<SharedSnapshot of 4096 bytes, 320 of data stored, 1 segment in use>"
    )
    newer = pool.share(since=snapshot)
    assert (
        repr(newer)
        == "<SharedSnapshot of 4096 bytes, 0 of data stored, 2 segments in use>"
    )
    snapshot.close()
    assert repr(snapshot) == "<SharedSnapshot, closed>"


def test_closed(pool: MemoryPool) -> None:
    snapshot = pool.share(digest=True)
    opened = snapshot.open()
    with snapshot:
        assert not snapshot.closed
    assert snapshot.closed
    snapshot.close()
    for call in (
        snapshot.open,
        snapshot.__enter__,
        lambda: pool.share(since=snapshot),
        lambda: copy.copy(snapshot),
    ):
        with pytest.raises(PoolClosedError, match="snapshot is closed"):
            call()
    assert snapshot.total_size == 4096
    assert snapshot.digest == opened.digest()


def test_copy_holds_the_memory(pool: MemoryPool) -> None:
    snapshot = pool.share()
    twin = copy.copy(snapshot)
    snapshot.close()
    assert contents(twin) == pool[:]


def test_closed_pool(pool: MemoryPool) -> None:
    pool.close()
    with pytest.raises(PoolClosedError):
        pool.share()


def test_what_is_no_snapshot(pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="a SharedSnapshot is needed, not MemoryPool"):
        pool.share(since=pool)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [int, 5, None])
def test_what_is_no_class_of_pools(pool: MemoryPool, kind: Any) -> None:
    with pool.share() as snapshot:
        segments = snapshot.__reduce__()[1][1]
        with pytest.raises(TypeError, match="a class of MemoryPool is needed"):
            SharedSnapshot(kind, segments)


def test_a_failed_open_leaves_no_pool(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError("no room")

    made: list[MemoryPool] = []
    monkeypatch.setattr(Mine, "adopt", fail)
    monkeypatch.setattr(Mine, "_own", lambda self, owner: made.append(self) or self)
    with pool.share() as snapshot:
        broken = SharedSnapshot(Mine, snapshot.__reduce__()[1][1])
        with pytest.raises((OSError, PoolClosedError)):
            broken.open()
    assert [each.closed for each in made] == [True]


# ------------------------------------------------------------------------------- since


def test_since_stores_what_changed(pool: MemoryPool) -> None:
    pool.fill(1024, 1, 2048)
    with pool.share() as first:
        pool.write(110, b"changed")
        before = pool[:]
        with pool.share(since=first) as second:
            pool.write(4000, b"END")
            with pool.share(since=second) as third:
                assert (second.stored_bytes, third.stored_bytes) == (BLOCK, BLOCK)
                assert (first.segments, second.segments) == (1, 2)
                assert contents(second) == before
                assert contents(third) == pool[:]


def test_since_knows_holes_and_sizes(pool: MemoryPool) -> None:
    snapshot = pool.share()
    for change in (
        lambda: pool.discard(128, 64),
        lambda: pool.resize(170),
        lambda: pool.resize(500),
        lambda: pool.write(480, b"x"),
        lambda: pool.discard(0, 500),
    ):
        change()
        snapshot = pool.share(since=snapshot)
        with snapshot.open() as opened:
            assert opened[:] == pool[:]
    assert snapshot.segments == 1


def test_since_outlives_the_older_snapshot(pool: MemoryPool) -> None:
    older = pool.share()
    pool.write(100, b"x")
    newer = pool.share(since=older)
    older.close()
    assert contents(newer) == pool[:]


def test_nothing_changed(pool: MemoryPool) -> None:
    snapshot = pool.share()
    for _ in range(20):
        snapshot = pool.share(since=snapshot)
        assert snapshot.stored_bytes == 0
        assert snapshot.segments == 2
    assert contents(snapshot) == pool[:]


def test_since_by_the_pool_that_was_opened(pool: MemoryPool) -> None:
    """As in a worker, which has no other pool of that family."""
    with pool.share() as snapshot:
        received = SharedSnapshot(*snapshot.__reduce__()[1])
        opened = received.open()
        opened.write(110, b"by the worker")
        with opened.share(since=received) as result:
            assert result.stored_bytes == BLOCK
            assert contents(result) == opened[:]


def stranger_of(pool: MemoryPool) -> MemoryPool:
    """A pool of nearly the same bytes that holds a block of zeros more."""
    made = MemoryPool(4096, BLOCK)
    for start, size in pool.extents():
        made.write(start, pool[start : start + size])
    made.write(200, b"strange")
    made.write(1000, bytes(1))
    return made


def test_since_by_a_stranger_compares(pool: MemoryPool) -> None:
    pool.fill(1024, 1, 2048)
    snapshot, stranger = pool.share(), stranger_of(pool)
    with stranger.share(since=snapshot) as result:
        assert contents(result) == stranger[:]
        assert result.segments == 2
        assert result.stored_bytes == 2 * BLOCK


def test_since_a_pool_that_was_closed_compares(pool: MemoryPool) -> None:
    relative = pool.clone()
    with pool.share() as snapshot:
        pool.close()
        relative.write(110, b"x")
        with relative.share(since=snapshot) as result:
            assert result.stored_bytes == BLOCK
            assert contents(result) == relative[:]


def test_since_with_another_block_size_stores_all(pool: MemoryPool) -> None:
    with pool.share() as snapshot, MemoryPool(4096, 128) as other:
        other.write(0, pool[:])
        with other.share(since=snapshot) as result:
            assert result.segments == 1
            assert contents(result) == other[:]


def test_what_is_shared_is_told(pool: MemoryPool) -> None:
    assert "adopted" not in repr(pool)
    with pool.share() as snapshot, snapshot.open() as opened:
        assert opened.stats.adopted_blocks == opened.stats.held_blocks > 0
        told = f"{opened.stats.adopted_blocks} adopted by the family>"
        assert repr(opened).endswith(told)


def test_segments_stay_few() -> None:
    """One block is changed a hundred times; then all of them, one after the other."""
    with MemoryPool(1000 * BLOCK, BLOCK) as pool:
        pool.fill(0, 1, 1000 * BLOCK)
        snapshot = pool.share()
        stored = 0
        for number in range(100):
            pool.write(5, b"%d" % number)
            snapshot = pool.share(since=snapshot)
            assert snapshot.stored_bytes == BLOCK
            assert snapshot.segments == 2
        most = []
        for number in range(1000):
            pool.write(number * BLOCK, b"%d" % number)
            snapshot = pool.share(since=snapshot)
            stored += snapshot.stored_bytes
            most.append(snapshot.segments)
        assert most[:15] == [*range(2, 17)]  # nothing is stored twice until then
        assert max(most) <= 16 + 2
        assert stored < 1000 * BLOCK * 8
        assert contents(snapshot) == pool[:]


def test_memory_that_is_half_unused_is_released() -> None:
    with MemoryPool(1000 * BLOCK, BLOCK) as pool:
        pool.fill(0, 1, 1000 * BLOCK)
        first = pool.share()
        pool.discard(0, 499 * BLOCK)
        assert pool.share(since=first).segments == 2
        pool.discard(0, 501 * BLOCK)
        with pool.share(since=first) as alone:
            assert alone.segments == 1
            assert alone.stored_bytes == 499 * BLOCK


changes = st.one_of(
    st.tuples(
        st.just("write"), st.integers(0, 1999), st.binary(min_size=1, max_size=300)
    ),
    st.tuples(st.just("discard"), st.integers(0, 1999), st.integers(1, 600)),
    st.tuples(st.just("resize"), st.integers(1, 2000)),
)


@given(st.lists(st.lists(changes, max_size=4), min_size=1, max_size=12))
def test_any_chain_opens_as_what_was_shared(rounds: list[list[Any]]) -> None:
    with MemoryPool(2000, BLOCK) as pool:
        snapshot, shared = None, []
        for todo in rounds:
            for name, at, *rest in todo:
                if name == "resize":
                    pool.resize(at)
                    continue
                at %= pool.total_size
                room = pool.total_size - at
                if name == "write":
                    pool.write(at, rest[0][:room])
                else:
                    pool.discard(at, min(rest[0], room))
            snapshot = pool.share(since=snapshot)
            shared.append((snapshot, pool[:]))
        for each, expected in shared:
            assert contents(each) == expected
            each.close()


# ------------------------------------------------------------------------- its memory


def in_new_python(script: str) -> str:
    """What a script prints in a process whose descriptors nobody else uses."""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


LINUX = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="what is open is counted in Linux's /proc"
)

COUNTING = """
import os
from pymempool import MemoryPool

pool = MemoryPool(1 << 20, 4096)
pool.write(5, b"data" * 10000)
pool.share().open()

def memory():
    with open("/proc/self/maps") as maps:
        mapped = sum("memfd:pymempool" in line for line in maps)
    return len(os.listdir("/proc/self/fd")), mapped

before = memory()
"""


@LINUX
def test_descriptors_and_mappings_end() -> None:
    printed = in_new_python(
        COUNTING
        + """
for number in range(20):
    snapshot = pool.share()
    assert memory()[0] == before[0] + 1
    pool.write(8192, b"%d" % number)
    newer = pool.share(since=snapshot)
    assert memory()[0] == before[0] + 2
    opened = [snapshot.open(), newer.open(), newer.open()]
    assert memory()[1] == before[1] + 2
    snapshot.close()
    newer.close()
    assert memory()[1] == before[1] + 2
    view = opened[0].view(5, 4)
    for each in opened:
        each.close()
    assert memory()[1] == before[1] + 1
    assert view == b"data"
    del view
    assert memory() == before
print("all ended")
"""
    )
    assert printed == "all ended"


@LINUX
def test_no_descriptor_left() -> None:
    """RLIMIT_NOFILE is reached when sharing, loading, and opening."""
    printed = in_new_python(
        COUNTING
        + """
import errno, pickle, resource, sys
snapshot = pool.share()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
pickled, used = pickle.dumps(snapshot), memory()
most = max(map(int, os.listdir("/proc/self/fd"))) + 3
resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
calls = [pool.share, lambda: pool.share(since=snapshot)]
calls.append(lambda: pickle.loads(pickled).open())
if sys.version_info < (3, 13):  # later ones map without a descriptor
    calls.append(snapshot.open)
for call in calls:
    try:
        call()
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    else:
        raise AssertionError(call)
for each in held:
    os.close(each)
assert memory() == used, (memory(), used)
assert snapshot.open()[5:9] == b"data"
print("refused")
"""
    )
    assert printed == "refused"


def test_failed_share_leaves_nothing(
    pool: MemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from internals import ranges_module

    def fail(*_: Any) -> int:
        raise MemoryError("as if")

    stats = pool.stats
    monkeypatch.setattr(ranges_module, "fill_memory", fail)
    with pytest.raises(MemoryError, match="as if"):
        pool.share()
    monkeypatch.undo()
    gc.collect()
    assert pool.stats.family_pools == stats.family_pools


def test_states_end_with_pool_or_snapshot(pool: MemoryPool) -> None:
    relative = pool.clone()
    first, second = pool.share(), pool.share()
    assert relative.stats.family_pools == 4
    first.close()
    assert relative.stats.family_pools == 3
    pool.close()
    assert relative.stats.family_pools == 1
    second.close()


# ------------------------------------------------------------- what is not trusted


class Bytes:
    """Stands in for a segment."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


@pytest.fixture
def data(pool: MemoryPool) -> Iterator[bytes]:
    """A segment of 5 blocks in two extents."""
    with pool.share(digest=True) as snapshot:
        (segment,) = snapshot.__reduce__()[1][1]
        yield segment.read(0, segment.size)


def damaged(data: bytes, at: int, word: int) -> Bytes:
    """The data with another 64-bit number at an offset from its end."""
    place = len(data) + at
    return Bytes(data[:place] + word.to_bytes(8, "little") + data[place + 8 :])


def refused(*segments: Any) -> str:
    with pytest.raises(FormatError) as caught:
        SharedSnapshot(MemoryPool, segments)
    return str(caught.value)


FOOTER = 8 + 4 + 4 + 16 + 5 * 8 + 32
EXTENTS = FOOTER + 2 * 32


def test_data_itself_is_right(data: bytes) -> None:
    snapshot = SharedSnapshot(MemoryPool, (Bytes(data),))  # type: ignore[arg-type]
    assert snapshot.stored_bytes == 5 * BLOCK


def test_what_is_no_segment(data: bytes) -> None:
    for wrong in (b"", b"short", bytes(1000), data[:-1], data + b"x", data[1:]):
        assert "no shared snapshot, or a damaged one" in refused(Bytes(wrong))
    assert "needs a segment" in refused()


def test_another_version(data: bytes) -> None:
    assert "format 7" in refused(damaged(data, 8 - FOOTER, 7))


@pytest.mark.parametrize(
    ("at", "word"),
    [
        (32 - FOOTER, 0),  # the total size
        (32 - FOOTER, 4000),
        (40 - FOOTER, 0),  # the block size
        (40 - FOOTER, 65),
        (-EXTENTS, 64 * 63),  # the offset of the first extent
        (8 - EXTENTS, 0),  # its size
        (8 - EXTENTS, 1 << 63),
        (16 - EXTENTS, 1),  # its segment
        (24 - EXTENTS, 65),  # its place there
        (32 - EXTENTS, 0),  # the offset of the second
    ],
)
def test_damaged_table(data: bytes, at: int, word: int) -> None:
    assert "table of the shared snapshot is damaged" in refused(damaged(data, at, word))


def test_segments_of_others(pool: MemoryPool, data: bytes) -> None:
    with pool.share() as snapshot:
        (other,) = snapshot.__reduce__()[1][1]
        assert "do not belong together" in refused(other, Bytes(data))


def test_error_is_an_oserror() -> None:
    error = SharingError("words")
    assert isinstance(error, OSError)
    assert str(error) == "words"
