# SPDX-License-Identifier: MIT
"""Measures the plugin of nbdkit beside nbdkit's own: see README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

MIB = 1 << 20
PATIENCE = 600  # seconds, for anything
NEEDED = {"nbdkit": "nbdkit", "nbdcopy": "libnbd-bin", "fio": "fio"}

#: The servers: what follows `nbdkit` and the name of the plugin comes before the size.
SERVERS = {
    "mempool": ["{plugin}", "size={size}"],
    "memory, sparse": ["memory", "size={size}", "allocator=sparse"],
    "memory, malloc": ["memory", "size={size}", "allocator=malloc"],
    "null": ["null", "size={size}"],
}

JOBS = {
    "4 KiB random reads": ["--rw=randread"],
    "4 KiB random writes": ["--rw=randwrite"],
    "70 % reads, 30 % writes": ["--rw=randrw", "--rwmixread=70"],
}
FIO = ["--bs=4k", "--iodepth=16", "--numjobs=2", "--time_based", "--group_reporting"]


@dataclass
class Row:
    """One thing that is measured: a value of each server in each round."""

    key: str
    what: str
    unit: str
    reference: str  #: the server that the goal is about
    goal: float  #: times the reference, at least
    values: dict[str, list[float]] = field(
        default_factory=lambda: {n: [] for n in SERVERS}
    )

    def ratios(self, server: str) -> list[float]:
        """To the reference, round by round."""
        pairs = zip(self.values[server], self.values[self.reference])
        return [value / reference for value, reference in pairs]

    def lines(self) -> list[list[str]]:
        made = []
        for server, values in self.values.items():
            told = f"{spread(values, 0 if self.unit == 'IOPS' else 2)} {self.unit}"
            ratio = "" if server == self.reference else spread(self.ratios(server), 2)
            made.append(["", "", server, told, ratio, "", ""])
        reached = median(self.ratios("mempool")) >= self.goal
        made[0][:2] = [self.key, self.what]
        made[0][-2:] = [f"{self.goal} x {self.reference}", "yes" if reached else "NO"]
        return made


def spread(values: list[float], digits: int) -> str:
    """The median, and from the least to the most."""
    middle, low, high = median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def main() -> int:
    options = parse()
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: apt install {package}")
    rows = {key: ROWS[key]() for key in options.rows}
    before = os.getloadavg()
    for number in range(options.rounds):
        # Each server is the first, the last, and behind each other one, as often.
        names = list(SERVERS)
        names = names[number % len(names) :] + names[: number % len(names)]
        for name in names if number // len(names) % 2 == 0 else reversed(names):
            for key, measured in rows.items():
                MEASURE[key](name, measured, options)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    every = [row for key in rows for row in rows[key]]
    head = ["", "what", "server", "median (least .. most)", "ratio", "goal", "reached"]
    show([head, *(line for row in every for line in row.lines())])
    loads = [round(load, 2) for load in (before[0], *os.getloadavg())]
    print(f"load {loads[0]} before, {loads[1]}, {loads[2]}, {loads[3]} at the end")
    if options.json:
        told = {"load": loads, "rows": [vars(row) for row in every]}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugin", type=Path, required=True, help="the file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=keys, default=["N1", "N2"], help="such as N2")
    parser.add_argument("--seconds", type=int, default=3, help="of each job of fio")
    parser.add_argument("--size", type=int, default=1024, help="MiB to copy")
    parser.add_argument("--threads", type=int, help="of a connection (nbdkit's: 16)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    options = parser.parse_args()
    options.plugin = options.plugin.resolve(strict=True)
    return options


def keys(text: str) -> list[str]:
    wanted = text.split(",")
    if not set(wanted) <= set(ROWS):
        raise argparse.ArgumentTypeError(f"rows are {', '.join(ROWS)}")
    return wanted


def show(lines: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


# ------------------------------------------------------------------------ what is run


@contextmanager
def served(name: str, options: argparse.Namespace, size: int) -> Iterator[str]:
    """The address of a new disk of `size` bytes, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        words = [word.format(plugin=options.plugin, size=size) for word in SERVERS[name]]
        pidfile, path = Path(folder, "pid"), Path(folder, "disk")
        threads = [] if options.threads is None else ["-t", str(options.threads)]
        command = ["nbdkit", "-f", "-P", str(pidfile), "-U", str(path), *threads, *words]
        with subprocess.Popen(command) as server:
            try:
                # The file is what nbdkit writes last before it serves.
                while not (pidfile.exists() and pidfile.read_text()):
                    if server.poll() is not None:
                        sys.exit(f"nbdkit does not serve: {' '.join(command)}")
                    time.sleep(0.005)
                yield f"nbd+unix:///?socket={path}"
            finally:
                server.terminate()


@contextmanager
def data(size: int) -> Iterator[Path]:
    """A file in memory, if there is such a place, that is nowhere zeros."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.NamedTemporaryFile(dir=memory) as file:
        piece = os.urandom(MIB)
        for _ in range(size // MIB):
            file.write(piece)
        file.flush()
        yield Path(file.name)


def run(*command: str) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, timeout=PATIENCE, check=True, text=True
    )
    return done.stdout


def rate(size: int, *command: str) -> float:
    """GB a second of a program that moves `size` bytes."""
    start = time.perf_counter()
    run(*command)
    return size / (time.perf_counter() - start) / 1e9


# ------------------------------------------------------------------------------ the rows


def random_rows() -> list[Row]:
    return [Row("N1", what, "IOPS", "null", 0.9) for what in JOBS]


def measure_random(name: str, rows: list[Row], options: argparse.Namespace) -> None:
    size = 256 * MIB
    with data(size) as source, served(name, options, size) as uri:
        run("nbdcopy", str(source), uri)
        for row, words in zip(rows, JOBS.values()):
            row.values[name].append(operations(uri, words, options.seconds))


def operations(uri: str, words: list[str], seconds: int) -> float:
    """Reads and writes a second, of all jobs of fio."""
    told = run(
        *("fio", "--name=job", "--ioengine=nbd", f"--uri={uri}", *words, *FIO),
        *(f"--runtime={seconds}", "--output-format=json"),
    )
    told = told[told.index("{") :]  # behind messages
    job: dict[str, Any] = json.loads(told)["jobs"][0]
    assert job["error"] == 0, told
    return float(job["read"]["iops"] + job["write"]["iops"])


def copy_rows() -> list[Row]:
    return [
        Row("N2", "nbdcopy to a fresh disk", "GB/s", "memory, sparse", 1.5),
        Row("N2", "nbdcopy from it", "GB/s", "memory, sparse", 1.1),
    ]


def measure_copies(name: str, rows: list[Row], options: argparse.Namespace) -> None:
    size = options.size * MIB
    with data(size) as source, served(name, options, size) as uri:
        rows[0].values[name].append(rate(size, "nbdcopy", str(source), uri))
        # Without extents, since null would say that all of it is a hole.
        command = ("nbdcopy", "--no-extents", uri, "null:")
        rows[1].values[name].append(rate(size, *command))


ROWS = {"N1": random_rows, "N2": copy_rows}
MEASURE = {"N1": measure_random, "N2": measure_copies}

if __name__ == "__main__":
    sys.exit(main())
