# SPDX-License-Identifier: MIT
"""Checkpoints: what changed in a pool since a clone of it was made, as a file.

    save:   pool, base ─► clones ─► digest of base ─► what differs ─► file
    apply:  file ─► a clone of the pool ─► checksum, digest of the base ─► restore

A checkpoint is one stream, written and read from its start to its end. All integers are
unsigned and little-endian, of 8 bytes but for the kind of a record:

    head      the 8 bytes of _MAGIC, version (1), size of the base, size of the pool,
              digest of the base (32 bytes)
    records   kind (1 byte), start, size; in ascending order, without overlap
              kind 1: data, at most 1 MiB, which follows
              kind 2: zeros, where the base had something else
    end       a record of kind 0: the number of records before it, the bytes of data
    checksum  SHA-256 of all of the above (32 bytes); nothing may follow

What differs is found through changes() and compared in chunks of 4 KiB: 8 bytes written
cost 4 KiB of the file, whatever the size of a block. Records start and end where chunks
do, or with the pool. A chunk of zeros and a hole are the same.

The digest of the base is the SHA-256 of its chunks that are not all zeros, each as its
offset and its bytes. So it depends on the contents alone, and not on blocks and holes: a
pool that was loaded from an image is as good a base as the one that was saved. It is what
costs: all that the base holds is read, by apply() too, at about 1 GiB a second. A digest
of only those parts that a checkpoint changes would cost no more than these, but would not
notice that one was left out of a chain which changed other parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import Any, Callable, Optional

from .._native.signatures import SIZE_MAX
from ..errors import CheckpointError
from .pools import Changed, Source

Progress = Callable[[int, Optional[int]], object]
Run = tuple[int, int]  # offset and size

_MAGIC = b"\x93mempool"
_VERSION = 1
_HEAD = Struct("<8sQQQ32s")
_RECORD = Struct("<BQQ")
_END, _DATA, _ZERO = range(3)  # the kinds of records

_CHUNK = 4096
_PIECE = 1 << 20  # the most that is read at once, a multiple of _CHUNK
_ZEROS = bytes(_PIECE)


def save(
    pool: Source, base: Changed, put: Callable[[Any], object], report: Progress
) -> None:
    """Writes what makes the contents and size of `base` those of `pool`, of one moment.

    base: a relative of the pool by cloning.
    put: writes all of a bytes-like object.
    report: called as report(done, total), in bytes that were looked at, after each
        piece of at most 1 MiB and at the end.

    Costs what changed, and a digest of all that `base` holds, which is taken before the
    first byte is written. Raises PoolUnrelatedError, with nothing written; what
    `put` and `report` raise.
    """
    with base.clone() as old, pool.clone() as new:
        old_size, new_size = old.total_size, new.total_size
        held, changed = old.extents(), new.changes(old)
        total = sum(size for _, size in _pieces(held, old_size))
        total += sum(size for _, size in _pieces(changed, new_size))
        meter = _Meter(report, total)
        stream = _Writer(put)
        head = _MAGIC, _VERSION, old_size, new_size, _digest(old, meter)
        stream.write(_HEAD.pack(*head))
        records = data_bytes = 0
        for start, size, data in _differences(old, new, meter):
            stream.write(_RECORD.pack(_ZERO if data is None else _DATA, start, size))
            if data is not None:
                stream.write(data)
                data_bytes += size
            records += 1
        stream.write(_RECORD.pack(_END, records, data_bytes))
        stream.write(stream.digest.digest())
        meter.add(0)


def apply(pool: Changed, get: Callable[[int], bytes], report: Progress) -> None:
    """Makes the contents and size of the pool those that a checkpoint was made of.

    get: reads just as many bytes as it is told, or all that are left if these are fewer.
    report: called as report(done, total), in bytes of the file and then of the pool,
        after each piece and at the end; total is None until the file was read.

    The pool must have the contents and size of the base, however it came to them. The
    file is read to its end. All or nothing: until the end the pool stays as it is, for
    other threads too; what they write to it meanwhile is then undone, as by restore().

    Raises CheckpointError, which says what is wrong, above all that the file is damaged
    or, if it is not, that the pool is no base for it; PoolMemoryError, PoolLimitError;
    what `get` and `report` raise. Then the pool was not changed.
    """
    with pool.clone() as old, old.clone() as new:
        stream, meter = _Reader(get), _Meter(report, None)
        old_size, new_size, digest = stream.head()
        new.resize(new_size)
        meter.add(_HEAD.size)
        for start, size, data in stream.records(new_size):
            if data is None or _is_zeros(data):
                new.discard(start, size)
            else:
                new.write(start, data)
            meter.add(_RECORD.size + (0 if data is None else size))
        stream.finish()

        if old_size != old.total_size:
            raise CheckpointError(
                f"the checkpoint was made for a pool of {old_size} bytes,"
                f" this one has {old.total_size}"
            )
        pieces = _pieces(old.extents(), old_size)
        meter.total = meter.done + sum(size for _, size in pieces)
        if digest != _digest(old, meter):
            raise CheckpointError(
                "the checkpoint was made for other contents than this pool has:"
                " it is not the next one for it"
            )
        meter.add(0)
        pool.restore(new)


class _Meter:
    """Counts what was done, and reports it."""

    def __init__(self, report: Progress, total: int | None) -> None:
        self.report, self.total, self.done = report, total, 0

    def add(self, size: int) -> None:
        self.done += size
        self.report(self.done, self.total)


# --------------------------------------------------------------- contents of pools


def _pieces(runs: Iterable[Run], end: int) -> Iterator[Run]:
    """All chunks that the runs touch, up to the end of the pool, in order: as runs that
    are not larger than a piece."""
    at = 0
    for start, size in runs:
        stop = start + size
        stop = min(end, stop + -stop % _CHUNK)
        at = max(at, start - start % _CHUNK)
        while at < stop:
            count = min(_PIECE, stop - at)
            yield at, count
            at += count


def _is_zeros(data: bytes) -> bool:
    return _ZEROS.startswith(data)


def _digest(moment: Source, meter: _Meter) -> bytes:
    """The digest of what a pool holds, which nobody else may change."""
    digest = sha256()
    for at, size in _pieces(moment.extents(), moment.total_size):
        data = moment.read(at, size)
        for place in range(0, size, _CHUNK):
            part = data[place : place + _CHUNK]
            if not _is_zeros(part):
                digest.update((at + place).to_bytes(8, "little"))
                digest.update(part)
        meter.add(size)
    return digest.digest()


def _differences(
    old: Changed, new: Source, meter: _Meter
) -> Iterator[tuple[int, int, memoryview | None]]:
    """Where the two differ, by chunks: (start, size, the bytes in the new one), with
    None for zeros."""
    old.resize(max(old.total_size, new.total_size))  # to have all that is compared
    for at, size in _pieces(new.changes(old), new.total_size):
        was, now = old.read(at, size), new.read(at, size)
        for kind, start, stop in _compared(was, now):
            data = memoryview(now)[start:stop] if kind == _DATA else None
            yield at + start, stop - start, data
        meter.add(size)


def _compared(was: bytes, now: bytes) -> Iterator[tuple[int, int, int]]:
    """The runs in which the two differ, each as (kind, start, stop)."""

    def kind_of(place: int) -> int | None:
        part = now[place : place + _CHUNK]
        if part == was[place : place + _CHUNK]:
            return None
        return _ZERO if _is_zeros(part) else _DATA

    for kind, group in itertools.groupby(range(0, len(now), _CHUNK), kind_of):
        if kind is not None:
            places = list(group)
            yield kind, places[0], min(len(now), places[-1] + _CHUNK)


# ------------------------------------------------------------------------ the file


class _Writer:
    """A file on its way out, and the digest of what was written."""

    def __init__(self, put: Callable[[Any], object]) -> None:
        self.put, self.digest = put, sha256()

    def write(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.put(data)


class _Reader:
    """A file on its way in, no number in which is trusted."""

    def __init__(self, get: Callable[[int], bytes]) -> None:
        self.get, self.digest = get, sha256()

    def read(self, size: int) -> bytes:
        data = self.get(size)
        if len(data) != size:
            raise CheckpointError("the checkpoint is cut off")
        self.digest.update(data)
        return data

    def head(self) -> tuple[int, int, bytes]:
        """The sizes of the base and of the pool, and the digest of the base."""
        magic = self.read(len(_MAGIC))
        if magic != _MAGIC:
            raise CheckpointError("this is no checkpoint of a pool")
        rest = self.read(_HEAD.size - len(_MAGIC))
        _, version, old_size, new_size, digest = _HEAD.unpack(magic + rest)
        if version != _VERSION:
            raise CheckpointError(
                f"a checkpoint of version {version}, only {_VERSION} is known"
            )
        if not 1 <= new_size <= SIZE_MAX:
            raise CheckpointError(f"a checkpoint of a pool of {new_size} bytes")
        return old_size, new_size, digest

    def records(self, total_size: int) -> Iterator[tuple[int, int, bytes | None]]:
        """(start, size, data) of each record, None as the data of zeros."""
        count = data_bytes = last = 0
        while True:
            kind, start, size = _RECORD.unpack(self.read(_RECORD.size))
            if kind == _END:
                break
            wrong = _wrong(kind, start, size, last, total_size)
            if wrong:
                raise CheckpointError(
                    f"record {count} of the checkpoint, {size} bytes at {start}: {wrong}"
                )
            count, last = count + 1, start + size
            if kind == _DATA:
                data_bytes += size
            yield start, size, self.read(size) if kind == _DATA else None
        if (start, size) != (count, data_bytes):
            raise CheckpointError(
                f"{start} records and {size} bytes of data were written to the"
                f" checkpoint, but it has {count} and {data_bytes}"
            )

    def finish(self) -> None:
        """The checksum, and the end of the file."""
        expected = self.digest.digest()
        if self.read(len(expected)) != expected:
            raise CheckpointError("the checksum is wrong: the checkpoint is damaged")
        if self.get(1):
            raise CheckpointError("there is something behind the end of the checkpoint")


def _wrong(kind: int, start: int, size: int, last: int, total_size: int) -> str:
    """What is wrong with a record; nothing if it is empty.

    last: where the record before it ends.
    """
    stop = start + size
    if kind not in (_DATA, _ZERO):
        return f"there are no records of kind {kind}"
    if not size:
        return "it is empty"
    if start < last:
        return f"the one before it reaches to {last}"
    if stop > total_size:
        return f"the pool ends at {total_size}"
    if start % _CHUNK or (stop % _CHUNK and stop != total_size):
        return f"it does not cover whole chunks of {_CHUNK} bytes"
    if kind == _DATA and size > _PIECE:
        return f"data comes in at most {_PIECE} bytes"
    return ""
