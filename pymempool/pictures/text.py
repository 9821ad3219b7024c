# SPDX-License-Identifier: MIT
"""Draws a picture of a pool as text."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.words import human
from .labels import amounts, heading, key, listing
from .layout import Picture, lanes
from .model import STATES, Cell, Group

# For each state: a cell that is full, and one with holes.
_UNICODE = (("█", "▄"), ("▒", "░"), ("■", "□"), ("●", "○"))
_ASCII = (("#", "+"), ("=", "-"), ("A", "a"), ("P", "p"))
_HOLES = {False: ("·", "≈"), True: (".", "~")}  # a hole, and a part of a folded one
_PINNED = STATES.index("pinned")


def draw_text(picture: Picture, width: int, ascii: bool) -> str:
    """Returns the picture as lines of at most `width` characters.

    ascii: whether to use ASCII only.
    """
    glyphs, (hole, fold) = _ASCII if ascii else _UNICODE, _HOLES[ascii]
    strip = "".join(_glyph(cell, glyphs, hole, fold) for cell in picture.cells)
    lines = [*heading(picture, width), "", strip]
    if picture.compared:
        lines.append("".join("^ "[not c.changed] * c.columns for c in picture.cells))
    lines += [*_keys(picture.groups), "", *listing(picture, width)]

    legend = []
    for (name, size), pair in zip(amounts(picture), [*glyphs, (hole, fold)]):
        used = "".join(glyph for glyph in pair if glyph in strip)
        legend += [f"{used} {name} {human(size)}".lstrip()] if size else []
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
    # Pinned if anything is, else the state with the most bytes.
    sizes = [cell.of(state) for state in range(len(STATES))]
    state = _PINNED if sizes[_PINNED] else sizes.index(max(sizes))
    return glyphs[state][cell.held < cell.size] * cell.columns


def _keys(groups: list[Group]) -> list[str]:
    """Returns the lines below the strip: each key where its group starts."""
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
    """Yields lines of the words, three spaces apart."""
    line = ""
    for word in words:
        if line and len(line) + 3 + len(word) > width:
            yield line
            line = ""
        line += "   " * bool(line) + word
    yield line
