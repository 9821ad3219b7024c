# SPDX-License-Identifier: MIT
"""Many items at once, over all parts of a sharded pool."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.offsets import Offsets, check, converted
from .._core.pairs import Ranges, checked, joined
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


class _Latest:
    """The same, which requests the size if the one that is known is too small.

    For the numbers of an iterator, of which there is only one look.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.total_size = remote.layout.total_size

    def ask(self) -> int:
        return self._remote.learn_size()


def _whole(remote: Remote) -> Any:
    return _Whole(remote.layout.total_size)


def _checked(remote: Remote, found: Offsets, item_size: int) -> Any:
    """The offsets as a flat array of int64, all items within the pool."""
    check(_whole(remote), found, item_size)
    return np.asarray(found.raw, np.int64).ravel()


def _fetched(remote: Remote, offsets: Any, size: Any, total: int, out: Any) -> Any:
    """The bytes of all items, one after the other: in out, or in a new array."""
    if out is not None:
        with writable(out) as held:
            integer("size of out", held.size, total, total)
    if total > BYTES_MAX:
        raise PoolMemoryError(f"{total} bytes do not fit an object")
    target = np.empty(total, np.uint8) if out is None else np.frombuffer(out, np.uint8)
    if total:
        items = remote.layout.split(offsets, size)
        answers = remote.query(
            [(part, "gather", (it.local, it.size)) for part, it in items]
        )
        for (_, it), answer in zip(items, answers):
            target[it.bytes()] = answer
    return target


def _put(remote: Remote, offsets: Any, size: Any, data: Any) -> None:
    source = np.frombuffer(data, np.uint8)
    calls = [
        (part, "scatter", (it.local, it.size, source[it.bytes()]))
        for part, it in remote.layout.split(offsets, size)
    ]
    remote.change(calls)


def gather(remote: Remote, offsets: Any, item_size: Any, out: Any) -> Any:
    """ShardedPool.gather()."""
    found = converted(offsets)
    item_size = integer("item_size", item_size, 0, SIZE_MAX)
    numbers = _checked(remote, found, item_size)
    target = _fetched(remote, numbers, item_size, found.items * item_size, out)
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
        _put(remote, numbers, item_size, data)


def read_many(remote: Remote, ranges: Any, out: Any) -> Any:
    """ShardedPool.read_many()."""
    latest: Any = _Latest(remote)
    rows = _rows(checked(latest, ranges))

    def fetch() -> Any:
        found = checked(_whole(remote), rows)
        return _fetched(remote, *_with_bytes(rows), found.total, out)

    data = remote.retry(fetch)
    if out is not None:
        return out
    packed = data.tobytes()
    ends = np.cumsum(rows[:, 1]).tolist()
    return [packed[start:end] for start, end in zip([0, *ends], ends)]


def write_many(remote: Remote, items: Any) -> None:
    """ShardedPool.write_many()."""
    latest: Any = _Latest(remote)
    found, packed = joined(latest, items)
    rows = _rows(found)

    def put() -> None:
        checked(_whole(remote), rows)
        if packed:
            _put(remote, *_with_bytes(rows), packed)

    remote.retry(put)


def _rows(found: Ranges) -> Any:
    return np.stack([np.asarray(it, np.int64) for it in found[:2]], axis=1)


def _with_bytes(rows: Any) -> tuple[Any, Any]:
    """The offsets and the sizes of all ranges that have bytes."""
    rows = rows[rows[:, 1] > 0]
    return rows[:, 0], rows[:, 1]
