# SPDX-License-Identifier: MIT
"""Too little memory, clients that die, and many of them."""

from __future__ import annotations

import signal
import subprocess

from conftest import (
    ENVIRONMENT,
    KIB,
    MIB,
    Serve,
    Server,
    client_of,
    nbdsh,
    need,
    needs_limits,
    run,
)


def test_a_request_past_the_limit_fails_alone(serve: Serve) -> None:
    server = serve("1G", "limit=1M")
    code = """
data = bytes([7]) * (256 << 10)
for at in range(4):
    h.pwrite(data, at << 20)
for _ in range(3):  # the connection goes on
    try:
        h.pwrite(data, 4 << 20)
        print("done")
    except nbd.Error as error:
        print(error.errno)
print(h.pread(256 << 10, 4 << 20) == bytes(256 << 10))     # not a byte of it was written
print(h.pread(256 << 10, 3 << 20) == data)
h.pwrite(bytes([8]) * 65536, 0)                            # what is there can be changed
h.trim(64 << 10, 1 << 20)
h.pwrite(data[:64 << 10], 4 << 20)                         # and there is room again
print(h.pread(1, 4 << 20))
"""
    assert nbdsh(server.uri(), code).split("\n") == [
        *["ENOSPC"] * 3,
        *["True"] * 2,
        "bytearray(b'\\x07')",
        "",
    ]
    stats = server.stats()
    assert (
        stats["family_bytes"]
        == stats["family_peak_bytes"]
        == stats["memory_limit"]
        == MIB
    )
    told = server.log.read_text()
    assert told.count("the memory limit") == 1, told  # of thousands, one is told


def test_the_limit_changes_while_the_disk_runs(serve: Serve) -> None:
    server = serve("1G", "limit=1M")
    write = "h.pwrite(bytes([7]) * (2 << 20), 0)"
    refused = f"""
try:
    {write}
except nbd.Error as error:
    print(error.errno)
"""
    assert nbdsh(server.uri(), refused) == "ENOSPC\n"
    assert server.control("limit 2M") == {"memory_limit": 2 * MIB, "family_bytes": 0}
    nbdsh(server.uri(), write)
    server.control("snapshot full")
    # Below what is held: nothing is lost, and nothing is added.
    lowered = {"memory_limit": MIB, "family_bytes": 2 * MIB}
    assert server.control("limit 1M") == lowered
    assert nbdsh(server.uri(), refused) == "ENOSPC\n"
    assert server.control("limit 0") == {"memory_limit": 0, "family_bytes": 2 * MIB}
    nbdsh(server.uri(), write)
    assert server.stats()["family_bytes"] == 4 * MIB
    for word, reason in (
        ("much", "no size"),
        ("-1", "no size"),
        ("65535", "less than one block"),
    ):
        assert reason in server.ask(f"limit {word}")
    assert server.stats()["memory_limit"] == 0


@needs_limits
def test_a_request_that_finds_no_memory_fails_alone(serve: Serve) -> None:
    addresses = f"--as={400 * MIB}"
    server = serve("1T", "-t", "1", wrapper=(need("prlimit"), addresses))
    code = """
data = bytes([7]) * (1 << 20)
at = 0
try:
    while True:
        h.pwrite(data, at << 20)
        at += 1
except nbd.Error as error:
    print(error.errno)
print(at > 10, h.pread(1 << 20, at - 1 << 20) == data)
print(h.pread(1 << 20, at << 20) == bytes(1 << 20))  # not a byte of it was written
h.trim(at << 19, 0)
h.pwrite(data, 0)
print(h.pread(1 << 20, 0) == data)
"""
    assert nbdsh(server.uri(), code).split() == ["ENOMEM", *["True"] * 4]


def test_others_go_on_when_the_disk_is_full(serve: Serve) -> None:
    server = serve("1G", "limit=8M")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 4M")
    full = run("qemu-io", "-f", "raw", server.uri(), "-c", "write 16M 16M", fails=True)
    assert "No space left on device" in full
    told = run("qemu-io", "-f", "raw", server.uri(), "-c", "read -P 1 0 4M")
    assert "failed" not in told
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 2 4M 4M")


