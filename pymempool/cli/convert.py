# SPDX-License-Identifier: MIT
"""`pymempool convert`: writes an image in another format, and keeps its holes."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, BinaryIO, TextIO

from .._core.words import shown
from ..images.formats import FORMATS
from ..images.sniff import by_suffix
from ..pool import MemoryPool
from .errors import STANDARD, CommandError, named
from .inputs import is_special, opened, refuse_same
from .parser import GUESSED, Commands, add_command
from .progress import progress
from .terminal import is_terminal

_ABOUT = """\
Writes an image in another format: raw, Intel HEX or S-records. ELF programs can only be
read. Addresses become offsets. A file OUT is replaced when all is written, and not
before; a device or a pipe is written to. IN and OUT are files, URLs that fsspec opens, or
- for standard input and output.

HEX and S-record files hold the bytes that IN has, no others, and end with the last one.
Of a raw image that is all bytes: holes in it are zeros. The start address of a program
and the header of S-records are kept.
"""

_MORE = """\
suffixes of OUT:
  .hex .ihex .ihx .h86 .mcs .eep                     hex
  .srec .s19 .s28 .s37 .s1 .s2 .s3 .mot .mhx         srec
  any other                                          raw

examples:
  pymempool convert firmware.elf firmware.hex
  pymempool convert loader.bin loader.s19 --start 0x8000 --header loader
  pymempool convert firmware.hex - --to raw | xxd | less

exit status:
  0  OUT is written
  2  wrong usage, an image that cannot be read or written, not enough memory
"""


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Reads an image and writes it in another format; returns 0."""
    source, target = options.input, options.output
    format = target_format(target, options.to)
    refuse_same(source, target)
    if target == STANDARD and format == "raw" and is_terminal(sys.stdout):
        raise CommandError(
            "a raw image is not written to a terminal: redirect the output"
        )
    with opened(source, options.from_) as image, named("write", target):
        if options.start is not None:
            image.pool.start_address = None if options.start == "none" else options.start
        if options.header is not None:
            image.pool.header = os.fsencode(options.header)
        _save(image.pool, target, format)
    return 0


def _save(pool: MemoryPool, target: str, format: str) -> None:
    with _file(target) as file, progress(f"writing {shown(target)}") as report:
        pool.save(file, format=format, progress=report)


def target_format(name: str, format: str | None = None) -> str:
    """Returns the format to write: as given, or by the suffix of the name, or raw."""
    found = format or by_suffix(name) or "raw"
    if found == "elf":
        raise CommandError(f"cannot write {shown(name)}: ELF images can only be read")
    return found


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


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "convert", "write an image in another format", _ABOUT, _MORE
    )
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--from", dest="from_", choices=FORMATS, help=GUESSED)
    written = tuple(format for format in FORMATS if format != "elf")
    parser.add_argument(
        "--to", choices=written, help="format of OUT (default: by its suffix)"
    )
    parser.add_argument(
        "--start", metavar="ADDRESS", type=_address, help="start address, or none"
    )
    parser.add_argument("--header", metavar="TEXT", help="header of S-records")
    parser.set_defaults(run=run)


def _address(text: str) -> int | str:
    try:
        return text if text == "none" else int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "a start address is a number, such as 0x8000, or none"
        ) from None
