# SPDX-License-Identifier: MIT
"""What kind of blocks hold the data of a pool."""

from __future__ import annotations

import enum


class Kind(enum.IntFlag):
    """What is said of blocks that hold data; 0 of those that a pool has for itself."""

    SHARED = 1  #: a relative, a view or another place holds them too: a write copies
    PINNED = 2  #: somebody has a pin on them, and they stay where they are
    ADOPTED = 4  #: memory that was adopted: a write copies
