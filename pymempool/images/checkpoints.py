# SPDX-License-Identifier: MIT
"""Checkpoints: incremental images of what changed since a clone of the pool was made.

    save:   pool, base ─► clones ─► digest of base ─► what differs ─► file
    apply:  file ─► a clone of the pool ─► checksum, digest of the base ─► restore

A checkpoint is one stream, written and read from its start to its end. All integers are
unsigned and little-endian, and have 8 bytes, but for the kind of a record:

    head      the 8 bytes of _MAGIC, version (1), size of the base, size of the pool,
              digest of the base (32 bytes)
    records   kind (1 byte), start, size; in ascending order, without overlap
              kind 1: data, at most 1 MiB, which follows
              kind 2: zeros, where the base had other bytes
    end       a record of kind 0: the number of records before it, the bytes of data
    checksum  SHA-256 of all of the above (32 bytes); nothing may follow

changes() finds the blocks that may differ, and these are compared in chunks of 4 KiB: a
write of 8 bytes adds 4 KiB to the file, whatever the size of a block. Records start and
end at multiples of 4 KiB, or at the end of the pool. A chunk of zeros equals a hole.

The digest of the base is the SHA-256 of its chunks that are not all zeros, each as its
offset and its bytes. It depends only on the contents, not on blocks and holes: a pool
that was loaded from an image is as good a base as the pool that was saved. The digest is
the main cost, because it reads all data of the base, in apply() too, at about 1 GiB a
second. A digest of only the chunks that a checkpoint changes would be cheap, but apply()
could then not detect that a checkpoint of other chunks is missing from a chain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import Any, Callable

from .._native.signatures import SIZE_MAX
from ..errors import CheckpointError
from .pools import CheckpointPool, ReadablePool
from .progress import Meter, Progress
from .streams import PIECE

_Run = tuple[int, int]  # offset and size

_MAGIC = b"\x93mempool"
_VERSION = 1
_HEAD = Struct("<8sQQQ32s")
_RECORD = Struct("<BQQ")
_END, _DATA, _ZERO = range(3)  # the kinds of records

_CHUNK = 4096  # divides PIECE
_ZEROS = bytes(PIECE)


def save(
    pool: ReadablePool,
    base: CheckpointPool,
    write: Callable[[Any], object],
    report: Progress,
) -> None:
    """Writes the changes that turn the contents and size of `base` into those of `pool`.

    base: a relative of the pool.
    write: writes all of a bytes-like object.
    report: called as report(done, total), in bytes that were read, after each piece of
        at most 1 MiB and at the end.

    Takes time for what changed, and for the digest of all data of `base`, which is made
    before the first byte is written. Raises PoolUnrelatedError, with nothing written;
    what `write` and `report` raise.
    """
    with base.clone() as old, pool.clone() as new:
        old_size, new_size = old.total_size, new.total_size
        held, changed = old.extents(), new.changes(old)
        total = sum(size for _, size in _pieces(held, old_size))
        total += sum(size for _, size in _pieces(changed, new_size))
        meter = Meter(report, total)
        stream = _Writer(write)
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


def apply(pool: CheckpointPool, read: Callable[[int], bytes], report: Progress) -> None:
    """Gives the pool the contents and size that a checkpoint was saved from.

    read: returns that many bytes of the file, fewer only at its end.
    report: called as report(done, total), in bytes of the file and then of the pool,
        after each piece and at the end; total is None until the file was read.

    The pool must have the contents and size of the base, whatever it got them from. The
    file is read to its end. All changes take effect in one atomic step at the end, which
    undoes what other threads wrote to the pool meanwhile, as restore() does.

    Raises CheckpointError if the file is damaged or the pool does not match its base;
    PoolMemoryError, PoolLimitError; what `read` and `report` raise. Then nothing has
    changed.
    """
    with pool.clone() as old, old.clone() as new:
        stream, meter = _Reader(read), Meter(report, None)
        old_size, new_size, digest = stream.head()
        new.resize(new_size)
        meter.add(_HEAD.size)
        for start, size, data in stream.records(new_size):
            if data is None or _is_zeros(data):
                new.discard(start, size)
            else:
                new.write(start, data)
            meter.add(_RECORD.size + (0 if data is None else size))
        stream.check_end()

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


# --------------------------------------------------------------- contents of pools


def _pieces(runs: Iterable[_Run], end: int) -> Iterator[_Run]:
    """Yields all chunks that the runs touch, up to the end of the pool, in order.

    Adjacent chunks come together, up to the size of a piece.
    """
    at = 0
    for start, size in runs:
        stop = start + size
        stop = min(end, stop + -stop % _CHUNK)
        at = max(at, start - start % _CHUNK)
        while at < stop:
            count = min(PIECE, stop - at)
            yield at, count
            at += count


def _is_zeros(data: bytes) -> bool:
    return _ZEROS.startswith(data)


def _digest(snapshot: ReadablePool, meter: Meter) -> bytes:
    """Returns the digest of a pool that nobody changes."""
    digest = sha256()
    for at, size in _pieces(snapshot.extents(), snapshot.total_size):
        data = snapshot.read(at, size)
        for start in range(0, size, _CHUNK):
            chunk = data[start : start + _CHUNK]
            if not _is_zeros(chunk):
                digest.update((at + start).to_bytes(8, "little"))
                digest.update(chunk)
        meter.add(size)
    return digest.digest()


def _differences(
    old: CheckpointPool, new: ReadablePool, meter: Meter
) -> Iterator[tuple[int, int, memoryview | None]]:
    """Yields where the two differ, by chunks, as (start, size, the bytes of `new`).

    The bytes are None for zeros.
    """
    old.resize(max(old.total_size, new.total_size))  # so that it can be read as far
    for at, size in _pieces(new.changes(old), new.total_size):
        was, now = old.read(at, size), new.read(at, size)
        for kind, start, stop in _compared(was, now):
            data = memoryview(now)[start:stop] if kind == _DATA else None
            yield at + start, stop - start, data
        meter.add(size)


def _compared(was: bytes, now: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields the runs in which the two differ, as (kind of record, start, stop)."""

    def kind_of(start: int) -> int | None:
        chunk = now[start : start + _CHUNK]
        if chunk == was[start : start + _CHUNK]:
            return None
        return _ZERO if _is_zeros(chunk) else _DATA

    for kind, group in itertools.groupby(range(0, len(now), _CHUNK), kind_of):
        if kind is not None:
            starts = list(group)
            yield kind, starts[0], min(len(now), starts[-1] + _CHUNK)


