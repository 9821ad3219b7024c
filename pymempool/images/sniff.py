# SPDX-License-Identifier: MIT
"""Guesses the format of a file by its first bytes."""

from __future__ import annotations

import re
from typing import Any

#: The number of first bytes that decide.
GUESSED = 64
_FIRST_BYTES = (
    ("elf", re.compile(rb"\x7fELF")),
    ("hex", re.compile(rb"\s*:[0-9A-Fa-f]{8}")),
    ("srec", re.compile(rb"\s*S[0-9][0-9A-Fa-f]{4}")),
)


def guess(path: Any) -> str:
    """Returns the format of the file at a path: "raw" if it is no other.

    Raises OSError.
    """
    with open(path, "rb") as file:
        return guess_bytes(file.read(GUESSED))


def guess_bytes(start: bytes) -> str:
    """Returns the format of a file that starts with these bytes, GUESSED or all of it."""
    return next((name for name, form in _FIRST_BYTES if form.match(start)), "raw")
