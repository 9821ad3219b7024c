# SPDX-License-Identifier: MIT
"""Programs of other people use the disk: what they wrote is what they read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from conftest import GIB, KIB, MIB, Serve, Server, nbdsh, pattern, run


def sparse_file(path: Path, size: int, runs: dict[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in runs.items():
            file.seek(offset)
            file.write(data)
    return path


def same(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


def test_the_disk_is_described(serve: Serve) -> None:
    server = serve("1T", "block-size=128K")
    (told,) = json.loads(run("nbdinfo", "--json", server.uri()))["exports"]
    assert told["export-size"] == 1 << 40
    assert told["block_size_minimum"] == 1
    assert told["block_size_preferred"] == 128 * KIB
    assert told["block_size_maximum"] >= 32 * MIB
    assert told["description"] == "the disk"
    for can in ("cache", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"):
        assert told[f"can_{can}"] is True, can
    assert told["is_rotational"] is told["is_read_only"] is False
    assert server.stats()["held_bytes"] == 0


def test_map_shows_what_was_written_and_what_was_trimmed(server: Server) -> None:
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write 1M 1M")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "discard 1280k 256k")
    told = json.loads(run("nbdinfo", "--json", "--map", server.uri()))
    assert [(e["offset"], e["length"], e["type"]) for e in told] == [
        (0, MIB, 3),
        (MIB, 256 * KIB, 0),
        (MIB + 256 * KIB, 256 * KIB, 3),
        (MIB + 512 * KIB, 512 * KIB, 0),
        (2 * MIB, 62 * MIB, 3),
    ]
    assert server.stats()["held_bytes"] == 768 * KIB


def test_map_of_a_part_and_of_one_extent(server: Server) -> None:
    code = """
import json
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
h.pwrite(bytes(64 << 10), 2 << 20)
def ask(size, at, flags=0):
    got = []
    h.block_status(size, at, lambda name, start, told, error: got.extend(told), flags)
    return got
print(json.dumps([ask(4 << 20, 0, nbd.CMD_FLAG_REQ_ONE), ask(4096, (2 << 20) + 512),
                  ask(8192, (2 << 20) - 4096), ask(1, (64 << 20) - 1)]))
"""
    one, inside, across, last = json.loads(nbdsh(server.uri(), code, server.uri()))
    assert one == [2 * MIB, 3]
    assert inside == [4096, 0]  # nothing is looked at beyond what was asked for
    assert across == [4096, 3, 4096, 0]
    assert last == [1, 3]


def test_nbdcopy_both_ways_keeps_bytes_and_holes(server: Server, tmp_path: Path) -> None:
    runs = {
        0: pattern(256 * KIB),
        10 * MIB: pattern(3 * MIB, 2),
        64 * MIB - 8: b"the end!",
    }
    source = sparse_file(tmp_path / "source", 64 * MIB, runs)
    run("nbdcopy", source, server.uri())
    assert server.stats()["held_bytes"] == 256 * KIB + 3 * MIB + 64 * KIB
    copy = tmp_path / "copy"
    run("nbdcopy", server.uri(), copy)
    assert same(source, copy)
    assert os.stat(copy).st_blocks * 512 < 5 * MIB


def test_qemu_img_converts_compares_and_maps(server: Server, tmp_path: Path) -> None:
    source = sparse_file(tmp_path / "source", 64 * MIB, {5 * MIB: pattern(2 * MIB)})
    qcow = tmp_path / "image.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, qcow)
    run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", qcow, server.uri())
    assert "identical" in run("qemu-img", "compare", "-F", "raw", qcow, server.uri())
    assert server.stats()["held_bytes"] == 2 * MIB
    told = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", server.uri()))
    assert [(e["start"], e["length"], e["data"]) for e in told] == [
        (0, 5 * MIB, False),
        (5 * MIB, 2 * MIB, True),
        (7 * MIB, 57 * MIB, False),
    ]
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 9 7M 1")
    assert "mismatch" in run(
        "qemu-img", "compare", "-F", "raw", qcow, server.uri(), fails=True
    )


def test_qemu_io_writes_reads_and_zeroes_across_blocks(server: Server) -> None:
    commands = """\
