# SPDX-License-Identifier: MIT
"""mempool:// under the tests that fsspec has for those who write file systems."""

from __future__ import annotations

from typing import Any, Callable

import pytest

abstract = pytest.importorskip(
    "fsspec.tests.abstract", reason="fsspec is not installed, or without its tests"
)

from pymempool.filesystem import MempoolFileSystem  # noqa: E402

# What their fixtures are.
pytestmark = pytest.mark.filterwarnings("ignore:Class-scoped fixture")


class Ours(abstract.AbstractFixtures):  # type: ignore[misc]
    """What the tests work on."""

    @pytest.fixture(scope="class")
    def fs(self) -> Any:
        return MempoolFileSystem()

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)


class TestCopy(abstract.AbstractCopyTests, Ours):  # type: ignore[misc]
    """Which source goes where, for folders that are there and that are not."""


class TestGet(abstract.AbstractGetTests, Ours):  # type: ignore[misc]
    """The same from the store to files of the machine."""


class TestPut(abstract.AbstractPutTests, Ours):  # type: ignore[misc]
    """The same to the store."""
