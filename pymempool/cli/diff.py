# SPDX-License-Identifier: MIT
"""`pymempool diff`: where two images differ, to the byte.

two images ─► two pools ─► the runs of data of either ─► those that differ ─► Facts
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple, TextIO

from .._core.comparing import runs_of_two, xor
from .._core.words import human
from ..images.formats import FORMATS
from ..pool import MemoryPool
from .errors import STANDARD, CommandError
from .inputs import Image, opened
from .parser import GUESSED, Commands, add_command
from .terminal import Page, Progress, counted, progress, shown

_ABOUT = """\
Tells in which bytes two images differ, whatever their formats: each range in which all
bytes do, up to the end of the smaller image. Images of different sizes differ. A hole is
the same as zeros. A and B are files, URLs that fsspec opens, or - for standard input.
"""

_MORE = """\
examples:
  pymempool diff before.img after.img
  pymempool diff --quiet firmware.hex dump.bin && echo the same

exit status:
  0  the images are the same
  1  they differ
  2  wrong usage, an image that cannot be read, not enough memory
"""


_RANGES = 16  # as many are listed
_PIECE = 1 << 16  # bytes compared together

_differing = re.compile(rb"[^\0]+")


class Range(NamedTuple):
    """A run of bytes each of which differs."""

    start: int
    size: int


class Facts(NamedTuple):
    """How two images differ, up to the end of the smaller one; sizes are bytes."""

    same: bool
    images: tuple[str, str]
    formats: tuple[str, str]
    sizes: tuple[int, int]
    differing: int
    ranges_total: int
    ranges: list[Range]  # the first ones, or all


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Tells where two images differ; returns 0 if nowhere, or else 1."""
    if options.one == options.other == STANDARD:
        raise CommandError("only one of the images can be standard input")
    with ExitStack() as stack:
        one = stack.enter_context(opened(options.one, options.format_a))
        other = stack.enter_context(opened(options.other, options.format_b))
        if options.quiet:
            return int(differ(one.pool, other.pool))
        facts = compare(one, other, None if options.all else _RANGES)
    if options.json:
        out.write(to_json(facts) + "\n")
    else:
        write(Page(out), facts)
    return int(not facts.same)


# --------------------------------------------------------------------- the facts


def differ(one: MemoryPool, other: MemoryPool) -> bool:
    """Whether they differ; looks no further than it must."""
    if one.total_size != other.total_size:
        return True
    with progress("comparing") as report:
        return next(ranges(one, other, report), None) is not None


def compare(one: Image, other: Image, limit: int | None) -> Facts:
    """How the two differ, with the first `limit` ranges, None for all."""
    found: list[Range] = []
    total = differing = 0
    with progress("comparing") as report:
        for each in ranges(one.pool, other.pool, report):
            total += 1
            differing += each.size
            if limit is None or total <= limit:
                found.append(each)
    sizes = one.pool.total_size, other.pool.total_size
    return Facts(
        same=not total and sizes[0] == sizes[1],
        images=(one.name, other.name),
        formats=(one.format, other.format),
        sizes=sizes,
        differing=differing,
        ranges_total=total,
        ranges=found,
    )


def ranges(
    one: MemoryPool, other: MemoryPool, report: Progress | None = None
) -> Iterator[Range]:
    """The runs of bytes that differ, up to the end of the smaller pool, in order.

    Costs what the two hold: where both have holes nothing is read.
    """
    start = end = 0  # a run that may go on in the next piece
    for low, high in _pieces(one, other, report):
        ours, theirs = one.read(low, high - low), other.read(low, high - low)
        if ours == theirs:
            continue
        for run in _differing.finditer(xor(ours, theirs)):
            if low + run.start() != end:
                if start < end:
                    yield Range(start, end - start)
                start = low + run.start()
            end = low + run.end()
    if start < end:
        yield Range(start, end - start)


def _pieces(
    one: MemoryPool, other: MemoryPool, report: Progress | None
) -> Iterator[tuple[int, int]]:
    """Where to look, in order and without overlap, each as (start, end)."""
    common = min(one.total_size, other.total_size)
    for start, size in runs_of_two(one, other, 0):
        end = min(start + size, common)
        for low in range(start, end, _PIECE):
            high = min(low + _PIECE, end)
            yield low, high
            if report is not None:
                report(high, common)


# ------------------------------------------------------------------ how it is told


def to_json(facts: Facts) -> str:
    told = [each._asdict() for each in facts.ranges]
    return json.dumps({**facts._asdict(), "ranges": told}, indent=2)


def write(page: Page, facts: Facts) -> None:
    one, other = map(shown, facts.images)
    if facts.same:
        page.line(f"{one} and {other} are the same: {counted(facts.sizes[0])}")
        return
    page.line(f"{one} and {other} differ")
    sizes = " and ".join(map(counted, facts.sizes))
    page.fact("sizes", sizes if facts.sizes[0] != facts.sizes[1] else "the same")
    where = counted(facts.ranges_total, "range")
    page.fact("differing", f"{counted(facts.differing)}, in {where}")
    if not facts.ranges:
        return
    page.line()
    page.table(
        ("start", "end", "bytes", "size"),
        (
            (f"{start:#x}", f"{start + size:#x}", str(size), human(size))
            for start, size in facts.ranges
        ),
    )
    if len(facts.ranges) < facts.ranges_total:
        more = facts.ranges_total - len(facts.ranges)
        page.note(f"  ... and {more} more: --all lists them")


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    told = add_command(commands, "diff", "tell where two images differ", _ABOUT, _MORE)
    told.add_argument("one", metavar="A")
    told.add_argument("other", metavar="B")
    told.add_argument("--format-a", choices=FORMATS, help=GUESSED)
    told.add_argument("--format-b", choices=FORMATS, help=GUESSED)
    told.add_argument("--all", action="store_true", help="list every range")
    told.add_argument("--json", action="store_true", help="the facts for programs")
    told.add_argument(
        "--quiet", action="store_true", help="tell by the exit status alone"
    )
    told.set_defaults(run=run)
