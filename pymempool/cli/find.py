# SPDX-License-Identifier: MIT
"""`pymempool find`: where a text or bytes are in an image."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO

from ..images.formats import FORMATS
from ..pool import MemoryPool
from .errors import CommandError
from .inputs import opened
from .parser import GUESSED, Commands, add_command, add_offset

_ABOUT = """\
Prints the offsets at which a pattern is in an image: a text, or bytes as hex digits. They
do not overlap. Holes are zeros. IMAGE is a file, a URL that fsspec opens, or - for
standard input.
"""

_MORE = """\
examples:
  pymempool find password memory.img
  pymempool find --hex '7f 45 4c 46' disk.img --limit 1
  pymempool find --hex deadbeef dump.bin --offset 0x8000000
  pymempool find --count error - < log

exit status:
  0  the pattern is in the image
  1  it is not
  2  wrong usage, an image that cannot be read, not enough memory
"""


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Prints where the pattern is; returns 0 if it is somewhere, or 1."""
    pattern = to_bytes(options.pattern, options.hex)
    with opened(options.image, options.format, options.offset) as image:
        facts: dict[str, Any] = {
            "image": image.name,
            "format": image.format,
            "size": image.pool.total_size,
            "pattern": pattern.hex(),
        }
        if options.count:
            count = facts["count"] = image.pool.count(pattern)
            if not options.json:
                out.write(f"{count}\n")
            found = count > 0
        else:
            places = islice(offsets(image.pool, pattern), options.limit)
            if options.json:
                listed = facts["offsets"] = list(places)
                found = bool(listed)
            else:
                found = False
                for at in places:
                    found = True
                    out.write(f"{at:#x}\n")
    if options.json:
        out.write(json.dumps(facts, indent=2) + "\n")
    return int(not found)


def to_bytes(pattern: str, is_hex: bool) -> bytes:
    """The bytes of a pattern, one or more. Raises CommandError."""
    try:
        data = bytes.fromhex(pattern) if is_hex else os.fsencode(pattern)
    except ValueError:
        raise CommandError("the pattern must be pairs of hex digits") from None
    if not data:
        raise CommandError("the pattern is empty")
    return data


def offsets(pool: MemoryPool, pattern: bytes) -> Iterator[int]:
    """Yields where the pattern is, without overlap."""
    at = -len(pattern)
    while (at := pool.find(pattern, at + len(pattern))) >= 0:
        yield at


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a limit is 1 or more")
    return int(text)


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "find", "find a text or bytes in an image", _ABOUT, _MORE
    )
    parser.add_argument("pattern", metavar="PATTERN")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--format", choices=FORMATS, help=GUESSED)
    parser.add_argument(
        "--hex", action="store_true", help="PATTERN is hex digits, in pairs"
    )
    add_offset(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--count", action="store_true", help="print how often it is there")
    what.add_argument(
        "--limit", type=_limit, metavar="N", help="print N offsets at most (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)
