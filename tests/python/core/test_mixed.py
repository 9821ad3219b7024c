# SPDX-License-Identifier: MIT
"""Python and C on one pool: a small library in C keeps, makes and gives back pools."""

from __future__ import annotations

import ctypes
import gc
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from ctypes import CDLL, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import pytest
from internals import library_module

from pymempool import MemoryPool, PoolRangeError

SOURCE = r"""
#include "memory_pool.h"
#include <string.h>

#ifdef _WIN32
#define SHOWN __declspec(dllexport)
#else
#define SHOWN
#endif

static MemoryPool *kept;

SHOWN size_t put(MemoryPool *pool, size_t offset, const char *text)
{
    return pool_write(pool, offset, text, strlen(text));
}

SHOWN void keep(MemoryPool *pool)
{
    kept = pool_retain(pool);
}

SHOWN int kept_holds(size_t offset, const char *text)
{
    char found[64];
    size_t size = strlen(text);
    return pool_read(kept, found, offset, size) == size && !memcmp(found, text, size);
}

SHOWN size_t kept_references(void)
{
    PoolStats stats;
    stats.struct_size = sizeof stats;
    pool_stats(kept, &stats);
    return stats.references;
}

SHOWN void give_back(void)
{
    pool_destroy(kept);
    kept = NULL;
}

SHOWN MemoryPool *hand_over(void)
{
    MemoryPool *pool = kept;
    kept = NULL;
    return pool;
}

SHOWN MemoryPool *make(size_t total_size, const char *text)
{
    MemoryPool *pool = pool_create(total_size, 64);
    if (pool != NULL) {
        (void)put(pool, 0, text);
    }
    return pool;
}

SHOWN void count(MemoryPool *pool, size_t offset, size_t times)
{
    uint64_t old;
    while (times-- > 0) {
        (void)pool_fetch_add(pool, offset, 8, 1, &old);
    }
}

SHOWN int shrink(MemoryPool *pool, size_t total_size)
{
    return pool_resize(pool, total_size);
}
"""


