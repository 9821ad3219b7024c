# SPDX-License-Identifier: MIT
"""The line of a caller: what the debug library is passed before something is made.

That it reports that line: see test_debug.py.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from internals import places_module

Line = tuple[Any, int]


def line_here() -> int:
    return sys._getframe(1).f_lineno


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """What pool_place was called with, as by the debug library's package."""
    found: list[Line] = []
    library = SimpleNamespace(pool_place=lambda *line: found.append(line))
    monkeypatch.setattr(places_module, "parallel", library)
    monkeypatch.setattr(places_module, "is_debug", lambda: True)
    return found


def test_the_line_is_there_for_the_call_alone(lines: list[Line]) -> None:
    def create(size: int) -> list[Line]:
        assert size == 9
        return list(lines)

    during, line = places_module.placed(create)(9), line_here()
    assert during == [(__file__.encode(), line)]
    assert lines[1:] == [(None, 0)]


def test_a_call_that_raises_leaves_no_line(lines: list[Line]) -> None:
    def create() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        places_module.placed(create)()
    assert lines[1:] == [(None, 0)]


def test_names_of_files_stay_where_c_reads_them(lines: list[Line]) -> None:
    create = places_module.placed(int)
    assert (create(), create()) == (0, 0)
    assert lines[0][0] is lines[2][0]


def test_without_the_debug_library_the_function_is_called_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places_module, "is_debug", lambda: False)
    assert places_module.placed(int) is int
