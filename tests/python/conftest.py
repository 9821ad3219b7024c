# SPDX-License-Identifier: MIT
"""What the tests of the Python package share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pymempool import MemoryPool

# Examples are looked for anew in each run, however slow the machine is just now. A
# failure prints what reproduces it, so that nothing need be stored.
settings.register_profile("default", deadline=None, database=None, print_blob=True)
settings.load_profile("default")


@pytest.fixture
def header() -> Path:
    return Path(__file__).resolve().parents[2] / "c" / "memory_pool.h"


@pytest.fixture
def pool() -> Iterator[MemoryPool]:
    """4096 bytes in blocks of 64, with something in them and holes between."""
    with MemoryPool(4096, 64) as made:
        made.write(100, bytes(range(1, 201)))
        made.write(4000, b"end")
        yield made
