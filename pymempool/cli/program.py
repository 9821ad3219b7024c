# SPDX-License-Identifier: MIT
"""The command line: `pymempool`, also `python -m pymempool`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from .. import __version__
from . import bench, config, control, convert, demo, diff, inspect, serve
from .errors import CommandError


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
    except (CommandError, MemoryError) as error:
        return _fail(f"error: {error}" if str(error) else "error: not enough memory", 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pymempool",
        description="Byte spaces that look contiguous, hold only what was written, and "
        "clone at once.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for each in (demo, inspect, convert, diff, serve, control, config, bench):
        each.add(commands)
    return parser


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
