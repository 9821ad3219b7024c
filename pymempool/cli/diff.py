# SPDX-License-Identifier: MIT
"""`pymempool diff`: where two images differ, to the byte.

two images ─► two pools ─► ranges that differ ─► Difference
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import starmap
from typing import NamedTuple, TextIO

from .._core.comparing import Dump
from .._core.runs import common, without
from .._core.words import counted, human, shown
from ..images.formats import FORMATS
from ..images.progress import Progress
from ..pool import MemoryPool
from .errors import STANDARD, CommandError
from .inputs import Image, opened
from .parser import GUESSED, Commands, add_command, add_offset, byte
from .progress import progress
from .terminal import Page

_ABOUT = """\
Shows where two images differ, whatever their formats: each range of bytes that all
differ, up to the end of the smaller image; how many bytes only the larger one has; and
the first bytes that differ, of both; and how many bytes only one of them has in gaps of
the other. A gap equals zeros, or the byte that --fill gives; with --fill also what is
behind the end of the smaller image. A and B are files, URLs that fsspec opens, or - for
standard input.
"""

_MORE = """\
examples:
  pymempool diff before.img after.img
  pymempool diff --quiet firmware.hex dump.bin && echo the same
  pymempool diff firmware.hex dump.bin --offset-b 0x8000000 --within-a
  pymempool diff old.hex new.hex --fill 0xff

exit status:
  0  the images are the same
  1  they differ
  2  wrong usage, an image that cannot be read, not enough memory
"""


_RANGES = 16  # listed without --all
_Pools = tuple[MemoryPool, MemoryPool]  # of A and of B

_STEP = 1 << 20  # bytes compared between two reports of progress, or 1 %


class Range(NamedTuple):
    """A run of bytes that all differ, as long as possible."""

    start: int
    size: int


class Difference(NamedTuple):
    """How two images differ; sizes are bytes. The fields are the keys of the JSON."""

    same: bool
    images: tuple[str, str]
    formats: tuple[str, str]
    sizes: tuple[int, int]
    alone: tuple[int, int]  # behind the end of the other one
    alone_data: tuple[int, int]  # the same without holes
    gaps: tuple[int, int]  # what it has before the other's end, and the other has not
    differing: int  # up to the end of the smaller one, as are the ranges
    ranges_total: int
    ranges: list[Range]  # the first ones, or all


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Compares two images and prints the result; returns 0 if they are the same, or 1."""
    if options.one == options.other == STANDARD:
        raise CommandError("only one of the images can be standard input")
    with ExitStack() as stack:
        one = stack.enter_context(opened(options.one, options.format_a, options.offset_a))
        other = stack.enter_context(
            opened(options.other, options.format_b, options.offset_b)
        )
        if options.quiet and options.fill is None and not options.within_a:
            return int(not one.pool.same(other.pool))
        pools = one.pool, other.pool
        if options.fill is not None:
            pools = filled(stack, pools, options.fill, options.within_a)
        limit = None if options.all else _RANGES
        found = compare(one, other, pools, limit, options.within_a)
        if options.quiet:
            return int(not found.same)
        if options.json:
            out.write(to_json(found) + "\n")
        else:
            page = Page(out)
            write(page, found)
            write_bytes(page, found, pools)
    return int(not found.same)


# ------------------------------------------------------------------- the difference


def filled(stack: ExitStack, pools: _Pools, fill: int, within: bool) -> _Pools:
    """Returns clones of equal sizes, in which what only the other one has is `fill`.

    stack: closes them.
    within: whether nobody will look where the first has no bytes.
    """
    runs = [[*pool.written()] for pool in pools]
    clones = pools[0].clone(), pools[1].clone()
    for index, clone in enumerate(clones):
        stack.enter_context(clone)
        clone.resize(max(pool.total_size for pool in pools))
        if index or not within:
            for start, size in without(runs[1 - index], runs[index]):
                clone.fill(start, fill, size)
    return clones


def compare(
    one: Image, other: Image, pools: _Pools, limit: int | None, within: bool
) -> Difference:
    """Returns how two images differ.

    pools: those of the images, or what filled() returned for them.
    limit: how many ranges are listed, None for all.
    within: whether to look only where the first has bytes.
    """
    found: list[Range] = []
    total = differing = 0
    with progress("comparing") as report:
        all_ranges = ranges(*pools, report)
        if within:
            all_ranges = starmap(Range, common(one.pool.written(), all_ranges))
        for each in all_ranges:
            total += 1
            differing += each.size
            if limit is None or total <= limit:
                found.append(each)
    end = min(pool.total_size for pool in pools)
    sides = (one, other, pools[0]), (other, one, pools[1])
    alone, data, gaps = zip(*(_only(*side, end) for side in sides))
    if within:
        alone, data, gaps = ((first, 0) for first, _ in (alone, data, gaps))
    return Difference(
        same=not total and not any(alone),
        images=(one.name, other.name),
        formats=(one.format, other.format),
        sizes=(one.pool.total_size, other.pool.total_size),
        alone=alone,
        alone_data=data,
        gaps=gaps,
        differing=differing,
        ranges_total=total,
        ranges=found,
    )


