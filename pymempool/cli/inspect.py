# SPDX-License-Identifier: MIT
"""`pymempool inspect`: the size, data, holes and entropy of an image.

image ─► pool ─► Inspection ─► text, JSON, or HTML
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from .._core.words import counted, human, shown
from ..images.formats import FORMATS
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, named
from .inputs import Image, opened, refuse_same
from .parser import GUESSED, Commands, add_command
from .progress import progress
from .terminal import Page

_ABOUT = """\
Shows what an image contains: its format, size, runs of data and holes, and the entropy of
the data in bits per byte (8: random, compressed or encrypted), of a sample if there is
much. IMAGE is a file, a URL that fsspec opens, or - for standard input. The data of a URL
or a pipe is held in memory, its zeros are not.
"""

_MORE = """\
examples:
  pymempool inspect disk.img --map
  pymempool inspect firmware.hex --json
  zcat disk.img.gz | pymempool inspect - --html disk.html

exit status:
  0  the image was read
  2  wrong usage, an image that cannot be read, not enough memory
"""


_EXTENTS = 16  # listed without --all
_PIECE = 4096  # bytes of a piece of the sample
_SAMPLE = 1 << 22  # bytes of the sample, roughly: counting 10 MB takes a second
_CHUNK = 1 << 20  # bytes hashed at a time
_HASHED_MAX = 1 << 32  # of an image whose addresses say nothing of its size: as of HEX


class Extent(NamedTuple):
    """A run of data; entropy is None if the sample has none of it."""

    start: int
    size: int
    entropy: float | None


class Inspection(NamedTuple):
    """What inspect found in an image; sizes are bytes, entropies bits per byte.

    The fields are the keys of the JSON.
    """

    image: str
    format: str
    size: int
    data: int
    holes: int
    entropy: float | None  # None if there is no data
    sampled: int  # bytes of the sample of which the entropies are
    sha256: str | None  # of all `size` bytes; None if not requested
    extents_total: int
    extents: list[Extent]  # the first ones, or all


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Inspects an image and prints the result; returns 0."""
    if options.html == STANDARD:
        raise CommandError("--html writes to a file: give its name instead of -")
    if options.html is not None:
        refuse_same(options.image, options.html)
    with opened(options.image, options.format) as image:
        limit = None if options.all else _EXTENTS
        found = examine(image, limit, options.sha256)
        if options.html is not None:
            text = to_html(found, image.pool)
            with named("write", options.html), _new_page(options.html) as file:
                file.write(text)
        if options.json:
            out.write(to_json(found) + "\n")
            return 0
        page = Page(out)
        write(page, found)
        if options.map:
            width = max(40, min(page.width, 1000))
            page.line()
            page.line(image.pool.map(width, ascii=page.ascii).rstrip("\n"))
    return 0


def _new_page(path: str) -> TextIO:
    return open(path, "w", encoding="utf-8", newline="\n")


# ------------------------------------------------------------------- the inspection


