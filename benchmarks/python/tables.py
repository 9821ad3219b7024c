# SPDX-License-Identifier: MIT
"""Tables of plain text."""

from __future__ import annotations


def show(head: list[str], lines: list[list[str]]) -> None:
    """Prints a line of titles and others, all of as many cells, in columns."""
    widths = [max(map(len, column)) for column in zip(head, *lines)]
    for line in [head, *lines]:
        cells = (cell.ljust(width) for cell, width in zip(line, widths))
        print("  ".join(cells).rstrip())
