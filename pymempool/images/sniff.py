# SPDX-License-Identifier: MIT
"""Which format a file is in, by its first bytes."""

from __future__ import annotations

import re
from typing import Any

#: Bytes that tell the format of a file.
GUESSED = 64
_FIRST_BYTES = (
    ("elf", re.compile(rb"\x7fELF")),
    ("hex", re.compile(rb"\s*:[0-9A-Fa-f]{8}")),
    ("srec", re.compile(rb"\s*S[0-9][0-9A-Fa-f]{4}")),
)


def guess(path: Any) -> str:
    """The format of the file at a path, by its first bytes; "raw" if it has no other.

    Raises OSError.
    """
    with open(path, "rb") as file:
        return guess_bytes(file.read(GUESSED))


def guess_bytes(start: bytes) -> str:
    """The same for what a file starts with, GUESSED bytes if it has as many."""
    return next((name for name, form in _FIRST_BYTES if form.match(start)), "raw")
