# SPDX-License-Identifier: MIT
"""`pymempool diff`: where two images differ, to the byte.

two images ─► two pools ─► ranges that differ ─► Difference
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple, TextIO

from .._core.comparing import Dump
from .._core.words import counted, human, shown
from ..images.formats import FORMATS
from ..images.progress import Progress
from ..pool import MemoryPool
from .errors import STANDARD, CommandError
from .inputs import Image, opened
from .parser import GUESSED, Commands, add_command
from .progress import progress
from .terminal import Page

_ABOUT = """\
Shows where two images differ, whatever their formats: each range of bytes that all
differ, up to the end of the smaller image; how many bytes only the larger one has; and
the first bytes that differ, of both. A hole equals zeros. A and B are files, URLs that
fsspec opens, or - for standard input.
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


_RANGES = 16  # listed without --all
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
    differing: int  # up to the end of the smaller one, as are the ranges
    ranges_total: int
    ranges: list[Range]  # the first ones, or all


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Compares two images and prints the result; returns 0 if they are the same, or 1."""
    if options.one == options.other == STANDARD:
        raise CommandError("only one of the images can be standard input")
    with ExitStack() as stack:
        one = stack.enter_context(opened(options.one, options.format_a))
        other = stack.enter_context(opened(options.other, options.format_b))
        if options.quiet:
            return int(not one.pool.same(other.pool))
        found = compare(one, other, None if options.all else _RANGES)
        if options.json:
            out.write(to_json(found) + "\n")
        else:
            page = Page(out)
            write(page, found)
            write_bytes(page, found, one.pool, other.pool)
    return int(not found.same)


# ------------------------------------------------------------------- the difference


def compare(one: Image, other: Image, limit: int | None) -> Difference:
    """Returns how two images differ, with the first `limit` ranges, None for all."""
    found: list[Range] = []
    total = differing = 0
    with progress("comparing") as report:
        for each in ranges(one.pool, other.pool, report):
            total += 1
            differing += each.size
            if limit is None or total <= limit:
                found.append(each)
    sizes = one.pool.total_size, other.pool.total_size
    common = min(sizes)
    data = (_data_from(image, common) for image in (one, other))
    return Difference(
        same=not total and sizes[0] == sizes[1],
        images=(one.name, other.name),
        formats=(one.format, other.format),
        sizes=sizes,
        alone=(sizes[0] - common, sizes[1] - common),
        alone_data=(next(data), next(data)),
        differing=differing,
        ranges_total=total,
        ranges=found,
    )


def ranges(
    one: MemoryPool, other: MemoryPool, report: Progress | None = None
) -> Iterator[Range]:
    """Yields the ranges that differ, in order, up to the end of the smaller pool."""
    common = min(one.total_size, other.total_size)
    step = max(_STEP, -(-common // 100))
    begun = Range(0, 0)  # it may go on in the next step
    for at in range(0, common, step):
        end = min(at + step, common)
        for start, size in one.differences(other, at, end - at):
            if start == sum(begun):
                size += begun.size
                start = begun.start
            elif begun.size:
                yield begun
            begun = Range(start, size)
        if report is not None:
            report(end, common)
    if begun.size:
        yield begun


def _data_from(image: Image, offset: int) -> int:
    return sum(size for _, size in image.runs(offset))


# ----------------------------------------------------------------------- the output


def to_json(found: Difference) -> str:
    listed = [each._asdict() for each in found.ranges]
    return json.dumps({**found._asdict(), "ranges": listed}, indent=2)


def write(page: Page, found: Difference) -> None:
    one, other = map(shown, found.images)
    if found.same:
        page.line(f"{one} and {other} are the same: {counted(found.sizes[0])}")
        return
    page.line(f"{one} and {other} differ")
    sizes = " and ".join(map(counted, found.sizes))
    page.fact("sizes", sizes if found.sizes[0] != found.sizes[1] else "the same")
    where = counted(found.ranges_total, "range")
    page.fact("differing", f"{counted(found.differing)}, in {where}")
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


def write_bytes(
    page: Page, found: Difference, one: MemoryPool, other: MemoryPool
) -> None:
    """Writes the first bytes that differ, of both images."""
    if not found.ranges:
        return
    dump = Dump(("A", "B"), one.read, other.read)
    page.line()
    for line in dump.lines(found.ranges, 0, min(found.sizes)):
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
    parser.add_argument("--all", action="store_true", help="list every range")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing: the exit status says it"
    )
    parser.set_defaults(run=run)
