# SPDX-License-Identifier: MIT
"""Deltas: what turns the contents of one pool into those of another, as a stream.

    save:   pool, base ─► clones ─► both digests ─► where they differ ─► stream
    apply:  stream ─► checks ─► digest ─► a clone of the pool ─► digest ─► restore

A delta is written and read from its start to its end, and says itself where that is, so
that several can follow each other in one stream. All integers are unsigned and
little-endian, and have 8 bytes, but for the kind of a record:

    start   the 8 bytes 93 6d 65 6d 70 6f 6f 6c; version, which is 2
    head    size of the base, size of the pool, digest of the base, digest of the pool;
            check
    frames  any number of them: size of the records in it, 1 to 1 MiB; the records; check
    end     size 0; check

    record  kind (1 byte), offset, size (1 or more)
            kind 1: data, so many bytes, which follow
            kind 2: zeros
    digest  that of pool_digest() in memory_pool.h, 32 bytes
    check   BLAKE2b of all bytes of the delta before it, with a result of 32 bytes and the
            personalization "pool delta", then zeros

Records are in ascending order, in frames too, do not overlap, end in the pool, and lie in
one frame each. They are applied in this order: the base gets the size of the pool, by
zeros at its end or by cutting it; then each record replaces the bytes at its offset.

Nothing is believed, and nothing is allocated for it, before the check behind it was
found to be right: a damaged delta is refused where it is damaged. One that was made to do
harm can have right checks, so the sizes in it are checked against the pool, and a frame
is never larger than 1 MiB. The two digests say whether the delta is for this pool, and
whether it led where it should. They cost what has changed since they were last known, so
neither saving nor applying reads what is held.

changes() finds the blocks that may differ, and extents() the data of pools that are no
relatives. These are compared in chunks of 4 KiB: one that became zeros is a record of
zeros, alone or with its neighbours; of others the bytes that differ are data, in one
record with those up to 31 bytes farther on.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import Struct
from typing import Any, Callable, NamedTuple, Optional

from .._native.signatures import SIZE_MAX
from ..errors import CheckpointError, PoolUnrelatedError
from .pools import DeltaPool
from .progress import Meter, Progress
from .streams import PIECE

_Run = tuple[int, int]  # offset and size
_Record = tuple[int, int, Optional[bytes]]  # start, stop, data; None for zeros

_MAGIC = b"\x93mempool"
_VERSION = 2
_PERSON = b"pool delta"
_START = Struct("<8sQ")
_HEAD = Struct("<QQ32s32s")
_SIZE = Struct("<Q")
_RECORD = Struct("<BQQ")
_DATA, _ZEROS = 1, 2  # the kinds of records

_FRAME = PIECE  # the most bytes in a frame
_PART = 1 << 18  # bytes compared at a time; with the head of a record they fit a frame
_CHUNK = 4096  # divides _PART
_ZERO_PART = bytes(_PART)
_GAP = bytes(32)  # equal bytes that end a record: sending fewer costs less than a record

_zeros = re.compile(rb"\0+")


def save(
    pool: DeltaPool, base: DeltaPool, write: Callable[[Any], object], report: Progress
) -> None:
    """Writes what turns the contents and the size of `base` into those of `pool`.

    write: writes all of a bytes-like object, and keeps none that is not bytes.
    report: called as report(done, total), in bytes that were compared, after each piece
        of at most 256 KiB and at the end.

    Nothing is written before both digests are known. Costs comparing what relatives do
    not share, or all that both hold, and the two digests. Raises what clone(), digest(),
    `write` and `report` raise.
    """
    with base.clone() as old, pool.clone() as new:
        old_size, new_size = old.total_size, new.total_size
        head = old_size, new_size, old.digest(), new.digest()
        if old_size < new_size:
            old.resize(new_size)  # so that it can be read as far
        meter = Meter(report, sum(size for _, size in _pieces(old, new)))
        stream = _Writer(write)
        stream.put(_START.pack(_MAGIC, _VERSION))
        stream.put(_HEAD.pack(*head))
        stream.put_check()
        frame = bytearray()
        for start, stop, data in _joined(_differences(old, new, meter)):
            if len(frame) + _RECORD.size + len(data or b"") > _FRAME:
                stream.put_frame(frame)
                frame.clear()
            frame += _RECORD.pack(_DATA if data else _ZEROS, start, stop - start)
            frame += data or b""
        if frame:
            stream.put_frame(frame)
        stream.put_frame(b"")
        meter.add(0)


def apply(
    pool: DeltaPool, read: Callable[[int], bytes], alone: bool, report: Progress
) -> None:
    """Gives the pool the contents and the size that a delta leads to.

    read: returns that many bytes of the stream, fewer only at its end.
    alone: whether the stream must end with the delta; otherwise it is read no further.
    report: called as report(done, total), in bytes of the delta, after its head, each
        frame, and its end; total is None before that.

    The pool must have the contents and the size of the base, whatever it got them from.
    All changes take effect in one atomic step at the end, which undoes what other threads
    wrote to the pool meanwhile, as restore() does. Needs memory for what changes.

    Raises CheckpointError if the delta is damaged or the pool does not match its base;
    PoolMemoryError, PoolLimitError; what `read` and `report` raise. Then nothing has
    changed.
    """
    with pool.clone() as new:
        stream, meter = _Reader(read), Meter(report, None)
        head = stream.head()
        _check_base(new, head)
        new.resize(head.new_size)
        meter.add(stream.done)
        for data, zeros in stream.frames(head.new_size):
            for start, size in zeros:
                new.fill(start, 0, size)  # set to zeros, where what is set is tracked
            new.write_many(data)
            meter.add(stream.done - meter.done)
        if alone and read(1):
            raise CheckpointError("there are bytes after the end of the delta")
        if new.digest() != head.new_digest:
            raise CheckpointError(
                "the delta does not lead to the contents that it is said to lead to"
            )
        meter.total = stream.done
        meter.add(stream.done - meter.done)
        pool.restore(new)


def _check_base(pool: DeltaPool, head: _Head) -> None:
    """Raises CheckpointError if a delta is not for the contents of a pool."""
    if head.old_size != pool.total_size:
        raise CheckpointError(
            f"the delta was made for a pool of {head.old_size} bytes,"
            f" this one has {pool.total_size}"
        )
    if head.old_digest != pool.digest():
        raise CheckpointError(
            "the delta was made for other contents than this pool has:"
            " it is not the next one for it"
        )


# ------------------------------------------------------------------- what differs


def _runs(old: DeltaPool, new: DeltaPool) -> Iterable[_Run]:
    """Returns where two pools may differ: runs in order, which may overlap."""
    try:
        return new.changes(old)
    except PoolUnrelatedError:
        return heapq.merge(old.extents(), new.extents())


def _pieces(old: DeltaPool, new: DeltaPool) -> Iterator[_Run]:
    """Yields what is compared at a time: parts of those runs, up to the end of `new`."""
    at, end = 0, new.total_size
    for start, size in _runs(old, new):
        at, stop = max(at, start), min(start + size, end)
        while at < stop:
            count = min(_PART, stop - at)
            yield at, count
            at += count


def _differences(old: DeltaPool, new: DeltaPool, meter: Meter) -> Iterator[_Record]:
    """Yields what `new` has where the two differ."""
    for at, size in _pieces(old, new):
        was, now = old.read(at, size), new.read(at, size)
        if was != now:
            yield from _compared(at, was, now)
        meter.add(size)


def _compared(at: int, was: bytes, now: bytes) -> Iterator[_Record]:
    """Yields the records for a piece that begins at an offset."""

    def kind_of(start: int) -> int:
        chunk = now[start : start + _CHUNK]
        if chunk == was[start : start + _CHUNK]:
            return 0
        return _ZEROS if _ZERO_PART.startswith(chunk) else _DATA

    for kind, group in itertools.groupby(range(0, len(now), _CHUNK), kind_of):
        first, *rest = group
        stop = min(len(now), (rest or [first])[-1] + _CHUNK)
        if kind == _ZEROS:
            yield at + first, at + stop, None
        elif kind == _DATA:
            for begin, end in _differing(was[first:stop], now[first:stop]):
                begin, end = first + begin, first + end
                yield at + begin, at + end, now[begin:end]


def _differing(was: bytes, now: bytes) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of what differs in two strings of one length.

    It starts and ends with a byte that differs, and is cut where _GAP bytes are equal.
    """
    number = int.from_bytes(was, "little") ^ int.from_bytes(now, "little")
    bits = number.to_bytes(len(now), "little")
    at, end = _equal_bytes(bits, 0), len(bits.rstrip(b"\0"))
    while (gap := bits.find(_GAP, at, end)) >= 0:
        yield at, gap
        at = _equal_bytes(bits, gap)
    yield at, end


