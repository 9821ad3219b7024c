# SPDX-License-Identifier: MIT
"""Ranges of bytes: read, written, filled, discarded, copied; and the size of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, fresh_bytes, readable
from .._native.calls import library_for, parallel
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError
from .marks import changing, mark_blocks
from .owner import Owner, fail_short

if TYPE_CHECKING:
    from typing import SupportsIndex


def fetch(
    function: str, owner: Owner, offset: SupportsIndex, size: SupportsIndex
) -> bytes:
    """The bytes that `function`, pool_read or pool_take, gives."""
    offset, size = owner.range(offset, size)
    if size == 0:
        return b""
    if owner.marked is not None and function == "pool_take":
        with changing(owner) as (plain, marks):
            discard(marks, offset, size)
            return fetch(function, plain, offset, size)
    if size > BYTES_MAX:
        raise PoolMemoryError(f"{size} bytes do not fit a bytes object")
    call = getattr(library_for(size), function)
    data = fresh_bytes(None, size)  # last: no handler of a signal must come to see it
    done = call(owner.address, data, offset, size)
    if done != size:
        del data  # it holds old memory, and a traceback would show it
        fail_short(function, owner, (None, offset, size), done)
    return data


def fill_memory(owner: Owner, offset: SupportsIndex, address: int, size: int) -> int:
    """Reads to an address; returns `size`."""
    offset, size = owner.range(offset, size)
    done = library_for(size).pool_read(owner.address, address, offset, size)
    if done != size:
        fail_short("pool_read", owner, (None, offset, size), done)
    return size


def put(owner: Owner, offset: SupportsIndex, source: Any, size: int) -> int:
    """Writes the bytes at an address, or those of a bytes object; returns `size`."""
    offset, size = owner.range(offset, size)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            fill(marks, offset, 1, size)
            return put(plain, offset, source, size)
    done = library_for(size).pool_write(owner.address, offset, source, size)
    if done != size:
        fail_short("pool_write", owner, (offset, None, size), done)
    return size


def put_all(owner: Owner, offset: SupportsIndex, data: Any) -> int:
    """Writes the bytes of an object; returns how many."""
    if type(data) is bytes:
        return put(owner, offset, data, len(data))
    with readable(data) as source:
        return put(owner, offset, source.address, source.size)


def fill(
    owner: Owner, offset: SupportsIndex, byte: SupportsIndex, size: SupportsIndex
) -> None:
    """Sets a range to a byte."""
    offset, size = owner.range(offset, size)
    byte = integer("byte", byte, 0, 255)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            fill(marks, offset, 1, size)
            fill(plain, offset, byte, size)
    else:
        library_for(size).pool_fill(owner.address, offset, byte, size)


def discard(owner: Owner, offset: SupportsIndex, size: SupportsIndex) -> None:
    """Makes a range a hole."""
    offset, size = owner.range(offset, size)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            discard(marks, offset, size)
            discard(plain, offset, size)
    else:
        library_for(size).pool_discard(owner.address, offset, size)


def copy(
    owner: Owner,
    source: Owner,
    source_offset: SupportsIndex,
    size: SupportsIndex | None,
    offset: SupportsIndex | None,
) -> int:
    """Copies a range of one pool to another; returns its size.

    size: None for all from source_offset on.
    offset: None for source_offset.
    """
    if size is None:
        rest = source.ask()
        source_offset = integer("source_offset", source_offset, 0, rest)
        size = rest - source_offset
    source_offset, size = source.range(source_offset, size)
    offset, size = owner.range(source_offset if offset is None else offset, size)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            if source.marked is not None:
                copy(marks, source.marked.marks, source_offset, size, offset)
            else:
                mark_blocks(marks, offset, source, source_offset, size)
            return copy(plain, source, source_offset, size, offset)
    library_for(size).pool_copy(
        owner.address, offset, source.address, source_offset, size
    )
    return size


def resize(owner: Owner, total_size: SupportsIndex) -> None:
    """Gives the pool another size."""
    total_size = integer("total_size", total_size, 1, SIZE_MAX)
    if owner.marked is not None:
        with changing(owner) as (plain, marks):
            resize(marks, total_size)
            resize(plain, total_size)
    else:
        parallel.pool_resize(owner.address, total_size)
    owner.total_size = total_size
