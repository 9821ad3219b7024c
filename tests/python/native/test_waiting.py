# SPDX-License-Identifier: MIT
"""While a call waits for another one, all other Python threads run.

A thread in C holds the pools until a Python thread has counted some beats, or for so many
naps that something must be wrong: then that Python thread stood still.
"""

from __future__ import annotations

import ctypes
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest
from documents import ROOT
from every_call import BLOCK, CALLS, TOTAL, Memory, Scene, require
from internals import parallel, paths_module, quick

from pymempool import MemoryPool, PoolLimitError
from pymempool.testing import find_compiler

# It has a copy of the library for the way in which it locks, and the pools of the other.
HOLD = """
#include "memory_pool.c"

POOL_API int hold(MemoryPool **pools, size_t count, int arena, int *state, int naps)
{
    size_t i;
    for (i = 0; i < count && !arena; i++)
        (void)pool_lock_exclusive(&pools[i]->locks);
    if (arena)
        lock_acquire(&pools[0]->family->arena.lock);
    for (*(volatile int *)state = 1; naps > 0 && *(volatile int *)state == 1; naps--)
        platform_nap(1000);
    if (arena)
        lock_release(&pools[0]->family->arena.lock);
    for (i = 0; i < count && !arena; i++)
        pool_unlock(&pools[i]->locks, (Guard){.exclusive = true});
    return *(volatile int *)state;
}
"""

BEATS, NAPS = 5, 10_000  # of a millisecond and more

Hold = Callable[..., int]


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Hold:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("hold")
    (folder / "hold.c").write_text(HOLD)
    words = [
        "-shared",
        "-fPIC",
        "-O1",
        f"-I{ROOT / 'c'}",
        *(["-DPOOL_DEBUG"] if paths_module.is_debug() else []),  # it has other structs
        "-o",
        str(folder / "hold.so"),
    ]
    subprocess.run([*compiler, str(folder / "hold.c"), *words, "-lpthread"], check=True)
    function: Hold = ctypes.CDLL(str(folder / "hold.so")).hold
    return function


class Holder:
    """Holds pools in another thread, for as long as it takes to count some beats."""

    def __init__(self, hold: Hold, pools: list[MemoryPool], arena: bool = False) -> None:
        self._state, self._found = ctypes.c_int(), 0
        handles = (ctypes.c_void_p * len(pools))(*(pool.handle for pool in pools))

        def run() -> None:
            arguments = handles, ctypes.c_size_t(len(pools)), int(arena)
            self._found = hold(*arguments, ctypes.byref(self._state), NAPS)

        self._thread = threading.Thread(target=run)

    def others_run_during(self, call: Callable[[], Any]) -> bool:
        """Whether this thread ran on while another one made the call."""
        self._thread.start()
        while not self._state.value:
            time.sleep(0.0001)
        caller = threading.Thread(target=call)
        caller.start()
        for _ in range(BEATS):
            time.sleep(0.001)
        self._state.value = 2
        self._thread.join()
        caller.join()
        return self._found == 2


@pytest.mark.parametrize("name", CALLS)
def test_others_run_while_a_call_waits(name: str, hold: Hold, tmp_path: Path) -> None:
    require(name)
    scene = Scene(tmp_path)
    scene.stranger.save(tmp_path / "there")
    scene.pool.save(tmp_path / "delta", since=scene.clone)
    pools = [scene.pool, scene.since, scene.clone, scene.stranger]

    def call() -> None:
        CALLS[name](scene)

    assert Holder(hold, pools).others_run_during(call)


def _give_back_view(pool: MemoryPool) -> Callable[[], Any]:
    held = [pool.view(0, 9), pool.pin(5000, 9)]
    return held.clear


def _give_back_pool(pool: MemoryPool) -> Callable[[], Any]:
    held = [pool.clone()]
    return held.clear


def _collect(pool: MemoryPool) -> Callable[[], Any]:
    cycle: list[Any] = [pool.clone(), pool.view(0, 9)]
    cycle.append(cycle)
    return cycle.clear


def _let_go(pool: MemoryPool) -> Callable[[], Any]:
    other = MemoryPool(TOTAL, BLOCK)

    class Writes(Memory):
        def __del__(self) -> None:
            pool.write(7, b"let go")
            pool.fill(0, 1, TOTAL)

    other.adopt(0, Writes(BLOCK))
    return lambda: other.write(0, b"x")


GIVING_BACK: dict[str, Callable[[MemoryPool], Callable[[], Any]]] = {
    "a view and a pin": _give_back_view,
    "a pool": _give_back_pool,
    "what is in a cycle": _collect,
    "memory whose end makes calls": _let_go,
}


@pytest.mark.parametrize("name", GIVING_BACK)
@pytest.mark.parametrize("arena", [False, True])
def test_others_run_while_something_is_given_back(
    name: str, arena: bool, hold: Hold
) -> None:
    with MemoryPool(TOTAL, BLOCK) as pool:
        pool.write(0, b"x" * 10_000)
        call = GIVING_BACK[name](pool)
        assert Holder(hold, [pool], arena).others_run_during(call)


ALLOCATING: dict[str, Callable[[MemoryPool], Any]] = {
    "write": lambda pool: pool.write(60_000, b"x"),
    "fetch_add": lambda pool: pool.fetch_add(60_000, 1),
    "clone": lambda pool: pool.clone(),
    "pin": lambda pool: pool.pin(60_000, 9),
    "view": lambda pool: pool.view(60_000, 9),
    "stats": lambda pool: pool.stats,
    "repr": lambda pool: repr(pool),
    "adopt": lambda pool: pool.adopt(0, bytes(BLOCK)),
}


@pytest.mark.parametrize("name", ALLOCATING)
def test_others_run_while_a_call_waits_for_memory(name: str, hold: Hold) -> None:
    """For the lock of the arena, with the pool held."""
    with MemoryPool(TOTAL, BLOCK) as pool:
        pool.write(0, b"x" * 10_000)
        call = ALLOCATING[name]
        assert Holder(hold, [pool], True).others_run_during(lambda: call(pool))


def test_errors_are_told_after_a_wait(hold: Hold) -> None:
    """The status is that of the call, whatever other threads did while it waited."""
    with MemoryPool(TOTAL, BLOCK, memory_limit=BLOCK) as pool:
        pool.write(0, b"x")
        told: list[str] = []

        def call() -> None:
            with suppress(PoolLimitError):
                pool.write(BLOCK, b"x")
                return
            told.append("limit")

        assert Holder(hold, [pool]).others_run_during(call)
        assert told == ["limit"]
        assert pool.read(0, 2) == b"x\0"


def test_what_waits_is_called_by_its_variant() -> None:
    """A function of the library that is called with the interpreter's lock held is one
    that gives it up, or one that waits for nothing."""
    names = {name for name in vars(quick) if name.startswith("pool_")}
    plain = {name for name in names if quick.address(name) == _address(name)}
    assert len(names) > 10
    assert plain <= {
        *("pool_fail_allocation", "pool_last_status", "pool_status_text"),
        "pool_version",
    }


def _address(name: str) -> int | None:
    return ctypes.cast(getattr(parallel, name), ctypes.c_void_p).value
