# SPDX-License-Identifier: MIT
"""The command serve, with a program in place of nbdkit; tests/nbd has nbdkit itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_nbdkit
import pytest
from command_line import POSIX, Terminal, command
from documents import ROOT, blocks
from fake_nbdkit import PLAN, SHOWN, STATS
from internals import (
    control_module,
    serve_display_module,
    serve_module,
    serve_resources_module,
)

from pymempool import cli

pytest_plugins = ["command_fixtures"]


class Fake:
    """The folder of the program, the first of PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "nbdkit"
        source = Path(fake_nbdkit.__file__).read_text(encoding="utf-8")
        self.program.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
        self.program.chmod(0o755)
        self.plan()

    def plan(self, **changes: Any) -> None:
        (self.folder / "plan").write_text(json.dumps({**PLAN, **changes}))

    def calls(self) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """As they are in a terminal: whoever starts the tests may have had them ignored."""
    if os.name != "posix":
        yield
        return
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, what) for number, what in usual.items()}
    yield
    for number, what in before.items():
        signal.signal(number, what)


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where private folders are made, and nothing may be left behind."""
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="p") as made:
        monkeypatch.setattr(tempfile, "tempdir", made)
        monkeypatch.setattr(serve_module, "_SECOND", 0.01)
        yield Path(made)
        assert os.listdir(made) == []


@pytest.fixture
def fake(tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Fake(folder)


def introduced(disk: str, control: str, client: str) -> str:
    """What is told first."""
    uri = disk.format("")
    return f"""\
serving   1 GiB, in blocks of 64 KiB
address   {uri}
look      nbdinfo {shlex.quote(uri)}
copy      nbdcopy {shlex.quote(uri)} copy.img
fill      nbdcopy disk.img {shlex.quote(uri)}
qemu      qemu-img info {shlex.quote(uri)}
attach    sudo nbd-client {client} /dev/nbd0
snapshot  pymempool control {control} snapshot NAME
          its address: {disk.format("NAME")}
