# SPDX-License-Identifier: MIT
"""`pymempool demo`: a tour with real files in a pool of 1 TiB, which checks each step.

Read it from the top: run() lists the steps, and each step is a function that shows one
property of pools with the public names of pymempool. demo_files.py has what concerns the
files, demo_report.py what prints. Each line of the output that starts with "ok" is a
comparison that could have failed.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from mmap import PAGESIZE
from pathlib import Path
from typing import Callable, TextIO, TypeVar

import pymempool
from pymempool import MemoryPool, PoolLimitError

from .._core.words import counted, human
from .demo_files import (
    CHUNK,
    TourFile,
    changed_files,
    chunks,
    default_files,
    examine,
    read_file,
)
from .demo_report import Report
from .errors import CommandError
from .parser import Commands, add_command

_ABOUT = """\
Scatters files over a pool of 1 TiB and reads them back, clones the pool, edits the clone
and restores it, consumes a stream and runs into a memory limit. Checks every step and
prints an account. The files are not changed.
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
STREAM_MAX = 16 * MIB  # bytes of the files that are streamed, at most
PACKET = 1400  # bytes, as on a network; no divisor of the block size
THREADS = 4
SEED = 2  # the same offsets and the same order every time

Item = TypeVar("Item")


def run(paths: Sequence[Path], out: TextIO) -> int:
    """Takes the tour with these files; returns 0 if every check holds, or 1.

    Raises CommandError.
    """
    report = Report(out)
    files = [examine(path) for path in paths or default_files()]
    total = sum(file.size for file in files)
    report.heading(
        f"pymempool {pymempool.__version__}, Python {platform.python_version()}, "
        f"{platform.system()}: {counted(len(files), 'file')}, {human(total)}"
    )
    choose_offsets(files)
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
            restore_clone(report, pool, draft, files)
        stream(report, pool, files)
    hit_limit(report)
    return report.close()


# ----------------------------------------------------------------------- the steps


