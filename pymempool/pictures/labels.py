# SPDX-License-Identifier: MIT
"""The text in a picture of a pool: its heading, its amounts, the list of its groups."""

from __future__ import annotations

import re
import textwrap

from .._core.words import counted, human
from .layout import Picture
from .model import STATES, Counts, Group


def heading(picture: Picture, width: int) -> list[str]:
    """Returns the sizes of the pool, in lines of at most `width` characters."""
    text = (
        f"MemoryPool of {counted(picture.size)} ({human(picture.size)}),"
        f" {counted(picture.held_blocks, 'block')} of {human(picture.block_size)}"
    )
    if picture.compared:
        text += f", {human(picture.changed)} changed"
    return _wrap(text, width)


def _wrap(text: str, width: int) -> list[str]:
    """Wraps lines at `width` characters, and keeps a number with its unit."""
    joined = re.sub(r"(?<=\d) (?=[KMGTPE]?i?B\b)", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(joined, width, subsequent_indent="    ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def amounts(picture: Picture) -> list[tuple[str, int]]:
    """Returns the bytes in each state and in holes, as (name, bytes)."""
    states = [(name, picture.of(state)) for state, name in enumerate(STATES)]
    return [*states, ("hole", picture.size - picture.held)]


def key(number: int) -> str:
    """Returns the letter of a group."""
    return chr(ord("a") + number)


def listing(picture: Picture, width: int) -> list[str]:
    """Returns the table of the groups, in lines of at most `width` characters."""
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
    """Returns the states in a group, its runs and its changes."""
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
    present = [(name, size) for name, size in sizes if size]
    if len(present) == 1:
        return [present[0][0]]
    return [f"{name} {human(size)}" for name, size in present]
