# SPDX-License-Identifier: MIT
"""ShardedPool.load(): an adapter by which images.formats.load() fills a sharded pool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Generic, Protocol, TypeVar

from ..images import formats
from ..images.streams import PIECE
from .addresses import TOTAL_MAX

_ZEROS = bytes(PIECE)


class FillablePool(Protocol):
    """What a Filler needs of a sharded pool."""

    def write(self, offset: int, data: Any, /) -> Any: ...
    def resize(self, total_size: int, /) -> None: ...
    def close(self) -> None: ...


_Pool = TypeVar("_Pool", bound=FillablePool)


class Filler(Generic[_Pool]):
    """Fills a pool from a file whose size may be unknown.

    The data comes in pieces of up to 1 MiB. One call writes each run of blocks that are
    not all zeros.
    """

    block_size = PIECE  # so that no piece is cut into calls of a block

    def __init__(self, pool: _Pool, room: int, total_size: int, block: int) -> None:
        self.pool, self.total_size = pool, total_size
        self._room = room  # the size of the pool for now
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

    def write_many(self, items: Iterable[tuple[int, Any]]) -> None:
        for offset, data in items:
            self.write(offset, data)

    def _begin_image(self, whole: bool, offset: int = 0) -> None:
        """A sharded pool does not track which bytes were set."""

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
    """ShardedPool.load().

    room: the size that a new pool needs for blocks of `block` bytes in all parts; the
        pool is made smaller afterwards.
    """

    def filler(total_size: int, block_max: int = block) -> Any:
        size = max(total_size, min(room, TOTAL_MAX))
        return Filler(make(size), size, total_size, block)

    filled: Any = formats.load(filler, source, format, True, progress)
    try:
        filled.pool.resize(filled.total_size)
    except BaseException:
        filled.close()
        raise
    pool: _Pool = filled.pool
    return pool
