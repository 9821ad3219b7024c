# SPDX-License-Identifier: MIT
"""Errors of a load that are raised later, by who uses what was loaded.

multiprocessing.Pool, for one, loads results in a thread that an error ends, and then its
users wait for ever.
"""

from __future__ import annotations

from typing import Any, Callable


def or_error(load: Callable[..., Any], *arguments: Any) -> Any:
    """What load(*arguments) returns, or the OSError that it raises."""
    try:
        return load(*arguments)
    except OSError as error:
        return error
