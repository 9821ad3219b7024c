# SPDX-License-Identifier: MIT
"""main(): parses the command line, runs the command, and returns the exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from .. import __version__
from . import (
    bench,
    config,
    control,
    convert,
    demo,
    diff,
    digest,
    dump,
    find,
    inspect,
    merge,
    serve,
)
from .errors import CommandError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status.

    argv: the arguments without the name of the program; None for those of the process.

    Errors are printed to stderr: 2 is returned for what the user can change, 130 for an
    interrupt (128 + SIGINT), and 141 if nobody reads the output (128 + SIGPIPE). Raises
    SystemExit for wrong usage and for --help.
    """
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # it is None if the caller closed it
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except OSError as error:
        return _output_lost(error)


def _run(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options, sys.stdout or io.StringIO())
        return status
    except (CommandError, MemoryError) as error:
        return _fail(f"error: {error}" if str(error) else "error: not enough memory", 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pymempool",
        description="Inspects, converts and compares images, and serves disks, with "
        "pools: sparse, copy-on-write byte arrays.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    images = inspect, convert, merge, dump, diff, digest, find
    for each in (demo, *images, serve, control, config, bench):
        each.add(commands)
    return parser


def _fail(message: str, status: int) -> int:
    if sys.stderr is not None:
        try:
            print(f"pymempool: {message}", file=sys.stderr)
        except OSError:  # the exit status must do
            _discard(sys.stderr)
    return status


def _output_lost(error: OSError) -> int:
    """Handles an OSError of writing to stdout; commands catch all others."""
    if sys.stdout is not None:
        _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 141  # `pymempool demo | head` is no error
    return _fail(f"error: cannot write the output: {error.strerror}", 2)


def _discard(stream: TextIO) -> None:
    """Redirects a stream to nowhere, so that flushing its buffer at exit cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
