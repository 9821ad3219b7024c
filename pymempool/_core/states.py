# SPDX-License-Identifier: MIT
"""In which state the blocks are that hold the data of a pool."""

from __future__ import annotations

import enum


class BlockState(enum.IntFlag):
    """The state of blocks that hold data; 0: only this pool holds them."""

    SHARED = 1  #: a relative, a view or another place holds them too: a write copies
    PINNED = 2  #: somebody has a pin on them, and they stay where they are
    ADOPTED = 4  #: memory that was adopted: a write copies
