# SPDX-License-Identifier: MIT
"""Each request of the plugin to the system fails once, for memory, threads, descriptors
and room on disk: it does not start, or goes on with what it had."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from conftest import PATIENCE, PRELOAD, Serve, Server, pattern, run

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    PRELOAD != "", reason="a sanitizer replaces the same functions"
)


class Failing:
    """What has nbdkit's plugin fail; see failing.c."""

    def __init__(self, folder: Path) -> None:
        library = folder / "failing.so"
        self.plan = folder / "plan"
        run("gcc", "-shared", "-fPIC", "-o", library, HERE / "failing.c", "-ldl")
        words = f"LD_PRELOAD={library}", f"FAILING_PLAN={self.plan}"
        self.wrapper = ("env", *words)
        self.set(0)

    def set(self, until: int) -> None:
        self.plan.write_bytes(struct.pack("qqq", until, 0, 0))

    def failed(self) -> bool:
        return struct.unpack("qqq", self.plan.read_bytes())[1] == 1


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    return Failing(tmp_path)


def test_each_request_fails_while_it_serves(serve: Serve, failing: Failing) -> None:
    server = serve("64K", "-t", "1", "block-size=4K", wrapper=failing.wrapper)
    program = HERE / "failing_client.py"
    arguments = server.socket, server.path, failing.plan, server.process.pid
    told = run("python3", program, *arguments, patience=10 * PATIENCE)
    assert int(told) > 100  # requests, each of which has failed


def test_each_request_fails_at_the_start_or_the_end(
    tmp_path: Path, failing: Failing
) -> None:
    image, data = tmp_path / "image", pattern(20_480)
    image.write_bytes(data)
    until = refused = unsaved = 0
    while until == 0 or failing.failed():
        until += 1
        failing.set(until)
        folder = tmp_path / f"{until}"
        folder.mkdir()
        saved = folder / "saved"
        saved.write_bytes(b"precious")
        saved.chmod(0o600)
        parameters = [f"image={image}", f"save={saved}", "block-size=4K"]
        try:
            server = Server(folder, list(failing.wrapper), parameters)
            status = server.stop(busy=True)
        except RuntimeError:
            refused, status = refused + 1, 1
        told = (folder / "log").read_text()
        assert told.startswith("nbdkit: ") == (status == 1), (until, told)
        assert saved.read_bytes() == (b"precious" if status else data), until
        assert saved.stat().st_mode & 0o777 == 0o600
        unsaved += status
        left = {path.name for path in folder.iterdir()} - {"log", "pid", "nbd"}
        assert left == {"saved"}, until
    assert 0 < refused < unsaved < until
