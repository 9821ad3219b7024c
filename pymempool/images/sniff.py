# SPDX-License-Identifier: MIT
"""Recognises the format of an image: by its first bytes, then by the suffix of its name.

What neither of them says is a raw image. If they say different things, that is an error:
most often the file is damaged, or not what its user thinks.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import FormatError
from .locations import suffix_of

#: The number of first bytes that decide.
GUESSED = 64
_BOM = rb"(?:\xef\xbb\xbf)?"  # some editors begin texts with it
_FIRST_BYTES = (
    ("elf", re.compile(rb"\x7fELF")),
    ("hex", re.compile(_BOM + rb"\s*:[0-9A-Fa-f]{8}")),
    ("srec", re.compile(_BOM + rb"\s*S[0-9][0-9A-Fa-f]{4}")),
)
_HEX = (".hex", ".ihex", ".ihx", ".h86", ".mcs", ".eep")
_SREC = (".srec", ".s19", ".s28", ".s37", ".mot", ".mhx", ".s1", ".s2", ".s3")
_SUFFIXES = {
    **dict.fromkeys(_HEX, "hex"),
    **dict.fromkeys(_SREC, "srec"),
    **dict.fromkeys((".elf", ".axf"), "elf"),
}


def by_suffix(location: Any) -> str | None:
    """Returns the format that the suffix of a path or a URL names, or None."""
    return _SUFFIXES.get(suffix_of(location))


def recognise(start: bytes, location: Any) -> str:
    """Returns the format of an image, "raw" if it is no other.

    start: its first bytes, GUESSED or all of it.
    location: a path, a URL, or an open file, of which the name counts if it has one.

    Raises FormatError if its first bytes and the suffix contradict each other.
    """
    content = next((name for name, form in _FIRST_BYTES if form.match(start)), None)
    suffix = by_suffix(location)
    if content and suffix and content != suffix:
        raise FormatError(
            f"the first bytes are of the format {content}, the suffix is of {suffix}:"
            " say which format it is"
        )
    return content or suffix or "raw"


def guess(path: str) -> str:
    """The same, of the file at a path. Raises OSError."""
    with open(path, "rb") as file:
        return recognise(file.read(GUESSED), path)
