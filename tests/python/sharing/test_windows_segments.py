# SPDX-License-Identifier: MIT
# ruff: noqa: N802 (functions of Windows have the names that they have)
"""Segments of Windows, on any system: sections and handles are played by objects here."""

from __future__ import annotations

import mmap
from multiprocessing import reduction
from typing import Any, Callable

import pytest
from internals import windows_module

from pymempool import MemoryPool, SharedSnapshot, SharingError


class Sections:
    """The kernel's: sections by name, with the handles that are open."""

    def __init__(self) -> None:
        self.memory: dict[str, mmap.mmap] = {}
        self.handles: dict[int, str] = {}
        self.made = 0

    def map(self, file: int, size: int, name: str, access: int = 0) -> memoryview | Any:
        assert file == -1
        if access == mmap.ACCESS_READ:
            return memoryview(self.memory[name]).toreadonly()[:size]
        self.memory[name] = made = mmap.mmap(-1, size)
        return Writing(made)

    def add_handle(self, name: str) -> int:
        self.made += 4
        self.handles[self.made] = name
        return self.made

    def WinDLL(self, name: str) -> Any:
        assert name == "kernel32"
        return self

    def OpenFileMappingW(self, access: int, inherited: bool, name: str) -> int:
        assert (access, inherited) == (4, False)
        return self.add_handle(name) if name in self.memory else 0

    def opened(self, call: Callable[..., int], *arguments: Any) -> Handle:
        return Handle(call(*arguments), self.handles)


class Handle:
    """A Descriptor."""

    def __init__(self, number: int, handles: dict[int, str]) -> None:
        self.number, self._handles = number, handles

    def close(self) -> None:
        self._handles.pop(self.number, None)

    __del__ = close


class Function:
    """One of ctypes, which takes attributes."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


class Writing:
    """A mapping in a with statement, which leaves the section open."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.write = memory.write

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> Sections:
    made = Sections()
    monkeypatch.setattr(made, "OpenFileMappingW", Function(made.OpenFileMappingW))
    monkeypatch.setattr(windows_module, "_ctypes", made)
    monkeypatch.setattr(windows_module, "_mmap", made.map)
    monkeypatch.setattr(windows_module, "opened", made.opened)

    class DupHandle:
        def __init__(self, handle: int, access: int) -> None:
            assert access == 4
            self.handle: int | None = made.add_handle(made.handles[handle])

        def detach(self) -> int:
            handle, self.handle = self.handle, None
            if handle is None:
                raise OSError("the handle is invalid")
            return handle

    monkeypatch.setattr(reduction, "DupHandle", DupHandle, raising=False)
    return made


@pytest.fixture
def segment(pool: MemoryPool, sections: Sections) -> Any:
    with pool.share() as snapshot:
        (real,) = snapshot.__reduce__()[1][1]
        data = real.read(0, real.size)
    pieces = [memoryview(data)[:100], memoryview(data)[100:]]
    return windows_module.Segment.write(pieces, len(data))


def test_written_and_opened(segment: Any, sections: Sections, pool: MemoryPool) -> None:
    assert sections.handles == {}
    assert len(segment.read(segment.size - 10, 100)) == 10
    with SharedSnapshot(MemoryPool, (segment,)) as snapshot, snapshot.open() as opened:
        assert opened[:] == pool[:]


def test_address_is_the_name(segment: Any, sections: Sections) -> None:
    make, arguments = segment.__reduce__()
    assert make(*arguments).read(0, 100) == segment.read(0, 100)
    assert sections.handles == {}
    sections.memory.clear()
    assert "no longer there" in str(make(*arguments))


def test_handle_is_passed_once(segment: Any, sections: Sections) -> None:
    make, arguments = segment.reduce_with_descriptor()
    assert len(sections.handles) == 1  # the one on its way
    for _ in range(2):  # the second time by the name alone
        assert make(*arguments).read(0, 100) == segment.read(0, 100)
        assert sections.handles == {}
    sections.memory.clear()
    assert "no longer there" in str(make(*arguments))
    with pytest.raises(SharingError, match="no longer there"):
        segment.reduce_with_descriptor()
