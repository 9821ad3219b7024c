# SPDX-License-Identifier: MIT
"""Gives a pool to worker processes in each way there is: time, and memory of all.

Each way is measured in a process of its own, the owner, which fills a pool and gives it
to workers that are running already (with fork they begin then). An owner drops its own
copy of the data where the way allows that. Memory is the sum of PSS of the owner, the
workers and a server, less what they had before there were data. On Linux.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, Callable, NamedTuple

import tables
from stores import MIB, NotMeasuredError, needed

import pymempool
from pymempool import MemoryPool
from pymempool._core.words import human_time

WRITTEN = MIB  # by each worker
PLUGIN = os.environ.get("NBDKIT_MEMPOOL_PLUGIN", "mempool")
HEAD = ["way", "given to all", "read by all", "memory of all", "x the data"]


class Way(NamedTuple):
    """How data come from one process to others."""

    #: In the owner: takes the pool and a folder, returns what each worker gets.
    give: Callable[[MemoryPool, Path], Any]
    #: In a worker: takes that, returns what the data can be read from.
    take: Callable[[Any], Any]


@dataclass
class Result:
    """What a way costs."""

    way: str
    size: int  #: bytes
    workers: int
    given: float  #: seconds until all workers can read
    read: float  #: seconds in which all of them read all, at once
    memory: int  #: bytes of all processes together

    def cells(self) -> list[str]:
        memory, ratio = f"{self.memory / MIB:,.0f} MiB", self.memory / self.size
        return [
            self.way,
            human_time(self.given),
            human_time(self.read),
            memory,
            f"{ratio:.2f}",
        ]


# ---------------------------------------------------------------------------- the ways


def give_share(pool: MemoryPool, folder: Path) -> Any:
    with pool:
        return pool.share()


def take_share(snapshot: Any) -> MemoryPool:
    pool: MemoryPool = snapshot.open()
    return pool


def give_file(pool: MemoryPool, folder: Path) -> Path:
    with pool:
        pool.save(folder / "pool.img")
    return folder / "pool.img"


def give_pool(pool: MemoryPool, folder: Path) -> MemoryPool:
    return pool


def take_pool(pool: MemoryPool) -> MemoryPool:
    return pool


def give_shared_memory(pool: MemoryPool, folder: Path) -> str:
    memory = shared_memory.SharedMemory(create=True, size=pool.total_size)
    with pool:
        pool.readinto(0, memory.buf)
    kept.append(memory)
    return memory.name


def take_shared_memory(name: str) -> memoryview:
    kept.append(shared_memory.SharedMemory(name))
    return memoryview(kept[-1].buf)


def give_memmap(pool: MemoryPool, folder: Path) -> str:
    """As joblib gives large arrays to its workers: a file on /dev/shm, mapped."""
    with pool:
        array = needed("numpy").frombuffer(pool.read(0, pool.total_size), "u1")
    path = f"/dev/shm/{folder.name}"
    needed("joblib").dump(array, path)
    kept.append(_Removed(path))
    return path


def take_memmap(path: str) -> Any:
    return needed("joblib").load(path, mmap_mode="c")


def give_disk(pool: MemoryPool, folder: Path) -> str:
    image, socket = give_file(pool, folder), folder / "socket"
    command = ["nbdkit", "-f", "-U", str(socket), PLUGIN, f"image={image}"]
    try:
        kept.append(subprocess.Popen(command))
    except FileNotFoundError as error:
        raise NotMeasuredError("nbdkit is not installed") from error
    while not socket.exists():
        if kept[-1].poll() is not None:
            raise NotMeasuredError(f"nbdkit does not find {PLUGIN}")
        time.sleep(0.001)
    return f"nbd+unix:///?socket={socket}"


def take_disk(uri: str) -> str:
    return uri


WAYS = {
    "fork": Way(give_pool, take_pool),
    "share": Way(give_share, take_share),
    "load": Way(give_file, MemoryPool.load),
    "pickle": Way(give_pool, take_pool),
    "shared_memory": Way(give_shared_memory, take_shared_memory),
    "joblib's memmap": Way(give_memmap, take_memmap),
    "NBD": Way(give_disk, take_disk),
}

#: What must live as long as the process, or is ended with it.
kept: list[Any] = []


@dataclass
class _Removed:
    """A file that goes with its owner."""

    path: str

    def unlink(self) -> None:
        os.unlink(self.path)


def end_of_owner() -> None:
    for thing in kept:
        if isinstance(thing, subprocess.Popen):
            thing.terminate()
            thing.wait()
        else:
            if isinstance(thing, shared_memory.SharedMemory):
                thing.close()
            thing.unlink()
    kept.clear()


# ------------------------------------------------------------------------- in processes


def work(connection: Any, data: Any = None) -> None:
    """A worker: does what each message says, and answers; its owner ends it."""
    import_peers()
    buffer = bytearray(MIB)
    while True:
        message = connection.recv()
        if message == "read":
            read_all(data, buffer)
        elif message == "write":
            write(data)
        elif message != "ready":
            name, given = message
            data = WAYS[name].take(given)
        connection.send("done")


def import_peers() -> None:
    """So that no way has the memory and the time of imports."""
    for module in ("numpy", "joblib"):
        with suppress(NotMeasuredError):
            needed(module)


def read_all(data: Any, buffer: bytearray) -> None:
    if isinstance(data, str):
        subprocess.run(["nbdcopy", data, "null:"], check=True)
    elif isinstance(data, MemoryPool):
        for at in range(0, data.total_size, len(buffer)):
            data.readinto(at, buffer)
    else:
        view, target = memoryview(data), memoryview(buffer)
        for at in range(0, len(view), len(target)):
            target[:] = view[at : at + len(target)]


def write(data: Any) -> None:
    """Writes for this worker alone: where a way cannot, to a copy of so many bytes."""
    if isinstance(data, MemoryPool):
        data.fill(0, 1, WRITTEN)
    elif isinstance(data, memoryview):
        kept.append(bytearray(data[:WRITTEN]))
    elif not isinstance(data, str):
        data[:WRITTEN] = 1


def proportional_bytes() -> int:
    """The sum of PSS of this process and its children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    total = 0
    for pid in (str(os.getpid()), *children):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(text.partition("\nPss:")[2].split()[0]) << 10
    return total


