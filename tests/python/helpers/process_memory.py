# SPDX-License-Identifier: MIT
"""What processes hold: memory, descriptors, names. On Linux, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_NAMES = "tmp", "pymempool"


def proportional_bytes(*pids: int) -> int:
    """The sum of PSS: private memory, and of what is shared each process's part."""
    return sum(_proportional_bytes(pid) for pid in pids)


def _proportional_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no PSS of process {pid}")


def held_objects() -> dict[str, list[str]]:
    """By kind what this process has open or mapped, and what has a name in /dev/shm.

    Once all other processes have ended, shared memory that is none of these is freed.
    Of the names those count that ours might have: other tests make semaphores.
    """
    maps = Path("/proc/self/maps").read_text().splitlines()
    unlinked = [line for line in maps if line.endswith("(deleted)")]
    return {
        "descriptors": sorted(map(_target, os.listdir("/proc/self/fd"))),
        "mappings": sorted(line.split(maxsplit=5)[-1] for line in unlinked),
        "names": sorted(it for it in os.listdir("/dev/shm") if it.startswith(_NAMES)),
    }


def shared_bytes() -> int:
    """All shared memory of the machine, whoever holds it."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no Shmem")


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return "the folder that was listed"
