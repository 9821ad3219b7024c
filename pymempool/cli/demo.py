# SPDX-License-Identifier: MIT
"""The tour: real files go through a pool of 1 TiB, and every step is checked.

Read it from the top: run() lists the steps, and each step is one function that shows one
thing that pools do, with nothing but the public names of pymempool. What reads files and
counts stands at the end, what prints in report.py. Each line of the output that starts
with "ok" is a comparison that could have failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import random
import stat
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path
from typing import Callable, TextIO, TypeVar

import pymempool
from pymempool import MemoryPool, PoolLimitError

from .._core.words import human
from .errors import CommandError
from .parser import Commands, add_command
from .report import Report, count

_ABOUT = """\
Scatters files over a pool of 1 TiB and reads them back, clones the pool, edits the
clone and rolls it back, consumes a stream and runs into a memory limit; checks every
step and prints an account. The files are only read.
"""

_MORE = """\
exit status:
  0  every check holds
  1  a check failed
  2  wrong usage, a file that cannot be read, not enough memory
"""


KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

POOL_SIZE = TIB if sys.maxsize > 1 << 32 else GIB  # small where addresses have 32 bits
BLOCK_SIZE = 4 * KIB
CHUNK = MIB  # bytes in hand at a time, so that files of any size do
STREAM_MAX = 16 * MIB  # how much of the files the stream carries
PACKET = 1400  # bytes, as on a network, and no divisor of anything here
THREADS = 4
SEED = 2  # the same places and the same order every time

Item = TypeVar("Item")


@dataclass
class File:
    """A file on disk and the place in the pool where it is put."""

    path: Path
    size: int
    digest: str
    home: int = 0  # offset in the pool

    @property
    def name(self) -> str:
        """The last two parts of the path, fit to be printed in a column."""
        name = "/".join(self.path.parts[-2:])
        name = "".join(c if c.isprintable() else "?" for c in name)
        return name if len(name) <= 40 else "..." + name[-37:]


def run(paths: Sequence[Path], out: TextIO) -> int:
    """Takes the tour with these files; returns 0 if every check holds, or else 1."""
    report = Report(out)
    files = [examine(path) for path in paths or default_files()]
    total = sum(file.size for file in files)
    report.heading(
        f"pymempool {pymempool.__version__}, Python {platform.python_version()}, "
        f"{platform.system()}: {count(files, 'file')}, {human(total)}"
    )
    choose_homes(files)
    resident = resident_bytes()
    with report.timed("create"):
        pool = MemoryPool(POOL_SIZE, BLOCK_SIZE)
    with pool:
        scatter(report, pool, files)
        account(report, pool, total, resident)
        draw_map(report, pool, files)
        read_back(report, pool, files)
        with report.timed("clone"):
            draft = pool.clone()
        with draft:
            edit_clone(report, pool, draft, files)
            roll_back(report, pool, draft, files)
        stream(report, pool, files)
    hit_limit(report)
    return report.close()


# ----------------------------------------------------------------------- the steps


def scatter(report: Report, pool: MemoryPool, files: Sequence[File]) -> None:
    """Shows that a pool may be written anywhere, in any order, by many threads.

    The pieces of all files are shuffled and dealt out to the threads. Most of them end
    in the middle of a block that another thread is writing to at the same time.
    """
    pieces = [
        (file, offset, min(step, file.size - offset))
        for file in files
        for step in [min(CHUNK, max(1000, file.size // 16))]
        for offset in range(0, file.size, step)
    ]
    random.Random(SEED).shuffle(pieces)

    def put(piece: tuple[File, int, int]) -> None:
        file, offset, size = piece
        pool.write(file.home + offset, read_file(file.path, offset, size))

    with report.timed("scatter"):
        in_threads(put, pieces)
    report.heading(
        f"Scatter {count(pieces, 'piece')} over {human(POOL_SIZE)},"
        f" out of order, from {THREADS} threads"
    )
    blocks = {block for file in files for block in blocks_of(file.home, file.size)}
    report.check(
        f"the pool holds {count(blocks, 'block')} of {human(BLOCK_SIZE)}: those that"
        " were written to, no other",
        pool.stats.held_blocks == len(blocks),
    )


def account(
    report: Report, pool: MemoryPool, written: int, resident_before: int | None
) -> None:
    """Shows what a pool costs: about what was written, whatever its size."""
    stats = pool.stats
    resident = resident_bytes()
    if resident is None or resident_before is None:
        grown = "not measured on this system"
    else:
        grown = f"{human(max(0, resident - resident_before))} more than before"
    report.row("space", f"{human(stats.total_size)} that can be addressed")
    report.row("written", f"{human(written)} ({written} bytes)")
    report.row("in blocks", f"{human(stats.held_bytes)} ({stats.held_bytes} bytes)")
    report.row("bookkeeping", f"{human(stats.metadata_bytes)} for the tree of blocks")
    report.row("resident", f"{grown} (the whole process)")
    report.row("a bytearray", f"would have to ask for {human(stats.total_size)} at once")


def draw_map(report: Report, pool: MemoryPool, files: Sequence[File]) -> None:
    """Shows extents(): where data is. Everything else is a hole."""
    extents = list(pool.extents())
    report.heading("The map: # has data, . is one great hole")
    columns, lines = 64, 16
    bar = ["."] * columns
    for start, size in extents:
        first = start * columns // POOL_SIZE
        last = (start + size - 1) * columns // POOL_SIZE
        bar[first : last + 1] = "#" * (last + 1 - first)
    report.text(f"  |{''.join(bar)}|")
    report.text(f"  {'0':<{columns // 2}}{human(POOL_SIZE):>{columns // 2 + 2}}")
    report.text(f"  {'offset':>9}  {'data':>9}  {'then hole':>9}  holds")
    if not extents or extents[0][0] > 0:
        extents.insert(0, (0, 0))  # a row for the hole in front
    ends = [start for start, _ in extents[1:]] + [POOL_SIZE]
    for (start, size), end in list(zip(extents, ends))[:lines]:
        inside = [f for f in files if f.size and start <= f.home < start + size]
        names = ", ".join(file.name for file in inside[:3]) + ", ..." * (len(inside) > 3)
        hole = human(end - start - size)
        report.text(f"  {human(start):>9}  {human(size):>9}  {hole:>9}  {names}")
    if len(extents) > lines:
        rest = sum(size for _, size in extents[lines:])
        more = count(extents[lines:], "more extent")
        report.text(f"  {'...':>9}  {human(rest):>9}  {'':>9}  {more}")


def read_back(report: Report, pool: MemoryPool, files: Sequence[File]) -> None:
    """Shows that the scattered pieces are whole files again, and that holes read as 0."""
    report.heading("Read everything back")
    with report.timed("read back"):
        check_digests(report, "sha256 in the pool and on disk agree", pool, files)
    held = pool.stats.held_bytes
    start, size = largest_hole(pool)
    size = min(size, CHUNK)
    report.check(
        f"{human(size)} of a hole read as zeros, and it stays a hole",
        pool.read(start, size) == bytes(size) and pool.stats.held_bytes == held,
    )


def edit_clone(
    report: Report, pool: MemoryPool, draft: MemoryPool, files: Sequence[File]
) -> None:
    """Shows that a clone is a pool of its own that shares what nobody changed.

    Three edits are made to the clone; changes() finds their blocks, and nothing else,
    without looking at what the two still share.
    """
    report.heading("Clone the pool and edit the clone")
    before = draft.stats
    report.row("cloned", f"{human(before.held_bytes)} in {report.duration('clone')}")
    report.check(
        "the clone shares all blocks and takes no block of its own",
        before.shared_blocks == before.held_blocks
        and before.family_bytes == before.held_bytes,
    )
    edits = make_edits(report, draft, files)
    with report.timed("changes"):
        changes = list(draft.changes(pool))
    for start, size in changes:
        report.row("changed", f"{human(size):>8} at offset {start} ({human(start)})")
    expected = {block for edit in edits for block in blocks_of(*edit)}
    found = {block for change in changes for block in blocks_of(*change)}
    report.check(
        f"changes() tells the {count(expected, 'block')} of the edits, no other",
        found == expected,
    )
    stats = draft.stats
    report.row("copied", f"{count(range(stats.copied_blocks), 'block')} on write")
    check_digests(report, "the original did not change", pool, files)


def make_edits(
    report: Report, draft: MemoryPool, files: Sequence[File]
) -> list[tuple[int, int]]:
    """Flips bytes in the largest file, removes the smallest, writes a note in a hole."""
    by_size = sorted((file for file in files if file.size), key=lambda file: file.size)
    edits = []
    for file in by_size[-1:]:
        offset, size = file.home + file.size // 2, min(16, file.size - file.size // 2)
        flipped = bytes(byte ^ 0xFF for byte in draft.read(offset, size))
        draft.write(offset, flipped)
        edits.append((offset, size))
        report.row("edit", f"{count(flipped, 'byte')} flipped in {file.name}")
        report.check("the clone has them", draft.read(offset, size) == flipped)
    for file in by_size[:-1][:1]:
        draft.discard(file.home, file.size)
        edits.append((file.home, file.size))
        report.row("edit", f"{file.name} discarded")
        report.check(
            "the clone has zeros there",
            all(not any(chunk) for chunk in chunks(draft, file.home, file.size)),
        )
    note = b"written to the clone alone"
    start, size = largest_hole(draft)
    offset = start + size // 2
    draft[offset : offset + len(note)] = note
    edits.append((offset, len(note)))
    report.row("edit", f"a note at {human(offset)}, where a hole was")
    return edits


def roll_back(
    report: Report, pool: MemoryPool, draft: MemoryPool, files: Sequence[File]
) -> None:
    """Shows restore(): the clone is at once what the pool is, and shares all of it."""
    report.heading("Roll the clone back")
    with report.timed("restore"):
        draft.restore(pool)
    report.row("restored", f"in {report.duration('restore')}")
    report.check("changes() tells no difference", not list(draft.changes(pool)))
    stats = draft.stats
    report.check("all blocks are shared again", stats.shared_blocks == stats.held_blocks)
    check_digests(report, "sha256 in the clone and on disk agree", draft, files)


def stream(report: Report, pool: MemoryPool, files: Sequence[File]) -> None:
    """Shows take(): a stream that arrives out of order and is used up in order.

    The offset in the stream is the offset in the pool, so that there is nothing to sort.
    take() reads and discards in one step: memory falls while the stream is consumed.
    """
    size = min(STREAM_MAX, sum(file.size for file in files))
    data = bytearray()
    for file in files:
        for chunk in chunks(pool, file.home, min(file.size, size - len(data))):
            data += chunk
    packets = list(range(0, size, PACKET))
    random.Random(SEED).shuffle(packets)
    report.heading(f"Stream {human(size)} in {count(packets, 'packet')}, out of order")
    with MemoryPool(POOL_SIZE, BLOCK_SIZE) as inbox, report.timed("stream"):
        in_threads(lambda at: inbox.write(at, data[at : at + PACKET]), packets)
        digest, fell = hashlib.sha256(), True
        report.row("arrived", f"all of it, {human(inbox.stats.held_bytes):>8} held")
        for quarter in range(4):
            start, end = size * quarter // 4, size * (quarter + 1) // 4
            for at in range(start, end, CHUNK):
                digest.update(inbox.take(at, min(CHUNK, end - at)))
            held, left = inbox.stats.held_bytes, blocks_of(end, size - end)
            report.row("consumed", f"{25 * (quarter + 1):>8} %, {human(held):>8} held")
            fell = fell and held <= len(left) * BLOCK_SIZE
    report.check("memory fell with what was left to consume, down to nothing", fell)
    report.check(
        "what was consumed is what was sent",
        digest.digest() == hashlib.sha256(data).digest(),
    )


def hit_limit(report: Report) -> None:
    """Shows that a call which fails changes nothing, not even the half it had room for.

    The pool may hold 16 blocks and holds 15. The write begins in the last of them and
    needs two more.
    """
    limit, held = 16 * BLOCK_SIZE, 15 * BLOCK_SIZE
    report.heading(f"Run into a memory limit of {human(limit)}")
    with MemoryPool(POOL_SIZE, BLOCK_SIZE, memory_limit=limit) as pool:
        pool.write(0, random.Random(SEED).randbytes(held))
        before, blocks = pool.read(0, 2 * limit), pool.stats.held_blocks
        data, offset = b"x" * (3 * BLOCK_SIZE), held - BLOCK_SIZE
        refused = False
        try:
            pool.write(offset, data)
        except PoolLimitError as error:
            refused = True
            report.row("refused", f"PoolLimitError: {error}")
        report.check("a write past the limit is refused", refused)
        report.check(
            "and it changed nothing",
            pool.read(0, 2 * limit) == before and pool.stats.held_blocks == blocks,
        )
        pool.discard(0, BLOCK_SIZE)
        pool.write(offset, data)
        report.check(
            "with one block discarded the same write has room",
            pool.read(offset, len(data)) == data and pool.stats.held_bytes == limit,
        )


# ----------------------------------------------------------------- files and pools


def default_files() -> list[Path]:
    """The package itself: its sources and the shared library."""
    folders = [Path(folder) for folder in pymempool.__path__]
    found = {path for folder in folders for path in folder.rglob("*.py")}
    return sorted({*found, Path(pymempool.get_library())})


@contextmanager
def told_by_name(path: Path) -> Iterator[None]:
    """Turns what goes wrong with a file into a CommandError that names it."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot read {str(path)!r}: {reason}") from error


