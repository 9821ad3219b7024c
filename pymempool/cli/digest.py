# SPDX-License-Identifier: MIT
"""`pymempool digest`: a number that identifies the contents of an image."""

from __future__ import annotations

import argparse
import json
from typing import NamedTuple, TextIO

from .._core.words import shown
from ..images.formats import FORMATS
from .errors import STANDARD, CommandError
from .inputs import opened
from .parser import GUESSED, Commands, add_command
from .terminal import Page

_ABOUT = """\
Prints the digest of the contents and the size of each image, and its name. Images have
equal digests if they have equal bytes and sizes, whatever their formats, and whether
zeros are written or holes: it is what MemoryPool.digest() returns for them. An IMAGE is a
file, a URL that fsspec opens, or - for standard input.
"""

_MORE = """\
examples:
  pymempool digest disk.img
  pymempool digest firmware.hex firmware.bin

exit status:
  0  all images were read
  2  wrong usage, an image that cannot be read (the first one ends it), not enough memory
"""


class Digest(NamedTuple):
    """The digest of an image. The fields are the keys of the JSON."""

    image: str
    format: str
    size: int
    digest: str


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Prints the digests of images; returns 0."""
    if options.images.count(STANDARD) > 1:
        raise CommandError("only one of the images can be standard input")
    page, found = Page(out), []
    for name in options.images:
        with opened(name, options.format) as image:
            digest = image.pool.digest().hex()
            found.append(Digest(name, image.format, image.pool.total_size, digest))
        if not options.json:
            page.line(f"{digest}  {shown(name)}")
    if options.json:
        out.write(json.dumps([each._asdict() for each in found], indent=2) + "\n")
    return 0


def add(commands: Commands) -> None:
    parser = add_command(commands, "digest", "print the digests of images", _ABOUT, _MORE)
    parser.add_argument("images", metavar="IMAGE", nargs="+")
    parser.add_argument("--format", choices=FORMATS, help=GUESSED)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)
