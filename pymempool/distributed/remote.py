# SPDX-License-Identifier: MIT
"""Remote: one pool of a placement, and the calls to its parts."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from .._native.arguments import byte_range
from ..errors import PoolRangeError
from .addresses import Layout
from .placement import Placement, ShardLostError

Call = tuple[int, str, tuple[Any, ...]]  #: part, function, arguments after the name

_T = TypeVar("_T")


class Remote:
    """A pool by its name, and its last known size: other processes may resize it."""

    def __init__(self, placement: Placement, name: str, size: int) -> None:
        self.placement, self.name, self.size = placement, name, size

    @property
    def layout(self) -> Layout:
        """Returns the layout up to the last known end of the pool."""
        return self.placement.layout._replace(total_size=self.size)

    def range(self, offset: Any, size: Any) -> tuple[int, int]:
        """Returns the two as integers. Raises PoolRangeError past the last known end."""
        return byte_range(offset, size, self.size)

    def query(self, calls: list[Call]) -> list[Any]:
        """Sends queries to parts at the same time; returns the answers.

        Raises the first error.
        """
        return self._send(self.placement.query, calls)

    def change(self, calls: list[Call]) -> None:
        """Sends changes to parts at the same time. Raises the first error."""
        self._send(self.placement.change, calls)

    def _send(self, send: Callable[[list[Call]], _T], calls: list[Call]) -> _T:
        try:
            return send([(part, what, (self.name, *args)) for part, what, args in calls])
        except ShardLostError as error:
            raise ShardLostError(error.part, self.layout, error.workers) from None

    def all(self, what: str, *args: Any) -> list[Call]:
        """Returns the same call for all parts."""
        return [(part, what, args) for part in range(self.placement.layout.parts)]

    def resize(self, total_size: int) -> None:
        """Gives each part the size that it has in a pool of that size."""
        below = self.layout.below
        self.change(
            [
                (part, "resize", (total_size, below(total_size, part)))
                for part in range(self.layout.parts)
            ]
        )

    def learn_size(self) -> int:
        """Requests the size of the pool, and returns it."""
        [self.size] = self.query([(0, "size", ())])
        return self.size

    def retry(self, call: Callable[[], _T]) -> _T:
        """Makes a call, and once more if it failed because the known size was old."""
        try:
            return call()
        except PoolRangeError:
            known = self.size
            if self.learn_size() == known:
                raise
        return call()
