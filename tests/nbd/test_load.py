# SPDX-License-Identifier: MIT
"""Snapshots, clones and ways back while the disk is busy: no request is half done."""

from __future__ import annotations

import itertools
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, KIB, MIB, Serve, Server, run

# --------------------------------------------------------- fio, which checks its own data


@contextmanager
def churn(server: Server, disk: str) -> Iterator[None]:
    """Meanwhile snapshots of a disk come and go, and another disk goes back and forth."""
    done = threading.Event()
    answers: list[str] = []

    def work() -> None:
        with server.connect() as connected, connected.makefile("rw") as file:
            for turn in itertools.count():
                for command in (
                    f"snapshot now-{turn} {disk or '-'}",
                    f"restore now-{turn} other",
                    f"drop before-{turn - 1}" if turn else "list",
                    f"snapshot before-{turn} other",
                    "restore base other",
                    f"drop now-{turn}",
                ):
                    file.write(command + "\n")
                    file.flush()
                    answers.append(file.readline()[:2])
                if done.is_set():
                    return

    server.control("snapshot base")
    server.control("clone base other")
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert len(answers) > 60 and set(answers) == {"ok"}


HALVES = ["--bs=4k", "--zonemode=strided", "--zonesize=8k", "--zonerange=8k"]
HALVES += ["--zoneskip=8k", "--io_size=8M"]


def fio(server: Server, disk: str, folder: Path, *options: str) -> None:
    """Four jobs, each with a quarter of the 64 MiB. A wrong byte fails all of them."""
    words = ["--ioengine=nbd", f"--uri={server.uri(disk)}"]  # of all jobs
    words += ["--numjobs=4", "--size=16M", "--offset_increment=16M", "--iodepth=8"]
    words += ["--verify_fatal=1", "--verify_state_save=0", f"--aux-path={folder}"]
    run("fio", *words, "--name=job", "--verify=crc32c", *options)


@pytest.mark.parametrize("disk", ["", "copy"])
@pytest.mark.parametrize(
    "options",
    [
        ["--rw=randrw", "--bsrange=4k-64k", "--blockalign=4k"],
        # The other half of each block of the pool is trimmed by four more jobs.
        [*HALVES, "--rw=write", "--name=trims", *HALVES, "--offset=8k", "--rw=trim"],
        ["--rw=write", "--bs=1M"],
    ],
    ids=["random", "trims", "sequential"],
)
def test_fio_finds_what_it_wrote_while_disks_come_and_go(
    serve: Serve, tmp_path: Path, disk: str, options: list[str]
) -> None:
    server = serve("64M", "block-size=16K")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 64M")
    server.control("clone - copy")
    with churn(server, disk):
        fio(server, disk, tmp_path, *options)
    untouched = server.uri("copy" if disk == "" else "")
    told = run("qemu-io", "-f", "raw", untouched, "-c", "read -P 1 0 64M")
    assert "failed" not in told


# ------------------------------------------------------------------------ torn requests

#: Requests of many sizes, none of which starts where a block of the pool does.
SIZES = [4 * KIB, 12 * KIB, 64 * KIB, 20 * KIB, 32 * KIB]
DISK = 2 * MIB
COMMON = f"""
import os, random, sys, nbd
h = nbd.NBD()
h.connect_uri(sys.argv[1])
slots, at = [], 1024
while at + max({SIZES}) <= {DISK}:
    slots.append((at, {SIZES}[len(slots) % {len(SIZES)}]))
    at += slots[-1][1]
"""
WRITER = """
number = int(sys.argv[2])
for turn in range(1, 1 << 40):
    at, size = slots[random.randrange(len(slots))]
    h.pwrite((number << 40 | turn).to_bytes(8, "little") * (size // 8), at)
    if turn == 100:
        print("busy", flush=True)
"""
READER = """
turn = 0
while True:
    turn += 1
    at, size = random.choice(slots)
    data = bytes(h.pread(size, at))
    if data != data[:8] * (size // 8):
        sys.exit(f"torn: {size} bytes at {at}")
    if turn == 100:
        print("busy", flush=True)
"""


def slots() -> list[tuple[int, int]]:
    found: dict[str, list[tuple[int, int]]] = {}
    code = COMMON.split("\n")
    exec("\n".join(code[code.index("slots, at = [], 1024") :]), found)
    return found["slots"]


@contextmanager
def clients(server: Server, survive: bool = True) -> Iterator[None]:
    """Two that write and two that read the disk; all must be at it to the end."""
    started = []
    try:
        for number, code in enumerate([WRITER, WRITER, READER, READER], 1):
            words = ["python3", "-c", COMMON + code, server.uri(), str(number)]
            started.append(
                subprocess.Popen(
                    words,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=ENVIRONMENT,
                )
            )
        for client in started:
            assert client.stdout is not None
            assert client.stdout.readline() == "busy\n", client.communicate()[1]
        yield
        for client in started:
            assert not survive or client.poll() is None, client.communicate()[1]
    finally:
        for client in started:
            client.kill()
            client.communicate()


def words_of(data: bytes) -> list[bytes]:
    """What the requests wrote that data consists of; each must be there as a whole."""
    words = []
    for at, size in slots():
        words.append(data[at : at + 8])
        assert data[at : at + size] == words[-1] * (size // 8), f"torn: {size} at {at}"
    return words


def words_in(server: Server, export: str, file: Path) -> list[bytes]:
    run("nbdcopy", server.uri(export), file)
    return words_of(file.read_bytes())


def test_no_request_is_torn_by_a_snapshot(serve: Serve, tmp_path: Path) -> None:
    server = serve(f"{DISK}", "block-size=4K")
    seen = set()
    with clients(server):
        for turn in range(40):
            server.control(f"snapshot s{turn}")
            seen.add(tuple(words_in(server, f"s{turn}", tmp_path / "copy")))
            server.control(f"drop s{turn}")
    assert len(seen) == 40, "nothing was written between the snapshots"


def test_no_request_is_torn_by_a_way_back(serve: Serve, tmp_path: Path) -> None:
    server = serve(f"{DISK}", "block-size=4K")
    with clients(server):
        server.control("snapshot early")
        before = words_in(server, "early", tmp_path / "copy")
        for turn in range(400):
            server.control(f"snapshot late-{turn}")
            server.control("restore early")
            server.control(f"restore late-{turn}")
            server.control(f"drop late-{turn}")
        server.control("snapshot after")
        assert words_in(server, "after", tmp_path / "copy") != before
        assert words_in(server, "early", tmp_path / "copy") == before


# nbdkit leaves open what is open when it ends.
LEAVES = ("env", "ASAN_OPTIONS=detect_leaks=0")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_busy_server_ends_and_saves_whole_requests(
    serve: Serve, tmp_path: Path, how: signal.Signals
) -> None:
    saved = tmp_path / "saved"
    server = serve(f"{DISK}", "block-size=4K", f"save={saved}", wrapper=LEAVES)
    with clients(server, survive=False):
        assert server.stop(how, busy=True) == 0
    assert any(int.from_bytes(word, "little") for word in words_of(saved.read_bytes()))


def test_a_busy_server_that_is_killed_leaves_the_old_file(
    serve: Serve, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    saved.write_bytes(b"precious")
    server = serve(f"{DISK}", f"save={saved}")
    with clients(server, survive=False):
        server.process.kill()
        server.process.wait()
    assert saved.read_bytes() == b"precious"
    server.path.unlink()  # the next server would replace it
