# SPDX-License-Identifier: MIT
"""Lists the steps of short calls, and what each costs: python benchmarks/python/steps.py

By default in nanoseconds, the steps in turns. With --count in instructions, by valgrind:
these repeat to a percent on a busy machine as well.

A step is code of its own that does what the call does there, so that the steps of a call
add up to about the call.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tables

from pymempool import MemoryPool
from pymempool._core import lifecycle, owner as owners, sequence
from pymempool._native import handles, near
from pymempool._native.buffers import in_place
from pymempool._native.calls import QUICK_BYTES, quick
from pymempool.cli.timing import alternate, random_offsets, statement

SPAN, COUNT = 256 << 10, 1000

#: Checks stand in an `if`, where CPython compares in fewer steps; this compiles alike.
RANGE = "0 if 0 <= at <= owner.total_size - size and at <= NEAR and size <= QUICK else 1"

#: The calls: first the call itself, then its steps in order. `at` is an offset.
CALLS: dict[str, dict[str, str]] = {
    "read 8 bytes": {
        "pool.read(at, 8)": "pool.read(at, size)",
        "a call of a method with two arguments": "empty.two(at, size)",
        "self._owner": "pool._owner",
        "the types": "0 if type(at) is int is type(size) else 1",
        "the range": (
            "0 if 0 < size <= QUICK and 0 <= at < owner.total_size and at <= NEAR else 1"
        ),
        "the argument": "owner.argument",
        "through ctypes: C makes the bytes object and reads": (
            "read_bytes(argument, at, size)"
        ),
    },
    "write 8 bytes": {
        "pool.write(at, data)": "pool.write(at, data)",
        "a call of a method with two arguments": "empty.two(at, data)",
        "self._owner": "pool._owner",
        "the types": "0 if type(data) is bytes and type(at) is int else 1",
        "the size": "len(data)",
        "the range": RANGE,
        "the argument": "owner.argument",
        "through ctypes: C writes": "write(argument, at, data, size)",
    },
    "readinto 4 KiB, a bytearray": {
        "pool.readinto(at, buffer)": "pool.readinto(at, buffer)",
        "a call of a method with two arguments": "empty.two(at, buffer)",
        "self._owner": "pool._owner",
        "the types": "0 if type(buffer) is bytearray and type(at) is int else 1",
        "the buffer held in place, and released": "in_place(buffer)",
        "the size": "len(buffer)",
        "the range": RANGE,
        "the argument": "owner.argument",
        "through ctypes: C reads": "read(argument, held, at, 4096)",
    },
    "a slice of 8 bytes": {
        "pool[at : at + 8]": "pool[at : at + 8]",
        "the slice": "empty[at : at + 8]",
        "its offset and size": "range_of(owner, a_slice)",
        "pool.read(at, 8)": "pool.read(at, size)",
    },
    "a slice of 8 bytes set": {
        "pool[at : at + 8] = data": "pool[at : at + 8] = data",
        "the slice": "empty[at : at + 8] = data",
        "its offset and size": "range_of(owner, a_slice)",
        "the type and the size of the data": (
            "0 if type(data) is bytes and len(data) == size else 1"
        ),
        "pool.write(at, data)": "pool.write(at, data)",
    },
    "a clone, dropped at once": {
        "pool.clone()": "pool.clone()",
        "a call of a method": "empty.none()",
        "through ctypes: C clones, and ends the clone": "clone(owner.address)",
        "an Owner, which knows the address": "Owner(reference, total_size)",
        "of this the argument for later calls": "as_argument(address)",
        "a MemoryPool": "new(MemoryPool)",
        "noted, to be closed at exit": "close_at_exit(pool)",
    },
    "beside them: an empty call through ctypes": {
        "with 4 declared types": "declared(address, data, at, 0)",
        "with none": "read(argument, data, at, 0)",
    },
}


class Empty:
    """Does what a call of a method does, and nothing else."""

    def none(self) -> None:
        return None

    def two(self, _one: Any, _two: Any) -> None:
        return None

    def __getitem__(self, key: slice) -> None:
        return None

    def __setitem__(self, key: slice, value: Any) -> None:
        return None


def names() -> dict[str, Any]:
    """What the code of the steps uses."""
    pool, buffer = MemoryPool(SPAN), bytearray(4096)
    pool.write(0, b"x" * SPAN)
    held = in_place(buffer)
    owner = pool._owner
    return {
        "pool": pool,
        "owner": owner,
        "address": owner.address,
        "argument": owner.argument,
        "total_size": owner.total_size,
        "reference": owner._reference,
        "data": b"y" * 8,
        "size": 8,
        "buffer": buffer,
        "held": held,
        "a_slice": slice(8, 16),
        "empty": Empty(),
        "NEAR": near.NEAR,
        "QUICK": QUICK_BYTES,
        "MemoryPool": MemoryPool,
        "new": MemoryPool.__new__,
        "Owner": owners.Owner,
        "as_argument": near.as_argument,
        "clone": handles.clone,
        "close_at_exit": lifecycle.close_at_exit,
        "declared": quick.pool_read,
        "in_place": in_place,
        "range_of": sequence.range_of,
        "read": near.read,
        "read_bytes": near.read_bytes,
        "write": near.write,
    }


def codes() -> dict[str, str]:
    """All code, each once; the first is what the loop around it costs."""
    every = {code: code for steps in CALLS.values() for code in steps.values()}
    return {"pass": "pass", **every}


def timed(rounds: int) -> dict[str, float]:
    """Nanoseconds of each code, in turns."""
    offsets = random_offsets(SPAN - 4096, 8)
    cases = {code: statement(code, offsets, **names()) for code in codes()}
    timings = alternate(cases, rounds)
    return {code: timing.median * 1e9 for code, timing in timings.items()}


def counted() -> dict[str, float]:
    """Instructions of each code, by a child under valgrind, which writes its counts
    whenever the child calls getppid."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", "--dump-before=getppid"]
        tool.append(f"--callgrind-out-file={folder}/out")
        command = [*tool, sys.executable, __file__, "--under-valgrind"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        files = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        texts = [path.read_text() for path in files]
    totals = [int(re.findall(r"^(?:totals|summary): (\d+)", t, re.M)[0]) for t in texts]
    found = totals[-2 * len(codes()) + 1 :: 2]
    return {code: total / COUNT for code, total in zip(codes(), found)}


def run_under_valgrind() -> None:
    """Runs each code some times to warm it up, and then COUNT times."""
    gc.disable()
    known = names()
    for code in codes():
        exec(f"def run(count):\n for at in range(0, 8 * count, 8): {code}\n", known)
        known["run"](300)
        os.getppid()
        known["run"](COUNT)
        os.getppid()


def lines(cost: Mapping[str, float]) -> list[list[str]]:
    """A table of the steps without the loop around them, and their shares of the call."""
    made = []
    for call, steps in CALLS.items():
        spent = {step: cost[code] - cost["pass"] for step, code in steps.items()}
        whole = next(iter(spent.values()))
        for number, (step, each) in enumerate(spent.items()):
            share = f"{each / whole:.0%}" if number else ""
            made.append([call if not number else "", step, f"{each:.0f}", share])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="default: 31")
    parser.add_argument("--count", action="store_true", help="instructions, by valgrind")
    parser.add_argument("--under-valgrind", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.under_valgrind:
        return run_under_valgrind()
    cost = counted() if options.count else timed(options.rounds)
    unit = "instructions" if options.count else "ns"
    tables.show(["call", "step", unit, "share"], lines(cost))
    return None


if __name__ == "__main__":
    main()
