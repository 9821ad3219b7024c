# SPDX-License-Identifier: MIT
"""Draws a picture of a pool as SVG, and as HTML for notebooks.

    MemoryPool of 2147483648 bytes (2 GiB), 4 blocks of 4 KiB      heading
    # data 8 KiB   # shared 8 KiB   # hole 2.00 GiB                legend
    //####//########//######                                       strip of cells
      ^                                                            lane of changes
      a     b         c                                            keys of the groups
       start  end  size                                            listing
    a    ...

In a page, text takes the colour of the text around it; a file by itself follows the
reader's preference for light or dark. There are no ids and no classes, so that a page may
have any number of pictures. The font is monospaced, so that the width of a line is known
without measuring it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

from .._core.words import human
from .labels import amounts, describe, heading, key, listing
from .layout import Picture, lanes

if TYPE_CHECKING:
    from .._core.stats import PoolStats

#: One for each state. The colour-blind can tell them apart, on light and dark pages.
COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#D55E00")

COLUMN = 3  # pixels
MARGIN = 20
_STRIP, _LEAST = 44, 3  # the height of the strip, and the least height of a state
_LANE = 5  # the height of the marks of changes
_LINE = 18  # from a line of text to the next
_LETTER = 7.3  # the width of a letter of 12 pixels, rounded up
_KEY_COLUMNS = 4  # the width of a key with its pole and a space
_GREY = 'fill-opacity="0.13"'

_STYLE = (
    "<style>svg:root{color:#1f2328;background:#fff}"
    "@media(prefers-color-scheme:dark){svg:root{color:#f0f6fc;background:#0d1117}}"
    "</style>"
)
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def columns_of(width: int) -> int:
    """Returns how many columns a picture of `width` pixels has."""
    return (width - 2 * MARGIN) // COLUMN


def draw_svg(picture: Picture, width: int) -> str:
    """Returns the picture as one element `svg`, `width` pixels wide."""
    letters = int((width - 2 * MARGIN) / _LETTER)
    heads = heading(picture, letters)
    parts, y = [], 14.0
    for line in heads:
        parts.append(_text(MARGIN, y + 12, line, 'font-weight="600"'))
        y += _LINE
    legend, rows = _legend(picture, letters, y + 6)
    parts += legend
    y += rows * _LINE + 14
    parts += _strip(picture, y)
    y += _STRIP
    if picture.compared:
        parts.append(_changes(picture, y + 3))
        y += _LANE + 3
    poles, rows = _keys(picture, y)
    parts += poles
    y += rows * _LINE + 14
    for number, line in enumerate(listing(picture, letters)):
        titles = 'fill-opacity="0.7"' * (number == 0 and bool(picture.groups))
        parts.append(_text(MARGIN, y + 12, line, titles))
        y += _LINE
    height = round(y + 10)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" style="max-width:100%;height:auto"'
        f' role="figure" aria-label="{escape(" ".join(map(str.strip, heads)))}"'
        f' font-family="{_FONT}" font-size="12" fill="currentColor">\n'
        + "\n".join([_STYLE, *parts])
        + "\n</svg>\n"
    )


def draw_html(svg: str, stats: PoolStats) -> str:
    """Returns a picture with a table of statistics that it does not show."""
    facts = {
        "held": human(stats.held_bytes),
        "blocks": str(stats.held_blocks),
        "shared": str(stats.shared_blocks),
        "pinned": str(stats.pinned_blocks),
        "pools in the family": str(stats.family_pools),
        "held by all of them": human(stats.family_bytes),
        "memory limit": human(stats.memory_limit) if stats.memory_limit else "none",
    }
    names = "".join(f"<th>{escape(name)}</th>" for name in facts)
    values = "".join(f"<td>{escape(value)}</td>" for value in facts.values())
    return f"<div>\n{svg}<table><tr>{names}</tr><tr>{values}</tr></table>\n</div>\n"


# --------------------------------------------------------------------- the parts


def _strip(picture: Picture, top: float) -> Iterator[str]:
    """Yields the cells: each a stack of its states, as high as their shares."""
    solid = [cell for cell in picture.cells if not cell.folded]
    ranges = [(cell.column, cell.column + cell.columns) for cell in solid]
    yield _path(_joined((*pair, top, top + _STRIP) for pair in ranges), _GREY)
    bottom = top + _STRIP
    for state, colour in enumerate(COLOURS):
        bars = []
        for cell, pair in zip(solid, ranges):
            low, high = cell.levels(_LEAST / _STRIP)[state]
            if high > low:
                bars.append((*pair, bottom - high * _STRIP, bottom - low * _STRIP))
        if bars:
            yield _path(_joined(bars), f'fill="{colour}"')
    for cell in picture.cells:
        if cell.folded:
            yield _break(MARGIN + COLUMN * (cell.column + cell.columns / 2), top + 22)


def _changes(picture: Picture, top: float) -> str:
    """Returns a mark below each cell with changes."""
    marks = (
        (cell.column, cell.column + cell.columns, top, top + _LANE)
        for cell in picture.cells
        if cell.changed
    )
    return _path(_joined(marks), "")


def _keys(picture: Picture, top: float) -> tuple[list[str], int]:
    """Returns the key of each group, on a pole where the group starts, and the rows."""
    rows = lanes([group.column for group in picture.groups], _KEY_COLUMNS)
    parts = []
    for number, (group, row) in enumerate(zip(picture.groups, rows)):
        x, bottom = MARGIN + COLUMN * group.column, top + 2 + (row + 1) * _LINE
        title = f"{key(number)}: {group.start:#x} .. {group.end:#x}, {describe(group)}"
        parts.append(
            f'<g><title>{escape(title)}</title><path d="M{x + 0.5} {_number(top + 3)}'
            f'V{_number(bottom)}" stroke="currentColor" stroke-opacity="0.6"/>'
            f"{_text(x + 3, bottom - 3, key(number), '')}</g>"
        )
    return parts, max(rows, default=-1) + 1


def _legend(picture: Picture, letters: int, top: float) -> tuple[list[str], int]:
    """Returns the amount of each colour, and the rows of the legend."""
    samples = [f'fill="{colour}"' for colour in COLOURS]
    items = [
        (f"{name} {human(size)}", _square(sample))
        for (name, size), sample in zip(amounts(picture), [*samples, _GREY])
        if size
    ]
    if picture.compared:
        bar = f'<rect y="3" width="10" height="{_LANE}"/>'
        items.append((f"changed {human(picture.changed)}", bar))
    if any(cell.folded for cell in picture.cells):
        items.append(("shortened", _break(5, 5)))
    parts, column, row = [], 0, 0
    for words, sample in items:
        needed = len(words) + 2
        if column and column + needed > letters:
            column, row = 0, row + 1
        x, y = MARGIN + column * _LETTER, top + row * _LINE
        at = f"translate({_number(x)} {_number(y)})"
        text = _text(2 * _LETTER, 10, words, "")
        parts.append(f'<g transform="{at}">{sample}{text}</g>')
        column += needed + 2
    return parts, row + 1


def _square(paint: str) -> str:
    return f'<rect width="10" height="10" {paint}/>'


def _break(x: float, y: float) -> str:
    """Returns the sign of a folded hole."""
    x, y = x - 4.5, y + 5
    lines = "".join(f"M{_number(x + dx)} {_number(y)}l4-10" for dx in (0, 5))
    return f'<path d="{lines}" fill="none" stroke="currentColor" stroke-width="1.3"/>'


def _text(x: float, y: float, words: str, paint: str) -> str:
    # Spaces are kept by the style in browsers, by xml:space in other programs.
    return (
        f'<text x="{_number(x)}" y="{_number(y)}" xml:space="preserve"'
        f' style="white-space:pre"{" " * bool(paint)}{paint}>{escape(words)}</text>'
    )


Bar = tuple[int, int, float, float]  # columns left .. right - 1, pixels top and bottom


def _joined(bars: Iterable[Bar]) -> Iterator[Bar]:
    """Yields bars, of which neighbours of one height are joined."""
    left, right, top, bottom = 0, 0, 0.0, 0.0
    for bar in bars:
        if bar[0] == right and bar[2:] == (top, bottom):
            right = bar[1]
            continue
        if right > left:
            yield left, right, top, bottom
        left, right, top, bottom = bar
    if right > left:
        yield left, right, top, bottom


def _path(bars: Iterable[Bar], paint: str) -> str:
    drawn = "".join(
        f"M{MARGIN + COLUMN * left} {_number(top)}h{COLUMN * (right - left)}"
        f"v{_number(bottom - top)}h-{COLUMN * (right - left)}z"
        for left, right, top, bottom in bars
    )
    return f'<path d="{drawn}" shape-rendering="crispEdges"{" " * bool(paint)}{paint}/>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
