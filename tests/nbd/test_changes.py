# SPDX-License-Identifier: MIT
"""What differs between two disks, for incremental backups: the command changes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import KIB, MIB, Serve, Server, nbdsh, run


def changes(server: Server, *words: str) -> list[tuple[int, int]]:
    told = server.control(" ".join(["changes", *words]))
    return [(change["offset"], change["size"]) for change in told]


def do(server: Server, *commands: str, export: str = "") -> None:
    run("qemu-io", "-f", "raw", server.uri(export), text="\n".join(commands) + "\n")


def test_ranges_of_whole_blocks(serve: Serve) -> None:
    server = serve("1M", "block-size=4K")
    do(server, "write -P 1 0 64k", "write -P 1 512k 64k")
    server.control("snapshot one")
    assert changes(server, "one") == changes(server, "one", "-") == []
    do(
        server,
        "write -P 2 100 1",
        "write -P 2 8k 8k",
        "discard 512k 64k",
        "write 1020k 4k",
    )
    told = [
        (0, 4 * KIB),
        (8 * KIB, 8 * KIB),
        (512 * KIB, 64 * KIB),
        (1020 * KIB, 4 * KIB),
    ]
    assert changes(server, "one") == changes(server, "-", "one") == told
    server.control("snapshot two")
    do(server, "write -P 3 0 1M")
    assert changes(server, "one", "two") == told
    assert changes(server, "two", "two") == []
    assert changes(server, "two") == [(0, MIB)]
    server.control("restore two")
    assert changes(server, "two") == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("changes", "error usage: changes FROM [DISK]"),
        ("changes none", "error there is no disk of that name"),
        ("changes - none", "error there is no disk of that name"),
    ],
)
def test_what_cannot_be_compared(server: Server, command: str, answer: str) -> None:
    assert server.ask(command) == answer


BACKUP = """
import json, os
with open(sys.argv[1], "r+b") as file:
    for change in json.loads(sys.argv[2]):
        os.pwrite(file.fileno(), h.pread(change["size"], change["offset"]),
                  change["offset"])
"""


def test_an_incremental_backup(serve: Serve, tmp_path: Path) -> None:
    server, backup = serve("1M", "block-size=4K"), tmp_path / "backup"
    numbers = random.Random(1)
    last = "s0"
    server.control(f"snapshot {last}")
    run("nbdcopy", server.uri(last), backup)
    for turn in range(1, 6):
        for _ in range(20):
            at, size = numbers.randrange(MIB - 20_000), numbers.randrange(1, 20_000)
            verb = numbers.choice(["write -P 7", "discard", f"write -P {turn}"])
            do(server, f"{verb} {at} {size}")
        new = f"s{turn}"
        server.control(f"snapshot {new}")
        told = server.control(f"changes {last} {new}")
        assert sum(change["size"] for change in told) < MIB
        nbdsh(server.uri(new), BACKUP, backup, json.dumps(told))
        run("nbdcopy", server.uri(new), tmp_path / "whole")
        assert backup.read_bytes() == (tmp_path / "whole").read_bytes()
        last = new


def test_many_ranges(serve: Serve) -> None:
    server = serve("64M", "block-size=512")
    server.control("snapshot one")
    code = "for at in range(0, 64 << 20, 1024): h.pwrite(b'x', at)"
    nbdsh(server.uri(), code)
    assert changes(server, "one") == [(at, 512) for at in range(0, 64 * MIB, 1024)]
