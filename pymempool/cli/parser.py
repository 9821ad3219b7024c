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
