# SPDX-License-Identifier: MIT
"""Images of a disk that is in use: the command save."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import KIB, MIB, PATIENCE, Serve, Server, nbdsh, needs_status, run
from test_images import preloading


def write(server: Server, byte: int, export: str = "", at: int = 0) -> None:
    command = f"write -P {byte} {at} 64k"
    run("qemu-io", "-f", "raw", server.uri(export), "-c", command)


def expected(*bytes_of_blocks: int) -> bytes:
    data = b"".join(bytes([byte]) * 64 * KIB for byte in bytes_of_blocks)
    return data + bytes(MIB - len(data))


def test_each_disk_can_be_saved(serve: Serve, tmp_path: Path) -> None:
    server, saved = serve("1M"), tmp_path / "saved"
    write(server, 1)
    server.control("snapshot one")
    write(server, 2, at=64 * KIB)
    server.control("clone one copy")
    write(server, 3, "copy")
    disks = {"-": (1, 2), "one": (1,), "copy": (3,)}
    for name, blocks in {**disks, "": (1, 2)}.items():
        server.control(f"save {saved} {name}")
        assert saved.read_bytes() == expected(*blocks)
        assert saved.stat().st_blocks * 512 == len(blocks) * 64 * KIB
    assert server.stats()["family_bytes"] == 3 * 64 * KIB
    write(server, 4)
    assert server.alive() and list(tmp_path.glob(".*")) == []


def test_what_is_saved_is_of_one_moment(serve: Serve, tmp_path: Path) -> None:
    """While a client writes one byte into all blocks, then the next."""
    server, saved = serve("1M", "block-size=4K"), tmp_path / "saved"
    code = """
for byte in range(1, 256):
    h.pwrite(bytes([byte]) * (1 << 20), 0)
    print(byte, flush=True)
"""
    connect = f"import nbd\nh = nbd.NBD()\nh.connect_uri({server.uri()!r})\n"
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", connect + code], stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None and client.stdout.readline() == b"1\n"
        while client.poll() is None:
            server.control(f"save {saved}")
            data = saved.read_bytes()
            assert data == data[:1] * MIB
            client.stdout.read1()
    server.control(f"save {saved}")
    assert saved.read_bytes() == b"\xff" * MIB


def test_names_with_spaces_and_other_letters(serve: Serve, tmp_path: Path) -> None:
    server = serve("1M")
    name = tmp_path / "50% \N{EURO SIGN}\n"
    escaped = str(name).replace("%", "%25").replace(" ", "%20").replace("\n", "%0A")
    server.control("save " + escaped.replace("\N{EURO SIGN}", "%e2%82%AC"))
    assert name.read_bytes() == bytes(MIB)


@needs_status
def test_what_cannot_be_saved(serve: Serve, tmp_path: Path) -> None:
    server, file = serve("1M"), tmp_path / "file"
    path = "error FILE is an absolute path, in which %XX stands for a byte that is not 0"
    for name in ("relative", "%", "/%", "/%2", "/%2g", "/%g2", "/a%00b", "/% 2"[:2]):
        assert server.ask(f"save {name}") == path
    assert server.ask("save") == "error usage: save FILE [DISK]"
    assert server.ask(f"save {file} none") == "error there is no disk of that name"
    assert server.ask("save /dev/null") == "error not a regular file"
    assert server.ask(f"save {tmp_path}") == "error not a regular file"
    assert server.ask(f"save {tmp_path}/no/file") == "error No such file or directory"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert server.ask(f"save {loop}") == "error Too many levels of symbolic links"
    assert not file.exists() and server.stats()["failures"] == 0


SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int file) /* waits until there is a file */
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    while (access(getenv("SLOW_GATE"), F_OK) != 0) {
        usleep(1000);
    }
    return real(file);
}
"""


class Gate(NamedTuple):
    """A file that each fsync of nbdkit waits for, and what nbdkit is started by."""

    path: Path
    wrapper: tuple[str, ...]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    path = tmp_path / "gate"
    wrapper = preloading(tmp_path / "slow.so", SLOW)
    return Gate(path, (*wrapper, f"SLOW_GATE={path}"))


def start(server: Server, path: Path) -> socket.socket:
    client = server.connect()
    client.sendall(f"save {path}\nsnapshot behind\n".encode())
    return client


def test_nobody_else_waits_for_a_save(serve: Serve, tmp_path: Path, gate: Gate) -> None:
    server = serve("1M", "limit=128K", wrapper=gate.wrapper)
    write(server, 1)
    files = [tmp_path / f"saved{number}" for number in range(3)]
    clients = [start(server, file) for file in files]
    server.control("snapshot one")
    write(server, 2)
    assert [disk["export"] for disk in server.control("list")] == ["", "one"]
    clients.pop(0).close()  # and the others do not miss it
    gate.path.touch()
    for client in clients:
        with client, client.makefile() as answers:
            assert answers.readline() == "ok\n"
            assert answers.readline().startswith(("ok", "error there is a disk"))
    server.control("drop behind")  # a command that waited for that of its client
    for file in files[1:]:
        assert file.read_bytes() == expected(1)


def test_the_end_waits_for_a_save(serve: Serve, tmp_path: Path, gate: Gate) -> None:
    server, saved = serve("1M", wrapper=gate.wrapper), tmp_path / "saved"
    write(server, 1)
    server.settle()
    with start(server, saved):
        assert server.control("list")[0]["export"] == ""
        server.process.send_signal(signal.SIGTERM)
        assert server.alive() and not saved.exists()
        gate.path.touch()
        assert server.process.wait(PATIENCE) == 0
    assert saved.read_bytes() == expected(1)


def test_the_command_line_saves(serve: Serve, tmp_path: Path) -> None:
    server = serve("1M")
    nbdsh(server.uri(), "h.pwrite(bytes([1]) * 65536, 0)")
    words = ["control", str(server.path), "save", "an image"]
    subprocess.run([sys.executable, "-m", "pymempool", *words], cwd=tmp_path, check=True)
    assert (tmp_path / "an image").read_bytes() == expected(1)
