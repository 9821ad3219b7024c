# SPDX-License-Identifier: MIT
"""A virtual machine whose disk runs full: qemu pauses it, until there is room again.

The machine has no operating system: its disk begins with a program that writes to it by
the BIOS, and ends the machine with a status.
"""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT, KIB, MIB, PATIENCE, Serve, Server, nbdsh, need, run

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the program is assembled for x86"
)

WROTE, FAILED = 0x21, 0x22  # what the program says at its end

# 64 writes of 32 KiB, of bytes 0x5a, from 1 MiB on.
PROGRAM = f"""
    .intel_syntax noprefix
    .code16
    .globl _start
_start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov di, 0x8000
    mov ax, 0x5a5a
    mov cx, {16 * KIB}
    rep stosw
    mov cx, 64
again:
    push cx
    mov si, offset packet
    mov ax, 0x4300      # int 13h: write sectors
    mov dl, 0x80        # to the first disk
    int 0x13
    pop cx
    mov al, {FAILED}
    jc end
    add word ptr [sector], 64
    loop again
    mov al, {WROTE}
end:
    mov dx, 0x501       # isa-debug-exit
    out dx, al
    hlt
packet:
    .byte 16, 0
    .word 64            # sectors
    .word 0x8000, 0     # of this memory
sector:
    .quad {MIB // 512}
    .org 510
    .word 0xaa55        # a disk to boot from
"""


def boot_sector(folder: Path) -> Path:
    """The program as a disk's first sector."""
    (folder / "boot.s").write_text(PROGRAM)
    run("as", "--32", "-o", folder / "boot.o", folder / "boot.s")
    sector = folder / "boot"
    link = ("-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary")
    run("ld", *link, "-o", sector, folder / "boot.o")
    assert sector.stat().st_size == 512
    return sector


class Machine:
    """A running qemu and its control socket."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        with socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(PATIENCE)
            while True:
                try:
                    connected.connect(str(path))
                    break
                except OSError:
                    assert process.poll() is None
                    time.sleep(0.05)
            self._file = connected.makefile("rw")
        self._file.readline()  # a greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str) -> Any:
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()
        while True:  # events may come before the answer
            answer = json.loads(self._file.readline())
            if "return" in answer:
                return answer["return"]

    def wait_until_paused(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.ask("query-status")["status"] != "io-error":
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.05)

    def close(self) -> None:
        self._file.close()


@contextmanager
def machine(server: Server, folder: Path) -> Iterator[Machine]:
    sector = boot_sector(folder)
    copy = "import sys\nh.pwrite(open(sys.argv[1], 'rb').read(), 0)"
    nbdsh(server.uri(), copy, sector)
    path = folder / "qmp"
    command = [
        *(need("qemu-system-x86_64"), "-accel", "tcg", "-m", "16", "-display", "none"),
        *("-drive", f"file={server.uri()},format=raw,if=ide"),
        *("-device", "isa-debug-exit", "-qmp", f"unix:{path},server=on,wait=off"),
    ]
    with subprocess.Popen(command, env=ENVIRONMENT) as process:
        try:
            running = Machine(process, path)
            yield running
            running.close()
        finally:
            process.kill()


@pytest.mark.parametrize("way", ["limit 8M", "drop before"])
def test_pauses_and_goes_on(way: str, serve: Serve, tmp_path: Path) -> None:
    server = serve("16M", "limit=1M")
    if way == "drop before":
        server.control("limit 3M")
        nbdsh(server.uri(), f"h.pwrite(bytes([1]) * {2 * MIB}, {4 * MIB})")
        server.control("snapshot before")
        nbdsh(server.uri(), f"h.trim({2 * MIB}, {4 * MIB})")
    with machine(server, tmp_path) as running:
        running.wait_until_paused()
        assert server.stats()["family_bytes"] == server.stats()["memory_limit"]
        running.ask("cont")
        running.wait_until_paused()  # there is no room yet
        server.control(way)
        running.ask("cont")
        assert running.process.wait(PATIENCE) == 2 * WROTE + 1
    code = f"print(h.pread({2 * MIB}, {MIB}) == bytes([0x5A]) * {2 * MIB})"
    assert nbdsh(server.uri(), code) == "True\n"
