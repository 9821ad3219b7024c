# SPDX-License-Identifier: MIT
"""`pymempool config`: the flags by which a compiler finds the header and the library."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from typing import TextIO

from .._native import paths
from .parser import Commands, add_command

_ABOUT = """\
Prints what a compiler needs to use the library, as pkg-config does:
  cc app.c $(pymempool config --cflags --libs)
"""

_OPTIONS = (
    ("cflags", "flags to find the header"),
    ("libs", "flags to link the library, and to find it when the program runs"),
    ("include", "the folder of memory_pool.h"),
    ("library", "the path of the shared library"),
)


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "config", "print compiler flags for the library", _ABOUT
    )
    for name, text in _OPTIONS:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.set_defaults(usage=parser.error, run=run)


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Prints a line for the flags, and one for each path requested; returns 0."""
    flags = paths.compiler_flags() if options.cflags else []
    flags += paths.linker_flags() if options.libs else []
    lines = [quoted(flags)] if flags else []
    lines += [paths.get_include()] if options.include else []
    lines += [paths.get_library()] if options.library else []
    if not lines:
        names = ", ".join(f"--{name}" for name, _ in _OPTIONS)
        options.usage(f"one or more of these are required: {names}")
    print("\n".join(lines), file=out)
    return 0


def quoted(flags: list[str]) -> str:
    """Quotes flags for the shell, as one line."""
    return subprocess.list2cmdline(flags) if os.name == "nt" else shlex.join(flags)
