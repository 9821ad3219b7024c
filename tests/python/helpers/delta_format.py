# SPDX-License-Identifier: MIT
"""The format of deltas, written once more: deltas made by hand, and taken apart."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

DATA, ZEROS = 1, 2  #: kinds of records
HEAD = 16 + 80 + 32  #: bytes before the first frame
FRAME = 8 + 32  #: bytes of a frame without records
EMPTY = HEAD + FRAME  #: bytes of a delta without records
RECORD = 17  #: bytes of a record without data


def checked(data: bytes) -> bytes:
    """The start of a delta, and the check of it."""
    person = b"pool delta"
    return data + hashlib.blake2b(data, digest_size=32, person=person).digest()


def head(old_size: int, new_size: int, old_digest: bytes, new_digest: bytes) -> bytes:
    start = struct.pack("<8sQ", b"\x93mempool", 2)
    return checked(
        start + struct.pack("<QQ32s32s", old_size, new_size, old_digest, new_digest)
    )


def record(kind: int, start: int, size: int) -> bytes:
    return struct.pack("<BQQ", kind, start, size)


def complete(delta: bytes, *frames: bytes) -> bytes:
    """A delta of a head and the records in each frame."""
    for records in (*frames, b""):
        delta = checked(delta + struct.pack("<Q", len(records)) + records)
    return delta


def records_of(delta: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The kind, the start, the size and the data of each record."""
    at = HEAD
    while size := int.from_bytes(delta[at : at + 8], "little"):
        at += 8
        end = at + size
        while at < end:
            kind, start, count = struct.unpack_from("<BQQ", delta, at)
            at += RECORD
            data = delta[at : at + count] if kind == DATA else b""
            yield kind, start, count, data
            at += len(data)
        assert at == end
        at += 32
