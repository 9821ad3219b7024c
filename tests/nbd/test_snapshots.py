# SPDX-License-Identifier: MIT
"""Snapshots, clones and going back, while clients are connected."""

from __future__ import annotations

import json
import re

import pytest
from conftest import KIB, MIB, Serve, Server, client_of, nbdsh, run


def write(server: Server, byte: int, export: str = "", at: int = 0) -> None:
    command = f"write -P {byte} {at} 1M"
    run("qemu-io", "-f", "raw", server.uri(export), "-c", command)


def holds(server: Server, byte: int, export: str = "", at: int = 0) -> bool:
    told = run(
        "qemu-io", "-r", "-f", "raw", server.uri(export), "-c", f"read -P {byte} {at} 1M"
    )
    return "failed" not in told


def exports(server: Server) -> dict[str, str]:
    told = json.loads(run("nbdinfo", "--list", "--json", server.uri()))
    return {e["export-name"]: e["description"] for e in told["exports"]}


def test_a_snapshot_a_clone_and_the_way_back(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    write(server, 2)
    server.control("clone one copy")
    write(server, 3, "copy", at=MIB)
    server.control("snapshot two copy")
    write(server, 4, "copy")
    assert exports(server) == {
        "": "the disk",
        "one": "a read-only snapshot of the disk",
        "copy": "a writable clone of one",
        "two": "a read-only snapshot of copy",
    }
    told = json.loads(run("nbdinfo", "--json", server.uri("two")))["exports"][0]
    assert told["description"] == "a read-only snapshot of copy"
    assert holds(server, 2) and holds(server, 1, "one") and holds(server, 4, "copy")
    assert holds(server, 1, "two") and holds(server, 3, "two", MIB)

    server.control("restore one")
    assert holds(server, 1) and holds(server, 0, at=MIB)
    server.control("restore two copy")
    assert holds(server, 1, "copy") and holds(server, 3, "copy", MIB)
    server.control("restore copy -")
    assert holds(server, 1) and holds(server, 3, at=MIB)
    write(server, 5)
    assert holds(server, 1, "copy") and holds(server, 1, "one")


def test_list_tells_what_there_is(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    server.control("clone - copy")
    write(server, 2, "copy", at=MIB)
    server.settle()
    assert server.control("list") == [
        {"export": "", "origin": None, "writable": True, "held_bytes": MIB},
        {"export": "one", "origin": "", "writable": False, "held_bytes": MIB},
        {"export": "copy", "origin": "", "writable": True, "held_bytes": 2 * MIB},
    ]
    stats = server.stats()
    assert (stats["disks"], stats["connections"]) == (3, 0)
    assert (stats["total_size"], stats["block_size"]) == (64 * MIB, 64 * KIB)
    assert (stats["held_bytes"], stats["family_bytes"]) == (MIB, 2 * MIB)
    # Whatever is done to a disk, it can be given back as a whole.
    server.control("snapshot two copy")
    server.control("restore two copy")
    server.control("drop two")
    server.control("restore one copy")
    write(server, 2, "copy", at=MIB)
    server.settle()
    server.control("drop copy")
    assert [disk["export"] for disk in server.control("list")] == ["", "one"]
    assert server.stats()["family_bytes"] == MIB
    assert server.stats()["family_peak_bytes"] == 2 * MIB


def test_a_snapshot_cannot_be_written_to(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    code = """
print(h.is_read_only())
h.set_strict_mode(0)
for call in (lambda: h.pwrite(b"a", 0), lambda: h.trim(65536, 0),
             lambda: h.zero(65536, 0)):
    try:
        call()
        print("done")
    except nbd.Error as error:
        print(error.errno)
"""
    assert nbdsh(server.uri("one"), code).split() == ["True"] + 3 * ["EPERM"]
    assert holds(server, 1, "one")
    assert server.ask("restore - one") == "error a snapshot is read-only"


def test_a_server_that_is_read_only_serves_nothing_to_write_to(serve: Serve) -> None:
    server = serve("1M", "-r")
    server.control("clone - copy")
    for export in ("", "copy"):
        assert nbdsh(server.uri(export), "print(h.is_read_only())") == "True\n"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("snapshot one", "error there is a disk of that name already"),
        ("clone - one", "error there is a disk of that name already"),
        ("snapshot new none", "error there is no disk of that name"),
        ("clone none new", "error there is no disk of that name"),
        ("restore none", "error there is no disk of that name"),
        ("restore one none", "error there is no disk of that name"),
        ("restore - one", "error a snapshot is read-only"),
        ("drop none", "error there is no disk of that name"),
        ("drop -", "error the disk itself cannot be dropped"),
        ("snapshot", "error usage: snapshot NAME [DISK]"),
        ("snapshot a b c", "error usage: snapshot NAME [DISK]"),
        ("clone one", "error usage: clone DISK NAME"),
        ("list one", "error usage: list "),
        ("drop one two three four five six", "error usage: drop NAME"),
        ("Snapshot new", "error there is no such command; try help"),
    ],
)
def test_a_command_that_makes_no_sense_changes_nothing(
    server: Server, command: str, answer: str
) -> None:
    server.control("snapshot one")
    before = server.control("list")
    assert server.ask(command) == answer
    assert server.control("list") == before


@pytest.mark.parametrize(
    "name", ["-", "-a", ".a", "a/b", 'a"b', "a\\b", "a%20", "a" * 65, "ä", "a\x7f"]
)
def test_names_that_would_need_escapes_are_refused(server: Server, name: str) -> None:
    for command in (f"snapshot {name}", f"clone - {name}"):
        assert server.ask(command).startswith("error a ")
    assert len(server.control("list")) == 1
    server.control(f"snapshot {'A.b_c-9' + 'z' * 57}")  # the longest, of every kind
    assert len(server.control("list")) == 2


@pytest.mark.parametrize(
    "name", ["a\nnbdkit: error: forged", "\x1b[2J", "\r", "a" * 4000]
)
def test_clients_write_nothing_into_the_log(server: Server, name: str) -> None:
    """The name that a client asked for was told as it was, with all its lines."""
    code = """
h = nbd.NBD()
h.set_export_name(sys.argv[2])
try:
    h.connect_unix(sys.argv[1])
except nbd.Error as error:
    print(error.errno)
"""
    assert nbdsh(server.uri(), code, server.socket, name) == "ENOENT\n"
    told = server.log.read_text()
    assert re.fullmatch(r"nbdkit: .*: error: there is no export of such a name\n", told)


def test_a_snapshot_that_was_refused_holds_nothing(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    write(server, 2)
    assert server.ask("snapshot one").startswith("error ")
    write(server, 3)
    assert server.stats()["family_bytes"] == 2 * MIB


def test_restore_shows_on_connections_that_are_open(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    write(server, 2)
    code = """
def first():
    return bytes(h.pread(1, 0))
print(first(), flush=True)
input()
print(first(), flush=True)
h.pwrite(b"x", 0)
input()
print(first())
"""
    with client_of(server.uri(), code) as client:
        assert client.told() == "b'\\x02'"
        server.control("restore one")
        client.go_on()
        assert client.told() == "b'\\x01'"
        client.go_on()
        assert client.told() == "b'x'"
    assert holds(server, 1, "one")


def test_a_disk_that_is_dropped_stays_for_those_who_use_it(server: Server) -> None:
    write(server, 1)
    server.control("snapshot one")
    write(server, 2)
    server.settle()
    code = """
print("there", flush=True)
input()
print(bytes(h.pread(1 << 20, 0)) == bytes([1]) * (1 << 20))
"""
    with client_of(server.uri("one"), code) as client:
        assert client.told() == "there"
        assert server.stats()["connections"] == 1
        server.control("drop one")
        run("nbdinfo", server.uri("one"), fails=True)
        server.control("snapshot one")  # the name is free for another
        assert server.stats()["family_bytes"] == 2 * MIB
        client.go_on()
        assert client.told() == "True"
    assert holds(server, 2, "one")
    server.settle()
    assert server.stats()["family_bytes"] == MIB


def test_as_many_disks_as_nbdkit_can_list(serve: Serve) -> None:
    server = serve("1T")
    with server.connect() as connected, connected.makefile("rw") as file:
        for first in range(
            1, 10_001, 100
        ):  # answers wait in the socket, but not for ever
            names = [f"s{number}" for number in range(first, first + 100)]
            file.write("".join(f"snapshot {name}\n" for name in names))
            file.flush()
            answers = [file.readline() for _ in names]
            assert answers[:99] == ["ok\n"] * 99
    assert answers[99] == "error there are too many disks\n"
    assert len(server.control("list")) == 10_000
    # What comes behind a long answer waits for it.
    with server.connect() as connected, connected.makefile("rw") as file:
        file.write("list\n" + 3 * ("z" * 400 + "\n"))
        file.flush()
        assert len(file.readline()) > 500_000
        assert [file.readline()[:6] for _ in range(3)] == 3 * ["error "]
    code = """
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(sys.argv[1])
print(h.opt_list(lambda name, description: 0))
h.opt_abort()
"""
    assert nbdsh(server.uri(), code, server.uri()) == "10000\n"
    server.control("drop s1")
    server.control("snapshot another")
