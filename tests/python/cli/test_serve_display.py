# SPDX-License-Identifier: MIT
"""What the command serve shows while it serves: on terminals, and as figures."""

from __future__ import annotations

import re
import sys

import pytest
from command_line import Terminal
from fake_nbdkit import SHOWN, STATS
from internals import serve_display_module

FIGURES = serve_display_module.Figures(
    [("held", "3 MiB of 4 MiB"), ("snapshots", "2")], 0.75
)


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_line_is_not_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    monkeypatch.setitem(sys.modules, "rich.live", None)
    terminal = Terminal()
    screen = serve_display_module.display(terminal)
    screen.show(FIGURES)
    screen.show(serve_display_module.Figures([("held", "0 B")], None))
    screen.close()
    assert terminal.getvalue() == f"\rheld 3 MiB \rheld 0 B   \r{' ' * 8}\r"
    screen.close()
    assert terminal.getvalue().count("\r") == 4


def test_a_terminal_with_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    screen = serve_display_module.display(terminal)
    screen.show(FIGURES)
    full, drawn = terminal.getvalue(), without_codes(terminal.getvalue())
    assert "\x1b[36mheld" in terminal.getvalue()
    lines = [line.split() for line in drawn.splitlines()]
    assert lines[0] == ["held", "3", "MiB", "of", "4", "MiB"]
    assert lines[1] == ["snapshots", "2"]
    assert lines[2][0] == "limit" and len(lines[2]) >= 2  # of ASCII it is two parts
    screen.show(FIGURES._replace(share=0.25))
    assert not terminal.getvalue().endswith(full[-100:])  # another part is coloured
    screen.say("[b]no markup[/b] " + "x" * 100)
    assert "[b]no markup[/b] " + "x" * 100 + "\n" in terminal.getvalue()
    screen.show(serve_display_module.Figures([("held", "0 B")], None))
    assert "limit" not in terminal.getvalue().rpartition("0 B")[2]
    screen.close()
    assert terminal.getvalue().rstrip("\n").endswith(("\x1b[2K", "\x1b[?25h"))


def test_how_much_of_the_limit() -> None:
    assert serve_display_module.RateMeter().figures(STATS, 1).share is None
    assert (
        serve_display_module.RateMeter()
        .figures({**STATS, "memory_limit": 4 << 20}, 1)
        .share
        == 0.75
    )


def test_how_fast_it_is() -> None:
    meter = serve_display_module.RateMeter()
    assert meter.figures(STATS, 100).line() == SHOWN
    later = {**STATS, "read_bytes": (5 << 20) + 8192, "failures": 1}
    read = "read 5.01 MiB (4 KiB/s)"
    told = SHOWN.replace("read 5 MiB", read).replace(", peak", ", failed 1 request, peak")
    assert meter.figures(later, 102).line() == told
    assert meter.figures(later, 103).line() == told.replace(" (4 KiB/s)", "")
    assert meter.figures({**later, "read_bytes": 0}, 103).line().startswith("held 3 MiB")
