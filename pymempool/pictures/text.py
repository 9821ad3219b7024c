# SPDX-License-Identifier: MIT
"""A picture of a pool in words and characters."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.words import human
from .labels import amounts, heading, key, listing
from .layout import Picture, lanes
from .model import STATES, Cell, Group

# For each state: a cell of nothing else, and one of which some is a hole.
_UNICODE = (("█", "▄"), ("▒", "░"), ("■", "□"), ("●", "○"))
_ASCII = (("#", "+"), ("=", "-"), ("A", "a"), ("P", "p"))
_HOLES = {False: ("·", "≈"), True: (".", "~")}  # a hole, and a part of a folded one
_PINNED = STATES.index("pinned")


def draw_text(picture: Picture, width: int, ascii: bool) -> str:
    """The picture as lines of at most `width` characters."""
    glyphs, (hole, fold) = _ASCII if ascii else _UNICODE, _HOLES[ascii]
    strip = "".join(_glyph(cell, glyphs, hole, fold) for cell in picture.cells)
    lines = [*heading(picture, width), "", strip]
    if picture.compared:
        lines.append("".join("^ "[not c.changed] * c.columns for c in picture.cells))
    lines += [*_keys(picture.groups), "", *listing(picture, width)]

    legend = []
    for (name, size), pair in zip(amounts(picture), [*glyphs, (hole, fold)]):
        shown = "".join(glyph for glyph in pair if glyph in strip)
        legend += [f"{shown} {name} {human(size)}".lstrip()] if size else []
    legend += [f"{fold} shortened"] if fold in strip else []
    if picture.compared:
        legend.append(f"^ changed {human(picture.changed)}")
    partly = "".join(part for _, part in glyphs if part in strip)
    legend += [f"{' '.join(partly)} with holes in it"] if partly else []
    return (
        "\n".join(line.rstrip() for line in [*lines, "", *_in_rows(legend, width)]) + "\n"
    )


def _glyph(cell: Cell, glyphs: tuple[tuple[str, str], ...], hole: str, fold: str) -> str:
    if not cell.held:
        return (fold if cell.folded else hole) * cell.columns
    # A pin is shown wherever there is one; else what there is most of.
    sizes = [cell.of(state) for state in range(len(STATES))]
    state = _PINNED if sizes[_PINNED] else sizes.index(max(sizes))
    return glyphs[state][cell.held < cell.size] * cell.columns


def _keys(groups: list[Group]) -> list[str]:
    """The lines below the strip: the key of each group, where the group begins."""
    rows = lanes([group.column for group in groups], 1)
    lines = []
    for row in range(max(rows, default=-1) + 1):
        line = ""
        for number, group in enumerate(groups):
            if rows[number] == row:
                line = line.ljust(group.column) + key(number)
        lines.append(line)
    return lines


def _in_rows(words: list[str], width: int) -> Iterator[str]:
    """The words, three spaces apart, in as many lines as they need."""
    line = ""
    for word in words:
        if line and len(line) + 3 + len(word) > width:
            yield line
            line = ""
        line += "   " * bool(line) + word
    yield line


# --------------------------------------------------------------------- the words
