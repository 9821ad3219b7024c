# SPDX-License-Identifier: MIT
"""`pymempool convert`: writes an image in another format, and keeps its holes."""

from __future__ import annotations

import argparse
from typing import TextIO

from . import outputs
from .inputs import opened, refuse_same
from .parser import Commands, add_command

_ABOUT = f"""\
Writes an image in another format: raw, Intel HEX or S-records. ELF programs can only be
read. Addresses become offsets. A file OUT is replaced when all is written, and not
before; a device or a pipe is written to. IN and OUT are files, URLs that fsspec opens, or
- for standard input and output.

{outputs.ABOUT.format(source="IN")}"""

_MORE = f"""\
{outputs.SUFFIXES}
examples:
  pymempool convert firmware.elf firmware.hex
  pymempool convert firmware.hex firmware.bin --from-lowest --fill 0xff
  pymempool convert loader.bin loader.s19 --offset 0x8000 --start 0x8000
  pymempool convert firmware.hex settings.hex --crop 0x801f000:0x8020000
  pymempool convert firmware.hex - --to raw | xxd | less

exit status:
  0  OUT is written
  2  wrong usage, an image that cannot be read or written, not enough memory
"""


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Reads an image and writes it in another format; returns 0."""
    format = outputs.check_target(options)
    refuse_same(options.input, options.output)
    with opened(options.input, options.from_, options.offset) as image:
        outputs.write(image.pool, options, format)
    return 0


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "convert", "write an image in another format", _ABOUT, _MORE
    )
    parser.add_argument("input", metavar="IN")
    outputs.add_options(parser)
    parser.set_defaults(run=run)