write -P 0xa5 65000 70000
read -P 0xa5 65000 70000
write -P 0x5a 65535 2
read -P 0xa5 65000 535
read -P 0x5a 65535 2
aio_write -P 0x33 1M 1M
aio_write -f -P 0x44 3M 1M
aio_flush
read -P 0x33 1M 1M
read -P 0x44 3M 1M
write -z -u 1M 1M
read -P 0 1M 1M
flush
"""
    told = run("qemu-io", "-f", "raw", server.uri(), text=commands)
    assert "failed" not in told
    assert server.stats()["held_bytes"] == 3 * 64 * KIB + MIB


def test_zeros_without_a_hole_get_their_memory_at_once(server: Server) -> None:
    """What a client asks for that wants to be sure of room for later writes."""
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -z 1M 1M")
    assert server.stats()["held_bytes"] == MIB
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -z -u 1M 1M")
    assert server.stats()["held_bytes"] == 0
    code = """
for flags, fails in (nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE, True), (
    nbd.CMD_FLAG_FAST_ZERO, False):
    try:
        h.zero(1 << 20, 0, flags)
        assert not fails
    except nbd.Error as error:
        assert fails and error.errno in ("ENOTSUP", "EOPNOTSUPP"), error
"""
    nbdsh(server.uri(), code)
    assert server.stats()["held_bytes"] == 0


def test_a_file_system_made_elsewhere_goes_through_unharmed(
    server: Server, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(50):
        (tree / f"file-{number}").write_bytes(pattern(number * 1000, number))
    image = sparse_file(tmp_path / "image", 64 * MIB, {})
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, image)
    run("nbdcopy", image, server.uri())
    back = tmp_path / "back"
    run("nbdcopy", server.uri(), back)
    assert same(image, back)
    run("e2fsck", "-f", "-n", back)
    read = tmp_path / "read"
    run("debugfs", "-R", f"dump file-49 {read}", back)
    assert read.read_bytes() == pattern(49000, 49)


def test_what_clients_ask_for_is_counted(serve: Serve) -> None:
    server = serve("1M", "limit=64K")
    server.control("clone - copy")
    code = """
h.pwrite(bytes([1]) * 1000, 5000)
h.pread(300, 0)
h.trim(4096, 0)
h.zero(8192, 65536)
try:
    h.pwrite(b"a", 500_000)
except nbd.Error:
    pass
"""
    nbdsh(server.uri(), code)
    nbdsh(server.uri("copy"), "h.pread(200, 0)")  # of all disks together
    stats = server.stats()
    assert {name: stats[name] for name in list(stats)[-7:]} == {
        "reads": 2,
        "read_bytes": 500,
        "writes": 1,
        "written_bytes": 1000,
        "trims": 2,
        "trimmed_bytes": 4096 + 8192,
        "failures": 1,
    }


def test_the_largest_disk(serve: Serve) -> None:
    size = (1 << 63) - GIB  # libnbd and nbdkit count further, but not by much
    server = serve(f"{size}")
    code = """
end = h.get_size()
h.pwrite(b"the end", end - 7)
print(end, h.pread(8, end - 8))
"""
    assert nbdsh(server.uri(), code).split(" ", 1) == [
        str(size),
        "bytearray(b'\\x00the end')\n",
    ]
    assert server.stats()["held_bytes"] == 64 * KIB


def test_requests_past_the_end_are_refused(server: Server) -> None:
    code = """
h.set_strict_mode(0)  # or libnbd would refuse them itself
size = h.get_size()
for call in (lambda: h.pread(2, size - 1), lambda: h.pwrite(b"ab", size - 1),
             lambda: h.trim(2, size - 1), lambda: h.zero(2, size - 1)):
    try:
        call()
        print("done")
    except nbd.Error as error:
        print(error.errno)
print(bytes(h.pread(1, size - 1)))
"""
    told = nbdsh(server.uri(), code).split()
    assert "done" not in told[:4] and len(told) == 5
    assert told[4] == "b'\\x00'"
