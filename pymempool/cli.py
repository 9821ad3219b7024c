# SPDX-License-Identifier: MIT
"""The command line: `pymempool`, also `python -m pymempool`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import PoolMemoryError, __version__, config, demo

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
    if options.command == "config":
        return _config(options)
    if options.command == "bench":
        return _bench(options)
    try:
        return demo.run(options.files, sys.stdout or io.StringIO())
    except (demo.DemoError, PoolMemoryError) as error:
        return _fail(f"error: {error}", 2)


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
    _add_config(commands)
    told = commands.add_parser(
        "bench",
        help="measure a pool beside bytearray and mmap, on this machine",
        description="Measures reads, writes, snapshots and the first use of memory, each "
        "beside bytearray and mmap. Takes some seconds and 300 MiB.",
    )
    told.add_argument("--json", action="store_true", help="numbers for programs")
    return parser


def _add_config(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    told.set_defaults(usage=told.error)


def _config(options: argparse.Namespace) -> int:
    flags = config.compiler_flags() if options.cflags else []
    flags += config.linker_flags() if options.libs else []
    lines = [config.quoted(flags)] if flags else []
    lines += [config.get_include()] if options.include else []
    lines += [config.get_library()] if options.library else []
    if not lines:
        options.usage("say what to tell: --cflags, --libs, --include, --library")
    if sys.stdout is not None:
        print("\n".join(lines))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from . import bench  # what it needs nobody else does

    return bench.run(sys.stdout or io.StringIO(), options.json)


def _fail(message: str, status: int) -> int:
    if sys.stderr is not None:
        print(f"pymempool: {message}", file=sys.stderr)
    return status


def _output_lost(error: OSError) -> int:
    """Nobody can be told any more. Only _run's own output can fail with an OSError."""
    # What is still in the buffer must not fail once more when the interpreter ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return 141  # as shells tell it: 128 + SIGPIPE; `pymempool demo | head` is fine
    return _fail(f"error: cannot write the output: {error.strerror}", 2)
