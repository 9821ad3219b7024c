# SPDX-License-Identifier: MIT
"""Pictures of a pool: what is where in it, and what has changed.

pool ─► picture (_scale) ─┬─► text (_drawing)
                          ├─► SVG (_drawing_svg)
                          └─► matplotlib (_drawing_plot)
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from .._core import walks
from .._core.owner import CLOSED, Owner
from .._core.states import BlockState
from .._native.arguments import integer
from ..errors import PoolClosedError
from . import plot, svg, text
from .layout import Picture, Scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..pool import MemoryPool


class Pictured:
    """The methods of a pool that show what is where."""

    _owner: Owner = CLOSED

    def states(
        self, offset: SupportsIndex = 0, size: SupportsIndex | None = None
    ) -> Iterator[tuple[int, int, BlockState]]:
        """The runs of data by kind, in order, each as (start, size, kind).

        offset, size: the range that is looked at; size is None for all up to the end.

        The runs are those of extents(), cut where the kind changes. Relatives, views and
        pins that come and go change the kind of a block at any time. Each step sees the
        pool as it is then; a run of many blocks takes several steps. Raises
        PoolRangeError.
        """
        return walks.states(self._pool, offset, size)

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
        return text.draw_text(picture, width, bool(ascii))

    def svg(self, *, since: MemoryPool | None = None, width: SupportsIndex = 760) -> str:
        """The pool as a picture in SVG: what map() says, in colours and to scale.

        since: a relative by cloning; what may differ from it is marked.
        width: in pixels, 480 .. 4000.

        Each column is filled as far as its bytes are held. The text can be put into HTML
        as it is, any number of times, and takes the colour of the text around it; written
        to a file (as UTF-8) it is a picture by itself. Costs and raises what map() does.
        """
        width = integer("width", width, 480, 4000)
        columns = svg.columns_of(width)
        picture = Picture(self._pool, since, Scale(columns, fold=6, least=4))
        return svg.draw_svg(picture, width)

    def plot(self, ax: Any = None, *, since: MemoryPool | None = None) -> Any:
        """Draws the pool with matplotlib, and returns the Axes.

        ax: the Axes to draw on; None makes a figure with pyplot, which keeps it until it
            is closed.
        since: a relative by cloning; what may differ from it is marked.

        Shows what svg() does: one unit along x is a column, not a number of bytes. Needs
        the extra `plot`, else raises ImportError. Costs and raises what map() does.
        """
        columns = plot.COLUMNS
        picture = Picture(self._pool, since, Scale(columns, fold=6, least=4))
        ax = plot.new_axes(picture) if ax is None else ax
        plot.draw_plot(picture, ax)
        return ax

    def _repr_html_(self) -> str:
        """What a notebook shows of the pool: svg(), and some of stats."""
        try:
            return svg.draw_html(self.svg(), self._pool.stats)
        except PoolClosedError:
            return f"<code>{escape(repr(self))}</code>\n"

    @property
    def _pool(self) -> MemoryPool:
        return cast("MemoryPool", self)
