# SPDX-License-Identifier: MIT
"""How long a pool lives: closed, collected, in other threads, at exit, after fork."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest
from every_call import CALLS, Scene, require
from internals import (
    SIGNATURES,
    adoption_module,
    handles_module,
    library_module,
    pins_module,
    pool_module,
)

import pymempool
from pymempool import MemoryPool, PoolClosedError


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter of its own, with this package to import."""
    folder = os.path.dirname(next(iter(pymempool.__path__)))
    start = f"import sys; sys.path[:] = {[*sys.path, folder]!r}\n"
    return subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(script)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_closing_twice(pool: MemoryPool) -> None:
    assert not pool.closed
    pool.close()
    pool.close()
    assert pool.closed


def test_with_closes_even_when_raising() -> None:
    with pytest.raises(KeyError), MemoryPool(10) as pool:
        raise KeyError
    assert pool.closed


def test_close_gives_the_memory_back(pool: MemoryPool) -> None:
    with pool.clone() as clone:
        clone.write(0, b"x" * 64)
        assert pool.stats.family_pools == 2
    stats = pool.stats
    assert (stats.family_pools, stats.family_bytes) == (1, stats.held_bytes)


def test_collected_without_a_close(pool: MemoryPool) -> None:
    clone = pool.clone()
    assert pool.stats.family_pools == 2
    del clone
    gc.collect()
    assert pool.stats.family_pools == 1


def test_collected_out_of_a_cycle(pool: MemoryPool) -> None:
    cycle: list[Any] = [pool.clone()]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert pool.stats.family_pools == 1


def test_collected_after_all_that_may_still_use_it(pool: MemoryPool) -> None:
    seen: list[Any] = []

    class User:
        def __init__(self) -> None:
            self.pool, self.view = pool.clone(), pool.view(100, 5)
            self.pin = self.pool.pin(100, 5)
            self.cycle = self

        def __del__(self) -> None:
            seen.append((self.pool.read(100, 5), bytes(self.view), bytes(self.pin)))

    for _ in range(20):
        User()
    gc.collect()
    assert seen == [(bytes(range(1, 6)),) * 3] * 20
    assert (pool.stats.family_pools, pool.stats.family_views) == (1, 0)


def test_nothing_is_given_back_while_somebody_revives_it(pool: MemoryPool) -> None:
    revived: list[Any] = []

    class User:
        def __init__(self) -> None:
            self.pool, self.view = pool.clone(), pool.view(100, 5)
            self.cycle = self

        def __del__(self) -> None:
            revived.append(self)

    User()
    gc.collect()
    assert bytes(revived[0].view) == revived[0].pool.read(100, 5) == bytes(range(1, 6))
    assert (pool.stats.family_pools, pool.stats.family_views) == (2, 1)
    revived.clear()
    gc.collect()
    assert (pool.stats.family_pools, pool.stats.family_views) == (1, 0)


def test_exit_with_views_pins_and_adopted_memory() -> None:
    done = run_python(
        """
        import threading
        from pymempool import MemoryPool

        class Memory(bytearray):
            def __del__(self):
                print("let go", len(self))

        pool = MemoryPool(1 << 30, 4096)
        pool.adopt(0, Memory(b"a" * 8192))
        pool.adopt(1 << 20, Memory(b"b" * 4096))
        view, pin, hole = pool.view(0, 100), pool.pin(20000, 10), pool.view(1 << 29, 5)
        cycle = [pool.view(0, 5), pool.pin(9000, 5), pool.clone(), pool.view(1 << 20, 3)]
        cycle.append(cycle)
        part = view[10:20]
        import sys
        sys.modules["kept"] = [part, pool.views(0, 10000)]
        started, forever = threading.Event(), threading.Event()

        def wait():
            mine = [pool.view(0, 7), pool.pin(0, 7), pool.clone()]
            started.set()
            forever.wait()

        threading.Thread(target=wait, daemon=True).start()
        started.wait()
        print(bytes(view[:2]), bytes(hole), pool.stats.family_views > 7, flush=True)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == r"b'aa' b'\x00\x00\x00\x00\x00' True"


def test_exit_lets_adopted_memory_go() -> None:
    done = run_python(
        """
        from pymempool import MemoryPool

        class Memory(bytearray):
            def __del__(self):
                print("let go", len(self))

        pool = MemoryPool(1 << 30, 4096)
        pool.adopt(0, Memory(b"a" * 8192))
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "let go 8192\n", "")