def scatter(report: Report, pool: MemoryPool, files: Sequence[TourFile]) -> None:
    """Shows that threads may write anywhere in a pool, in any order.

    The pieces of all files are shuffled and divided among the threads. Most pieces end in
    the middle of a block that another thread writes to at the same time.
    """
    pieces = [
        (file, offset, min(step, file.size - offset))
        for file in files
        for step in [min(CHUNK, max(1000, file.size // 16))]
        for offset in range(0, file.size, step)
    ]
    random.Random(SEED).shuffle(pieces)

    def put(piece: tuple[TourFile, int, int]) -> None:
        file, offset, size = piece
        pool.write(file.offset + offset, read_file(file.path, offset, size))

    with report.timed("scatter"):
        in_threads(put, pieces)
    report.heading(
        f"Scatter {counted(len(pieces), 'piece')} over {human(POOL_SIZE)},"
        f" out of order, from {THREADS} threads"
    )
    blocks = {block for file in files for block in blocks_of(file.offset, file.size)}
    report.check(
        f"the pool holds {counted(len(blocks), 'block')} of {human(BLOCK_SIZE)}:"
        " those that were written to, and no other",
        pool.stats.held_blocks == len(blocks),
    )


def account(
    report: Report, pool: MemoryPool, written: int, resident_before: int | None
) -> None:
    """Shows that a pool takes about the memory that was written, whatever its size."""
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
    report.row("a bytearray", f"would need {human(stats.total_size)} at once")


def draw_map(report: Report, pool: MemoryPool, files: Sequence[TourFile]) -> None:
    """Shows extents(), the runs of data. All else is holes."""
    extents = list(pool.extents())
    report.heading("The map: # data, . hole")
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
        extents.insert(0, (0, 0))  # a row for the hole at the start
    ends = [start for start, _ in extents[1:]] + [POOL_SIZE]
    for (start, size), end in list(zip(extents, ends))[:lines]:
        inside = [f for f in files if f.size and start <= f.offset < start + size]
        names = ", ".join(file.name for file in inside[:3]) + ", ..." * (len(inside) > 3)
        hole = human(end - start - size)
        report.text(f"  {human(start):>9}  {human(size):>9}  {hole:>9}  {names}")
    if len(extents) > lines:
        rest = sum(size for _, size in extents[lines:])
        more = counted(len(extents) - lines, "more extent")
        report.text(f"  {'...':>9}  {human(rest):>9}  {'':>9}  {more}")


def read_back(report: Report, pool: MemoryPool, files: Sequence[TourFile]) -> None:
    """Shows that the pieces make up the files again, and that holes read as zeros."""
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
    report: Report, pool: MemoryPool, draft: MemoryPool, files: Sequence[TourFile]
) -> None:
    """Shows that a clone is a pool of its own, which shares the blocks not changed since.

    Three edits are made to the clone. changes() finds their blocks and no others, without
    reading what the two share.
    """
    report.heading("Clone the pool and edit the clone")
    before = draft.stats
    report.row("cloned", f"{human(before.held_bytes)} in {report.duration('clone')}")
    report.check(
        "the clone shares all blocks and takes none of its own",
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
        f"changes() finds the {counted(len(expected), 'block')} of the edits,"
        " and no other",
        found == expected,
    )
    stats = draft.stats
    report.row("copied", f"{counted(stats.copied_blocks, 'block')} on write")
    check_digests(report, "the original did not change", pool, files)


def make_edits(
    report: Report, draft: MemoryPool, files: Sequence[TourFile]
) -> list[tuple[int, int]]:
    """Flips bytes of the largest file, discards the smallest, writes a note in a hole.

    Returns the ranges, as (offset, size).
    """
    by_size = sorted((file for file in files if file.size), key=lambda file: file.size)
    edits = []
    for file in by_size[-1:]:
        offset, size = file.offset + file.size // 2, min(16, file.size - file.size // 2)
        flipped = bytes(byte ^ 0xFF for byte in draft.read(offset, size))
        draft.write(offset, flipped)
        edits.append((offset, size))
        report.row("edit", f"{counted(len(flipped), 'byte')} flipped in {file.name}")
        report.check("the clone has them", draft.read(offset, size) == flipped)
    for file in by_size[:-1][:1]:
        draft.discard(file.offset, file.size)
        edits.append((file.offset, file.size))
        report.row("edit", f"{file.name} discarded")
        report.check(
            "the clone has zeros there",
            all(not any(chunk) for chunk in chunks(draft, file.offset, file.size)),
        )
    note = b"written to the clone alone"
    start, size = largest_hole(draft)
    offset = start + size // 2
    draft[offset : offset + len(note)] = note
    edits.append((offset, len(note)))
    report.row("edit", f"a note at {human(offset)}, where a hole was")
    return edits


def restore_clone(
    report: Report, pool: MemoryPool, draft: MemoryPool, files: Sequence[TourFile]
) -> None:
    """Shows restore(): the clone gets the contents of the pool in constant time."""
    report.heading("Restore the clone")
    with report.timed("restore"):
        draft.restore(pool)
    report.row("restored", f"in {report.duration('restore')}")
    report.check("changes() finds no difference", not list(draft.changes(pool)))
    stats = draft.stats
    report.check("all blocks are shared again", stats.shared_blocks == stats.held_blocks)
    check_digests(report, "sha256 in the clone and on disk agree", draft, files)


def stream(report: Report, pool: MemoryPool, files: Sequence[TourFile]) -> None:
    """Shows take(): a stream that arrives out of order and is consumed in order.

    The offset in the stream is the offset in the pool, so that nothing must be sorted.
    take() reads and discards in one atomic step: memory falls while it consumes.
    """
    size = min(STREAM_MAX, sum(file.size for file in files))
    data = bytearray()
    for file in files:
        for chunk in chunks(pool, file.offset, min(file.size, size - len(data))):
            data += chunk
    packets = list(range(0, size, PACKET))
    random.Random(SEED).shuffle(packets)
    report.heading(
        f"Stream {human(size)} in {counted(len(packets), 'packet')}, out of order"
    )
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
    report.check("memory fell with the rest of the stream, down to nothing", fell)
    report.check(
        "what was consumed is what was sent",
        digest.digest() == hashlib.sha256(data).digest(),
    )


def hit_limit(report: Report) -> None:
    """Shows that a call which fails changes nothing, not even the part it has room for.

    The pool may hold 16 blocks and holds 15. The write starts in the last of them and
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
            "it changed nothing",
            pool.read(0, 2 * limit) == before and pool.stats.held_blocks == blocks,
        )
        pool.discard(0, BLOCK_SIZE)
        pool.write(offset, data)
        report.check(
            "when a block is discarded, the same write has room",
            pool.read(offset, len(data)) == data and pool.stats.held_bytes == limit,
        )


# ------------------------------------------------------- what the steps have in common


def choose_offsets(files: Sequence[TourFile]) -> None:
    """Gives each file an offset in the pool, at random, so that none overlap.

    Raises CommandError if they are larger than the pool.
    """
    free = POOL_SIZE - sum(file.size for file in files)
    if free < 0:
        raise CommandError(f"the files are larger than {human(POOL_SIZE)} together")
    dice = random.Random(SEED)
    gaps = sorted(dice.randrange(free + 1) for _ in files)
    used = 0
    for file, gap in zip(dice.sample(list(files), len(files)), gaps):
        file.offset = gap + used
        used += file.size


def in_threads(work: Callable[[Item], object], items: Sequence[Item]) -> None:
    """Calls `work` for each item, divided among THREADS threads, and waits for all.

    Raises what the first thread that failed raised.
    """

    def share(number: int) -> None:
        for item in items[number::THREADS]:
            work(item)

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(share, range(THREADS)):
            pass  # raises what the thread raised


def check_digests(
    report: Report, claim: str, pool: MemoryPool, files: Sequence[TourFile]
) -> None:
    """Checks that each file's range of the pool has the sha256 of the file."""
    differ = changed_files(pool, files)
    if differ:
        report.row("differ", ", ".join(differ))
    report.check(f"{claim}, {counted(len(files), 'file')}", not differ)


def blocks_of(offset: int, size: int) -> range:
    """The indexes of the blocks of a range."""
    return range(offset // BLOCK_SIZE, -(-(offset + size) // BLOCK_SIZE) if size else 0)


def largest_hole(pool: MemoryPool) -> tuple[int, int]:
    """The offset and the size of the largest hole."""
    hole, end = (0, 0), 0
    for start, size in [*pool.extents(), (pool.total_size, 0)]:
        hole = max(hole, (end, start - end), key=lambda hole: hole[1])
        end = start + size
    return hole


def resident_bytes() -> int | None:
    """The resident set of the process in bytes; None where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGESIZE
    except (OSError, ValueError, IndexError):
        return None


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "demo", "take a tour of pools with real files", _ABOUT, _MORE
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        type=Path,
        help="what to put into the pool (default: pymempool's own files)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, out: TextIO) -> int:
    return run(options.files, out)
