# SPDX-License-Identifier: MIT
"""How commands describe themselves to argparse."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction  # which takes no parameter when it runs

GUESSED = "default: what the first bytes look like"


def add_command(commands: Commands, name: str, text: str, about: str, more: str) -> Any:
    return commands.add_parser(
        name,
        help=text,
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
