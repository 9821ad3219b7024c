# SPDX-License-Identifier: MIT
"""`pymempool serve` and `pymempool control`, with nbdkit, the plugin and NBD clients.

The package must be installed where the tests run: they start it as a command.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT, MIB, PATIENCE, PRELOAD, crowded, need, pattern, run

COMMAND = [sys.executable, "-m", "pymempool"]

pytestmark = pytest.mark.skipif(
    PRELOAD != "", reason="the other tests are those of the sanitized plugin"
)


class Service:
    """`pymempool serve` as a process, in a folder of its own."""

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        need("nbdkit")
        plugin = os.environ["NBDKIT_MEMPOOL_PLUGIN"]
        self.folder = folder
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--plugin", plugin, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=folder,
            env={**ENVIRONMENT, "TMPDIR": str(folder)},
            # Whoever starts the tests may have had it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.told: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Ctrl-C"):
                break
            self.told[line[:10].strip()] = line[10:].rstrip("\n")

    def shell(self, label: str, name: str = "") -> str:
        """What a command that was told prints."""
        line = self.told[label].replace("NAME", name)
        line = re.sub(r"^pymempool", shlex.join(COMMAND), line)
        return run("sh", "-c", f"cd {shlex.quote(str(self.folder))} && {line}")

    def control(self, *words: str) -> Any:
        """The answer to a command; the socket is named in what was told."""
        control = shlex.split(self.told["more"])[2]
        done = subprocess.run(
            [*COMMAND, "control", "--json", control, *words],
            capture_output=True,
            cwd=self.folder,
            timeout=PATIENCE,
            check=True,
        )
        return json.loads(done.stdout)

    def nbdkit(self) -> int:
        """The number of the process that serves."""
        path = next(self.folder.glob("pymempool-*/pid"))
        return int(path.read_text())

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Its exit status and the rest of what it said."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture(scope="module", autouse=True)
def package() -> None:
    """What is tested; not found in this folder's sources, which have no library."""
    done = subprocess.run([*COMMAND, "--version"], cwd="/", timeout=PATIENCE, check=False)
    if done.returncode != 0:
        pytest.fail("pymempool is not installed where the tests run: pip install .")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    made.mkdir()
    return made


@pytest.fixture
def served(folder: Path) -> Iterator[Any]:
    """Starts a service, which must end well if the test does not end it."""
    started: list[Service] = []

    def start(*words: str) -> Service:
        started.append(Service(folder, words))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            status, _, err = service.end()
            assert (status, err) == (0, "")
    assert list(folder.glob("pymempool-*")) == []


def is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def gone(number: int) -> bool:
    """Whether a process that is about to end has ended."""
    deadline = time.monotonic() + PATIENCE
    while is_there(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_there(number)


def test_the_commands_that_are_told_work(served: Any, folder: Path) -> None:
    (folder / "disk.img").write_bytes(pattern(MIB))
    service = served("1M", "--save", "saved.img")
    assert "export-size: 1048576 (1M)" in service.shell("look")
    assert service.shell("fill") == ""
    assert service.shell("snapshot", "clean") == ""
    assert "virtual size: 1 MiB" in service.shell("qemu")
    assert service.shell("copy") == ""
    assert (folder / "copy.img").read_bytes() == pattern(MIB)

    (folder / "disk.img").write_bytes(pattern(MIB, seed=2))
    service.shell("fill")
    clean = service.told[""].partition("its address: ")[2].replace("NAME", "clean")
    run("nbdcopy", clean, folder / "clean.img")
    assert (folder / "clean.img").read_bytes() == pattern(MIB)
    assert "snapshot NAME [DISK]" in service.shell("more")

    service.control("restore", "clean")
    # What Ctrl-C sends to all of a group is for the command to pass on.
    assert os.getpgid(service.nbdkit()) != os.getpgid(service.process.pid)
    status, out, err = service.end(signal.SIGINT)
    assert (status, err) == (0, "")
    assert out.endswith("saving to saved.img\nended\n")
    assert (folder / "saved.img").read_bytes() == pattern(MIB)


def test_a_disk_by_its_address_in_other_clients(served: Any, folder: Path) -> None:
    service = served("64M", "--socket", "the disk", "--control", "the control")
    uri = service.told["address"]
    assert uri.endswith("/a%20folder/the%20disk")
    run("qemu-io", "-f", "raw", "-c", "write -P 7 1M 64K", uri)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, folder / "a.qcow2")
    told = run("qemu-img", "compare", "-F", "raw", folder / "a.qcow2", uri)
    assert "Images are identical." in told
    stats = service.control("stats")
    assert stats["held_bytes"] == 1 << 16 and stats["written_bytes"] >= 1 << 16
    assert [disk["export"] for disk in service.control("list")] == [""]
    assert service.end()[0] == 0
    assert not (folder / "the disk").exists() and not (folder / "the control").exists()


