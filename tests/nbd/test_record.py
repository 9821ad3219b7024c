# SPDX-License-Identifier: MIT
"""A snapshot at each flush: record=flush."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import KIB, MIB, Serve, Server, nbdsh, run


def names(server: Server) -> list[str]:
    return [disk["export"] for disk in server.control("list")[1:]]


def first(server: Server, export: str) -> int:
    code = "print(h.pread(1, 0)[0])"
    return int(nbdsh(server.uri(export), code))


def recorded(*numbers: int) -> list[str]:
    return [f"flush-{number:06}" for number in numbers]


WRITES = """
for byte in range(int(sys.argv[1]), int(sys.argv[2])):
    h.pwrite(bytes([byte]), 0)
    h.flush()
    h.flush()  # nothing has changed
"""


def test_each_flush_is_an_export(serve: Serve) -> None:
    server = serve("1M", "record=flush")
    nbdsh(server.uri(), WRITES, 1, 4)
    assert names(server) == recorded(1, 2, 3)
    assert [first(server, name) for name in names(server)] == [1, 2, 3]
    told = run("nbdinfo", "--list", server.uri())
    assert 'export="flush-000002"' in told
    # A disk that was never written to has one state as well.
    empty = serve("1M", "record=flush")
    nbdsh(empty.uri(), "h.flush()\nh.flush()")
    assert names(empty) == recorded(1)


def test_without_it_nothing_is_recorded(server: Server) -> None:
    nbdsh(server.uri(), WRITES, 1, 4)
    assert names(server) == []


def test_a_write_that_is_to_last_is_recorded(serve: Serve) -> None:
    server = serve("1M", "record=flush")
    code = """
h.pwrite(b"\\1", 0)
h.pwrite(b"\\2", 0, nbd.CMD_FLAG_FUA)
h.trim(65536, 0, nbd.CMD_FLAG_FUA)
h.pwrite(b"\\4", 0)
h.zero(65536, 0, nbd.CMD_FLAG_FUA)
"""
    nbdsh(server.uri(), code)
    assert names(server) == recorded(1, 2)  # the last state is as the second one
    assert [first(server, name) for name in names(server)] == [2, 0]


def test_only_the_newest_are_kept(serve: Serve) -> None:
    server = serve("1M", "record=flush", "records=3", "block-size=4K")
    nbdsh(server.uri(), WRITES, 1, 101)
    assert names(server) == recorded(98, 99, 100)
    assert [first(server, name) for name in names(server)] == [98, 99, 100]
    assert server.stats()["family_peak_bytes"] <= 5 * 4 * KIB
    # One that was dropped is missed by nobody.
    server.control("drop flush-000099")
    nbdsh(server.uri(), WRITES, 101, 103)
    assert names(server) == recorded(100, 101, 102)
    server.control("drop flush-000102")  # the last one: its state is recorded again
    nbdsh(server.uri(), "h.flush()")
    assert names(server) == recorded(101, 103)


def test_states_of_clones_are_not_recorded(serve: Serve) -> None:
    server = serve("1M", "record=flush")
    server.control("clone - copy")
    nbdsh(server.uri("copy"), WRITES, 1, 4)
    assert names(server) == ["copy"]


def test_a_state_that_is_gone_back_to(serve: Serve) -> None:
    server = serve("1M", "record=flush")
    nbdsh(server.uri(), WRITES, 1, 4)
    server.control("restore flush-000001")
    nbdsh(server.uri(), WRITES, 9, 10)
    assert names(server) == recorded(1, 2, 3, 4)
    assert [first(server, name) for name in names(server)] == [1, 2, 3, 9]


def test_clients_that_flush_at_once(serve: Serve) -> None:
    server = serve("1M", "record=flush", "records=50")
    code = """
import threading
def work(number):
    handle = nbd.NBD()
    handle.connect_uri(sys.argv[1])
    for turn in range(50):
        handle.pwrite(bytes([turn]), number)
        handle.flush()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    nbdsh(server.uri(), code, server.uri())
    found = names(server)
    last = int(found[-1].partition("-")[2])
    assert found == recorded(*range(last - 49, last + 1)) and 50 <= last <= 200
    # What a client has flushed is in the last state.
    check = "print(list(h.pread(4, 0)))"
    assert nbdsh(server.uri(found[-1]), check) == "[49, 49, 49, 49]\n"


def test_a_flush_that_cannot_be_recorded_fails(serve: Serve) -> None:
    server = serve("1M", "record=flush")
    server.control("snapshot flush-000001")
    code = """
h.pwrite(b"x", 0)
for _ in range(2):
    try:
        h.flush()
    except nbd.Error as error:
        print(error.errno)
"""
    assert nbdsh(server.uri(), code) == 2 * "ENOMEM\n"
    told = server.log.read_text()
    assert told.count("flush: there is a disk of that name already") == 1
    assert server.stats()["failures"] == 2
    server.control("drop flush-000001")
    assert nbdsh(server.uri(), code) == ""


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("record=write", "record=write: only flush is possible"),
        ("records=0", "records=0: out of range"),
        ("records=10000", "records=10000: out of range"),
        ("records=x", "records: "),
    ],
)
def test_what_cannot_be(serve: Serve, parameter: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        serve("1M", parameter)


def test_a_file_system_at_each_flush(serve: Serve, tmp_path: Path) -> None:
    """As a user tests one: each state is checked."""
    image = tmp_path / "fs.img"
    run("mke2fs", "-q", "-t", "ext4", image, "8M")
    server = serve("8M", "record=flush")
    run("nbdcopy", "--flush", image, server.uri())
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 255 0 1M", "-c", "flush")
    states = []
    for name in names(server):
        run("nbdcopy", server.uri(name), tmp_path / name)
        states.append(tmp_path / name)
    run("e2fsck", "-fn", states[0])
    run("e2fsck", "-fn", states[-1], fails=True)
    assert len(states) == 2 and states[-1].stat().st_size == 8 * MIB
