# SPDX-License-Identifier: MIT
"""Which line of a program called the package.

The debug library gets the line of each pool, view and pin that Python makes, as C code
gives it its own by macros, so that pool_report names it.
"""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache, wraps
from typing import Any, Callable

from .calls import parallel
from .paths import is_debug

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def caller() -> tuple[str, int]:
    """The file and the line of the innermost call from outside the package."""
    frame = sys._getframe(1)
    while frame.f_back and is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


@lru_cache(maxsize=1000)
def is_own(file: str) -> bool:
    """Whether a file is one of the package."""
    return os.path.abspath(file).startswith(_PACKAGE)


@cache
def _kept(file: str) -> bytes:
    """The name of a file for C, which keeps its address."""
    return os.fsencode(file)


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself or, for the debug library, one that tells it the line first."""
    if not is_debug():
        return function

    @wraps(function)
    def placed_function(*arguments: Any) -> Any:
        file, line = caller()
        parallel.pool_place(_kept(file), line)
        try:
            return function(*arguments)
        finally:
            parallel.pool_place(None, 0)

    return placed_function
