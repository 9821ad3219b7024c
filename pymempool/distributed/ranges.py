# SPDX-License-Identifier: MIT
"""Ranges of a sharded pool, split into one call for each part and put together again."""

from __future__ import annotations

from typing import Any

from .remote import Remote


def read(remote: Remote, offset: Any, size: Any) -> list[tuple[int, memoryview]]:
    """Reads a range; returns pieces of it, each with its start in the range."""
    offset, size = remote.range(offset, size)
    layout = remote.layout
    runs = layout.runs(offset, size)
    found = remote.query([(part, "read", tuple(run)) for part, *run in runs])
    pieces = []
    for (part, *_), data in zip(runs, found):
        done = 0
        for start, end in layout.pieces(offset, size, part):
            pieces.append((start, memoryview(data)[done : done + end - start]))
            done += end - start
    return pieces


def write(remote: Remote, offset: Any, source: memoryview) -> None:
    """Writes bytes."""
    offset, size = remote.range(offset, len(source))
    layout, calls = remote.layout, []
    for part, start, _ in layout.runs(offset, size):
        pieces = [source[a:b] for a, b in layout.pieces(offset, size, part)]
        # Joined here, so that the part writes it in one step. One piece is not copied.
        whole = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
        calls.append((part, "write", (start, whole)))
    remote.change(calls)


def change(remote: Remote, name: str, offset: Any, size: Any, *byte: int) -> None:
    """Makes a change, "fill" or "discard", of a range."""
    runs = remote.layout.runs(*remote.range(offset, size))
    remote.change([(part, name, (at, *byte, count)) for part, at, count in runs])