def test_a_port(served: Any) -> None:
    # One that is free now; the system gives it to nobody else so soon.
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port = tried.getsockname()[1]
    service = served("1M", "--port", str(port))
    assert service.told["address"] == f"nbd://127.0.0.1:{port}/"
    assert "export-size: 1048576" in service.shell("look")


def test_an_image_gives_the_size_and_a_limit_holds(served: Any, folder: Path) -> None:
    image = pattern(MIB)
    (folder / "in.img").write_bytes(image)
    arguments = ("--image", "in.img", "--limit", "128K", "--block-size", "4K")
    service = served(*arguments)
    assert service.told["serving"] == "1 MiB, in blocks of 4 KiB"
    uri = service.told["address"]
    told = run("qemu-io", "-f", "raw", "-c", "write -P 1 0 512K", uri, fails=True)
    assert "No space left on device" in told
    run("qemu-io", "-f", "raw", "-c", "write -P 1 0 128K", uri)
    stats = service.control("stats")
    assert stats["failures"] == 1 and stats["memory_limit"] == 128 << 10
    status, out, err = service.end()
    assert (status, err) == (0, "")
    assert "nbdkit: mempool" in out and "limit" in out
    assert (folder / "in.img").read_bytes() == image


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["512K", "--image", "in.img"],
            "the image has 1048576 bytes, the disk only 524288",
        ),
        (["1M", "--image", "missing"], "missing: No such file or directory"),
        (["1M", "--save", "."], "save: .*: not a regular file"),
        (["1M", "--limit", "4K"], "limit: less than one block, of 65536 bytes"),
        (["1M", "--limit", "x"], "could not parse size string .x."),
        (["0"], "size=0: out of range"),
        (["--", "-1"], "negative"),
        ([], "size=SIZE or image=FILE must be given"),
        (["1M", "--socket", "in.img"], "in.img: Address already in use"),
        (["1M", "--control", "in.img"], "control: .*in.img: Address already in use"),
        (["1M", "--port", "1", "--address", "x.invalid"], "x.invalid"),
    ],
)
def test_what_cannot_be_is_refused(
    folder: Path, served: Any, words: list[str], reason: str
) -> None:
    (folder / "in.img").write_bytes(pattern(MIB))
    service = served(*words)
    out, err = service.process.communicate(timeout=PATIENCE)
    assert (service.process.returncode, service.told, out) == (2, {}, "")
    assert err.startswith("pymempool: error: ") and "Traceback" not in err
    assert re.search(reason, err), err
    assert (folder / "in.img").read_bytes() == pattern(MIB)


def test_what_is_not_the_plugin(folder: Path) -> None:
    (folder / "text").write_text("text")
    for name, reason in (
        ("missing.so", f"cannot open plugin '{folder}/missing.so'"),
        ("text", f"cannot open plugin '{folder}/text'"),
    ):
        done = subprocess.run(
            [*COMMAND, "serve", "1M", "--plugin", name],
            capture_output=True,
            encoding="utf-8",
            cwd=folder,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"pymempool: error: {reason}: ")
        assert done.stderr.count("\n") == 1