def _equal_bytes(bits: bytes, at: int) -> int:
    """Returns where the zeros that begin at an offset end."""
    zeros = _zeros.match(bits, at)
    return zeros.end() if zeros else at


def _joined(records: Iterable[_Record]) -> Iterator[_Record]:
    """Yields the records, one for zeros that follow each other."""
    begin = end = 0  # zeros that may go on
    for start, stop, data in records:
        if start != end or data is not None:
            if begin < end:
                yield begin, end, None
            begin = end = start
        if data is None:
            end = stop
        else:
            yield start, stop, data
    if begin < end:
        yield begin, end, None


# ---------------------------------------------------------------------- the stream


class _Writer:
    """A delta that is being written, and the check of it so far."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self._write = write
        self._check = blake2b(digest_size=32, person=_PERSON)

    def put(self, data: bytes) -> None:
        self._check.update(data)
        self._write(data)

    def put_check(self) -> None:
        self.put(self._check.digest())

    def put_frame(self, records: bytes | bytearray) -> None:
        self.put(_SIZE.pack(len(records)))
        self.put(bytes(records))
        self.put_check()


class _Head(NamedTuple):
    old_size: int
    new_size: int
    old_digest: bytes
    new_digest: bytes


class _Reader:
    """A delta that is being parsed. It trusts no number in it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self.done = read, 0  # done: in bytes
        self._check = blake2b(digest_size=32, person=_PERSON)

    def _get(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise CheckpointError("the delta is cut off")
        self._check.update(data)
        self.done += size
        return data

    def _get_check(self) -> None:
        expected = self._check.digest()
        if self._get(len(expected)) != expected:
            raise CheckpointError("a checksum is wrong: the delta is damaged")

    def head(self) -> _Head:
        """Parses the start and the head."""
        magic = self._get(len(_MAGIC))
        if magic != _MAGIC:
            raise CheckpointError("this is no delta of a pool: it starts otherwise")
        _, version = _START.unpack(magic + self._get(_START.size - len(magic)))
        if version != _VERSION:
            raise CheckpointError(
                f"a delta of version {version}, supported is {_VERSION}"
            )
        head = _Head(*_HEAD.unpack(self._get(_HEAD.size)))
        self._get_check()
        if not 1 <= head.new_size <= SIZE_MAX:
            raise CheckpointError(
                f"a delta to a pool of {head.new_size} bytes, allowed are 1 .. {SIZE_MAX}"
            )
        return head

    def frames(
        self, total_size: int
    ) -> Iterator[tuple[list[tuple[int, bytes]], list[_Run]]]:
        """Parses the frames up to the end; yields the data and the zeros in each.

        total_size: where the pool ends.
        """
        last = 0
        while True:
            (size,) = _SIZE.unpack(self._get(_SIZE.size))
            if size > _FRAME:
                raise CheckpointError(
                    f"a frame of {size} bytes in the delta, allowed are up to {_FRAME}"
                )
            records = self._get(size)
            self._get_check()
            if not size:
                return
            data, zeros, last = _parsed(records, last, total_size)
            yield data, zeros


def _parsed(
    records: bytes, last: int, total_size: int
) -> tuple[list[tuple[int, bytes]], list[_Run], int]:
    """Returns the data and the zeros of a frame, and where its last record ends.

    last: where the record before the frame ends.
    """
    data: list[tuple[int, bytes]] = []
    zeros: list[_Run] = []
    at = 0
    while at < len(records):
        head = records[at : at + _RECORD.size]
        if len(head) < _RECORD.size:
            raise CheckpointError("a record of the delta does not end in its frame")
        at += len(head)
        kind, start, size = _RECORD.unpack(head)
        wrong = _defect(kind, start, size, last, total_size, len(records) - at)
        if wrong:
            raise CheckpointError(
                f"a record of the delta, {size} bytes at {start}: {wrong}"
            )
        last = start + size
        if kind == _DATA:
            data.append((start, records[at : at + size]))
            at += size
        else:
            zeros.append((start, size))
    return data, zeros, last


def _defect(
    kind: int, start: int, size: int, last: int, total_size: int, room: int
) -> str:
    """Returns what is wrong with a record; an empty text if nothing is.

    last: where the record before it ends.
    room: bytes that follow in the frame.
    """
    if kind not in (_DATA, _ZEROS):
        return f"kind {kind}, records have kinds {_DATA} and {_ZEROS}"
    if not size:
        return "it is empty"
    if start < last:
        return f"the record before it ends at {last}"
    if start + size > total_size:
        return f"the pool ends at {total_size}"
    if kind == _DATA and size > room:
        return f"{room} bytes of data are left in its frame"
    return ""