more      pymempool control {control} help
Ctrl-C ends it
"""


def statistics(told: str) -> list[str]:
    """The lines of statistics, without the time of the day."""
    return re.findall(r"^\d\d:\d\d:\d\d  (.*)$", told, re.MULTILINE)


# -------------------------------------------------------------------- what is told


@POSIX
@pytest.mark.parametrize("ends", ["INT", "TERM", "HUP"])
def test_a_disk_at_a_private_socket(
    fake: Fake, private: Path, tell: Any, ends: str
) -> None:
    fake.plan(answers=[STATS, f"!{ends}"])
    before = [
        signal.getsignal(getattr(signal, name)) for name in serve_resources_module.SIGNALS
    ]
    told = tell("serve", "1G")
    assert (told.status, told.err) == (0, "")
    assert before == [
        signal.getsignal(getattr(signal, name)) for name in serve_resources_module.SIGNALS
    ]

    asked, called = fake.calls()
    assert asked == ["--dump-plugin", "mempool"]
    pidfile, disk, control = called[3], called[7], called[-1].partition("=")[2]
    made = Path(disk).parent
    assert made.parent == private and not made.exists()
    assert {Path(pidfile).parent, Path(control).parent} == {made}
    assert called == [
        *("--foreground", "--exit-with-parent", "--pidfile", pidfile, "--threads", "4"),
        *("--unix", disk, "mempool", "size=1G", f"control={control}"),
    ]
    first = introduced(f"nbd+unix:///{{}}?socket={disk}", control, f"-unix {disk}")
    assert told.out.startswith(first)
    assert statistics(told.out) == [SHOWN]
    assert told.out.endswith("\nended\n")


@POSIX
def test_the_page_shows_what_is_told(fake: Fake, tell: Any) -> None:
    fake.plan(answers=[{**STATS, "total_size": 1 << 40}, "!INT"])
    page = [
        block
        for block in blocks(ROOT / "docs" / "howto" / "command-line.md")
        if block.source.startswith("pymempool serve ")
    ]
    assert len(page) == 1
    told = tell(*shlex.split(page[0].source)[1:])
    assert (told.status, told.err) == (0, "")
    # Of the private folder all but its parent and the part that differs each time.
    shown, printed = (
        re.sub(r"/[^\s'=]*/(pymempool[a-z-]*-)\w{8}/", r"/tmp/\1XXXXXXXX/", text)
        for text in (page[0].output, told.out)
    )
    assert "XXXXXXXX" in shown
    assert printed.startswith(shown)


@POSIX
def test_every_option_reaches_nbdkit(fake: Fake, private: Path, tell: Any) -> None:
    disk, control = private / "my disk?&%", private / "my control"
    arguments = ["--limit", "4G", "--block-size", "4K", "--image", "a=b", "--save", "c d"]
    arguments += ["--format", "raw", "--record", "flush", "--records", "9"]
    told = tell(
        *("serve", "1T", *arguments, "--socket", disk, "--control", control),
        *("--plugin", "lib/p.so"),
    )
    assert (told.status, told.err) == (0, "")
    plugin = os.path.abspath("lib/p.so")
    asked, called = fake.calls()
    assert asked == ["--dump-plugin", plugin]
    assert called[6:] == [
        *("--unix", str(disk), plugin, "size=1T", "block-size=4K", "limit=4G"),
        *(
            "image=a=b",
            "format=raw",
            "record=flush",
            "records=9",
            "save=c d",
            f"control={control}",
        ),
    ]
    escaped = f"{private}/my%20disk%3F%26%25"
    first = introduced(
        f"nbd+unix:///{{}}?socket={escaped}", f"'{control}'", f"-unix '{disk}'"
    )
    assert told.out.startswith(first)
    assert told.out.endswith("\nsaving to c d\nended\n")
    assert not disk.exists()  # nbdkit leaves it behind
    assert not control.exists()


@POSIX
@pytest.mark.parametrize(
    ("arguments", "address", "uri"),
    [
        (["--port", "10809"], "127.0.0.1", "nbd://127.0.0.1:10809/{}"),
        (["--port", "1", "--address", "::1"], "::1", "nbd://[::1]:1/{}"),
        (["--port", "65535", "--address", "h.x"], "h.x", "nbd://h.x:65535/{}"),
    ],
)
def test_a_port(
    fake: Fake, tell: Any, arguments: list[str], address: str, uri: str
) -> None:
    told = tell("serve", "--image", "x", *arguments)
    assert (told.status, told.err) == (0, "")
    called = fake.calls()[1]
    listen = ["--ipaddr", address, "--port", arguments[1]]
    assert called[6:-1] == [*listen, "mempool", "image=x"]
    control = called[-1].partition("=")[2]
    first = introduced(uri, control, f"{address} {arguments[1]}")
    assert told.out.startswith(first)


@POSIX
def test_a_line_when_something_has_changed(
    fake: Fake, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_display_module, "_PAUSE", 0)
    changed = {**STATS, "memory_limit": 10 << 20, "connections": 0}
    fake.plan(answers=[STATS, STATS, STATS, changed, changed, "!TERM"])
    assert statistics(tell("serve", "1G").out)[:2] == [
        SHOWN,
        SHOWN.replace("3 MiB", "3 MiB of 10 MiB").replace(
            "connections 2", "connections 0"
        ),
    ]


@POSIX
def test_lines_do_not_come_too_often(fake: Fake, tell: Any) -> None:
    fake.plan(answers=[STATS, {**STATS, "connections": 7}, "!TERM"])
    assert len(statistics(tell("serve", "1G").out)) == 1


@POSIX
@pytest.mark.parametrize("answer", ["", "what?\n", "ok {\n", "error busy\n"])
def test_statistics_that_do_not_come(fake: Fake, tell: Any, answer: str) -> None:
    fake.plan(answers=[STATS, answer, STATS, "!INT"])
    told = tell("serve", "1G")
    assert (told.status, told.err) == (0, "")
    assert len(statistics(told.out)) == 1


@POSIX
def test_what_nbdkit_says_is_told(fake: Fake, tell: Any) -> None:
    fake.plan(
        says="nbdkit: warning: early\n",
        answers=[
            STATS,
            STATS,
            "!say nbdkit: mempool.1: error: full\x1b[2J",
            STATS,
            "!INT",
        ],
        end=[0, "nbdkit: late\n"],
    )
    told = tell("serve", "1G")
    assert (told.status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert "nbdkit: warning: early" in lines[10:]
    assert lines[-2:] == ["nbdkit: late", "ended"]
    assert "nbdkit: mempool.1: error: full\\x1b[2J" in lines


@POSIX
def test_a_terminal(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fake.plan(answers=[STATS, STATS, "!say [b]full[/b]", STATS, STATS, "!INT"])
    for module in ("console", "live", "text"):
        monkeypatch.setitem(sys.modules, f"rich.{module}", None)
    assert cli.main(["serve", "1G"]) == 0
    told = terminal.getvalue()
    assert told.count(f"\r{SHOWN}") >= 2
    gone = f"\r{' ' * len(SHOWN)}\r"
    assert f"\r{SHOWN}{gone}[b]full[/b]\n\r{SHOWN}" in told
    assert told.endswith(f"\r{SHOWN}{gone}ended\n")


# ---------------------------------------------------------------- when it cannot be


@POSIX
def test_without_nbdkit(
    tell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = tell("serve", "1G")
    assert (told.status, told.out) == (2, "")
    assert told.err == (
        "pymempool: error: nbdkit is not installed: apt install nbdkit, or dnf install "
        "nbdkit\n"
    )


def test_on_a_system_without_nbdkit(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    told = tell("serve", "1G")
    assert (told.status, told.out) == (2, "")
    assert told.err == (
        "pymempool: error: there is no nbdkit for this system; WSL has one\n"
    )


@POSIX
def test_without_the_plugin(fake: Fake, tell: Any) -> None:
    reason = "nbdkit: error: cannot open plugin\nUse 'nbdkit --help'\n"
    fake.plan(dump=[1, "", reason])
    told = tell("serve", "1G")
    assert (told.status, told.out, len(fake.calls())) == (2, "", 1)
    assert told.err.startswith("pymempool: error: cannot open plugin\nThe plugin comes ")
    assert "cmake --install build --component nbdkit" in told.err
    told = tell("serve", "1G", "--plugin", "x.so")
    assert (told.status, told.err) == (2, "pymempool: error: cannot open plugin\n")


@POSIX
def test_another_plugin(fake: Fake, tell: Any) -> None:
    fake.plan(dump=[0, "name=null\nlongname=mempool\n", ""])
    told = tell("serve", "1G", "--plugin", "/x/y.so")
    assert (told.status, told.out) == (2, "")
    assert told.err == (
        "pymempool: error: /x/y.so is another plugin of nbdkit, not "
        "nbdkit-mempool-plugin.so\n"
    )


@POSIX
def test_a_program_that_cannot_be_run(fake: Fake, tell: Any) -> None:
    fake.program.write_bytes(b"\x7fELF")
    told = tell("serve", "1G")
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith("pymempool: error: cannot start nbdkit: ")


@POSIX
@pytest.mark.parametrize("option", ["--save", "--socket", "--control"])
def test_a_name_that_cannot_be(fake: Fake, tell: Any, option: str) -> None:
    told = tell("serve", "1G", option, "a\0b")
    assert (told.status, told.out, len(fake.calls())) == (2, "", 1)
    assert told.err == "pymempool: error: cannot start nbdkit: embedded null byte\n"


@POSIX
@pytest.mark.parametrize(
    ("says", "fails", "told_of"),
    [
        ("nbdkit: error: could not parse size\n", 1, "could not parse size"),
        ("nbdkit: mempool: error: limit: too low\n", 1, "limit: too low"),
        ("/x/disk: Address already in use\n", 1, "/x/disk: Address already in use"),
        ("nbdkit: error: a\nnbdkit: error: b\n", 1, "a\nb"),
        ("nbdkit: mempool: note: a\nnbdkit: error: b\n", 1, "b"),
        ("nbdkit: mempool: note: a\n", 3, "nbdkit ended with status 3"),
        ("", 3, "nbdkit ended with status 3"),
    ],
)
def test_nbdkit_that_fails_at_once(
    fake: Fake, tell: Any, says: str, fails: int, told_of: str
) -> None:
    fake.plan(says=says, fails=fails)
    told = tell("serve", "x")
    assert (told.status, told.out, told.err) == (2, "", f"pymempool: error: {told_of}\n")


@POSIX
@pytest.mark.parametrize(
    ("act", "told_of"),
    [
        ("!end 1", "nbdkit ended with status 1"),
        ("!die", "nbdkit was ended by SIGKILL"),
    ],
)
def test_nbdkit_that_fails_later(fake: Fake, tell: Any, act: str, told_of: str) -> None:
    fake.plan(answers=[STATS, STATS, act])
    told = tell("serve", "1G", "--save", "x")
    assert (told.status, told.err) == (2, f"pymempool: error: {told_of}\n")
    assert len(statistics(told.out)) == 1
    assert not told.out.endswith("ended\n") and "saving" not in told.out


@POSIX
def test_nbdkit_that_somebody_else_ends(fake: Fake, tell: Any) -> None:
    fake.plan(answers=[STATS, "!end 0"])
    told = tell("serve", "1G")
    assert (told.status, told.err) == (0, "")
    assert told.out.endswith("\nended\n")


@POSIX
def test_nbdkit_that_has_not_come_to_expect_the_signal(fake: Fake, tell: Any) -> None:
    fake.plan(end="!default")
    told = tell("serve", "1G")
    assert (told.status, told.err) == (0, "")


@POSIX
def test_a_disk_that_cannot_be_saved(fake: Fake, tell: Any) -> None:
    fake.plan(end=[1, "nbdkit: error: save: x: No space left on device\n"])
    told = tell("serve", "1G", "--save", "x")
    assert told.status == 2
    assert told.out.endswith("\nsaving to x\n")
    assert told.err == "pymempool: error: save: x: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "0"], "a port is 1 to 65535"),
        (["--port", "65536"], "a port is 1 to 65535"),
        (["--port", "-1"], "a port is 1 to 65535"),
        (["--port", "nbd"], "a port is 1 to 65535"),
        (["--wait", "-1"], "a number of seconds"),
        (["--wait", "nan"], "a number of seconds"),
        (["--wait", "1e9"], "a number of seconds"),
        (["--wait", "1000001"], "a number of seconds"),
        (["--port", "\N{SUPERSCRIPT TWO}"], "a port is 1 to 65535"),
        (["--port", "1", "--socket", "x"], "not allowed with argument"),
        (["1G"], "unrecognized arguments: 1G"),
    ],
)
def test_wrong_usage(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "1G", *arguments])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


@POSIX
def test_an_address_without_a_port(fake: Fake, tell: Any) -> None:
    told = tell("serve", "1G", "--address", "127.0.0.1")
    assert (told.status, told.out) == (2, "")
    assert told.err == "pymempool: error: --address needs --port\n"


# -------------------------------------------------------------------------- signals


@POSIX
def test_the_second_interrupt_does_not_wait(fake: Fake, tell: Any) -> None:
    fake.plan(answers=[STATS, "!INT"], end="!INT")
    told = tell("serve", "1G")
    assert (told.status, told.err) == (130, "pymempool: interrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@POSIX
def test_an_ignored_signal_stays_ignored(fake: Fake, tell: Any) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        fake.plan(
            answers=[STATS, "!HUP", STATS, STATS, "!say still here", STATS, "!TERM"]
        )
        told = tell("serve", "1G")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (told.status, told.err) == (0, "")
    assert "\nstill here\n" in told.out


@POSIX
def test_a_signal_before_it_serves(fake: Fake, tell: Any) -> None:
    fake.plan(answers=["!unused"])
    program = fake.program.read_text()
    early = 'act("TERM")\n    listener.listen()\n    while True:\n        signal.pause()'
    assert "listener.listen()" in program
    fake.program.write_text(program.replace("listener.listen()", early))
    told = tell("serve", "1G")
    assert (told.status, told.out, told.err) == (0, "ended\n", "")


@POSIX
def test_nobody_reads_any_more(fake: Fake) -> None:
    fake.plan(answers=[], end=[0, ""])
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = command("serve", "1G", stdout=closed)
    assert (done.returncode, done.stderr) == (141, b"")
    assert not Path(fake.calls()[1][3]).exists()


# ---------------------------------------------------------------- clients that stay

CLIENTS = [{"client": "pid 7", "export": ""}, {"client": "[::1]:8", "export": "one"}]
WAITING = "waiting 0.05 s at most for clients: pid 7, [::1]:8\n"


@pytest.fixture
def staying(fake: Fake, tell: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serves with clients that stay, and with answers to what comes after SIGTERM."""
    monkeypatch.setattr(serve_module, "_AT_ONCE", 0.05)

    def start(*answers: Any, save: bool = True) -> Any:
        fake.plan(answers=[STATS, "!TERM", *answers], end="!say waits")
        return tell("serve", "1G", "--wait", "0.05", *(["--save", "x"] if save else []))

    return start


