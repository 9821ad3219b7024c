# SPDX-License-Identifier: MIT
"""Raises at a chosen place of a call, as the handler of a signal may."""

from __future__ import annotations

import dis
import os
import sys
from types import FrameType
from typing import Any, Callable

import pymempool

_PACKAGE = os.path.dirname(os.path.abspath(pymempool.__file__)) + os.sep


class Interrupted(KeyboardInterrupt):
    """What the handler raises."""


class _Injector:
    """A trace function that raises at the number-th place."""

    def __init__(self, number: int, kind: type[BaseException]) -> None:
        self.left, self._kind = number, kind
        self._called: dict[int, bool] = {}  # by the frame's id

    def begin(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        self._called.pop(id(frame), None)
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._pass_place()
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            if self._called.pop(id(frame), False):
                self._pass_place()
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            self._called[id(frame)] = name.startswith("CALL")
        elif event == "exception":
            self._called.pop(id(frame), None)  # the call did not come to its end
        return self._step

    def _pass_place(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self._kind


def interrupted_at(
    number: int, call: Callable[[], Any], kind: type[BaseException] = Interrupted
) -> bool:
    """Makes the call; whether it has so many places that it was interrupted."""
    injector, other = _Injector(number, kind), sys.gettrace()
    sys.settrace(injector.begin)
    try:
        call()
    except kind:
        return True
    finally:
        sys.settrace(other)
    assert injector.left > 0, "what the handler raised got lost"
    return False
