# SPDX-License-Identifier: MIT
"""`pymempool merge`: writes the bytes of several images as one."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TextIO

from .._core.words import shown
from ..errors import OverlapError
from ..images import merging
from ..pool import MemoryPool
from . import outputs
from .errors import STANDARD, CommandError
from .inputs import Image, opened, refuse_same
from .parser import Commands, add_command, number

_ABOUT = f"""\
Writes the bytes of several images as one image: raw, Intel HEX or S-records. That two
images have bytes at the same address is an error, unless --overlap says what to do.
IN@N adds N to the addresses of that image, so that a raw image begins there. (For a
file whose name ends so, add @0.) ELF programs can only be read. A file OUT is replaced
when all is written, and not before. IN and OUT are files, URLs that fsspec opens, or -
for standard input and output.

{outputs.ABOUT.format(source="an image")}
Where images start at different addresses, --overlap decides, or --start.
"""

_MORE = f"""\
{outputs.SUFFIXES}
values of --overlap:
  error   two images must not have the same address (default)
  same    they may, if the bytes are the same
  first   the bytes of the first of them
  last    the bytes of the last of them

examples:
  pymempool merge boot.hex app.hex factory.hex --start 0x8000000
  pymempool merge boot.bin@0x8000000 app.elf flash.bin --from-lowest --fill 0xff
  pymempool merge factory.hex patch.hex patched.hex --overlap last

exit status:
  0  OUT is written
  2  an overlap, wrong usage, an image that cannot be read or written, not enough memory
"""


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Reads images and writes them as one; returns 0."""
    format = outputs.check_target(options)
    inputs = [placed(text) for text in options.inputs]
    if [name for name, _ in inputs].count(STANDARD) > 1:
        raise CommandError("only one of the images can be standard input")
    for name, _ in inputs:
        refuse_same(name, options.output)
    with ExitStack() as stack:
        images = [
            stack.enter_context(opened(name, options.from_, options.offset + offset))
            for name, offset in inputs
        ]
        if options.start is not None:
            for image in images:
                image.pool.start_address = None
        with _merged(images, options.overlap) as pool:
            outputs.write(pool, options, format)
    return 0


def placed(text: str) -> tuple[str, int]:
    """Returns the name of an image, and the offset that follows it."""
    name, _, offset = text.rpartition("@")
    try:
        return (name, number(offset)) if name else (text, 0)
    except argparse.ArgumentTypeError:
        return text, 0


def _merged(images: list[Image], overlap: str) -> MemoryPool:
    names = [shown(image.name) for image in images]
    try:
        return merging.merged([image.pool for image in images], names, overlap)
    except OverlapError as error:
        raise CommandError(str(error)) from error


def add(commands: Commands) -> None:
    parser = add_command(commands, "merge", "write several images as one", _ABOUT, _MORE)
    parser.add_argument("inputs", metavar="IN", nargs="+")
    outputs.add_options(parser)
    parser.add_argument(
        "--overlap",
        choices=merging.POLICIES,
        default=merging.POLICIES[0],
        help="what to do where two images have the same address (default: error)",
    )
    parser.set_defaults(run=run)
