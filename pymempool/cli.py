# SPDX-License-Identifier: MIT
"""The command line: `pymempool`, also `python -m pymempool`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from . import (
    __version__,
    _compare,
    _control,
    _convert,
    _inspect,
    _serve,
    config,
    demo,
)
from ._source import CommandError
from .formats import FORMATS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_GUESSED = "default: what the first bytes look like"

_TOUR = """\
Scatters files over a pool of 1 TiB and reads them back, clones the pool, edits the
clone and rolls it back, consumes a stream and runs into a memory limit; checks every
step and prints an account. The files are only read.
"""

_EXIT_STATUS = """\
exit status:
  0  every check holds
  1  a check failed
  2  wrong usage, a file that cannot be read, not enough memory
"""

_INSPECT = """\
Tells what is in an image: its format, size, runs of data, holes, and the entropy of the
data (8 bits a byte: random, compressed or encrypted), of a sample if there is much.
IMAGE is a file, a URL that fsspec opens, or - for standard input. What a URL or a pipe
gives is held in memory, but for its zeros.
"""

_INSPECT_MORE = """\
examples:
  pymempool inspect disk.img --map
  pymempool inspect firmware.hex --json
  zcat disk.img.gz | pymempool inspect - --html disk.html

exit status:
  0  all was told
  2  wrong usage, an image that cannot be read, not enough memory
"""

_CONVERT = """\
Writes an image in another format, holes kept: raw, Intel HEX or S-record; ELF programs
can be read. Addresses are offsets. What OUT was before is replaced when all is written,
and not before; a device or a pipe is written to. IN and OUT are files, URLs that fsspec
opens, or - for standard input and output.

HEX and S-record files end with their last byte of data: a hole at the end is lost.
"""

_CONVERT_MORE = """\
suffixes of OUT:
  .hex .ihex .ihx .h86               hex
  .srec .s19 .s28 .s37 .mot .mhx     srec
  any other                          raw

examples:
  pymempool convert firmware.elf firmware.hex
  pymempool convert firmware.hex - --to raw | xxd | less

exit status:
  0  OUT is written
  2  wrong usage, an image that cannot be read or written, not enough memory
"""

_DIFF = """\
Tells in which bytes two images differ, whatever their formats: each range in which all
bytes do, up to the end of the smaller image. Images of different sizes differ. A hole is
the same as zeros. A and B are files, URLs that fsspec opens, or - for standard input.
"""

_DIFF_MORE = """\
examples:
  pymempool diff before.img after.img
  pymempool diff --quiet firmware.hex dump.bin && echo the same

exit status:
  0  the images are the same
  1  they differ
  2  wrong usage, an image that cannot be read, not enough memory
"""

_SERVE = """\
Serves a pool as a disk to programs that speak NBD: a RAM disk that holds only what was
written to it, in snapshots and clones as well, until Ctrl-C or SIGTERM. Needs nbdkit and
its plugin mempool. Sizes are bytes, or such as 64K, 512M, 1G, 1T.
"""

_SERVE_MORE = """\
Without --socket and --port the disk is at a socket in a new folder that is its owner's
alone. A port has no password: whoever reaches it reads and writes the disk.

examples:
  pymempool serve 1G
  pymempool serve 1T --limit 4G --socket /tmp/disk
  pymempool serve --image disk.img --save changed.img
  pymempool serve 1G --port 10809 --address 0.0.0.0

exit status:
  0  it was ended, and what was to be saved is saved
  2  wrong usage, no nbdkit, no plugin, or nbdkit failed
"""

_CONTROL = """\
Gives a command to a disk that `pymempool serve` or `nbdkit mempool control=SOCKET`
serves. A DISK is the name of a snapshot or clone, - the disk itself.
"""

_CONTROL_MORE = """\
commands:
  snapshot NAME [DISK]   make a read-only disk NAME of what DISK (-) holds now
  clone DISK NAME        make a writable disk NAME of the same
  restore FROM [DISK]    give DISK (-) the contents of FROM; unmount it first
  drop NAME              take a snapshot or clone away
  list, stats, help      tell what there is

exit status:
  0  it is done
  2  wrong usage, nobody there, or it cannot be done
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # it is None if the caller closed it
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)  # as shells tell it: 128 + SIGINT
    except OSError as error:
        return _output_lost(error)


def _run(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options, sys.stdout or io.StringIO())
        return status
    except (CommandError, demo.DemoError, MemoryError) as error:
        return _fail(f"error: {error}" if str(error) else "error: not enough memory", 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pymempool",
        description="Byte spaces that look contiguous, hold only what was written, and "
        "clone at once.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    tour = commands.add_parser(
        "demo",
        help="take a tour of the library with real files",
        description=_TOUR,
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tour.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        type=Path,
        help="what to put into the pool (default: pymempool's own files)",
    )
    tour.set_defaults(run=_demo)
    _add_inspect(commands)
    _add_convert(commands)
    _add_diff(commands)
    _add_serve(commands)
    _add_control(commands)
    _add_config(commands)
    told = commands.add_parser(
        "bench",
        help="measure a pool beside bytearray and mmap, on this machine",
        description="Measures reads, writes, snapshots and the first use of memory, each "
        "beside bytearray and mmap. Takes some seconds and 300 MiB.",
    )
    told.add_argument("--json", action="store_true", help="numbers for programs")
    told.set_defaults(run=_bench)
    return parser


