# SPDX-License-Identifier: MIT
"""Tables whose entries leave with an object, in the midst of a handler, too."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from internals import WeakObjects, weak


class Thing:
    """Equal to all others, and has no hash."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_entry_leaves_with_the_object() -> None:
    thing, other = Thing(), Thing()
    table: dict[str, Any] = {}
    table["thing"] = weak(thing, table, "thing")
    table["other"] = "value", weak(other, table, "other")
    del thing
    assert [*table] == ["other"]
    del other
    assert not table


def test_replaced_entry_stays() -> None:
    first, second = Thing(), Thing()
    table: dict[str, Any] = {}
    for thing in (first, second):
        table["key"] = weak(thing, table, "key")
    del thing, first
    assert table["key"]() is second


def test_objects() -> None:
    things: WeakObjects[Thing] = WeakObjects()
    first, second = Thing(), Thing()
    things.add(first)
    things.add(second)
    assert {id(thing) for thing in things} == {id(first), id(second)}
    for thing in things:
        things.add(thing)  # once more
    del thing, first
    assert [thing is second for thing in things] == [True, True]


def test_no_function_of_python_runs() -> None:
    """A handler has no place where it could raise."""
    seen: list[str] = []

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        seen.append(frame.f_code.co_name)

    table: dict[int, Any] = {}
    things: WeakObjects[Thing] = WeakObjects()
    thing = Thing()
    table[1] = weak(thing, table, 1)
    things.add(thing)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        del thing
    finally:
        sys.settrace(before)
    assert not table
    assert not [*things]
    assert not seen
