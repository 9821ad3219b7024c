# SPDX-License-Identifier: MIT
"""A picture of a pool in words and characters."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from ._report import human
from ._scale import STATES, Cell, Counts, Group, Picture, lanes

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


def heading(picture: Picture, width: int) -> list[str]:
    """What pool it is, in lines of at most `width` characters."""
    blocks = f"{picture.held_blocks} block{'s' * (picture.held_blocks != 1)}"
    text = (
        f"MemoryPool of {picture.size} byte{'s' * (picture.size != 1)}"
        f" ({human(picture.size)}),"
        f" {blocks} of {human(picture.block_size)}"
    )
    if picture.compared:
        text += f", {human(picture.changed)} changed"
    return _wrap(text, width)


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; a number stays with its unit."""
    held = re.sub(r"(?<=\d) (?=[KMGTPE]?i?B\b)", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(held, width, subsequent_indent="    ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def amounts(picture: Picture) -> list[tuple[str, int]]:
    """How many bytes are what: each as (name, bytes), the states and the holes."""
    states = [(name, picture.of(state)) for state, name in enumerate(STATES)]
    return [*states, ("hole", picture.size - picture.held)]


def key(number: int) -> str:
    """The letter of a group."""
    return chr(ord("a") + number)


def listing(picture: Picture, width: int) -> list[str]:
    """The groups with their addresses, in lines of at most `width` characters."""
    if not picture.groups:
        return ["nothing is held" + " or has changed" * picture.compared]
    rows = [("", "start", "end", "size", "")]
    for number, group in enumerate(picture.groups):
        start, end = hex(group.start), hex(group.end)
        rows.append((key(number), start, end, human(group.size), describe(group)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for letter, start, end, size, what in rows:
        line = (
            f"{letter:<{widths[0]}}  {start:>{widths[1]}}  {end:>{widths[2]}}"
            f"  {size:>{widths[3]}}  {what}"
        )
        lines += _wrap(line, width)
    return lines


def describe(group: Group) -> str:
    """What a group is made of."""
    parts = _parts(group)
    if group.runs > 1:
        parts.append(f"in {group.runs} runs")
    if group.changed == group.size:
        parts.append("all changed")
    elif group.changed:
        parts.append(f"{human(group.changed)} changed")
    return ", ".join(parts)


def _parts(counts: Counts) -> list[str]:
    sizes = [(name, counts.of(state)) for state, name in enumerate(STATES)]
    sizes.append(("hole", counts.size - counts.held))
    there = [(name, size) for name, size in sizes if size]
    if len(there) == 1:
        return [there[0][0]]
    return [f"{name} {human(size)}" for name, size in there]
