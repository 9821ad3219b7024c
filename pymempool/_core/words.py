# SPDX-License-Identifier: MIT
"""Words for people: sizes."""

from __future__ import annotations


def human(size: int) -> str:
    """A number of bytes in the largest unit that fits, to three digits."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    digits = 0 if value == int(value) or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {units[0]}"