def test_created_anew(pool: MemoryPool) -> None:
    clone = pool.clone()
    clone.__init__(50)  # type: ignore[misc]
    gc.collect()
    assert clone.total_size == 50
    assert pool.stats.family_pools == 1


def test_iterators_do_not_keep_a_closed_pool(pool: MemoryPool) -> None:
    clone = pool.clone()
    runs = clone.extents()
    next(runs)
    clone.close()
    assert pool.stats.family_pools == 1
    with pytest.raises(PoolClosedError):
        next(runs)


def test_closed_while_other_threads_read(pool: MemoryPool) -> None:
    size = 1 << 18
    made = MemoryPool(size, 1024)
    made.fill(0, 7, size)
    clone = made.clone()
    wrong: list[object] = []
    started = threading.Barrier(5)

    def read() -> None:
        started.wait()
        try:
            while True:
                if clone.read(0, size).count(7) != size:
                    wrong.append("a mix")
        except PoolClosedError:
            pass
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    clone.read(0, size)
    clone.close()
    for thread in threads:
        thread.join()
    assert wrong == []
    gc.collect()
    assert made.stats.family_pools == 1


CALLS_MEANWHILE: dict[str, Callable[[MemoryPool, bytearray], Any]] = {
    "readinto": lambda pool, buffer: pool.readinto(0, buffer),
    "write": lambda pool, buffer: pool.write(0, buffer),
    "fill": lambda pool, buffer: pool.fill(0, 7, len(buffer)),
    "take": lambda pool, buffer: pool.take(0, len(buffer)),
    "gather": lambda pool, buffer: pool.gather(range(0, len(buffer), 256), 256, buffer),
    "scatter": lambda pool, buffer: pool.scatter(range(0, len(buffer), 256), buffer),
    "read_many": lambda pool, buffer: pool.read_many([(0, len(buffer))], buffer),
    "write_many": lambda pool, buffer: pool.write_many([(0, buffer), (5, b"five")]),
    "fetch_add": lambda pool, buffer: pool.fetch_add(5, 1),
    "copy_from": lambda pool, buffer: pool.copy_from(pool, 0, 5000, 2000),
    "clone": lambda pool, buffer: pool.clone().write(0, buffer),
    "restore": lambda pool, buffer: pool.restore(pool.clone()),
    "resize": lambda pool, buffer: pool.resize(len(buffer)),
    "extents": lambda pool, buffer: list(pool.extents()),
    "written": lambda pool, buffer: list(pool.written()),
    "changes": lambda pool, buffer: list(pool.changes(pool.clone())),
    "states": lambda pool, buffer: list(pool.states()),
    "views": lambda pool, buffer: b"".join(pool.views(0, 9000)),
    "pin": lambda pool, buffer: bytes(pool.pin(1024, 9)),
    "pin, several": lambda pool, buffer: len(pool.pin(1024, 9000)),
    "view": lambda pool, buffer: bytes(pool.view(0, 9000)),
    "adopt": lambda pool, buffer: pool.adopt(0, bytes(5000)),
    "pickle": lambda pool, buffer: pickle.dumps([pool, pool.clone()], 5),
    "stats": lambda pool, buffer: pool.stats,
    "set_limit": lambda pool, buffer: pool.set_limit(None),
    "on_limit": lambda pool, buffer: pool.on_limit(None),
    "peak": lambda pool, buffer: pool.peak().__enter__().__exit__(None, None, None),
}


@pytest.mark.parametrize("name", CALLS_MEANWHILE)
def test_closed_while_other_threads_call(name: str) -> None:
    size = 1 << 16
    made = MemoryPool(size, 1024)
    made.fill(0, 7, size)
    clone = made.clone()
    wrong: list[object] = []
    started = threading.Barrier(4)

    def call() -> None:
        buffer = bytearray(size)
        started.wait()
        try:
            while True:
                CALLS_MEANWHILE[name](clone, buffer)
        except PoolClosedError:
            buffer.append(0)  # nobody holds it any more
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    for _ in range(3):
        CALLS_MEANWHILE[name](clone, bytearray(size))
    clone.close()
    for thread in threads:
        thread.join()
    assert wrong == []
    stats = made.stats
    assert (stats.references, stats.family_pools, stats.family_views) == (1, 1, 0)
    assert made.read(0, size) == b"\7" * size


