# SPDX-License-Identifier: MIT
"""`pymempool control`: a command to the RAM disk that serves, and what it answers.

A command is a line of words, and one line answers it: `ok`, `ok` and JSON, or `error` and
why. What the commands are is the business of who answers.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
from typing import Any, TextIO

from .._core.words import human
from .errors import CommandError
from .parser import Commands, add_command
from .terminal import Page, shown

_ABOUT = """\
Gives a command to a disk that `pymempool serve` or `nbdkit mempool control=SOCKET`
serves. A DISK is the name of a snapshot or clone, - the disk itself.
"""

_MORE = """\
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


_PATIENCE = 60  # seconds; a restore that gives back much memory takes a while

_WORD = re.compile(r"[!-~]+")  # what the other side takes: ASCII without spaces


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Gives one command and tells the answer; returns 0."""
    told = ask(options.socket, options.words)
    if options.json:
        out.write(json.dumps(told, indent=2) + "\n")
    else:
        _tell(told, Page(out))
    return 0


def ask(path: str, words: list[str], patience: float = _PATIENCE) -> Any:
    """What a command tells: JSON, None if there is nothing to tell.

    path: of the socket.
    patience: seconds to wait for each step of it.

    Raises CommandError.
    """
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise CommandError(f"{word!r} is not a word of printable ASCII")
    if not hasattr(socket, "AF_UNIX"):
        raise CommandError("there are no UNIX sockets on this system")
    try:
        status, _, told = _exchange(path, " ".join(words) + "\n", patience).partition(" ")
        if status == "error":
            raise CommandError(told)
        if status != "ok":
            raise ValueError("no RAM disk answers there")
        return json.loads(told) if told else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"cannot ask {shown(path)}: {reason}") from error


def _exchange(path: str, line: str, patience: float) -> str:
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(patience)
        connected.connect(path)
        connected.sendall(line.encode())
        with connected.makefile(encoding="ascii") as file:
            return file.readline().rstrip("\n")


def _tell(told: Any, page: Page) -> None:
    """An answer for people: facts, a table of them, or lines."""
    if isinstance(told, dict):
        width = max(map(len, told)) + 2
        for key, value in told.items():
            page.fact(_label(key).ljust(width), _value(key, value))
    elif told and isinstance(told[0], dict):
        rows = [[_value(key, row[key]) for key in told[0]] for row in told]
        page.table([_label(key) for key in told[0]], rows)
    else:
        for line in told or ():
            page.line(line)


def _label(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    if value == "":
        return "-"  # the disk itself, as commands call it
    if key == "memory_limit" and value == 0:
        return "none"
    if key.endswith(("_bytes", "_size", "_limit")):
        return human(value)
    return str(value)


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    told = add_command(
        commands, "control", "command a disk that is served", _ABOUT, _MORE
    )
    told.add_argument("--json", action="store_true", help="the answer for programs")
    told.add_argument("socket", metavar="SOCKET", help="as serve tells it")
    told.add_argument("words", metavar="COMMAND", nargs="+", help="and its words")
    told.set_defaults(run=run)
