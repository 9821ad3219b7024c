# SPDX-License-Identifier: MIT
"""What commands show on terminals: colours and bars, with rich and without."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import POSIX, Terminal, command
from internals import progress_module, terminal_module

from pymempool import cli

pytest_plugins = ["command_fixtures"]

PLAIN = "import sys; sys.modules['rich'] = None; from pymempool import cli; cli.main()"


@pytest.fixture(params=[False, True], ids=["plain", "rich"])
def rich(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With rich and without; a terminal that shows colours."""
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    if request.param:
        pytest.importorskip("rich")
    else:
        for module in ("console", "progress", "text"):
            monkeypatch.setitem(sys.modules, f"rich.{module}", None)
    return bool(request.param)


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("arguments", ["inspect a --map", "diff a b", "diff a a"])
def test_the_same_words_in_the_same_places(
    folder: Path, rich: bool, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(arguments.split()) in (0, 1)
    words = without_codes(terminal.getvalue())
    assert (words != terminal.getvalue()) == (rich and arguments != "diff a a")
    text, _, picture = pipe.getvalue().partition("\nMemoryPool of ")
    assert words.startswith(text)
    assert words.isascii() == (not picture)  # a terminal gets a better one


def test_colours_end_where_they_should(
    rich: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    page = terminal_module.Page(terminal)
    page.note("[b]no markup :smile:[/b] 12 'text'")
    page.line("x" * 500)
    first, second, *_ = terminal.getvalue().split("\n")
    text = "[b]no markup :smile:[/b] 12 'text'"
    assert first == (f"\x1b[2m{text}\x1b[0m" if rich else text)
    assert second == "x" * 500  # wrapped by nobody but the terminal


def test_a_poor_terminal_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    class Poor(Terminal):
        encoding = "ascii"

    assert terminal_module.Page(Poor()).ascii
    assert not terminal_module.Page(Terminal()).ascii
    monkeypatch.setenv("COLUMNS", "123")
    assert terminal_module.Page(Terminal()).width == 123
    assert terminal_module.Page(io.StringIO()).width == 80


def test_progress_on_a_terminal(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_module.progress("reading " + "n" * 50 + ".img") as report:
        assert report is not None
        assert terminal.getvalue() == ""
        report(500, 1000)
        drawn = terminal.getvalue()
        assert "50" in drawn and "%" in drawn
        assert f"...{'n' * 33}.img" in without_codes(drawn)
        report(501, 1000)
        assert terminal.getvalue() == drawn  # less than 1 % more
        report(1000, 1000)
        assert "100" in terminal.getvalue()[len(drawn) :]
    last = terminal.getvalue().rstrip("\n")
    assert last.endswith(("\r", "\x1b[2K", "\x1b[1A\x1b[2K", "\x1b[?25h"))


def test_progress_without_a_total(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_module.progress("reading") as report:
        assert report is not None
        report(1 << 20, None)
        assert terminal.getvalue() == ""  # little is not worth a bar
        report(16 << 20, None)
        drawn = terminal.getvalue()
        assert "reading" in drawn
        assert rich or "reading 16 MiB" in drawn
        report(20 << 20, None)
        assert terminal.getvalue() == drawn


def test_no_bar_for_work_that_is_done_at_once(
    rich: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_module.progress("reading") as report:
        assert report is not None
        report(1000, 1000)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["closed", "pipe"])
def test_no_progress_for_nobody(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_module.progress("reading") as report:
        assert report is None


def test_bars_of_the_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("large").write_bytes(b"x" * (3 << 20))
    Path("other").write_bytes(b"y" * (3 << 20))
    for arguments, label in (
        ("inspect large --sha256", "hashing 33 %"),
        ("convert large out", "writing out 33 %"),
        ("diff large other", "comparing 33 %"),
    ):
        terminal = Terminal()
        with monkeypatch.context() as patch:
            for module in ("console", "progress", "text"):
                patch.setitem(sys.modules, f"rich.{module}", None)
            patch.setattr(sys, "stderr", terminal)
            patch.setattr(sys, "stdout", io.StringIO())
            assert cli.main(arguments.split()) in (0, 1)
        assert label in terminal.getvalue()


def piped(image: Path) -> str:
    """What inspect tells of an image if nobody looks."""
    return command("inspect", image).stdout.decode()


def on_terminal(arguments: list[str], out: bool, **environment: str) -> tuple[str, str]:
    """What a command writes to a terminal, and to a pipe in place of stdout or stderr."""
    import pty  # not on Windows

    master, slave = pty.openpty()
    keep = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=Path(__file__).parent,
        stdin=subprocess.DEVNULL,
        env={**keep, "TERM": "xterm-256color", **environment},
        stdout=slave if out else subprocess.PIPE,
        stderr=subprocess.PIPE if out else slave,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # what Linux says at the end
        while piece := os.read(master, 4096):
            shown += piece
    os.close(master)
    piped = b"".join(running.communicate(timeout=60)[n] or b"" for n in (0, 1))
    return shown.decode().replace("\r\n", "\n"), piped.decode()


@POSIX
def test_colours_on_a_real_terminal_only(folder: Path) -> None:
    pytest.importorskip("rich")
    inspect = ["-m", "pymempool", "inspect", str(folder / "a")]
    plain = piped(folder / "a")
    shown, err = on_terminal(inspect, out=True)
    assert (without_codes(shown), err) == (plain, "")
    assert "\x1b[36m" in shown
    shown, _ = on_terminal(inspect, out=True, NO_COLOR="1")
    assert without_codes(shown) == plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown)
    shown, out = on_terminal(inspect, out=False)
    assert (shown, out) == ("", plain)


@POSIX
def test_without_rich_on_a_real_terminal(folder: Path) -> None:
    plain = piped(folder / "a")
    shown, err = on_terminal(["-c", PLAIN, "inspect", str(folder / "a")], out=True)
    assert (shown, err) == (plain, "")


@POSIX
@pytest.mark.parametrize("with_rich", [False, True], ids=["plain", "rich"])
def test_bars_on_a_real_terminal(folder: Path, with_rich: bool) -> None:
    if with_rich:
        pytest.importorskip("rich")
    Path("large").write_bytes(b"x" * (3 << 20))
    start = ["-m", "pymempool"] if with_rich else ["-c", PLAIN]
    arguments = [*start, "inspect", "--sha256", str(folder / "large")]
    shown, out = on_terminal(arguments, out=False)
    assert "hashing" in shown and re.search(r"\b33 ?%", shown)
    assert ("\x1b[" in shown) == with_rich
    assert "hashing" not in out
    assert hashlib.sha256(b"x" * (3 << 20)).hexdigest() in out
