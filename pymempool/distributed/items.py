# SPDX-License-Identifier: MIT
"""Many items at once, over all parts of a sharded pool."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.offsets import Offsets, check, converted
from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, readable, writable
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError, PoolRangeError
from .remote import Remote


def plain(buffer: Any) -> memoryview:
    """The bytes of a contiguous object, held in place for as long as this lives."""
    return np.frombuffer(buffer, np.uint8).data


class _Whole(NamedTuple):
    """The byte space, as the checks of MemoryPool need it."""

    total_size: int

    def ask(self) -> int:
        return self.total_size


def _checked(remote: Remote, found: Offsets, item_size: int) -> Any:
    """The offsets as a flat array of int64, all items within the pool."""
    whole: Any = _Whole(remote.layout.total_size)
    check(whole, found, item_size)
    return np.asarray(found.raw, np.int64).ravel()


def gather(remote: Remote, offsets: Any, item_size: Any, out: Any) -> Any:
    """ShardedPool.gather()."""
    found = converted(offsets)
    item_size = integer("item_size", item_size, 0, SIZE_MAX)
    numbers = _checked(remote, found, item_size)
    size = found.items * item_size
    if out is not None:
        with writable(out) as held:
            integer("size of out", held.size, size, size)
    if size > BYTES_MAX:
        raise PoolMemoryError(f"{size} bytes do not fit an object")
    target = np.empty(size, np.uint8) if out is None else np.frombuffer(out, np.uint8)
    if size:
        items = remote.layout.split(numbers, item_size)
        answers = remote.query(
            [(part, "gather", (it.local, it.size)) for part, it in items]
        )
        for (_, it), answer in zip(items, answers):
            target[it.bytes()] = answer
    if out is not None:
        return out
    if found.shape is None:
        return target.tobytes()
    return target.reshape(*found.shape, item_size)


def scatter(remote: Remote, offsets: Any, data: Any) -> None:
    """ShardedPool.scatter()."""
    found = converted(offsets)
    with readable(data) as held:
        size = held.size
    item_size, rest = divmod(size, found.items or 1)
    if rest or (size and not found.items):
        raise PoolRangeError(
            f"size of data is {size}, which cannot be split into {found.items} items of"
            " equal size"
        )
    numbers = _checked(remote, found, item_size)
    if size:
        source = np.frombuffer(data, np.uint8)
        calls = [
            (part, "scatter", (it.local, it.size, source[it.bytes()]))
            for part, it in remote.layout.split(numbers, item_size)
        ]
        remote.change(calls)
