# SPDX-License-Identifier: MIT
"""`pymempool inspect`: what is in an image.

image ─► pool ─► Facts ─► a page, JSON, or HTML
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

from .._core.words import human
from ..images.formats import FORMATS
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, named
from .inputs import Image, opened, refuse_same
from .parser import GUESSED, Commands, add_command
from .terminal import Page, counted, progress, shown

_ABOUT = """\
Tells what is in an image: its format, size, runs of data, holes, and the entropy of the
data (8 bits a byte: random, compressed or encrypted), of a sample if there is much.
IMAGE is a file, a URL that fsspec opens, or - for standard input. What a URL or a pipe
gives is held in memory, but for its zeros.
"""

_MORE = """\
examples:
  pymempool inspect disk.img --map
  pymempool inspect firmware.hex --json
  zcat disk.img.gz | pymempool inspect - --html disk.html

exit status:
  0  all was told
  2  wrong usage, an image that cannot be read, not enough memory
"""


_EXTENTS = 16  # as many are listed
_PIECE = 4096  # bytes counted together
_SAMPLE = 1 << 22  # bytes counted in all, more or less: 10 MB take a second
_CHUNK = 1 << 20  # bytes hashed together


class Extent(NamedTuple):
    """A run of data; entropy is None if none of it was in the sample."""

    start: int
    size: int
    entropy: float | None


class Facts(NamedTuple):
    """What is told of an image; sizes are bytes, entropies bits a byte."""

    image: str
    format: str
    size: int
    data: int
    holes: int
    entropy: float | None  # None if there is no data
    sampled: int  # bytes that the entropies are from
    sha256: str | None  # of all `size` bytes; None if it was not asked for
    extents_total: int
    extents: list[Extent]  # the first ones, or all


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Tells what is in an image; returns 0."""
    if options.html == STANDARD:
        raise CommandError("--html needs the name of a file")
    if options.html is not None:
        refuse_same(options.image, options.html)
    with opened(options.image, options.format) as image:
        limit = None if options.all else _EXTENTS
        facts = examine(image, limit, options.sha256)
        if options.html is not None:
            text = to_html(facts, image.pool)
            with named("write", options.html), _new_page(options.html) as file:
                file.write(text)
        if options.json:
            out.write(to_json(facts) + "\n")
            return 0
        page = Page(out)
        write(page, facts)
        if options.map:
            width = max(40, min(page.width, 1000))
            page.line()
            page.line(image.pool.map(width, ascii=page.ascii).rstrip("\n"))
    return 0


def _new_page(path: str) -> TextIO:
    return open(path, "w", encoding="utf-8", newline="\n")


# --------------------------------------------------------------------- the facts


def examine(image: Image, limit: int | None, sha256: bool = False) -> Facts:
    """The facts of an image, with the first `limit` extents, None for all.

    Reads a sample of the data; for the sha256 everything, holes too.
    """
    pool = image.pool
    data = sum(size for _, size in pool.extents())
    stride = _PIECE * max(1, -(-data // _SAMPLE))
    position, total = 0, 0
    counts: Counter[int] = Counter()
    extents: list[Extent] = []
    for start, size in pool.extents():
        found: Counter[int] = Counter()
        for at, count in _sample(position, size, stride):
            found.update(pool.read(start + at, count))
        position += size
        total += 1
        counts.update(found)
        if limit is None or total <= limit:
            extents.append(Extent(start, size, entropy(found)))
    return Facts(
        image.name,
        image.format,
        size=pool.total_size,
        data=data,
        holes=pool.total_size - data,
        entropy=entropy(counts),
        sampled=sum(counts.values()),
        sha256=_sha256(pool) if sha256 else None,
        extents_total=total,
        extents=extents,
    )


def _sample(position: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """What to read of an extent, each as (offset in it, size): a piece every `stride`.

    position: how much data lies in the extents before.
    """
    for piece in range(position - position % stride, position + size, stride):
        start, end = max(piece, position), min(piece + _PIECE, position + size)
        if start < end:
            yield start - position, end - start


def entropy(counts: Counter[int]) -> float | None:
    """The entropy of bytes by how often each of them occurs, in bits a byte, 0 .. 8."""
    total = sum(counts.values())
    if total == 0:
        return None
    return sum(n / total * math.log2(total / n) for n in counts.values())


def _sha256(pool: MemoryPool) -> str:
    digest, size = hashlib.sha256(), pool.total_size
    with progress("hashing") as report:
        for at in range(0, size, _CHUNK):
            end = min(at + _CHUNK, size)
            digest.update(pool.read(at, end - at))
            if report is not None:
                report(end, size)
    return digest.hexdigest()


# ------------------------------------------------------------------ how it is told


def to_json(facts: Facts) -> str:
    extents = [extent._asdict() for extent in facts.extents]
    return json.dumps({**facts._asdict(), "extents": extents}, indent=2)


def lines(facts: Facts) -> list[tuple[str, str]]:
    """The facts but for the extents, each as a label and a text."""
    told = [
        ("image", shown(facts.image)),
        ("format", facts.format),
        ("size", _bytes(facts.size)),
        ("data", _bytes(facts.data)),
        ("holes", _bytes(facts.holes)),
    ]
    if facts.entropy is not None:
        text = f"{facts.entropy:.2f} bits a byte"
        if facts.sampled < facts.data:
            text += f", by a sample of {human(facts.sampled)}"
        told.append(("entropy", text))
    if facts.sha256 is not None:
        told.append(("sha256", facts.sha256))
    told.append(("extents", str(facts.extents_total)))
    return told


def _bytes(size: int) -> str:
    return counted(size) + (f" ({human(size)})" if size >= 1000 else "")


def write(page: Page, facts: Facts) -> None:
    for label, text in lines(facts):
        page.fact(label, text)
    if not facts.extents:
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
            for start, size, bits in facts.extents
        ),
    )
    if len(facts.extents) < facts.extents_total:
        more = facts.extents_total - len(facts.extents)
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


def to_html(facts: Facts, pool: MemoryPool) -> str:
    """A page that needs no other file: the facts and the picture of the pool."""
    rows = "\n".join(
        f"<tr><th>{label}</th><td>{html.escape(text)}</td></tr>"
        for label, text in lines(facts)
    )
    title = html.escape(shown(facts.image))
    return _PAGE.format(title=title, rows=rows, picture=pool.svg())


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    told = add_command(commands, "inspect", "tell what is in an image", _ABOUT, _MORE)
    told.add_argument("image", metavar="IMAGE")
    told.add_argument("--format", choices=FORMATS, help=GUESSED)
    told.add_argument(
        "--map", action="store_true", help="draw what is where; adopted: a file, mapped"
    )
    told.add_argument("--all", action="store_true", help="list every run of data")
    told.add_argument("--sha256", action="store_true", help="hash all bytes, zeros too")
    told.add_argument("--json", action="store_true", help="the facts for programs")
    told.add_argument("--html", metavar="FILE", help="write a page with a picture too")
    told.set_defaults(run=run)