class Workers:
    """The workers of an owner."""

    def __init__(self, method: str, count: int, data: Any = None) -> None:
        context = multiprocessing.get_context(method)
        self.connections, self.processes = [], []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, data), daemon=True)
            process.start()
            theirs.close()
            self.connections.append(ours)
            self.processes.append(process)
        self.all_answer("ready")

    def all_answer(self, message: Any) -> float:
        """Sends a message to all; returns the seconds until all have answered."""
        start = time.perf_counter()
        for connection in self.connections:
            connection.send(message)
        for connection in self.connections:
            connection.recv()
        return time.perf_counter() - start

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
            process.join()


def owner(name: str, size: int, count: int) -> Result:
    """Measures one way, in this process and its children."""
    import_peers()
    workers = None if name == "fork" else Workers("spawn", count)
    before = proportional_bytes()
    pool = filled(size)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.callback(end_of_owner)
        if workers is not None:
            stack.callback(workers.end)
        start = time.perf_counter()
        if workers is None:
            workers = Workers("fork", count, pool)
            stack.callback(workers.end)
        else:
            workers.all_answer((name, WAYS[name].give(pool, Path(folder))))
        given = time.perf_counter() - start
        if name != "fork":
            pool.close()
        read = workers.all_answer("read")
        workers.all_answer("write")
        pymempool.trim()
        memory = proportional_bytes() - before
    return Result(name, size, count, given, read, memory)


def filled(size: int) -> MemoryPool:
    pool, data = MemoryPool(size), os.urandom(MIB)
    for at in range(0, size, MIB):
        pool.write(at, data)
    return pool


def measure(name: str, size: int, workers: int) -> Result:
    """Measures one way, in processes of its own. Raises NotMeasuredError."""
    if sys.platform != "linux":
        raise NotMeasuredError("PSS is a figure of Linux")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        return executor.submit(owner, name, size, workers).result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB (default: 1024)")
    parser.add_argument("--workers", type=int, default=4, help="default: 4")
    parser.add_argument("--ways", default=",".join(WAYS), help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    options = parser.parse_args()
    results = []
    for name in options.ways.split(","):
        try:
            results.append(measure(name, options.size * MIB, options.workers))
        except NotMeasuredError as error:
            print(f"not measured: {name}: {error}")
    tables.show(HEAD, [result.cells() for result in results])
    if options.json:
        options.json.write_text(json.dumps([asdict(it) for it in results], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