def _add(commands: Commands, name: str, text: str, about: str, more: str) -> Any:
    return commands.add_parser(
        name,
        help=text,
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_inspect(commands: Commands) -> None:
    told = _add(commands, "inspect", "tell what is in an image", _INSPECT, _INSPECT_MORE)
    told.add_argument("image", metavar="IMAGE")
    told.add_argument("--format", choices=FORMATS, help=_GUESSED)
    told.add_argument(
        "--map", action="store_true", help="draw what is where; adopted: a file, mapped"
    )
    told.add_argument("--all", action="store_true", help="list every run of data")
    told.add_argument("--sha256", action="store_true", help="hash all bytes, zeros too")
    told.add_argument("--json", action="store_true", help="the facts for programs")
    told.add_argument("--html", metavar="FILE", help="write a page with a picture too")
    told.set_defaults(run=_inspect.run)


def _add_convert(commands: Commands) -> None:
    told = _add(
        commands, "convert", "write an image in another format", _CONVERT, _CONVERT_MORE
    )
    told.add_argument("input", metavar="IN")
    told.add_argument("output", metavar="OUT")
    told.add_argument("--from", dest="from_", choices=FORMATS, help=_GUESSED)
    to = tuple(format for format in FORMATS if format != "elf")
    told.add_argument("--to", choices=to, help="the format of OUT (default: its suffix)")
    told.set_defaults(run=_convert.run)


def _add_diff(commands: Commands) -> None:
    told = _add(commands, "diff", "tell where two images differ", _DIFF, _DIFF_MORE)
    told.add_argument("one", metavar="A")
    told.add_argument("other", metavar="B")
    told.add_argument("--format-a", choices=FORMATS, help=_GUESSED)
    told.add_argument("--format-b", choices=FORMATS, help=_GUESSED)
    told.add_argument("--all", action="store_true", help="list every range")
    told.add_argument("--json", action="store_true", help="the facts for programs")
    told.add_argument(
        "--quiet", action="store_true", help="tell by the exit status alone"
    )
    told.set_defaults(run=_compare.run)


def _add_serve(commands: Commands) -> None:
    told = _add(commands, "serve", "serve a disk by NBD", _SERVE, _SERVE_MORE)
    told.add_argument(
        "size", metavar="SIZE", nargs="?", help="of the disk (default: as the image)"
    )
    told.add_argument(
        "--image", metavar="FILE", help="begin with a raw image, which is not changed"
    )
    told.add_argument("--limit", metavar="N", help="most bytes of memory to hold")
    told.add_argument("--block-size", metavar="N", help="most bytes a block (64K)")
    where = told.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="serve at this UNIX socket")
    where.add_argument("--port", metavar="N", type=_port, help="serve by TCP")
    told.add_argument("--address", metavar="A", help="of the port (127.0.0.1)")
    told.add_argument("--save", metavar="FILE", help="write a raw image at the end")
    told.add_argument("--control", metavar="PATH", help="socket for pymempool control")
    told.add_argument("--plugin", metavar="FILE", help="nbdkit-mempool-plugin.so")
    told.set_defaults(run=_serve.run)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is 1 to 65535")
    return int(text)


def _add_control(commands: Commands) -> None:
    told = _add(
        commands, "control", "command a disk that is served", _CONTROL, _CONTROL_MORE
    )
    told.add_argument("--json", action="store_true", help="the answer for programs")
    told.add_argument("socket", metavar="SOCKET", help="as serve tells it")
    told.add_argument("words", metavar="COMMAND", nargs="+", help="and its words")
    told.set_defaults(run=_control.run)


def _add_config(commands: Commands) -> None:
    told = commands.add_parser(
        "config",
        help="tell what a compiler needs to use the library",
        description="Tells what a compiler needs to use the library, as pkg-config does: "
        "cc app.c $(pymempool config --cflags --libs)",
    )
    for name, text in (
        ("cflags", "how to find the header"),
        ("libs", "how to link the library, and to find it when the program runs"),
        ("include", "the folder of memory_pool.h"),
        ("library", "the path of the shared library"),
    ):
        told.add_argument(f"--{name}", action="store_true", help=text)
    told.set_defaults(usage=told.error, run=_config)


def _demo(options: argparse.Namespace, out: TextIO) -> int:
    return demo.run(options.files, out)


def _config(options: argparse.Namespace, out: TextIO) -> int:
    flags = config.compiler_flags() if options.cflags else []
    flags += config.linker_flags() if options.libs else []
    lines = [config.quoted(flags)] if flags else []
    lines += [config.get_include()] if options.include else []
    lines += [config.get_library()] if options.library else []
    if not lines:
        options.usage("say what to tell: --cflags, --libs, --include, --library")
    print("\n".join(lines), file=out)
    return 0


def _bench(options: argparse.Namespace, out: TextIO) -> int:
    from . import bench  # what it needs nobody else does

    return bench.run(out, options.json)


def _fail(message: str, status: int) -> int:
    if sys.stderr is not None:
        try:
            print(f"pymempool: {message}", file=sys.stderr)
        except OSError:  # then the exit status alone tells
            _drop(sys.stderr)
    return status


def _output_lost(error: OSError) -> int:
    """Nobody can be told any more. Only what _run puts out can fail with an OSError."""
    if sys.stdout is not None:
        _drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 141  # as shells tell it: 128 + SIGPIPE; `pymempool demo | head` is fine
    return _fail(f"error: cannot write the output: {error.strerror}", 2)


def _drop(stream: TextIO) -> None:
    """What is still in the buffer must not fail once more when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
