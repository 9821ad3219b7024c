# SPDX-License-Identifier: MIT
"""Draws a pool: what its methods map(), svg(), plot() and a notebook show."""

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
    """The pool as lines of at most `width` characters."""
    width = integer("width", width, 40, 1000)
    picture = Picture(pool, since, Scale(width, fold=3, least=3))
    return text.draw_text(picture, width, bool(ascii))


def as_svg(pool: Drawable, since: Drawable | None, width: SupportsIndex) -> str:
    """The pool as an element `svg`, `width` pixels wide."""
    width = integer("width", width, 480, 4000)
    picture = Picture(pool, since, Scale(svg.columns_of(width), fold=6, least=4))
    return svg.draw_svg(picture, width)


def as_plot(pool: Drawable, since: Drawable | None, ax: Any) -> Any:
    """The pool on axes of matplotlib, which are returned; None for new ones."""
    picture = Picture(pool, since, Scale(plot.COLUMNS, fold=6, least=4))
    ax = plot.new_axes(picture) if ax is None else ax
    plot.draw_plot(picture, ax)
    return ax


def as_html(pool: Drawable) -> str:
    """What a notebook shows of the pool."""
    try:
        return svg.draw_html(as_svg(pool, None, 760), pool.stats)
    except PoolClosedError:
        return f"<code>{escape(repr(pool))}</code>\n"
