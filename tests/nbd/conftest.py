# SPDX-License-Identifier: MIT
"""The plugin under test, served to programs that know nothing of it.

NBDKIT_MEMPOOL_PLUGIN names the plugin; `run` beside this file builds one and starts the
tests. Programs that are not there fail the tests that need them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Callable

import pytest

#: Far more than anything here takes, so that a test that hangs ends.
PATIENCE = 120
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

PACKAGES = {
    "nbdkit": "nbdkit",
    "nbdinfo": "libnbd-bin",
    "nbdcopy": "libnbd-bin",
    "nbdsh": "python3-libnbd",
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "as": "binutils",
    "ld": "binutils",
    "fio": "fio",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "prlimit": "util-linux",
}

#: The runtime of a sanitizer, which nbdkit must load first; see `run`.
PRELOAD = os.environ.get("NBDKIT_MEMPOOL_PRELOAD", "")

# With that loaded nbdkit never ends after a message with the text of an error number,
# whatever the plugin: it waits for a lock of the C library, in a destructor of libp11-kit
# (see `LD_PRELOAD=.../libasan.so nbdkit floppy dir=/none`). It is helped by a signal when
# all is done but that; where its status is the matter it has none to tell.
NEVER_ENDS = PRELOAD != ""
needs_status = pytest.mark.skipif(
    NEVER_ENDS, reason="with a sanitizer no nbdkit ends after such a message"
)
needs_limits = pytest.mark.skipif(
    PRELOAD != "", reason="a sanitizer needs terabytes of address space"
)

# nbdsh is a module of the system's Python, and a venv would hide that.
ENVIRONMENT = dict(os.environ, PATH=f"/usr/bin:/usr/sbin:{os.environ['PATH']}")


def need(program: str) -> str:
    found = shutil.which(program, path=ENVIRONMENT["PATH"])
    if found is None:
        pytest.fail(f"{program} is missing: apt install {PACKAGES[program]}")
    return found


def run(
    program: str,
    *words: object,
    fails: bool = False,
    text: str = "",
    environment: dict[str, str] = ENVIRONMENT,
    patience: float = PATIENCE,
) -> str:
    """What a program prints, on both streams; it must succeed, or fail."""
    done = subprocess.run(
        [need(program), *map(str, words)],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=patience,
        env=environment,
        check=False,
    )
    assert (done.returncode != 0) == fails, f"{program}: {done.returncode}\n{done.stdout}"
    return done.stdout


def nbdsh(uri: str, code: str, *words: object) -> str:
    """Runs code with `h`, connected to a disk; the words are in sys.argv[1:]."""
    program = (
        "import sys, nbd\nh = nbd.NBD()\nh.connect_uri(sys.argv[1])\ndel sys.argv[1]\n"
    )
    need("nbdsh")
    return run("python3", "-c", program + code, uri, *words)


class Client:
    """A program with `h`, connected to a disk, that is talked to line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        """Ends an input() of it."""
        print(file=self._process.stdin, flush=True)


@contextmanager
def client_of(uri: str, code: str) -> Iterator[Client]:
    """Runs such a program until it ends."""
    program = f"import nbd\nh = nbd.NBD()\nh.connect_uri({uri!r})\n{code}"
    with subprocess.Popen(
        ["python3", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        yield Client(process)


def plugin() -> str:
    found = os.environ.get("NBDKIT_MEMPOOL_PLUGIN")
    if not found:
        pytest.fail("NBDKIT_MEMPOOL_PLUGIN must name the plugin; see tests/nbd/run")
    return found


def preloaded() -> dict[str, str]:
    """The environment of nbdkit."""
    return dict(ENVIRONMENT, **({"LD_PRELOAD": PRELOAD} if PRELOAD else {}))


class Server:
    """nbdkit with the plugin, in the foreground."""

    def __init__(self, folder: Path, wrapper: list[str], parameters: list[str]) -> None:
        self.folder = folder
        self.socket, self.path = folder / "nbd", folder / "control"
        pidfile = folder / "pid"
        pidfile.unlink(missing_ok=True)
        self.log = folder / "log"
        command = [*wrapper, need("nbdkit"), "-f", "-U", str(self.socket)]
        command += ["-P", str(pidfile), plugin(), f"control={self.path}", *parameters]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=preloaded(),
            )
        # The file of its number is what nbdkit writes last before it serves.
        deadline = time.monotonic() + PATIENCE
        while not (pidfile.exists() and pidfile.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop(busy=True)
                raise RuntimeError(f"nbdkit does not serve: {self.log.read_text()}")
            if NEVER_ENDS and "nbdkit: error: " in self.log.read_text():
                self.process.kill()
            time.sleep(0.01)

    def uri(self, export: str = "") -> str:
        return f"nbd+unix:///{export}?socket={self.socket}"

    def connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(PATIENCE)
        connected.connect(str(self.path))
        return connected

    def ask(self, command: str) -> str:
        """The line that answers a command, which is a line."""
        with self.connect() as connected, connected.makefile("rw") as file:
            file.write(command + "\n")
            file.flush()
            return file.readline().rstrip("\n")

    def control(self, command: str) -> Any:
        """What a command that must succeed tells: JSON, or nothing."""
        word, _, told = self.ask(command).partition(" ")
        assert word == "ok", f"{command}: {word} {told}"
        return json.loads(told) if told else None

    def stats(self) -> dict[str, int]:
        stats = self.control("stats")
        assert isinstance(stats, dict)
        return stats

    def settle(self) -> None:
        """Waits until nbdkit has seen that its clients are gone."""
        deadline = time.monotonic() + PATIENCE
        while self.stats()["connections"] != 0:
            assert time.monotonic() < deadline, "a connection that does not end"
            time.sleep(0.01)

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM, busy: bool = False) -> int:
        """Ends nbdkit as a user does. Its exit status.

        Where there may be clients, `busy`, it does not close what they have opened.
        """
        if not busy and self.alive():
            self.settle()
        if self.alive():
            self.process.send_signal(how)
        try:
            return self.process.wait(10 if NEVER_ENDS else PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            log = self.log.read_text()
            if NEVER_ENDS and "error: " in log and "Sanitizer" not in log:
                return 0
            raise


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with the parameters given; each must end without a complaint."""
    started: list[Server] = []

    def start(*parameters: str, wrapper: tuple[str, ...] = ()) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="server-", dir=tmp_path))
        started.append(Server(folder, list(wrapper), list(parameters)))
        return started[-1]

    yield start
    for server in started:
        expected = None if server.alive() else server.process.returncode
        assert server.stop() in (expected, 0), server.log.read_text()
        assert not server.path.exists(), "the control socket was left behind"


@pytest.fixture
def server(serve: Serve) -> Server:
    """64 MiB in blocks of 64 KiB."""
    return serve("64M")


@contextmanager
def crowded(path: Path) -> Iterator[None]:
    """A socket whose owner accepts nobody, and with no room for one more who waits."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as clients:
        listener.bind(str(path))
        listener.listen(0)
        with suppress(BlockingIOError):
            while True:
                waiting = clients.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        yield


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that repeat nowhere within a block."""
    words = ((seed << 32 | at).to_bytes(8, "little") for at in range(size // 8))
    return b"".join(words)
