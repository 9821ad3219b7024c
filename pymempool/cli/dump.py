# SPDX-License-Identifier: MIT
"""`pymempool dump`: the bytes of an image, with their addresses.

image ─► runs that were set ─► pieces of lines ─► lines, of which repeated ones are one *
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TextIO

from .._core.comparing import LINE
from ..images.formats import FORMATS
from ..pool import MemoryPool
from .errors import CommandError
from .inputs import opened
from .parser import GUESSED, Commands, add_command, add_offset, size
from .terminal import LABEL, NOTE, Page, Span

_ABOUT = """\
Shows the bytes of an image in hex and as text, with their addresses. A line * stands for
lines that are the same as the one before it. Bytes that the image does not have are --,
and lines of such bytes are left out. IMAGE is a file, a URL that fsspec opens, or - for
standard input.
"""

_MORE = """\
examples:
  pymempool dump firmware.hex
  pymempool dump firmware.elf --at 0x8000000 --size 64
  pymempool dump flash.bin --offset 0x8000000

exit status:
  0  the image was read
  2  wrong usage, an image that cannot be read, not enough memory
"""

_PIECE = 4096 * LINE  # bytes that are read at once
_UNSET, _SET, _OUTSIDE = range(3)  # what a byte of a line can be
_SHOWN = {_UNSET: "--", _OUTSIDE: "  "}


class Lines(NamedTuple):
    """Lines of the same bytes from an address on; most often just one."""

    start: int
    data: bytes
    states: bytes  # of each byte
    times: int = 1


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Shows the bytes of an image; returns 0."""
    with opened(options.image, options.format, options.offset) as image:
        total = image.pool.total_size
        start = options.at or 0
        if start >= total:
            raise CommandError(f"the image ends at {total:#x}, before {start:#x}")
        end = total if options.size is None else min(total, start + options.size)
        write(Page(out), image.pool, start, end)
    return 0


# -------------------------------------------------------------------------- the lines


def lines(pool: MemoryPool, start: int, end: int) -> Iterator[Lines]:
    """Yields the lines of a range that have bytes which were set."""
    at = start
    while at < end:
        first, size = next(pool.written(at, end - at), (end, 0))
        at = max(at, first - first % LINE)
        hole = next(pool.extents(at, first + size - at), (first + size, 0))[0] - at
        if first <= at and at % LINE == 0 and hole >= _PIECE:
            yield Lines(at, bytes(LINE), bytes([_SET]) * LINE, hole // LINE)
            at += hole - hole % LINE
        elif size:
            stop = min(end, at - at % _PIECE + _PIECE)
            yield from _piece(pool, at, stop)
            at = stop
        else:
            break


def _piece(pool: MemoryPool, start: int, end: int) -> Iterator[Lines]:
    """Yields the lines of a short range."""
    before, after = start % LINE, -end % LINE
    data = bytes(before) + pool.read(start, end - start) + bytes(after)
    states = bytearray(len(data))
    states[:before] = bytes([_OUTSIDE]) * before
    states[len(data) - after :] = bytes([_OUTSIDE]) * after
    begin = start - before
    for at, count in pool.written(start, end - start):
        states[at - begin : at - begin + count] = bytes([_SET]) * count
    for at in range(0, len(data), LINE):
        which = bytes(states[at : at + LINE])
        if _SET in which:
            yield Lines(begin + at, data[at : at + LINE], which)


# ------------------------------------------------------------------------- the output


def write(page: Page, pool: MemoryPool, start: int, end: int) -> None:
    """Writes the lines of a range; after repeated ones before a gap, where they end."""
    width = max(8, len(f"{end - 1:x}"))
    last = Lines(0, b"", b"", 0)
    repeated = False

    def address(at: int) -> tuple[str, str]:
        return f"0x{at:0{width}x}", LABEL

    for found in lines(pool, start, end):
        after = last.start + last.times * LINE
        same = found.start == after and found[1:3] == last[1:3]
        if repeated and found.start != after:
            page.line(address(after))
        if not same:
            page.line(address(found.start), "  ", *_spans(found))
        repeated = same and repeated
        if not repeated and (same or found.times > 1):
            page.note("*")
            repeated = True
        last = found
    if repeated:
        page.line(address(last.start + last.times * LINE))


def _spans(line: Lines) -> Iterator[Span]:
    """Yields the bytes of a line in hex and as text."""
    for state, group in groupby(zip(line.states, line.data), itemgetter(0)):
        cells = (_SHOWN.get(state, f"{byte:02x}") + " " for _, byte in group)
        yield "".join(cells), NOTE if state == _UNSET else ""
    yield " "
    yield "".join(
        " " if state != _SET else chr(byte) if 32 <= byte < 127 else "."
        for state, byte in zip(line.states, line.data)
    )


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(commands, "dump", "show the bytes of an image", _ABOUT, _MORE)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--format", choices=FORMATS, help=GUESSED)
    parser.add_argument(
        "--at", type=size, metavar="ADDRESS", help="begin there (default: at the lowest)"
    )
    parser.add_argument("--size", type=size, metavar="N", help="N bytes at most")
    add_offset(parser)
    parser.set_defaults(run=run)
