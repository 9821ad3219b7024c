# SPDX-License-Identifier: MIT
"""CommandError, and the text for people that is made of other errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .._core.words import shown
from ..errors import PoolError

STANDARD = "-"  # standard input or output


class CommandError(Exception):
    """A command cannot do its work; the text says why, to the user."""


@contextmanager
def named(verb: str, name: str) -> Iterator[None]:
    """Turns errors of reading or writing an image into a CommandError that names it.

    verb: "read" or "write".
    name: a path, a URL or STANDARD.

    A BrokenPipeError of writing passes: nobody reads the output any more. So does any
    error that cannot be expected, unless `name` is a URL, whose client may raise
    anything.
    """
    try:
        yield
    except (OSError, ValueError, PoolError, MemoryError, ImportError) as error:
        if verb == "write" and isinstance(error, BrokenPipeError):
            raise
        raise _translated(verb, name, error) from error
    except Exception as error:
        if not is_url(name):
            raise
        raise _translated(verb, name, error) from error


def _translated(verb: str, name: str, error: Exception) -> CommandError:
    if name == STANDARD:
        name = "standard input" if verb == "read" else "standard output"
    reason = " ".join(_reason(error).split())
    return CommandError(f"cannot {verb} {shown(name)}: {reason}")


def _reason(error: Exception) -> str:
    if isinstance(error, (PoolError, ValueError, ImportError)):
        return str(error)  # complete by itself
    if isinstance(error, MemoryError):
        return "not enough memory"
    text: str | None = getattr(error, "strerror", None)
    return text or f"{type(error).__name__}: {error}"


def is_url(name: str) -> bool:
    return "://" in name
