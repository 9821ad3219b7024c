# SPDX-License-Identifier: MIT
"""`pymempool bench` runs and tells numbers; the short ways of read and readinto hold.

How large the numbers are is never looked at: a busy machine is no bug.
"""

from __future__ import annotations

import array
import json
import sys
import sysconfig
import threading
from contextlib import suppress
from typing import Any

import pytest
from internals import QUICK_BYTES, bench_module, timing_module

from pymempool import MemoryPool, PoolClosedError, PoolRangeError, cli

ROWS = [
    "read 8 B",
    "write 8 B",
    "read 4 KiB",
    "write 4 KiB",
    "read 1 MiB",
    "write 1 MiB",
    "snapshot, 64 MiB",
    "first touch, 64 MiB",
]
CANDIDATES = ["pool", "bytearray", "mmap"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little work as will do; the names of the rows stay."""
    monkeypatch.setattr(bench_module, "SPAN", 2 * bench_module.MIB)
    monkeypatch.setattr(timing_module, "_TURN", 1e-5)


@pytest.mark.usefixtures("short")
def test_json_has_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (err, list(told["rows"])) == ("", ROWS)
    for cases in told["rows"].values():
        assert list(cases) == CANDIDATES
        for timing in cases.values():
            assert 0 < timing["low"] <= timing["median"] <= timing["high"]


@pytest.mark.usefixtures("short")
def test_table_is_aligned_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    lines = out.splitlines()
    head = next(number for number, line in enumerate(lines) if "bytearray" in line)
    table = lines[head : head + 1 + len(ROWS)]
    assert {len(line) for line in table} == {len(table[0])}
    assert max(map(len, lines)) <= 90
    for row, line in zip(ROWS, table[1:]):
        assert line.startswith(f"{row} ")


def test_candidates_take_turns() -> None:
    turns: list[str] = []

    def run(name: str, seconds: float) -> float:
        turns.append(name)
        return seconds * len(turns)

    cases = {name: lambda name=name: run(name, 1.0) for name in "ab"}
    found = timing_module.alternate(cases, rounds=3)
    assert "".join(turns) == "abababab"
    assert found["a"] == (5, 4, 6)  # turns 3, 5 and 7: the first does not count
    assert found["b"] == (6, 5, 7)


def test_a_statement_runs_at_each_offset() -> None:
    seen: list[int] = []
    run = timing_module.statement("seen.append(at)", [10, 20, 30], seen=seen)
    seen.clear()
    assert run() > 0
    assert seen == [10, 20, 30, 10, 20, 30]  # the first time is not measured


# ------------------------------------------------------- the short ways they led to


def test_bytes_to_fill_are_shared_with_nobody() -> None:
    # read() fills bytes(size) in place; an object that others have would change theirs.
    sizes = [*range(1, 300), 512, 1024, 4096, QUICK_BYTES]
    kept = [bytes(size) for size in sizes]
    pool = MemoryPool(QUICK_BYTES)
    pool.fill(0, 255, QUICK_BYTES)
    for size in sizes:
        assert pool.read(0, size) == b"\xff" * size
    for size, zeros in zip(sizes, kept):
        assert zeros == bytes(size) == b"\0" * size


@pytest.mark.parametrize("size", [0, 1, 8, QUICK_BYTES, QUICK_BYTES + 1, 100_000])
def test_readinto_of_all_sizes(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    pool = MemoryPool(200_000)
    pool.write(5, data)
    whole = bytearray(size + 2)
    for buffer in (bytearray(size), memoryview(bytearray(size))):
        assert pool.readinto(5, buffer) == size
        assert buffer == data[:size]
    assert pool.readinto(5, memoryview(whole)[1:-1]) == size
    assert whole == b"\0" + data[:size] + b"\0"  # nothing beside it


@pytest.mark.parametrize(
    "wrong",
    [
        memoryview(b"read-only"),
        memoryview(bytearray(8)).toreadonly(),
        memoryview(bytearray(8))[::2],
        memoryview(bytearray(8))[::-1],
    ],
    ids=["of bytes", "made read-only", "every other", "backwards"],
)
def test_readinto_refuses_unfit_views(wrong: Any, pool: MemoryPool) -> None:
    before = bytes(wrong)
    with pytest.raises(TypeError, match="writable, contiguous"):
        pool.readinto(100, wrong)
    assert bytes(wrong) == before


def test_readinto_refuses_a_released_view(pool: MemoryPool) -> None:
    view = memoryview(bytearray(8))
    view.release()
    with pytest.raises(TypeError, match="released"):
        pool.readinto(0, view)


@pytest.mark.parametrize("items", ["b", "I", "d"])
def test_readinto_of_views_of_other_items(items: str, pool: MemoryPool) -> None:
    numbers = array.array(items, [0] * 4)
    size = 4 * numbers.itemsize
    assert pool.readinto(100, memoryview(numbers)) == size
    assert numbers.tobytes() == bytes(range(1, size + 1))


def test_the_buffer_is_let_go_after_readinto(pool: MemoryPool) -> None:
    buffer = bytearray(8)
    view = memoryview(buffer)
    pool.readinto(0, view)
    view.release()  # BufferError if it was still held
    pool.readinto(0, buffer)
    buffer.append(1)
    for offset in (4092, -1, 2**70):
        with pytest.raises(PoolRangeError):
            pool.readinto(offset, buffer)
        buffer.append(1)
    with pytest.raises(TypeError):
        pool.readinto("0", buffer)  # type: ignore[arg-type]
    buffer.append(1)
    pool.close()
    with pytest.raises(PoolClosedError) as caught:
        pool.readinto(0, buffer)
    buffer.append(1)  # even while the exception with its traceback is kept
    del caught


@pytest.mark.skipif(
    sys.version_info < (3, 14) and bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="a bytearray is not safe between threads in this free-threaded Python",
)
def test_a_buffer_that_another_thread_resizes() -> None:
    # It has one of two sizes whenever it is looked at, and keeps it while C fills it.
    pool = MemoryPool(4096)
    pool.fill(0, 7, 4096)
    contents = [bytes(16), bytes(4096)]
    buffer, over = bytearray(16), threading.Event()

    def resize() -> None:
        while not over.is_set():
            for content in contents:
                with suppress(BufferError):  # just now it is held in place
                    buffer[:] = content

    thread = threading.Thread(target=resize)
    thread.start()
    try:
        sizes = {pool.readinto(0, buffer) for _ in range(20_000)}
    finally:
        over.set()
        thread.join()
    assert sizes <= {16, 4096}
