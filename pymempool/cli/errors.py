# SPDX-License-Identifier: MIT
"""What goes wrong in a command, in words for the one who gave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import PoolError
from .terminal import shown

STANDARD = "-"  # standard input or output


class CommandError(Exception):
    """What keeps a command from doing its work, in words for the one who gave it."""


@contextmanager
def named(verb: str, name: str) -> Iterator[None]:
    """Turns what goes wrong with an image into a CommandError that names it.

    verb: "read" or "write".
    """
    try:
        yield
    except (OSError, ValueError, PoolError, MemoryError, ImportError) as error:
        if verb == "write" and isinstance(error, BrokenPipeError):
            raise  # nobody wants the output any more
        raise _told(verb, name, error) from error
    except Exception as error:  # whatever the clients of other machines raise
        if not is_url(name):
            raise
        raise _told(verb, name, error) from error


def _told(verb: str, name: str, error: Exception) -> CommandError:
    if name == STANDARD:
        name = "standard input" if verb == "read" else "standard output"
    reason = " ".join(_reason(error).split())
    return CommandError(f"cannot {verb} {shown(name)}: {reason}")


def _reason(error: Exception) -> str:
    if isinstance(error, (PoolError, ValueError, ImportError)):
        return str(error)  # which says it all
    if isinstance(error, MemoryError):
        return "not enough memory"
    told: str | None = getattr(error, "strerror", None)
    return told or f"{type(error).__name__}: {error}"


def is_url(name: str) -> bool:
    return "://" in name
