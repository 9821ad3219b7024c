# SPDX-License-Identifier: MIT
"""One of the pools of a placement: what is asked of its parts, and where it ends."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from .._native.arguments import byte_range
from ..errors import PoolRangeError
from .addresses import Layout
from .placement import Placement, ShardLostError

Call = tuple[int, str, tuple[Any, ...]]  #: part, function, arguments after the name

_T = TypeVar("_T")


class Remote:
    """A pool by its name, and its size as far as is known here: others may resize it."""

    def __init__(self, placement: Placement, name: str, size: int) -> None:
        self.placement, self.name, self.size = placement, name, size

    @property
    def layout(self) -> Layout:
        """Where bytes lie, up to where the pool ends as far as is known here."""
        return self.placement.layout._replace(total_size=self.size)

    def range(self, offset: Any, size: Any) -> tuple[int, int]:
        """The two as integers; raises PoolRangeError if it is known to end before."""
        return byte_range(offset, size, self.size)

    def query(self, calls: list[Call]) -> list[Any]:
        """The answers of parts, asked at the same time; raises the first error."""
        return self._ask(self.placement.query, calls)

    def change(self, calls: list[Call]) -> None:
        """Makes changes to parts at the same time; raises the first error."""
        self._ask(self.placement.change, calls)

    def _ask(self, ask: Callable[[list[Call]], _T], calls: list[Call]) -> _T:
        try:
            return ask([(part, what, (self.name, *args)) for part, what, args in calls])
        except ShardLostError as error:
            raise ShardLostError(error.part, self.layout, error.workers) from None

    def all(self, what: str, *args: Any) -> list[Call]:
        """The same call of all parts."""
        return [(part, what, args) for part in range(self.placement.layout.parts)]

    def resize(self, total_size: int) -> None:
        """Makes all parts as large as they are in a pool of that size."""
        below = self.layout.below
        self.change(
            [
                (part, "resize", (total_size, below(total_size, part)))
                for part in range(self.layout.parts)
            ]
        )

    def learn_size(self) -> int:
        """Asks where the pool ends."""
        [self.size] = self.query([(0, "size", ())])
        return self.size

    def again(self, call: Callable[[], _T]) -> _T:
        """Makes a call anew that failed since the pool does not end where we thought."""
        try:
            return call()
        except PoolRangeError:
            known = self.size
            if self.learn_size() == known:
                raise
        return call()