def examine(image: Image, limit: int | None, sha256: bool = False) -> Inspection:
    """Inspects an image, and lists its first `limit` extents, None for all.

    Reads a sample of the data; for the sha256 all bytes, those of holes too.
    """
    pool = image.pool
    data = sum(size for _, size in image.runs())
    stride = _PIECE * max(1, -(-data // _SAMPLE))
    position, total = 0, 0
    counts: Counter[int] = Counter()
    extents: list[Extent] = []
    for start, size in image.runs():
        these: Counter[int] = Counter()
        for at, count in _sample(position, size, stride):
            these.update(pool.read(start + at, count))
        position += size
        total += 1
        counts.update(these)
        if limit is None or total <= limit:
            extents.append(Extent(start, size, entropy(these)))
    return Inspection(
        image.name,
        image.format,
        size=pool.total_size,
        data=data,
        holes=pool.total_size - data,
        entropy=entropy(counts),
        sampled=sum(counts.values()),
        sha256=_sha256(image) if sha256 else None,
        extents_total=total,
        extents=extents,
    )


def _sample(position: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yields the parts of an extent in the sample, as (offset in it, size).

    position: the bytes of data in the extents before.
    stride: bytes of data from the start of one piece of the sample to the next.
    """
    for piece in range(position - position % stride, position + size, stride):
        start, end = max(piece, position), min(piece + _PIECE, position + size)
        if start < end:
            yield start - position, end - start


def entropy(counts: Counter[int]) -> float | None:
    """Returns the entropy in bits per byte, 0 .. 8, of bytes with these counts.

    None if there are no bytes.
    """
    total = sum(counts.values())
    if total == 0:
        return None
    return sum(n / total * math.log2(total / n) for n in counts.values())


def _sha256(image: Image) -> str:
    pool = image.pool
    digest, size = hashlib.sha256(), pool.total_size
    if image.format != "raw" and size > _HASHED_MAX:
        raise CommandError(
            f"{shown(image.name)} ends at {size:#x}, so that its SHA-256 would be mostly"
            " of zeros: `pymempool digest` skips them"
        )
    with progress("hashing") as report:
        for at in range(0, size, _CHUNK):
            end = min(at + _CHUNK, size)
            digest.update(pool.read(at, end - at))
            if report is not None:
                report(end, size)
    return digest.hexdigest()


# ----------------------------------------------------------------------- the output


def to_json(found: Inspection) -> str:
    extents = [extent._asdict() for extent in found.extents]
    return json.dumps({**found._asdict(), "extents": extents}, indent=2)


def lines(found: Inspection) -> list[tuple[str, str]]:
    """Returns all but the list of extents, as pairs of a label and a text."""
    pairs = [
        ("image", shown(found.image)),
        ("format", found.format),
        ("size", _bytes(found.size)),
        ("data", _bytes(found.data)),
        ("holes", _bytes(found.holes)),
    ]
    if found.entropy is not None:
        text = f"{found.entropy:.2f} bits per byte"
        if found.sampled < found.data:
            text += f", of a sample of {human(found.sampled)}"
        pairs.append(("entropy", text))
    if found.sha256 is not None:
        pairs.append(("sha256", found.sha256))
    pairs.append(("extents", str(found.extents_total)))
    return pairs


def _bytes(size: int) -> str:
    return counted(size) + (f" ({human(size)})" if size >= 1000 else "")


def write(page: Page, found: Inspection) -> None:
    for label, text in lines(found):
        page.fact(label, text)
    if not found.extents:
        return
    page.line()
    head = ("start", "end", "bytes", "size", "entropy")
    page.table(
        head,
        (
            (
                f"{start:#x}",
                f"{start + size:#x}",
                str(size),
                human(size),
                "-" if bits is None else f"{bits:.2f}",
            )
            for start, size, bits in found.extents
        ),
    )
    if len(found.extents) < found.extents_total:
        more = found.extents_total - len(found.extents)
        page.note(f"  ... and {more} more: --all lists them")


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
th {{ text-align: left; padding-right: 1rem }}
</style></head>
<body>
<h1>{title}</h1>
<table>
{rows}
</table>
{picture}
</body>
</html>
"""


def to_html(found: Inspection, pool: MemoryPool) -> str:
    """Returns a page that needs no other file, with a picture of the pool."""
    rows = "\n".join(
        f"<tr><th>{label}</th><td>{html.escape(text)}</td></tr>"
        for label, text in lines(found)
    )
    title = html.escape(shown(found.image))
    return _PAGE.format(title=title, rows=rows, picture=pool.svg())


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "inspect", "show what an image contains", _ABOUT, _MORE
    )
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--format", choices=FORMATS, help=GUESSED)
    parser.add_argument(
        "--map",
        action="store_true",
        help="draw the layout; adopted: mapped from the file",
    )
    parser.add_argument("--all", action="store_true", help="list every run of data")
    parser.add_argument(
        "--sha256",
        action="store_true",
        help="hash all bytes, holes too, of 4 GiB if it is not raw",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--html", metavar="FILE", help="also write a page with a picture")
    parser.set_defaults(run=run)