def test_two_services_do_not_meet(served: Any) -> None:
    one, other = served("1M"), served("2M")
    assert "export-size: 1048576" in one.shell("look")
    assert "export-size: 2097152" in other.shell("look")


def test_a_socket_in_use_stays(served: Any, folder: Path) -> None:
    one = served("1M", "--socket", "disk")
    other = served("2M", "--socket", "disk")
    out, err = other.process.communicate(timeout=PATIENCE)
    assert (other.process.returncode, out) == (2, "")
    assert "Address already in use" in err
    assert "export-size: 1048576" in one.shell("look")


def test_a_socket_whose_owner_accepts_nobody(served: Any, folder: Path) -> None:
    """It waited for the owner, and did not start or end."""
    with crowded(folder / "disk"):
        service = served("1M", "--socket", "disk")
        _, err = service.process.communicate(timeout=PATIENCE)
        assert service.process.returncode == 2
        assert "Address already in use" in err
        assert (folder / "disk").exists()


def test_a_service_that_is_killed_takes_nbdkit_along(served: Any, folder: Path) -> None:
    service = served("1M", "--socket", "disk", "--save", "saved.img")
    number = service.nbdkit()
    run("qemu-io", "-f", "raw", "-c", "write -P 7 0 64K", service.told["address"])
    service.process.kill()
    service.process.communicate(timeout=PATIENCE)
    assert gone(number)
    assert (folder / "saved.img").read_bytes()[:65536] == b"\7" * 65536
    [left] = folder.glob("pymempool-*")
    assert (folder / "disk").exists()  # and is in nobody's way
    assert "export-size: 2097152" in served("2M", "--socket", "disk").shell("look")
    assert not left.exists()  # the next one removes it


def test_nbdkit_that_is_killed_is_told(served: Any) -> None:
    service = served("1M")
    os.kill(service.nbdkit(), signal.SIGKILL)
    _, err = service.process.communicate(timeout=PATIENCE)
    assert service.process.returncode == 2
    assert err == "pymempool: error: nbdkit was ended by SIGKILL\n"


def test_a_disk_that_cannot_be_saved(served: Any, folder: Path) -> None:
    (folder / "sub").mkdir()
    service = served("1M", "--save", "sub/saved.img")
    (folder / "sub").rmdir()
    status, out, err = service.end()
    assert status == 2 and out.endswith("saving to sub/saved.img\n")
    assert err.startswith("pymempool: error: save: ")


STAYS = """
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"written", 0)
print("there", flush=True)
sys.stdin.read()
"""


def test_clients_that_stay_are_named_and_disconnected(served: Any, folder: Path) -> None:
    """nbdkit itself waits for ever."""
    service = served("1M", "--save", "saved.img", "--wait", "1", "--control", "control")
    command = ["/usr/bin/python3", "-c", STAYS, service.told["address"]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None and client.stdout.readline() == "there\n"
        listed = {"client": f"pid {client.pid}", "export": ""}
        assert service.control("clients") == [listed]
        status, out, err = service.end()
        assert (status, err) == (0, "")
        told = f"saving to saved.img\nwaiting 1 s at most for clients: pid {client.pid}\n"
        assert f"{told}ended\n" in out
        assert (folder / "saved.img").read_bytes()[:7] == b"written"
        assert not (folder / "control").exists()
        assert client.poll() is None
        client.communicate("")


def test_clients_by_tcp_are_listed(served: Any) -> None:
    for address, form in (("127.0.0.1", r"127\.0\.0\.1:\d+"), ("::1", r"\[::1\]:\d+")):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as tried:
            tried.bind((address, 0))
            port = tried.getsockname()[1]
        service = served("1M", "--port", str(port), "--address", address)
        command = ["/usr/bin/python3", "-c", STAYS, service.told["address"]]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client:
            assert client.stdout is not None and client.stdout.readline() == "there\n"
            [listed] = service.control("clients")
            assert re.fullmatch(form, listed["client"])
            client.communicate("")
