# SPDX-License-Identifier: MIT
"""A client of a disk in which each request to the system fails in turn: see failing.c.

It makes the same calls over and over, each time with another request that fails, until
none is left. Whatever fails, the disks hold what they held before or what they should
hold now, and in the end nothing is left behind. It is run by test_failures with the
system's Python, which has libnbd, and is called with: the disk's socket, the control
socket, the plan, the number of the server's process.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Callable

import nbd

SIZE = 64 << 10
PATIENCE = 120

disk_path, control_path, plan_path, server = sys.argv[1:]
with open(plan_path, "r+b") as file:
    plan = memoryview(mmap.mmap(file.fileno(), 24)).cast("q")
UNTIL, FAILED, CALM = range(3)  # of its numbers


@contextmanager
def calm() -> Iterator[None]:
    """Nothing fails for as long as the block runs."""
    plan[CALM] = 1
    yield
    plan[CALM] = 0


def connect(export: str = "") -> Any:
    handle = nbd.NBD()
    handle.set_export_name(export)
    handle.connect_unix(disk_path)
    return handle


class Control:
    """A connection to the control socket, made anew when it has ended."""

    file: Any = None

    def say(self, command: str) -> str:
        """What answers a command: "ok", what it tells, an error, or "" if nothing did."""
        line = ""
        with suppress(BrokenPipeError, ConnectionResetError):
            if self.file is None:
                with socket.socket(socket.AF_UNIX) as connected:
                    connected.settimeout(PATIENCE)
                    connected.connect(control_path)
                    self.file = connected.makefile("rwb", buffering=0)
            self.file.write(command.encode() + b"\n")
            while not line.endswith("\n") and (more := self.file.readline()):
                line += more.decode()
        if line == "":
            self.end()
        assert line == "" or line.endswith("\n"), f"half an answer: {line!r}"
        return line[:-1]

    def end(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


control = Control()


def tell(command: str) -> Any:
    """What a command tells, in JSON; None if there was no answer."""
    answer = control.say(command)
    assert answer == "" or answer.startswith("ok "), answer
    return json.loads(answer[3:]) if answer else None


class Model:
    """What each disk must hold."""

    def __init__(self) -> None:
        self.disks = {"": bytes(SIZE)}
        self.handle = connect()

    def request(
        self, call: Callable[[Any], Any], at: int, data: bytes, hint: bool = False
    ) -> None:
        """A change by a client. A hint may have been followed in part."""
        try:
            call(self.handle)
        except nbd.Error as error:
            assert error.errno == "ENOMEM", error
            data = self.disks[""][at : at + len(data)]
        before = self.disks[""]
        self.disks[""] = before[:at] + data + before[at + len(data) :]
        with calm():
            found = self.handle.pread(SIZE, 0)
        if hint:
            same = all(it in pair for it, *pair in zip(found, before, self.disks[""]))
            assert same, "not a hint"
            self.disks[""] = bytes(found)
        assert found == self.disks[""], "half a request"

    def command(self, line: str, after: dict[str, bytes]) -> None:
        """A change by a command, which makes of the disks what `after` tells."""
        answer, before = control.say(line), self.disks
        with calm():
            names = {disk["export"] for disk in tell("list")}
            found = {name: self.read(name) for name in names}
        assert found in (before, after), f"{line}: {answer}: half a change"
        if answer == "ok":
            assert found == after, f"{line}: not done"
        elif answer:
            assert found == before, f"{line}: {answer}: done all the same"
        self.disks = found

    def read(self, export: str) -> bytes:
        """What a disk holds; of others than the disk itself, when they are new."""
        if export in self.disks and export != "":
            return self.disks[export]
        handle = connect(export) if export else self.handle
        return bytes(handle.pread(SIZE, 0))


def save(model: Model) -> None:
    """Saves the disk: the file is the old one, or the new one as a whole."""
    saved = os.path.join(os.path.dirname(plan_path), "saved.img")
    before = b"old" * 1000
    with open(saved, "wb") as file:
        file.write(before)
    answer = control.say(f"save {saved}")
    with open(saved, "rb") as file:
        found = file.read()
    assert found in (before, model.disks[""]), f"{answer}: half a file"
    if answer:
        assert (answer == "ok") == (found != before), answer
    left = [name for name in os.listdir(os.path.dirname(saved)) if name[0] == "."]
    assert left == [], "a temporary file was left behind"


def changes(model: Model) -> None:
    """Compares two disks: the ranges are right, or there is an error."""
    if "a" not in model.disks:
        return
    answer = control.say("changes a")
    if answer.startswith("ok "):
        old, new = model.disks["a"], bytearray(model.disks[""])
        for change in json.loads(answer[3:]):
            run = slice(change["offset"], change["offset"] + change["size"])
            new[run] = old[run]
        assert new == old, "a change that was not told"
    else:
        assert answer == "" or answer.startswith("error "), answer


def make_all(model: Model, turn: int) -> None:
    """Every call, with bytes of this turn."""
    byte = bytes([turn % 255 + 1])
    model.request(lambda h: h.pwrite(byte * 20000, 1000), 1000, byte * 20000)
    disks = model.disks
    model.command("snapshot a", {**disks, "a": disks[""]})
    model.request(lambda h: h.pwrite(b"x" * 9000, 3000), 3000, b"x" * 9000)
    disks = model.disks
    model.command("clone - b", {**disks, "b": disks[""]})
    model.request(lambda h: h.trim(9000, 5000), 5000, bytes(9000), hint=True)
    model.request(lambda h: h.zero(3000, 1500), 1500, bytes(3000))
    model.request(lambda h: h.zero(500, 0, nbd.CMD_FLAG_NO_HOLE), 0, bytes(500))
    with suppress(nbd.Error):
        connect("b").pread(SIZE, 0)
    save(model)
    changes(model)
    for question in ("list", "clients", "stats", "help"):
        tell(question)
    disks = model.disks
    if "a" in disks:
        model.command("restore a", {**disks, "": disks["a"]})
    for name in "ab":
        if name in model.disks:
            rest = {it: held for it, held in model.disks.items() if it != name}
            model.command(f"drop {name}", rest)


def clear(model: Model) -> None:
    """Everything is given up, so that what is left was left behind."""
    for name in filter(None, list(model.disks)):
        assert control.say(f"drop {name}") == "ok"
    model.handle.trim(SIZE, 0)
    model.disks = {"": bytes(SIZE)}
    deadline = time.monotonic() + PATIENCE
    while (stats := tell("stats"))["connections"] != 1:
        assert time.monotonic() < deadline, "a connection that does not end"
        time.sleep(0.001)
    assert (stats["family_bytes"], stats["disks"]) == (0, 1), stats
    control.end()


def open_files() -> int:
    return len(os.listdir(f"/proc/{server}/fd"))


def main() -> None:
    model = Model()
    files, turn = open_files(), 0
    while turn == plan[FAILED]:
        turn += 1
        plan[UNTIL] = turn
        make_all(model, turn)
        plan[UNTIL] = 0
        clear(model)
        deadline = time.monotonic() + PATIENCE
        while open_files() > files:
            assert time.monotonic() < deadline, "descriptors were left behind"
    print(plan[FAILED])


if __name__ == "__main__":
    main()