def test_a_snapshot_needs_memory_only_when_something_changes(serve: Serve) -> None:
    server = serve("1G", "limit=1M")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 1M")
    server.control("snapshot one")  # all of the limit is in use, and this takes nothing
    for command in ("write -P 2 0 64k", "write -z -u 4k 4k"):
        assert "No space left" in run(
            "qemu-io", "-f", "raw", server.uri(), "-c", command, fails=True
        )
    # A trim is a hint: what needs no memory is done, and it does not fail.
    run("qemu-io", "-f", "raw", server.uri(), "-c", "discard 4k 192k")
    told = run(
        "qemu-io",
        "-f",
        "raw",
        server.uri(),
        text="read -P 1 0 64k\nread -P 0 64k 128k\nread -P 1 192k 832k\n",
    )
    assert "failed" not in told
    server.control("drop one")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 2 0 64k")


def test_a_write_that_found_no_room_is_repeated(serve: Serve) -> None:
    """As qemu does when its machine goes on; the connection and the data are the same."""
    server = serve("1G", "limit=1M")
    code = """
old, new = bytes([1]) * (1 << 20), bytes([2]) * (256 << 10)
h.pwrite(old, 0)
print("written", flush=True)
input()
for at in range(0, 1 << 20, len(new)):
    try:
        h.pwrite(new, at)
    except nbd.Error as error:
        print(error.errno, h.pread(1 << 20, 0) == old, flush=True)
        input()
        h.pwrite(new, at)
print(h.pread(1 << 20, 0) == new * 4)
"""
    with client_of(server.uri(), code) as client:
        assert client.told() == "written"
        server.control("snapshot one")
        client.go_on()
        assert client.told() == "ENOSPC True"
        server.control("drop one")
        client.go_on()
        assert client.told() == "True"


def test_clients_that_are_killed_leave_nothing_behind(server: Server) -> None:
    code = f"""
import nbd
h = nbd.NBD()
h.connect_uri({server.uri()!r})
print("there", flush=True)
data = bytes(32 << 20)
while True:
    h.pwrite(data, 0)
"""
    for _ in range(5):
        with subprocess.Popen(
            ["python3", "-c", code], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "there\n"
            client.send_signal(signal.SIGKILL)
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write 0 1M")
    server.settle()


def test_many_connections_see_each_other_at_once(server: Server) -> None:
    code = """
handles = [h]
for _ in range(63):
    handles.append(nbd.NBD())
    handles[-1].connect_uri(sys.argv[1])
for number, handle in enumerate(handles):
    assert handle.can_multi_conn()
    handle.pwrite(number.to_bytes(8, "little"), 0, nbd.CMD_FLAG_FUA if number % 2 else 0)
    for other in handles:
        assert bytes(other.pread(8, 0)) == number.to_bytes(8, "little")
print("good")
"""
    assert nbdsh(server.uri(), code, server.uri()) == "good\n"


def test_blocks_smaller_and_larger_than_the_protocol_knows(serve: Serve) -> None:
    for block, preferred in (("1", 4096), ("512", 4096), ("64M", 32 * MIB)):
        server = serve("1G", f"block-size={block}")
        code = "print(h.get_block_size(nbd.SIZE_PREFERRED))\nh.pwrite(b'abc', 100)\n"
        code += "print(bytes(h.pread(5, 99)))"
        assert nbdsh(server.uri(), code).split() == [str(preferred), "b'\\x00abc\\x00'"]


def test_a_hole_in_the_middle_of_a_block_gives_it_back_when_it_is_empty(
    serve: Serve,
) -> None:
    server = serve("1M", "block-size=64K")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 60k 8k")
    assert server.stats()["held_bytes"] == 128 * KIB
    run("qemu-io", "-f", "raw", server.uri(), "-c", "discard 60k 4k")
    assert server.stats()["held_bytes"] == 64 * KIB
