# SPDX-License-Identifier: MIT
"""Text for people: sizes, times, counts of things, names that are not plain."""

from __future__ import annotations

from typing import TextIO


def human(size: int) -> str:
    """Formats a number of bytes in the largest unit that fits, to three digits."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    digits = 0 if value == int(value) or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {units[0]}"


def human_time(seconds: float) -> str:
    """Formats a time in the unit that fits (ns, us, ms or s), to three digits."""
    units = [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")]
    unit, name = next((u for u in units if seconds < 999.5 * u[0]), units[-1])
    value = seconds / unit
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {name}"


def human_ratio(ratio: float) -> str:
    """Formats a ratio to three digits; one below 0.01 as a fraction."""
    return f"{ratio:.3g}" if ratio >= 0.01 else f"1/{1 / ratio:,.0f}"


def counted(number: int, noun: str = "byte") -> str:
    """Formats a number with its noun, which gets an s unless the number is 1."""
    return f"{number} {noun}{'s' * (number != 1)}"


def shortened(text: str, most: int) -> str:
    """Cuts the start of a text that is longer than `most` characters."""
    return text if len(text) <= most else "..." + text[3 - most :]


# ----------------------------------------------------------------------- escaping


def shown(name: str) -> str:
    """Quotes and escapes the name of a file if it is empty, has control characters, or
    begins or ends with a space."""
    return name if name.isprintable() and name.strip() == name != "" else repr(name)


def printable(text: str) -> str:
    """Escapes control characters, with which a text could command a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def encodable(text: str, stream: TextIO) -> str:
    """Escapes the characters that the encoding of the stream does not have."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
