# SPDX-License-Identifier: MIT
"""`pymempool control`: sends a command to a served disk and prints the answer.

A command is a line of words, and the answer is a line: `ok`, `ok` and JSON, or `error`
and a reason. The plugin for nbdkit defines the commands; this module knows of them only
which ones take long, and that `save` has a path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
from typing import Any, TextIO
from urllib.parse import quote

from .._core.words import human, shown
from .errors import CommandError
from .parser import Commands, add_command
from .terminal import Page

_ABOUT = """\
Sends a command to a disk that `pymempool serve` or `nbdkit mempool control=SOCKET`
serves. A DISK is the name of a snapshot or clone, or - for the disk itself.
"""

_MORE = """\
commands:
  snapshot NAME [DISK]   make NAME, a read-only snapshot of DISK (-)
  clone DISK NAME        make NAME, a writable clone of DISK
  restore FROM [DISK]    give DISK (-) the contents of FROM; unmount it first
  drop NAME              remove a snapshot or clone
  save FILE [DISK]       write what DISK (-) holds now to a raw image
  changes FROM [DISK]    list the ranges in which DISK (-) may differ from FROM
  limit SIZE             set the memory limit, as 64M; 0 for none
  list, clients          list the disks, the clients that are connected
  stats, help            list the statistics, the commands

exit status:
  0  the command succeeded
  2  wrong usage, no disk is served there, or the command failed
"""


_TIMEOUT = 60  # seconds; a restore that frees much memory takes a while

_LONG = ("save", "changes")  # commands that take as long as their disk is large

_WORD = re.compile(r"[!-~]+")  # ASCII without spaces, as the plugin requires


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Sends a command and prints the answer; returns 0."""
    command, *rest = options.words
    if command == "save" and rest:  # escaped, because words have no spaces
        rest[0] = path_word(rest[0])
    timeout = None if command in _LONG else _TIMEOUT
    answer = request(options.socket, [command, *rest], timeout)
    if options.json:
        out.write(json.dumps(answer, indent=2) + "\n")
    else:
        _print(answer, Page(out))
    return 0


def path_word(path: str) -> str:
    """Returns the word that stands for a path, relative to the present folder."""
    return quote(os.fsencode(os.path.abspath(path)))


def request(path: str, words: list[str], timeout: float | None = _TIMEOUT) -> Any:
    """Sends a command; returns the JSON of its answer, None if it has none.

    path: of the control socket.
    timeout: seconds to wait for the connection, and for each part of the answer; None:
        for ever.

    Raises CommandError if the command fails, or cannot be sent.
    """
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise CommandError(
                f"{word!r} is not a word of printable ASCII without spaces"
            )
    if not hasattr(socket, "AF_UNIX"):
        raise CommandError("there are no UNIX sockets on this system")
    try:
        status, _, rest = _exchange(path, " ".join(words) + "\n", timeout).partition(" ")
        if status == "error":
            raise CommandError(rest)
        if status != "ok":
            raise ValueError("the answer is not one of a served disk")
        return json.loads(rest) if rest else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(
            f"cannot use the control socket {shown(path)}: {reason}"
        ) from error


def _exchange(path: str, line: str, timeout: float | None) -> str:
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(timeout)
        connected.connect(path)
        connected.sendall(line.encode())
        with connected.makefile(encoding="ascii") as file:
            return file.readline().rstrip("\n")


def _print(answer: Any, page: Page) -> None:
    """Prints an answer: an object as facts, objects as a table, strings as lines."""
    if isinstance(answer, dict):
        width = max(map(len, answer)) + 2
        for key, value in answer.items():
            page.fact(_label(key).ljust(width), _value(key, value))
    elif answer and isinstance(answer[0], dict):
        rows = [[_value(key, row[key]) for key in answer[0]] for row in answer]
        page.table([_label(key) for key in answer[0]], rows)
    else:
        for line in answer or ():
            page.line(line)


def _label(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    if value == "":
        return "-"  # the disk itself, as in commands
    if key == "memory_limit" and value == 0:
        return "none"
    if key.endswith(("_bytes", "_size", "_limit")):
        return human(value)
    return str(value)


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "control", "send a command to a served disk", _ABOUT, _MORE
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("socket", metavar="SOCKET", help="its path, which serve prints")
    parser.add_argument(
        "words", metavar="COMMAND", nargs="+", help="a command and its arguments"
    )
    parser.set_defaults(run=run)
