# SPDX-License-Identifier: MIT
"""Row D5: digests of many states, each one byte from the one before, in a set.

What a model checker or a fuzzer does that wants to know whether it has seen a state. The
peer hashes all of each state, with hashlib's BLAKE2b, as many states as take a second.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import sys
import time

from pymempool import MemoryPool

BLOCK = 4096


def filled(size: int) -> MemoryPool:
    pool = MemoryPool(size, block_size=BLOCK)
    data = random.Random(1).randbytes(min(size, 1 << 20))
    for at in range(0, size, len(data)):
        pool.write(at, data)
    pool.digest()
    return pool


def places(size: int, number: int) -> list[tuple[int, int]]:
    chance = random.Random(2)
    return [(chance.randrange(size), chance.randrange(256)) for _ in range(number)]


def run_set(size: int, number: int) -> tuple[float, float]:
    """States a second and bytes a state, where the digests alone are kept."""
    pool, seen, steps = filled(size), set(), places(size, number)
    metadata = pool.stats.metadata_bytes
    begin = time.perf_counter()
    for at, byte in steps:
        pool[at] = byte
        seen.add(pool.digest())
    seconds = time.perf_counter() - begin
    memory = sys.getsizeof(seen) + sum(map(sys.getsizeof, seen))
    memory += pool.stats.metadata_bytes - metadata
    return number / seconds, memory / number


def run_clones(size: int, number: int) -> tuple[float, float]:
    """The same where each state is kept as a clone, by its digest."""
    pool, seen, steps = filled(size), {}, places(size, number)
    before = pool.stats
    gc.collect()
    begin = time.perf_counter()
    for at, byte in steps:
        pool[at] = byte
        digest = pool.digest()
        if digest not in seen:
            seen[digest] = pool.clone()
    seconds = time.perf_counter() - begin
    after = pool.stats
    memory = sys.getsizeof(seen) + sum(map(sys.getsizeof, seen))
    memory += after.family_bytes - before.family_bytes
    memory += after.metadata_bytes - before.metadata_bytes
    return number / seconds, memory / len(seen)


def run_hashlib(size: int) -> float:
    """States a second where all of each is hashed."""
    flat = bytearray(filled(size)[:])
    seen, number = set(), 0
    begin = time.perf_counter()
    for at, byte in places(size, 100_000):
        flat[at] = byte
        seen.add(hashlib.blake2b(flat, digest_size=32).digest())
        number += 1
        if time.perf_counter() - begin > 1:
            break
    return number / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=100_000)
    parser.add_argument("--clones", type=int, default=20_000)
    options = parser.parse_args()
    print(f"blocks of {BLOCK}; states a second, and bytes a state")
    for size in (64 << 10, 1 << 20, 16 << 20, 256 << 20):
        rate, memory = run_set(size, options.states)
        kept, held = run_clones(size, options.clones)
        print(
            f"{size >> 10:>7} KiB  digests {rate:>7,.0f}/s {memory:>4.0f} B"
            f"   kept as clones {kept:>7,.0f}/s {held:>6,.0f} B"
            f"   hashlib {run_hashlib(size):>7,.0f}/s"
        )


if __name__ == "__main__":
    main()
