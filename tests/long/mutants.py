# SPDX-License-Identifier: MIT
"""Shows that the tests of threads find broken locks: breaks them, one by one, in a copy.

    python tests/long/mutants.py SCRATCH [part of a mutant's name]

Each test must pass on the library as it is, and fail on each of its mutants, with one of
a few seeds. Needs a C compiler; takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 20
COMPILE = ["cc", "-std=c11", "-O2", "-g"]

# Name, file in c/src, and pairs: what stands there, what comes in its place.
MUTANTS = {}
MUTANTS["test_linear"] = [
    (
        "reader does not look again at the end",
        "stripes.c",
        "return watch_shape(watch) && watch_sum(watch) == watch->sum;",
        "return watch->sum % 2 == 0;",
    ),
    (
        "reader looks again at the gate only",
        "stripes.c",
        "return watch_shape(watch) && watch_sum(watch) == watch->sum;",
        "return watch_shape(watch);",
    ),
    (
        "reader looks again at the stripes only",
        "stripes.c",
        "return watch_shape(watch) && watch_sum(watch) == watch->sum;",
        "return watch_sum(watch) == watch->sum;",
    ),
    (
        "reader watches the first stripe of a range only",
        "stripes.c",
        "watch->count = last - first < STRIPES ? last - first + 1 : STRIPES;",
        "watch->count = last - first < STRIPES ? 1 : STRIPES;",
    ),
    (
        "small write does not take the stripe",
        "bytes.c",
        "    lock_acquire(lock);\n    if (lock_version",
        "    if (lock_version",
        "    lock_release(lock);\n    return block != NULL;",
        "    return block != NULL;",
    ),
    (
        "small write does not look at the gate again",
        "bytes.c",
        "    if (lock_version(&pool->stripes.gate.lock) == gate) {",
        "    if (gate % 2 == 0) {",
    ),
    (
        "who holds stripes does not look at the gate",
        "stripes.c",
        "        if (!lock_is_held(&stripes->gate.lock)) {\n            return hold;",
        "        if (hold.to > 0) {\n            return hold;",
    ),
    (
        "who holds the gate does not look at the stripes",
        "stripes.c",
        "    for (i = 0; (versions & 1) != 0 && i < STRIPES; i++) {",
        "    for (i = 0; versions == 1 && i < STRIPES; i++) {",
    ),
    (
        "a range takes its first stripe only",
        "stripes.c",
        "    hold.to = (unsigned)(last % STRIPES) + 1;",
        "    hold.to = hold.from + 1;",
    ),
    (
        "clone does not take the gate",
        "pool.c",
        "        Hold hold = stripes_hold_whole(&pool->stripes);\n"
        "        status = pool_share(clone, pool);\n"
        "        stripes_let_go(&pool->stripes, hold);",
        "        status = pool_share(clone, pool);",
    ),
    (
        "restore does not take the gates",
        "pool.c",
        "        pools_hold(pool, from);\n        status = stock_fill",
        "        status = stock_fill",
        "        pools_let_go(pool, from);\n        stock_release(&stock);",
        "        stock_release(&stock);",
    ),
    (
        "a change of shape is made under stripes",
        "bytes.c",
        "    if (need.nodes > 0 && !hold->whole) {",
        "    if (need.nodes > 0 && hold->whole) {",
    ),
    (
        "view does not take the stripe",
        "view.c",
        "    lock = stripes_hold_block(&pool->stripes, piece.index);",
        "    lock = stripes_lock(&pool->stripes, piece.index);",
        "    lock_release(lock);\n    return status_set(status);",
        "    (void)lock;\n    return status_set(status);",
    ),
    (
        "take discards in a second step",
        "discard.c",
        "status = bytes_discard(pool, (unsigned char *)dest, offset, clipped);",
        "(void)pool_read(pool, dest, offset, clipped);\n"
        "        status = bytes_discard(pool, NULL, offset, clipped);",
    ),
    (
        "integers are read and written in two steps",
        "batch.c",
        "        *old = integer_load(bytes, size);\n",
        "        *old = integer_load(bytes, size);\n"
        "        stripes_let_go(&pool->stripes, hold);\n"
        "        hold = stripes_hold_whole(&pool->stripes);\n",
    ),
    (
        "copy holds one pool at a time",
        "copy.c",
        "    pools_hold(dst, src);",
        "    pools_hold(dst, dst);",
        "pools_let_go(dst, src);",
        "pools_let_go(dst, dst);",
    ),
]


MUTANTS["test_fork"] = [
    (
        "fork does not wait for the stripes",
        "family.c",
        "        (void)stripes_hold_whole(&pool->stripes);\n    }\n    for (family",
        "        lock_acquire(&pool->stripes.gate.lock);\n    }\n    for (family",
    ),
    (
        "fork does not hold the arenas",
        "family.c",
        "        lock_acquire(&family->arena.lock);\n    }\n    lock_acquire(&store",
        "        (void)family;\n    }\n    lock_acquire(&store",
        "        lock_release(&family->arena.lock);",
        "        (void)family;",
    ),
    (
        "fork does not hold the store",
        "family.c",
        "    lock_acquire(&store.lock);\n}",
        "}",
        "    lock_release(&store.lock);\n",
        "",
    ),
    (
        "fork does not hold the register",
        "family.c",
        "    lock_acquire(&registry.lock);\n    for (pool = registry.oldest;",
        "    for (pool = registry.oldest;",
        "        stripes_let_go(&pool->stripes, whole);\n    }\n"
        "    lock_release(&registry.lock);",
        "        stripes_let_go(&pool->stripes, whole);\n    }",
    ),
]
MUTANTS["test_crowd"] = [
    (
        "references are taken in two steps",
        "pool.c",
        "u32_add_relaxed(&pool->refs, 1);",
        "u32_store_relaxed(&pool->refs, u32_load_acquire(&pool->refs) + 1);",
    ),
    (
        "the first reference given back ends the pool",
        "pool.c",
        "u32_sub_acq_rel(&pool->refs, 1) == 1",
        "u32_sub_acq_rel(&pool->refs, 1) >= 1",
    ),
    (
        "a view does not hold its family",
        "view.c",
        "    u32_add_relaxed(&pool->family->refs, 1);",
        "",
    ),
    (
        "a pool leaves the register without its lock",
        "family.c",
        "{\n    lock_acquire(&registry.lock);\n    *(pool->older",
        "{\n    *(pool->older",
        "family->pools, 1);\n    lock_release(&registry.lock);",
        "family->pools, 1);",
    ),
]


def build(folder: Path, name: str, edits: list[tuple[str, ...]]) -> Path:
    """Builds a test with a copy of the library in which each edit was made."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "c", folder / "c")
    for file, old, new in edits:
        path = folder / "c" / "src" / file
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"{path.name} has no longer:\n{old}")
        path.write_text(text.replace(old, new))
    program = folder / name
    tests = ROOT / "tests" / "c"
    command: list[str | Path] = [
        *COMPILE,
        "-I",
        folder / "c",
        "-I",
        tests,
        tests / f"{name}.c",
    ]
    command += [folder / "c" / "memory_pool.c", "-o", program, "-lpthread"]
    subprocess.run(command, check=True)
    return program