class Closer:
    """Closes the pool of a scene as soon as C is called with it."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.pools: list[int] = []  # those of the family before and after it was closed

    def wrap(self, function: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            scene = self.scene
            if scene and self.is_with(scene.pool, arguments):
                self.scene = None
                self.pools.append(scene.since.stats.family_pools)
                scene.pool.close()
                self.pools.append(scene.since.stats.family_pools)
                assert self.pools[0] == self.pools[1], "the call would meet freed memory"
            return function(*arguments)

        return call

    @staticmethod
    def is_with(pool: MemoryPool, arguments: tuple[Any, ...]) -> bool:
        if any(argument is pool._owner.argument for argument in arguments):
            return True
        return pool.handle in [getattr(a, "value", a) for a in arguments]


@pytest.fixture
def closer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Closer]:
    made = Closer()
    for library in (library_module.quick, library_module.parallel):
        for name in SIGNATURES:
            if hasattr(library, name):
                monkeypatch.setattr(library, name, made.wrap(getattr(library, name)))
    for module, name in (
        *((pool_module, "_read_quick"), (pool_module, "_write_quick")),
        *((pool_module, "_read_bytes"), (pool_module, "_read_bytes_far")),
        *((pool_module, "_read_near"), (pool_module, "_write_near")),
        *((handles_module, "_clone"), (adoption_module, "_adopt")),
    ):
        monkeypatch.setattr(module, name, made.wrap(getattr(module, name)))
    for name, function in pins_module._FUNCTIONS.items():
        monkeypatch.setitem(pins_module._FUNCTIONS, name, made.wrap(function))
    yield made


# These make no pool, or call C with another one, or with none.
CALL_NOTHING = {"__init__", "__init__, again", "closed", "__enter__", "handle", "apply"}
CALL_NOTHING |= {"_as_parameter_", "__bool__", "_repr_html_"}
CALL_NOTHING |= {"digest, a stranger", "find, a stranger", "share, a stranger"}
CALL_NOTHING |= {"load, a path", "load, pickle_path", "__reduce_ex__, loaded"}
CALL_NOTHING |= {"apply, a path", "apply, bytes", "start_address", "header"}


# Who passes a bare address sees to it that there is a pool.
@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"from_handle"}))
def test_each_call_holds_its_pool(name: str, closer: Closer, tmp_path: Path) -> None:
    require(name)
    scene = Scene(tmp_path)
    (tmp_path / "there").write_bytes(b"there")
    closer.scene = scene
    with suppress(PoolClosedError, FileNotFoundError):
        CALLS[name](scene)
    closer.scene = None
    assert bool(closer.pools) == (name not in CALL_NOTHING)


def test_python_itself_has_no_memory() -> None:
    """What it takes before C is called, or after, is given back."""
    pytest.importorskip("_testcapi", reason="this Python has no _testcapi")
    done = run_python(
        """
        import sys
        sys.settrace(None)  # what measures coverage needs memory too
        import _testcapi
        from ctypes import ArgumentError
        from internals import count_adopted, count_windows
        from pymempool import MemoryPool

        class Memory(bytearray):
            pass

        pool = MemoryPool(4096, 64)
        plain, memory, offsets = bytearray(400), Memory(400), list(range(0, 2000, 100))
        calls = [
            lambda: pool.write(5, memory),
            lambda: pool.readinto(5, memory),
            lambda: pool.readinto(5, plain),
            lambda: pool.adopt(5, memory),
            lambda: pool.view(5, 9),
            lambda: pool.pin(5, 9),
            lambda: pool.gather(offsets, 20, memory),
            lambda: pool.scatter(offsets, memory),
            lambda: pool.read_many([(0, 300), (700, 100)], memory),
            lambda: pool.read_many([(0, 300), (700, 100)]),
            lambda: pool.write_many([(0, memory), (7, b"seven")]),
        ]
        for call in calls:
            call()  # in which CPython compiles a regular expression
            for number in range(80):
                _testcapi.set_nomemory(number, number + 1)
                try:
                    call()
                except (MemoryError, ArgumentError):  # ctypes makes the one the other
                    pass
                _testcapi.remove_mem_hooks()
                pool.discard(0, 4096)  # what was adopted all the same is let go
                assert count_windows() == count_adopted() == 0, number
                for each in (plain, memory):
                    each.append(0)
                    del each[-1]
        kept = pool.handle
        for number in range(40):
            _testcapi.set_nomemory(number, number + 1)
            try:
                pool.__init__(100)
            except (MemoryError, ArgumentError):
                _testcapi.remove_mem_hooks()
                assert pool.handle == kept, number
            else:
                _testcapi.remove_mem_hooks()
                kept = pool.handle
        print("all tried")
        """
    )
    assert (done.stdout, done.returncode) == ("all tried\n", 0), done.stderr


def test_exit_with_live_pools() -> None:
    done = run_python(
        """
        import threading
        from pymempool import MemoryPool, PoolClosedError
        pools = [MemoryPool(1 << 30) for _ in range(10)]
        cycle = [MemoryPool(1)]
        cycle.append(cycle)
        size = 1 << 22
        pools[0].fill(0, 1, size)
        runs = pools[0].extents()
        started = threading.Barrier(4)

        def read():
            started.wait()
            try:
                while True:
                    pools[0].read(0, size)
                    pools[0].clone().write(0, bytes(size))
            except PoolClosedError:
                pass

        for _ in range(3):
            threading.Thread(target=read, daemon=True).start()
        started.wait()
        print(pools[0].read(0, 2), flush=True)
        """
    )
    assert (done.returncode, done.stdout.strip()) == (0, r"b'\x01\x01'"), done.stderr
    assert "Fatal" not in done.stderr


def test_exit_gives_pools_back() -> None:
    done = run_python(
        """
        import atexit

        def last():  # registered first, so it runs after everybody else
            stats = read_stats(kept, sizeof(StatsStruct), quick)
            print("alive:", stats.family_pools, pool.closed, clone.closed)

        atexit.register(last)
        from ctypes import sizeof
        from pymempool import MemoryPool
        from internals import StatsStruct, parallel, quick, read_stats
        pool = MemoryPool(4096)
        clone = pool.clone()
        kept = parallel.pool_retain(pool.handle)
        print("alive:", pool.stats.family_pools)
        """
    )
    lines = done.stdout.splitlines()
    assert lines == ["alive: 2", "alive: 1 True True"], done.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_gives_pools_back_that_compare_as_they_like() -> None:
    done = run_python(
        """
        import atexit
        atexit.register(lambda: print([pool.closed for pool in pools]))  # runs last
        from pymempool import MemoryPool

        class Unhashable(MemoryPool):
            def __eq__(self, other):
                return self[:] == other[:]

        class Alike(Unhashable):
            def __hash__(self):
                return 5

        pools = [kind(10) for kind in (Unhashable, Alike, Alike)]
        pools += [pool.clone() for pool in pools]
        print(pools[0] == pools[1] == pools[5])
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["True", str([True] * 6)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() on this system")
def test_fork_while_threads_write() -> None:
    size = 1 << 16
    pool = MemoryPool(1 << 20, 1024)
    pool.fill(0, 1, size)
    stop = threading.Event()

    def write(byte: int) -> None:
        data = bytes([byte]) * size
        while not stop.is_set():
            pool.write(0, data)
            pool.clone().write(5, data)

    def child() -> bool:
        data = pool.read(0, size)
        whole = data.count(data[0]) == size
        pool.write(100, b"child")
        clone = pool.clone()
        clone.fill(0, 9, size)
        return whole and pool.read(100, 5) == b"child" and clone[size - 1] == 9

    threads = [threading.Thread(target=write, args=(byte,)) for byte in (1, 2, 3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            with warnings.catch_warnings():  # newer Pythons warn of fork with threads
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if process == 0:
                signal.alarm(60)  # a child that hangs ends by a signal, and fails
                os._exit(0 if child() else 1)
            assert os.waitpid(process, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
