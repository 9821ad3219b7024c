# SPDX-License-Identifier: MIT
"""ShardedPool.digest(): the digest that memory_pool.h defines, of bytes that are read.

Stripes do not end where pages do, so no worker could hash for itself. All data comes
here instead, 1 MiB at a time, and is hashed as a tree whose left part is complete:

    stack   the nodes that wait for their right neighbours, the largest first
    pages   each combines nodes of the stack that end before it, and is put onto it

The digest of zeros is zeros, so that holes cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Protocol

from ..images.streams import PIECE

_PAGE = 4096  # divides PIECE
_ZERO_PAGE = bytes(_PAGE)
_ZERO_NODE = bytes(32)
_Run = tuple[int, int]  # offset and size


class HashedPool(Protocol):
    """What the digest needs of a pool that nobody changes."""

    @property
    def total_size(self) -> int: ...
    def extents(self) -> Iterable[_Run]: ...
    def read(self, offset: int, size: int, /) -> bytes: ...


def digest(pool: HashedPool) -> bytes:
    """Returns the 32 bytes that identify the contents and the size of a pool."""
    size, height = pool.total_size, 0
    while _PAGE << height < size:
        height += 1
    tree = _Tree(height)
    for at, count in _pieces(pool.extents(), size):
        data = pool.read(at, count)
        for start in range(0, count, _PAGE):
            page = data[start : start + _PAGE].ljust(_PAGE, b"\0")
            if page != _ZERO_PAGE:
                tree.add((at + start) // _PAGE, _hash(b"pool page", page))
    return _hash(b"pool", size.to_bytes(8, "little"), tree.top())


def _hash(person: bytes, *parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=32, person=person).digest()


def _pieces(runs: Iterable[_Run], end: int) -> Iterator[_Run]:
    """Yields all pages that the runs touch, in order, up to the end of the pool.

    Adjacent pages come together, up to the size of a piece.
    """
    at = 0
    for start, size in runs:
        at = max(at, start - start % _PAGE)
        stop = start + size
        stop = min(end, stop + -stop % _PAGE)
        while at < stop:
            count = min(PIECE, stop - at)
            yield at, count
            at += count


class _Tree:
    """A tree of hashes over the pages that are not zeros, in ascending order."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._stack: list[tuple[int, int, bytes]] = []  # level, index, hash

    def add(self, index: int, page: bytes) -> None:
        self._combine(index)
        self._stack.append((0, index, page))

    def top(self) -> bytes:
        """Returns the node over all pages."""
        self._combine(1 << self._height)
        return self._stack[0][2] if self._stack else _ZERO_NODE

    def _combine(self, next_page: int) -> None:
        """Replaces nodes by those above them whose pages are all before a page."""
        while self._stack:
            level, index, node = self._stack[-1]
            above = index // 2
            if level == self._height or (above + 1) << (level + 1) > next_page:
                return
            self._stack.pop()
            left, right = node, _ZERO_NODE
            if index % 2:
                left, right = _ZERO_NODE, node
                if self._stack and self._stack[-1][:2] == (level, index - 1):
                    left = self._stack.pop()[2]
            self._stack.append((level + 1, above, _hash(b"pool node", left, right)))