def run(program: Path, seed: int) -> str:
    """What the test says that is wrong, or nothing."""
    with subprocess.Popen(
        [program, f"--seed={seed}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its children end with it
    ) as test:
        try:
            _, errors = test.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(test.pid, signal.SIGKILL)
            return "it does not end"
    if test.returncode == 0:
        return ""
    lines = errors.strip().splitlines() or [f"ended by signal {-test.returncode}"]
    return lines[0].strip()


def first_fault(program: Path) -> str:
    """The first seed that shows something wrong, and what; or nothing."""
    begin = time.monotonic()
    for seed in range(1, SEEDS + 1):
        fault = run(program, seed)
        if fault:
            return f"seed {seed}, {time.monotonic() - begin:.1f} s: {fault}"
    return ""


def main() -> int:
    scratch = Path(sys.argv[1]) / "mutant"
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    missed = 0
    for test, mutants in MUTANTS.items():
        chosen = [mutant for mutant in mutants if part in mutant[0]]
        fault = chosen and first_fault(build(scratch, test, []))
        if fault:
            print(f"{test} fails with the library as it is: {fault}")
            return 1
        for name, file, *texts in chosen:
            edits = [(file, *texts[i : i + 2]) for i in range(0, len(texts), 2)]
            fault = first_fault(build(scratch, test, edits))
            missed += not fault
            print(f"{test}, {name}: {fault or 'NOT FOUND'}", flush=True)
    print(f"{missed} not found")
    return missed != 0


if __name__ == "__main__":
    sys.exit(main())
