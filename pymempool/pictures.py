# SPDX-License-Identifier: MIT
"""Pictures of a pool: what is where in it, and what has changed.

pool ─► picture (_scale) ─► text (_drawing)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, cast

from . import _drawing, _kinds
from ._arguments import integer
from ._kinds import Kind
from ._owner import CLOSED, Owner
from ._scale import Picture, Scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .pool import MemoryPool

__all__ = ["Kind", "Pictured"]


class Pictured:
    """The methods of a pool that show what is where."""

    _owner: Owner = CLOSED

    def kinds(self) -> Iterator[tuple[int, int, Kind]]:
        """The runs of data by kind, in order, each as (start, size, kind).

        The runs are those of extents(), cut where the kind changes. Relatives, views and
        pins that come and go change the kind of a block at any time. Each step sees the
        pool as it is then.
        """
        return _kinds.kinds(self._pool)

    def map(
        self,
        width: SupportsIndex = 80,
        *,
        since: MemoryPool | None = None,
        ascii: bool = False,
    ) -> str:
        """The pool as text: a strip of what is where, and the addresses of it.

        width: the longest line, 40 .. 1000 characters.
        since: a relative by cloning; what may differ from it is marked.
        ascii: whether to use ASCII only, for where the output cannot show more.

        Large holes are shortened, and many runs are listed in groups, so that the text is
        short whatever the pool holds. All runs are walked, about a second for 200,000 of
        them, and seen as they are then. Raises PoolRangeError, PoolUnrelatedError.
        """
        width = integer("width", width, 40, 1000)
        picture = Picture(self._pool, since, Scale(width, fold=3, least=3))
        return _drawing.draw_text(picture, width, bool(ascii))

    @property
    def _pool(self) -> MemoryPool:
        return cast("MemoryPool", self)