def ranges(
    one: MemoryPool, other: MemoryPool, report: Progress | None = None
) -> Iterator[Range]:
    """Yields the ranges that differ, in order, up to the end of the smaller pool."""
    stop = min(one.total_size, other.total_size)
    step = max(_STEP, -(-stop // 100))
    begun = Range(0, 0)  # it may go on in the next step
    for at in range(0, stop, step):
        end = min(at + step, stop)
        for start, size in one.differences(other, at, end - at):
            if start == sum(begun):
                size += begun.size
                start = begun.start
            elif begun.size:
                yield begun
            begun = Range(start, size)
        if report is not None:
            report(end, stop)
    if begun.size:
        yield begun


def _only(image: Image, other: Image, pool: MemoryPool, end: int) -> tuple[int, int, int]:
    """Returns the bytes that only one image has: behind `end`, the same data, before.

    pool: what is compared of it.
    """
    alone = pool.total_size - end
    data = sum(size for _, size in image.runs(end)) if alone else 0
    both = (
        each.pool.written(0, min(end, each.pool.total_size)) for each in (image, other)
    )
    return alone, data, sum(size for _, size in without(*both))


# ----------------------------------------------------------------------- the output


def to_json(found: Difference) -> str:
    listed = [each._asdict() for each in found.ranges]
    return json.dumps({**found._asdict(), "ranges": listed}, indent=2)


def write(page: Page, found: Difference) -> None:
    one, other = map(shown, found.images)
    if found.same:
        size = max(found.sizes)
        page.line(f"{one} and {other} are the same: {counted(size)}")
        _write_gaps(page, found)
        return
    page.line(f"{one} and {other} differ")
    sizes = " and ".join(map(counted, found.sizes))
    page.fact("sizes", sizes if found.sizes[0] != found.sizes[1] else "the same")
    where = counted(found.ranges_total, "range")
    page.fact("differing", f"{counted(found.differing)}, in {where}")
    _write_gaps(page, found)
    for name, size, data in zip((one, other), found.alone, found.alone_data):
        if size:
            of = "" if data else ", a hole"
            page.fact("only", f"in {name}: {counted(size)} behind the other's end{of}")
    if not found.ranges:
        return
    page.line()
    page.table(
        ("start", "end", "bytes", "size"),
        (
            (f"{start:#x}", f"{start + size:#x}", str(size), human(size))
            for start, size in found.ranges
        ),
    )
    if len(found.ranges) < found.ranges_total:
        more = found.ranges_total - len(found.ranges)
        page.note(f"  ... and {more} more: --all lists them")


def _write_gaps(page: Page, found: Difference) -> None:
    for name, size in zip(found.images, found.gaps):
        if size:
            page.fact("only", f"in {shown(name)}: {counted(size)} in gaps of the other")


def write_bytes(page: Page, found: Difference, pools: _Pools) -> None:
    """Writes the first bytes that differ, of both images."""
    if not found.ranges:
        return
    one, other = pools
    dump = Dump(("A", "B"), one.read, other.read)
    page.line()
    for line in dump.lines(found.ranges, 0, min(one.total_size, other.total_size)):
        page.line(f"  {line}")
    if dump.differing < found.differing:
        page.note(f"  ... and {counted(found.differing - dump.differing)} more")


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(commands, "diff", "show where two images differ", _ABOUT, _MORE)
    parser.add_argument("one", metavar="A")
    parser.add_argument("other", metavar="B")
    parser.add_argument("--format-a", choices=FORMATS, help=GUESSED)
    parser.add_argument("--format-b", choices=FORMATS, help=GUESSED)
    add_offset(parser, "-a")
    add_offset(parser, "-b")
    parser.add_argument(
        "--within-a", action="store_true", help="look only where A has bytes"
    )
    parser.add_argument(
        "--fill", metavar="BYTE", type=byte, help="gaps are BYTE, such as 0xff"
    )
    parser.add_argument("--all", action="store_true", help="list every range")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing: the exit status says it"
    )
    parser.set_defaults(run=run)
