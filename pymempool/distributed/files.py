# SPDX-License-Identifier: MIT
"""A sharded pool as images.formats.load() fills one; save() takes one as it is."""

from __future__ import annotations

from typing import Any, Callable, Generic, Protocol, TypeVar

from ..images import formats
from ..images.streams import PIECE
from .addresses import TOTAL_MAX

_ZEROS = bytes(PIECE)


class Filled(Protocol):
    """What a Target needs of a sharded pool."""

    def write(self, offset: int, data: Any, /) -> Any: ...
    def resize(self, total_size: int, /) -> None: ...
    def close(self) -> None: ...


_Pool = TypeVar("_Pool", bound=Filled)


class Target(Generic[_Pool]):
    """A pool on its way from a file of which nobody may know how long it is.

    What comes is pieces of up to 1 MiB. Of each the runs of blocks that are not all
    zeros are written, in one call each.
    """

    block_size = PIECE  # so that no piece is cut into calls of a block

    def __init__(self, pool: _Pool, room: int, total_size: int, block: int) -> None:
        self.pool, self.total_size = pool, total_size
        self._room = room  # what the pool has for now
        self._step = min(max(block, 4096), PIECE)

    def resize(self, total_size: int) -> None:
        self.total_size = total_size
        if total_size > self._room:
            self._room = max(total_size, min(2 * self._room, TOTAL_MAX))
            self.pool.resize(self._room)

    def write(self, offset: int, data: Any) -> None:
        data = memoryview(data)
        begin = end = 0  # of a run
        for at in range(0, len(data), self._step):
            part = data[at : at + self._step]
            if _ZEROS.startswith(part):
                continue
            if at != end:
                self._write(offset, data, begin, end)
                begin = at
            end = at + len(part)
        self._write(offset, data, begin, end)

    def _write(self, offset: int, data: memoryview, begin: int, end: int) -> None:
        if begin < end:
            self.pool.write(offset + begin, data[begin:end])

    def close(self) -> None:
        self.pool.close()


def load(
    make: Callable[[int], _Pool],
    room: int,
    block: int,
    source: Any,
    format: Any,
    progress: Any,
) -> _Pool:
    """The work of ShardedPool.load().

    room: how large a pool of blocks of `block` bytes has to be made for all of its parts
        to have such; it is made smaller afterwards.
    """

    def target(total_size: int) -> Any:
        size = max(total_size, min(room, TOTAL_MAX))
        return Target(make(size), size, total_size, block)

    made: Any = formats.load(target, source, format, True, progress)
    try:
        made.pool.resize(made.total_size)
    except BaseException:
        made.close()
        raise
    pool: _Pool = made.pool
    return pool
