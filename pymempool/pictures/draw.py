# SPDX-License-Identifier: MIT
"""Draws a pool: the functions behind its methods map(), svg(), plot() and _repr_html_().

All take about a second for 200,000 runs of data. `since` is a relative of the pool, to
mark what may differ from it, or None.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from ..errors import PoolClosedError
from . import plot, svg, text
from .layout import Picture, Scale

if TYPE_CHECKING:
    from typing import SupportsIndex

    from .model import Drawable


def as_text(
    pool: Drawable, since: Drawable | None, width: SupportsIndex, ascii: bool
) -> str:
    """Returns the pool as text.

    width: of the longest line, 40 .. 1000 characters.
    ascii: whether to use ASCII only.

    Raises PoolRangeError, PoolUnrelatedError.
    """
    width = integer("width", width, 40, 1000)
    picture = Picture(pool, since, Scale(width, fold=3, least=3))
    return text.draw_text(picture, width, bool(ascii))


def as_svg(pool: Drawable, since: Drawable | None, width: SupportsIndex) -> str:
    """Returns the pool as one element `svg`.

    width: in pixels, 480 .. 4000.

    Raises PoolRangeError, PoolUnrelatedError.
    """
    width = integer("width", width, 480, 4000)
    picture = Picture(pool, since, Scale(svg.columns_of(width), fold=6, least=4))
    return svg.draw_svg(picture, width)


def as_plot(pool: Drawable, since: Drawable | None, ax: Any) -> Any:
    """Draws the pool on axes of matplotlib, and returns them.

    ax: None for axes in a new figure, which needs the extra `plot`.

    Raises ImportError, TypeError, PoolUnrelatedError.
    """
    picture = Picture(pool, since, Scale(plot.COLUMNS, fold=6, least=4))
    ax = plot.new_axes(picture) if ax is None else ax
    plot.draw_plot(picture, ax)
    return ax


def as_html(pool: Drawable) -> str:
    """Returns the HTML that a notebook shows of the pool, closed or not."""
    try:
        return svg.draw_html(as_svg(pool, None, 760), pool.stats)
    except PoolClosedError:
        return f"<code>{escape(repr(pool))}</code>\n"