# ------------------------------------------------------------------------ the file


class _Writer:
    """A checkpoint that is being written, and its checksum so far."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self._write, self.digest = write, sha256()

    def write(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self._write(data)


class _Reader:
    """A checkpoint that is being parsed. It trusts no number in the file."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self.digest = read, sha256()

    def read(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise CheckpointError("the checkpoint is cut off")
        self.digest.update(data)
        return data

    def head(self) -> tuple[int, int, bytes]:
        """Parses the size of the base, the size of the pool, the digest of the base."""
        magic = self.read(len(_MAGIC))
        if magic != _MAGIC:
            raise CheckpointError("this is no checkpoint of a pool: it starts otherwise")
        rest = self.read(_HEAD.size - len(_MAGIC))
        _, version, old_size, new_size, digest = _HEAD.unpack(magic + rest)
        if version != _VERSION:
            raise CheckpointError(
                f"a checkpoint of version {version}, supported is {_VERSION}"
            )
        if not 1 <= new_size <= SIZE_MAX:
            raise CheckpointError(
                f"a checkpoint of a pool of {new_size} bytes, allowed are 1 .. {SIZE_MAX}"
            )
        return old_size, new_size, digest

    def records(self, total_size: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Parses the records; yields (start, size, data), with None as data for zeros."""
        count = data_bytes = last = 0
        while True:
            kind, start, size = _RECORD.unpack(self.read(_RECORD.size))
            if kind == _END:
                break
            wrong = _defect(kind, start, size, last, total_size)
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
                f"the checkpoint should have {start} records and {size} bytes of data,"
                f" but it has {count} and {data_bytes}"
            )

    def check_end(self) -> None:
        """Checks the checksum, and that the file ends."""
        expected = self.digest.digest()
        if self.read(len(expected)) != expected:
            raise CheckpointError("the checksum is wrong: the checkpoint is damaged")
        if self._read(1):
            raise CheckpointError("there are bytes after the end of the checkpoint")


def _defect(kind: int, start: int, size: int, last: int, total_size: int) -> str:
    """Returns what is wrong with a record; an empty text if nothing is.

    last: where the record before it ends.
    """
    stop = start + size
    if kind not in (_DATA, _ZERO):
        return f"kind {kind}, records have kinds {_DATA} and {_ZERO}"
    if not size:
        return "it is empty"
    if start < last:
        return f"the record before it ends at {last}"
    if stop > total_size:
        return f"the pool ends at {total_size}"
    if start % _CHUNK or (stop % _CHUNK and stop != total_size):
        return f"it does not cover whole chunks of {_CHUNK} bytes"
    if kind == _DATA and size > PIECE:
        return f"a record of data has at most {PIECE} bytes"
    return ""