def examine(path: Path) -> File:
    """Takes the size and the hash of a file that is there and can be read."""
    with told_by_name(path):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise CommandError(f"cannot read {str(path)!r}: it is not a regular file")
        digest, size = hashlib.sha256(), 0
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    return File(path, size, digest.hexdigest())


def read_file(path: Path, offset: int, size: int) -> bytes:
    """One piece of a file."""
    with told_by_name(path), open(path, "rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise CommandError(f"{str(path)!r} became shorter while it was read")
    return data


def choose_homes(files: Sequence[File]) -> None:
    """Spreads the files over the pool, at odd offsets, in an order of their own."""
    free = POOL_SIZE - sum(file.size for file in files)
    if free < 0:
        raise CommandError(f"the files are larger than {human(POOL_SIZE)} together")
    dice = random.Random(SEED)
    gaps = sorted(dice.randrange(free + 1) for _ in files)
    used = 0
    for file, gap in zip(dice.sample(list(files), len(files)), gaps):
        file.home = gap + used
        used += file.size


def in_threads(work: Callable[[Item], object], items: Sequence[Item]) -> None:
    """Deals the items out to the threads and waits for all of them."""

    def share(number: int) -> None:
        for item in items[number::THREADS]:
            work(item)

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(share, range(THREADS)):
            pass  # raises what went wrong in a thread


def chunks(pool: MemoryPool, offset: int, size: int) -> Iterator[memoryview]:
    """A range of the pool piece by piece, in one buffer that is used again."""
    buffer = memoryview(bytearray(min(size, CHUNK)))
    for at in range(0, size, CHUNK):
        part = buffer[: min(CHUNK, size - at)]
        pool.readinto(offset + at, part)
        yield part


def check_digests(
    report: Report, claim: str, pool: MemoryPool, files: Sequence[File]
) -> None:
    """Compares the sha256 of every file's range of the pool with that of the file."""
    differ = []
    for file in files:
        digest = hashlib.sha256()
        for chunk in chunks(pool, file.home, file.size):
            digest.update(chunk)
        if digest.hexdigest() != file.digest:
            differ.append(file.name)
    if differ:
        report.row("differ", ", ".join(differ))
    report.check(f"{claim}, {count(files, 'file')}", not differ)


def blocks_of(offset: int, size: int) -> range:
    """The numbers of the blocks that a range touches."""
    return range(offset // BLOCK_SIZE, -(-(offset + size) // BLOCK_SIZE) if size else 0)


def largest_hole(pool: MemoryPool) -> tuple[int, int]:
    """The offset and the size of the widest range without data."""
    hole, end = (0, 0), 0
    for start, size in [*pool.extents(), (pool.total_size, 0)]:
        hole = max(hole, (end, start - end), key=lambda hole: hole[1])
        end = start + size
    return hole


def resident_bytes() -> int | None:
    """Bytes of memory that the process really uses, where Linux tells it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGESIZE
    except (OSError, ValueError, IndexError):
        return None


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    tour = add_command(
        commands, "demo", "take a tour of the library with real files", _ABOUT, _MORE
    )
    tour.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        type=Path,
        help="what to put into the pool (default: pymempool's own files)",
    )
    tour.set_defaults(run=_run)


def _run(options: argparse.Namespace, out: TextIO) -> int:
    return run(options.files, out)
