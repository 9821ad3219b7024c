# SPDX-License-Identifier: MIT
"""Writes the images that commands make, and the options that say how.

pool ─► start address, header ─► crop, fill ─► format ─► file, URL, standard output
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, BinaryIO

from .._core.words import shown
from ..images.formats import FORMATS
from ..images.sniff import by_suffix
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, named
from .inputs import is_special
from .parser import GUESSED, add_offset, byte, crop, number
from .progress import progress
from .terminal import is_terminal

ABOUT = """\
HEX and S-record files hold the bytes that {source} has, no others, and end with the last
one. Of a raw image that is all bytes: holes in it are zeros. The start address of a
program and the header of S-records are kept.
"""

SUFFIXES = """\
suffixes of OUT:
  .hex .ihex .ihx .h86 .mcs .eep                     hex
  .srec .s19 .s28 .s37 .s1 .s2 .s3 .mot .mhx         srec
  any other                                          raw
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds OUT and the options of how images are read and written."""
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--from", dest="from_", choices=FORMATS, help=GUESSED)
    written = tuple(format for format in FORMATS if format != "elf")
    parser.add_argument(
        "--to", choices=written, help="format of OUT (default: by its suffix)"
    )
    add_offset(parser)
    parser.add_argument(
        "--crop", metavar="A:B", type=crop, help="only addresses from A on, below B"
    )
    parser.add_argument(
        "--fill", metavar="BYTE", type=byte, help="write BYTE, such as 0xff, into gaps"
    )
    parser.add_argument(
        "--from-lowest",
        action="store_true",
        help="a raw OUT begins with the lowest address that has a byte, not with 0",
    )
    parser.add_argument(
        "--start", metavar="ADDRESS", type=_start, help="start address, or none"
    )
    parser.add_argument("--header", metavar="TEXT", help="header of S-records")


def _start(text: str) -> int | str:
    return text if text == "none" else number(text)


def check_target(options: argparse.Namespace) -> str:
    """Returns the format to write. Raises CommandError if OUT cannot be written so."""
    format = target_format(options.output, options.to)
    if options.output == STANDARD and format == "raw" and is_terminal(sys.stdout):
        raise CommandError(
            "a raw image is not written to a terminal: redirect the output"
        )
    return format


def target_format(name: str, format: str | None = None) -> str:
    """Returns the format to write: as given, or by the suffix of the name, or raw."""
    found = format or by_suffix(name) or "raw"
    if found == "elf":
        raise CommandError(f"cannot write {shown(name)}: ELF images can only be read")
    return found


def write(pool: MemoryPool, options: argparse.Namespace, format: str) -> None:
    """Writes a pool to OUT. Raises CommandError."""
    target = options.output
    with named("write", target):
        if options.start is not None:
            pool.start_address = None if options.start == "none" else options.start
        if options.header is not None:
            pool.header = os.fsencode(options.header)
        with _file(target) as file, progress(f"writing {shown(target)}") as report:
            pool.save(
                file,
                format=format,
                progress=report,
                crop=options.crop,
                fill=options.fill,
                from_lowest=options.from_lowest,
            )


def _file(name: str) -> AbstractContextManager[Any]:
    """Returns an open file, or the name of one that save() replaces."""
    if name == STANDARD:
        return _standard_output()
    with suppress(OSError):  # there is no such file yet, or the name is a URL
        if is_special(name):
            return open(name, "wb", buffering=0)  # a device or a pipe is not replaced
    return nullcontext(name)


def _standard_output() -> BinaryIO:
    """Opens stdout without a buffer, which could keep data when writing fails."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