def compiler() -> list[str]:
    known = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
    for command in filter(None, known):
        words = shlex.split(command)
        if shutil.which(words[0]):
            return words
    pytest.skip("no C compiler here (CC, cc, gcc, clang)")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> CDLL:
    folder = tmp_path_factory.mktemp("mixed")
    source, target = folder / "mixed.c", folder / "mixed.so"
    source.write_text(SOURCE)
    header = Path(__file__).resolve().parents[3] / "c"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    library = library_module.path
    done = subprocess.run(
        [
            *compiler(),
            *flags,
            f"-I{header}",
            str(source),
            library,
            f"-Wl,-rpath,{os.path.dirname(library)}",
            "-o",
            str(target),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = CDLL(str(target))
    loaded.put.argtypes = [c_void_p, c_size_t, c_char_p]
    loaded.put.restype = c_size_t
    loaded.kept_holds.argtypes = [c_size_t, c_char_p]
    loaded.kept_references.restype = c_size_t
    loaded.hand_over.restype = c_void_p
    loaded.make.argtypes = [c_size_t, c_char_p]
    loaded.make.restype = c_void_p
    loaded.count.argtypes = [c_void_p, c_size_t, c_size_t]
    return loaded


@pytest.fixture
def mixed(built: CDLL) -> Iterator[CDLL]:
    yield built
    built.give_back()


def test_c_writes_what_python_reads(mixed: CDLL, pool: MemoryPool) -> None:
    assert mixed.put(pool.handle, 1000, b"from C") == 6
    assert pool.read(1000, 6) == b"from C"
    pin = pool.pin(1024, 64)
    mixed.put(pool.handle, 1030, b"pinned")
    assert pin[6:12] == b"pinned"
    view = pool.view(1024, 64)
    mixed.put(pool.handle, 1030, b"!")
    assert view[6:12] == b"pinned"


def test_c_keeps_what_python_closed(mixed: CDLL, pool: MemoryPool) -> None:
    observer = pool.clone()
    memory = bytearray(b"adopted." * 8)
    pool.adopt(1024, memory)
    mixed.keep(c_void_p(pool.handle))
    assert pool.stats.references == mixed.kept_references() == 2
    pool.write(0, b"kept")
    pool.close()
    assert mixed.kept_references() == 1
    assert mixed.kept_holds(0, b"kept")
    assert mixed.kept_holds(1024, b"adopted.")
    with pytest.raises(BufferError):
        memory.append(0)
    mixed.give_back()
    assert observer.stats.family_pools == 1
    memory.append(0)


def test_borrowed(mixed: CDLL, pool: MemoryPool) -> None:
    mixed.keep(pool)
    with MemoryPool.from_handle(pool.handle) as again:
        assert pool.stats.references == 3
        again.write(0, b"both")
    assert pool.read(0, 4) == b"both"
    assert pool.stats.references == 2


def test_taken_over(mixed: CDLL, pool: MemoryPool) -> None:
    mixed.keep(pool)
    observer = pool.clone()
    pool.close()
    taken = MemoryPool.from_handle(mixed.hand_over(), retain=False)
    assert taken.stats.references == 1
    assert taken.read(100, 3) == b"\1\2\3"
    taken.close()
    assert observer.stats.family_pools == 1


def test_made_by_c(mixed: CDLL) -> None:
    class Mine(MemoryPool):
        pass

    made = Mine.from_handle(mixed.make(5000, b"made"), retain=False)
    assert type(made) is Mine
    assert (made.total_size, made.block_size, made.stats.references) == (5000, 64, 1)
    assert made[:5] == b"made\0"


def test_passed_as_it_is(mixed: CDLL, pool: MemoryPool) -> None:
    assert mixed.put(pool, 1000, b"declared") == 8
    undeclared = CDLL(mixed._name)
    assert undeclared.put(pool, c_size_t(1008), b"not declared") == 12
    assert pool.read(1000, 20) == b"declarednot declared"
    assert library_module.parallel.pool_discard(pool, 1000, 20) is None
    assert pool.read(1000, 20) == bytes(20)
    pool.close()
    for library in (mixed, undeclared):
        with pytest.raises((ctypes.ArgumentError, ValueError), match="closed"):
            library.put(pool, 1000, b"closed")


def test_held_while_the_call_runs(pool: MemoryPool) -> None:
    pools = [pool.clone()]
    alive: list[int] = []

    def call(address: int) -> int:
        pools.pop().close()
        gc.collect()
        alive.append(pool.stats.family_pools)
        return 0

    function = ctypes.CFUNCTYPE(c_int, c_void_p)(call)
    function(pools[0])
    assert alive == [2]
    assert pool.stats.family_pools == 1


def test_counters_of_both_languages(mixed: CDLL, pool: MemoryPool) -> None:
    offset, times = 1020, 2000  # across two blocks

    def in_python() -> None:
        for _ in range(times):
            pool.fetch_add(offset, 1)

    def in_c() -> None:
        mixed.count(pool, offset, times)

    threads = [threading.Thread(target=work) for work in (in_python, in_c) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int.from_bytes(pool.read(offset, 8), sys.byteorder) == 4 * times


def test_sizes_changed_by_c(mixed: CDLL, pool: MemoryPool) -> None:
    assert mixed.shrink(pool, c_size_t(2000)) == 0
    assert (len(pool), pool[-1:]) == (2000, b"\0")
    with pytest.raises(PoolRangeError):
        pool.write(2000, b"x")
    mixed.shrink(pool, c_size_t(9000))
    assert pool.write(8990, b"0123456789") == 10


def test_memory_let_go_by_a_thread_of_c(mixed: CDLL, pool: MemoryPool) -> None:
    # A thread that Python has never seen: one of the C library's own making.
    if sys.platform == "win32":
        pytest.skip("uses pthread_create")
    system: Any = CDLL(None)
    create, join = system.pthread_create, system.pthread_join
    create.argtypes = [c_void_p] * 4
    join.argtypes = [c_void_p] * 2
    memory = bytearray(b"m" * 4096)
    pool.adopt(0, memory)
    mixed.keep(pool)
    pool.close()
    with pytest.raises(BufferError):
        memory.append(0)
    thread = c_void_p()
    give_back = ctypes.cast(mixed.give_back, c_void_p)
    assert create(ctypes.byref(thread), None, give_back, None) == 0
    assert join(thread, None) == 0
    memory.append(0)
