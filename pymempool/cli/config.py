# SPDX-License-Identifier: MIT
"""`pymempool config`: what a compiler needs to use the library."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from typing import TextIO

from .._native import paths
from .parser import Commands


def add(commands: Commands) -> None:
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
    told.set_defaults(usage=told.error, run=run)


def run(options: argparse.Namespace, out: TextIO) -> int:
    flags = paths.compiler_flags() if options.cflags else []
    flags += paths.linker_flags() if options.libs else []
    lines = [quoted(flags)] if flags else []
    lines += [paths.get_include()] if options.include else []
    lines += [paths.get_library()] if options.library else []
    if not lines:
        options.usage("say what to tell: --cflags, --libs, --include, --library")
    print("\n".join(lines), file=out)
    return 0


def quoted(flags: list[str]) -> str:
    """The flags as one line for a shell."""
    return subprocess.list2cmdline(flags) if os.name == "nt" else shlex.join(flags)
