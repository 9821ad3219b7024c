# SPDX-License-Identifier: MIT
"""What the commands share in how they declare themselves to argparse."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction  # which takes no parameter when it runs

GUESSED = "default: by the first bytes, then the suffix"


def add_command(
    commands: Commands, name: str, summary: str, about: str, more: str = ""
) -> Any:
    """Adds a command and returns its parser.

    summary: a line for `pymempool --help`.
    about, more: the text before and after the options in the command's own help, whose
        lines stay as they are.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def number(text: str) -> int:
    """A type of arguments: a number, as in Python or decimal."""
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number, such as 4096 or 0x1000"
        ) from None


def size(text: str) -> int:
    """A type of arguments: a number that is not negative."""
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return value


def byte(text: str) -> int:
    """A type of arguments: the value of a byte."""
    value = number(text)
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"{text!r} is no byte, 0 .. 0xff")
    return value


def crop(text: str) -> tuple[int, int | None]:
    """A type of arguments: A:B, A: or :B."""
    start, colon, end = text.partition(":")
    found = size(start or "0"), size(end) if end else None
    if not colon or (found[1] is not None and found[0] >= found[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range A:B of addresses with A below B"
        )
    return found


def add_offset(parser: Any, suffix: str = "") -> None:
    """Adds the option --offset, with what follows its name."""
    parser.add_argument(
        f"--offset{suffix}",
        metavar="N",
        type=number,
        default=0,
        help="add N to the addresses that are read, where a raw image begins"
        " (a negative one as --offset=-N)",
    )