@POSIX
def test_clients_that_stay_are_disconnected(staying: Any) -> None:
    told = staying(CLIENTS, "ok\n", "ok\n")
    assert (told.status, told.err) == (0, "")
    assert f"\nsaving to x\n{WAITING}" in told.out and told.out.endswith("\nended\n")
    told = staying(CLIENTS, save=False)
    assert (told.status, told.err) == (0, "")
    assert WAITING in told.out
    assert "saving" not in told.out and "saved" not in told.out


@POSIX
@pytest.mark.parametrize("answer", [[], "error there is no such command\n"])
def test_it_waits_for_nbdkit_without_clients(staying: Any, answer: Any) -> None:
    told = staying(answer, "!end 0")
    assert (told.status, told.err) == (0, "")
    assert "waiting" not in told.out and told.out.endswith("\nended\n")


@POSIX
def test_a_disk_that_cannot_be_saved_while_clients_stay(staying: Any) -> None:
    told = staying(CLIENTS, "error full\n", "error still full\n")
    assert (told.status, told.err) == (2, "pymempool: error: still full\n")
    assert told.out.endswith(f"\nsaving to x\nnot saved: full\n{WAITING}")


@POSIX
def test_clients_that_leave_at_the_last_moment(
    staying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, saves = control_module.request, []

    def late(path: str, words: list[str], timeout: float | None) -> Any:
        saves.extend(word for word in words if word == "save")
        if len(saves) == 2:
            answer = request(path, ["list"], timeout)
            os.unlink(path)
            raise control_module.CommandError(f"gone after {answer}")
        return request(path, words, timeout)

    monkeypatch.setattr(control_module, "request", late)
    told = staying(CLIENTS, "ok\n", "ok\n", "!end 0")
    assert (told.status, told.err) == (0, "")
    assert told.out.endswith("\nended\n") and len(saves) == 2


# ----------------------------------------------------------------- what lies in the way


@POSIX
def test_a_socket_that_was_left_behind(fake: Fake, private: Path, tell: Any) -> None:
    path = private / "disk"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    told = tell("serve", "1G", "--socket", path)
    assert (told.status, told.err) == (0, "")
    assert not path.exists()


@POSIX
def test_what_somebody_else_needs_stays(fake: Fake, private: Path, tell: Any) -> None:
    fake.plan(says="nbdkit: Address already in use\n", fails=1)
    path, other, file = private / "disk", private / "other", private / "file"
    file.write_text("text")
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_UNIX) as used, datagrams:
        used.bind(str(path))
        used.listen()
        datagrams.bind(str(other))
        for each in (path, other, file):
            assert tell("serve", "1G", "--socket", each).status == 2
            assert each.exists()
            each.unlink()


@POSIX
def test_a_folder_that_was_left_behind(fake: Fake, private: Path, tell: Any) -> None:
    """Of a process that was killed, and not of one that lives or is about to serve."""
    import fcntl

    left, living, starting = (private / f"pymempool-serve-{it}" for it in "abc")
    for folder in (left, living, starting):
        folder.mkdir()
        (folder / "disk").touch()
    for folder in (left, living):
        (folder / "pid").touch()
    link = private / "pymempool-serve-d"
    link.symlink_to(left)
    opened = os.open(living, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    assert tell("serve", "1G").status == 0
    os.close(opened)
    assert {it.name[-1] for it in private.iterdir() if (it / "disk").exists()} == {*"bc"}
    (starting / "pid").touch()
    assert tell("serve", "1G").status == 0
    link.unlink()
