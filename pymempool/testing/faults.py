# SPDX-License-Identifier: MIT
"""Fault injection: makes an allocation of the library fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._native.arguments import integer
from .._native.calls import quick
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError

if TYPE_CHECKING:
    from types import TracebackType


class Fault:
    """A context in which one allocation of the library fails.

    number: 1 for the first allocation.
    forgiving: whether to catch the PoolMemoryError of the failure, in `error`.
    """

    def __init__(self, number: int, *, forgiving: bool = False) -> None:
        self.number = integer("number", number, 1, SIZE_MAX)
        self.reached: bool | None = None  #: whether it failed; None before the end
        self.error: PoolMemoryError | None = None  #: caught at the end, with each()
        self._forgiving = forgiving

    def __enter__(self) -> Fault:
        quick.pool_fail_allocation(self.number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.reached = quick.pool_fail_allocation(0) == 0
        if not (self._forgiving and self.reached):
            return False
        if isinstance(exception, PoolMemoryError):
            self.error = exception.with_traceback(None)  # which holds pools, in frames
        return self.error is not None


class FailAllocation:
    """Makes allocations of the library fail, in all threads and in C code too."""

    def __call__(self, number: int) -> Fault:
        """Returns a context in which the number-th allocation of the library fails.

        number: 1 for the first. If the code makes fewer allocations, none fails;
            `reached` says afterwards whether one did.

            with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
                pool.write(0, b"one")
            assert fault.reached
        """
        return Fault(number)

    def each(self) -> Iterator[Fault]:
        """Yields contexts in which the 1st, 2nd, 3rd ... allocation fails.

        The last one is the first in which the code makes fewer allocations.

            for fault in fail_allocation.each():
                with fault:
                    pool.write(0, b"all or nothing")
                assert pool.read(0, 3) == (b"\\0\\0\\0" if fault.error else b"all")

        A context catches the PoolMemoryError of its failure. Raises RuntimeError if one
        is not used.
        """
        for number in itertools.count(1):
            fault = Fault(number, forgiving=True)
            yield fault
            if fault.reached is None:
                raise RuntimeError(
                    "a fault of fail_allocation.each() was not used: write `with fault:`"
                )
            if not fault.reached:
                return

    def stop(self) -> None:
        """Lets all allocations succeed again."""
        quick.pool_fail_allocation(0)
