# SPDX-License-Identifier: MIT
"""The command line: `pymempool`, also `python -m pymempool`. One file is one command."""

from .._core.names import publish
from .program import main

__all__ = ["main"]

publish(__name__, main)
