# SPDX-License-Identifier: MIT
"""Fault injection: makes an allocation of the library, or of C code under test, fail.

The library counts its allocations, and code that compile_c(fail_allocation=True) has
compiled its own: see allocations.c.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Iterator
from ctypes import CDLL, CFUNCTYPE, c_size_t, c_void_p, cast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._native.arguments import integer
from .._native.calls import quick
from .._native.places import is_own
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError
from .errors import UnavailableError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_current: Fault | None = None  # the one whose context runs


class Fault:
    """A context in which one allocation of the library fails, or of C code.

    number: 1 for the first allocation.
    code: what compile_c(fail_allocation=True) has compiled; None for the library.
    forgiving: whether to catch the PoolMemoryError of the failure, in `error`.
    """

    def __init__(
        self, number: int, code: CDLL | None = None, *, forgiving: bool = False
    ) -> None:
        self.number = integer("number", number, 1, SIZE_MAX)
        self.code = code
        self.reached: bool | None = None  #: whether it failed; None before the end
        self.error: PoolMemoryError | None = None  #: caught at the end, with each()
        self.stack = ""  #: the calls in Python that led to the failure, if they are known
        self._set = quick.pool_fail_allocation if code is None else _counter(code)
        self._forgiving = forgiving
        self._frame: FrameType | None = None  # of the context, while it runs

    def __enter__(self) -> Fault:
        global _current
        _current = self
        self._frame = sys._getframe(1)
        self._set(self.number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        global _current
        self.reached = self._set(0) == 0
        _current = self._frame = None  # a frame holds pools
        if self.reached and isinstance(exception, MemoryError) and not self.stack:
            self.stack = _stack(exception)
        if not (self._forgiving and self.reached):
            return False
        if isinstance(exception, PoolMemoryError):
            self.error = exception.with_traceback(None)  # which holds pools, in frames
        return self.error is not None

    def __repr__(self) -> str:
        states = {None: "not ended", False: "not reached", True: "failed"}
        return f"<Fault: {self._name()} {states[self.reached]}>"

    def _name(self) -> str:
        whose = "the library" if self.code is None else os.path.basename(self.code._name)
        return f"allocation {self.number} of {whose}"

    def report(self) -> str:
        """Returns which allocation failed, and where; empty if none did."""
        if not self.reached:
            return ""
        calls = self.stack or (
            "  in a call of other code, or whose error was caught: no stack is known\n"
        )
        return f"{self._name()} failed:\n{calls}"

    def _is_due(self) -> bool:
        """Whether an allocation of the library is still to fail."""
        left: int = self._set(0) if self.code is None else 0
        return left > 0 and self._set(left) == 0

    def _failed(self) -> None:
        """An allocation fails now, or has, in a call of C from the frame that runs."""
        inner: list[tuple[FrameType, int]] = []
        for frame, line in traceback.walk_stack(sys._getframe(1)):
            inner.insert(0, (frame, line))
            if frame is self._frame:
                break
        self.stack = _formatted(traceback.StackSummary.extract(iter(inner)))


def _stack(exception: BaseException) -> str:
    """The calls that led to an exception, from the context on, and what it says."""
    calls = traceback.StackSummary.extract(traceback.walk_tb(exception.__traceback__))
    return f"{_formatted(calls)}  {exception}\n"


def _formatted(calls: traceback.StackSummary) -> str:
    own = [each for each in calls if not is_own(each.filename)]
    return "".join(traceback.format_list(own))


class FailAllocation:
    """Makes allocations fail: those of the library in all threads, or those of C code.

    Where `code` is an argument, it is what compile_c(fail_allocation=True) has compiled;
    without it, the library. Raises ValueError for other code.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None  #: the last one

    def __call__(self, number: int, code: CDLL | None = None) -> Fault:
        """Returns a context in which the number-th allocation fails.

        number: 1 for the first. If the code makes fewer allocations, none fails;
            `reached` says afterwards whether one did.

            with fail_allocation(1) as fault, pytest.raises(PoolMemoryError):
                pool.write(0, b"one")
            assert fault.reached
        """
        self.fault = Fault(number, code)
        return self.fault

    def each(self, code: CDLL | None = None) -> Iterator[Fault]:
        """Yields contexts in which the 1st, 2nd, 3rd ... allocation fails.

        First those of the library, and then those of the code. The last one of each is
        the first in which it makes fewer allocations.

            for fault in fail_allocation.each():
                with fault:
                    pool.write(0, b"all or nothing")
                assert pool.read(0, 3) == (b"\\0\\0\\0" if fault.error else b"all")

        A context catches the PoolMemoryError of its failure. If the test fails, pytest
        shows the report() of the last one. Raises RuntimeError if one is not used.
        """
        yield from self._sweep(None)
        if code is not None:
            yield from self._sweep(code)

    def _sweep(self, code: CDLL | None) -> Iterator[Fault]:
        for number in itertools.count(1):
            self.fault = fault = Fault(number, code, forgiving=True)
            yield fault
            if fault.reached is None:
                raise RuntimeError(
                    "a fault of fail_allocation.each() was not used: write `with fault:`"
                )
            if not fault.reached:
                return

    def stop(self) -> None:
        """Lets all allocations of the library succeed again."""
        quick.pool_fail_allocation(0)


# ------------------------------------------------------- allocations of C code under test

_WRAPPED = (
    *("malloc", "calloc", "realloc", "reallocarray", "aligned_alloc"),
    *("posix_memalign", "strdup", "strndup"),
)


def wrapping_flags() -> list[str]:
    """What a compiler needs so that allocations of the code can fail.

    Raises UnavailableError where linkers know no --wrap.
    """
    if not sys.platform.startswith("linux"):
        raise UnavailableError(
            "compile_c(fail_allocation=True) needs the option --wrap of linkers on Linux;"
            f" this is {sys.platform}"
        )
    source = Path(__file__).with_name("allocations.c")
    return [str(source), *(f"-Wl,--wrap={name}" for name in _WRAPPED)]


def watch_allocations(compiled: CDLL) -> None:
    """Lets a Fault know when an allocation of code with these flags fails."""
    pointer = c_void_p.in_dll(compiled, "pymempool_allocation_failed")
    pointer.value = cast(_callback, c_void_p).value


def watch_calls(compiled: CDLL) -> None:
    """Lets a Fault know in which call of C code an allocation of the library failed."""
    plain: Any = compiled._FuncPtr  # of the functions that were not looked up yet

    class Function(plain):  # type: ignore[misc]
        _flags_ = plain._flags_
        _restype_ = plain._restype_

        def __call__(self, *arguments: Any) -> Any:
            __tracebackhide__ = True
            fault = _current
            is_due = fault is not None and fault._is_due()
            result = super().__call__(*arguments)
            if fault is not None and is_due and not fault._is_due():
                fault._failed()
            return result

    compiled._FuncPtr = Function


def _counter(code: CDLL) -> Any:
    """The function that sets which allocation of some code fails."""
    try:
        function = code.pymempool_fail_allocation
    except AttributeError:
        raise ValueError(
            f"{code._name} was not compiled by compile_c(..., fail_allocation=True)"
        ) from None
    function.argtypes, function.restype = [c_size_t], c_size_t
    return function


def _allocation_failed() -> None:
    if _current is not None:
        _current._failed()


_callback = CFUNCTYPE(None)(_allocation_failed)
