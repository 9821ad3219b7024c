# SPDX-License-Identifier: MIT
"""Protocols: what saving, loading and deltas need of a pool.

MemoryPool has all of it; a sharded pool has what its own methods use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self


class ReadablePool(Protocol):
    """A pool to save."""

    @property
    def total_size(self) -> int: ...
    def extents(self) -> Iterator[tuple[int, int]]: ...
    def changes(self, base: Any) -> Iterator[tuple[int, int]]: ...
    def read(self, offset: int, size: int) -> bytes: ...
    def readinto(self, offset: int, buffer: memoryview) -> int: ...
    def clone(self) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: Any) -> None: ...


class WritablePool(Protocol):
    """A pool to load into."""

    @property
    def total_size(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    def write(self, offset: int, data: Any) -> int: ...
    def write_many(self, items: Iterable[tuple[int, Any]]) -> None: ...
    def adopt(self, offset: int, buffer: memoryview) -> int: ...
    def resize(self, total_size: int) -> None: ...
    def close(self) -> None: ...

    start_address: int | None
    header: bytes | None

    def _begin_image(self, whole: bool, offset: int = 0) -> None:
        """Says what was set: all from an offset on, or what will be written."""


class DeltaPool(ReadablePool, WritablePool, Protocol):
    """A pool to make a delta of, or to apply one to."""

    def digest(self) -> bytes: ...
    def fill(self, offset: int, byte: int, size: int) -> None: ...
    def restore(self, source: Any) -> None: ...


class MergeablePool(DeltaPool, Protocol):
    """A pool to merge with others."""

    @classmethod
    def _made(cls, total_size: int, max_block_size: int) -> Self: ...
    def written(self) -> Iterator[tuple[int, int]]: ...
    def differences(
        self, base: Any, offset: int, size: int
    ) -> Iterator[tuple[int, int]]: ...


def written(pool: ReadablePool) -> Iterator[tuple[int, int]]:
    """Returns the runs of bytes that were set; whole blocks in a sharded pool."""
    found: Iterator[tuple[int, int]] = getattr(pool, "written", pool.extents)()
    return found


AnyPool = TypeVar("AnyPool", bound=WritablePool)
AnyMergeable = TypeVar("AnyMergeable", bound=MergeablePool)
