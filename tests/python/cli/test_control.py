# SPDX-License-Identifier: MIT
"""The command control, with answers of the tests' own; tests/nbd has the real ones."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from command_line import POSIX
from internals import control_module

from pymempool import cli

pytest_plugins = ["command_fixtures"]

Answers = Callable[[bytes], list[bytes]]


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="p") as folder:  # a socket's path is short
        yield os.path.join(folder, "control")


@pytest.fixture
def answers(path: str) -> Iterator[Answers]:
    """Answers one command with these bytes; what came is in the list returned."""
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> list[bytes]:
        came: list[bytes] = []

        def serve() -> None:
            with listener.accept()[0] as client:
                came.append(client.recv(1000))
                client.sendall(answer)

        listener.bind(path)
        listener.listen()
        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return came

    yield start
    for thread in threads:
        thread.join(60)
    listener.close()


@POSIX
def test_a_command_that_tells_nothing(answers: Answers, path: str, tell: Any) -> None:
    came = answers(b"ok\n")
    told = tell("control", path, "restore", "clean", "-")
    assert (told.status, told.out, told.err) == (0, "", "")
    assert came == [b"restore clean -\n"]


@POSIX
def test_a_path_is_that_of_the_caller(
    answers: Answers, path: str, tell: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    came = answers(b"ok\n")
    told = tell("control", path, "save", "100% \N{EURO SIGN}", "copy")
    assert (told.status, told.out, told.err) == (0, "", "")
    assert came == [f"save {tmp_path}/100%25%20%E2%82%AC copy\n".encode()]


@POSIX
def test_a_path_that_is_missing(answers: Answers, path: str, tell: Any) -> None:
    came = answers(b"error usage: save FILE [DISK]\n")
    assert tell("control", path, "save").err.endswith("usage: save FILE [DISK]\n")
    assert came == [b"save\n"]


@POSIX
def test_statistics(answers: Answers, path: str, tell: Any) -> None:
    answers(b'ok {"total_size": 1024, "held_bytes": 0, "memory_limit": 0, "disks": 12}\n')
    told = tell("control", path, "stats")
    assert (told.status, told.err) == (0, "")
    assert told.out == (
        "total size    1 KiB\nheld bytes    0 B\nmemory limit  none\ndisks         12\n"
    )


@POSIX
def test_a_limit(answers: Answers, path: str, tell: Any) -> None:
    answers(b'ok {"memory_limit": 2048}\n')
    assert tell("control", path, "stats").out == "memory limit  2 KiB\n"


LIST = [
    {"export": "", "origin": None, "writable": True, "held_bytes": 65536},
    {"export": "clean", "origin": "", "writable": False, "held_bytes": 0},
]


@POSIX
def test_a_list(answers: Answers, path: str, tell: Any) -> None:
    answers(f"ok {json.dumps(LIST)}\n".encode())
    told = tell("control", path, "list")
    assert (told.status, told.err) == (0, "")
    assert told.out == (
        "  export  origin  writable  held bytes\n"
        "       -               yes      64 KiB\n"
        "   clean       -        no         0 B\n"
    )


@POSIX
def test_ranges(answers: Answers, path: str, tell: Any) -> None:
    answers(b'ok [{"offset": 0, "size": 65536}, {"offset": 1048576, "size": 4096}]\n')
    told = tell("control", path, "changes", "one")
    assert told.out == "   offset   size\n        0  65536\n  1048576   4096\n"


@POSIX
def test_no_ranges(answers: Answers, path: str, tell: Any) -> None:
    answers(b"ok []\n")
    assert tell("control", path, "changes", "one").out == ""


@POSIX
def test_lines(answers: Answers, path: str, tell: Any) -> None:
    answers(b'ok ["snapshot NAME [DISK]", "help"]\n')
    assert tell("control", path, "help").out == "snapshot NAME [DISK]\nhelp\n"


@POSIX
@pytest.mark.parametrize(("answer", "told_of"), [("", None), (json.dumps(LIST), LIST)])
def test_for_programs(
    answers: Answers, path: str, tell: Any, answer: str, told_of: Any
) -> None:
    answers(f"ok {answer}".rstrip().encode() + b"\n")
    told = tell("control", "--json", path, "list")
    assert (told.status, told.err) == (0, "")
    assert json.loads(told.out) == told_of


@POSIX
@pytest.mark.parametrize(
    ("answer", "told_of"),
    [
        (b"error there is no disk of that name\n", "there is no disk of that name"),
        (b"", "cannot use the control socket {}: the answer is not one of a served disk"),
        (
            b"NBDMAGIC",
            "cannot use the control socket {}: the answer is not one of a served disk",
        ),
        (b"ok {\n", "cannot use the control socket {}: Expecting property name"),
        (b"ok \xff\n", "cannot use the control socket {}: 'ascii' codec can't decode"),
    ],
)
def test_trouble(
    answers: Answers, path: str, tell: Any, answer: bytes, told_of: str
) -> None:
    answers(answer)
    told = tell("control", path, "drop", "x")
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(f"pymempool: error: {told_of.format(path)}")


@POSIX
@pytest.mark.parametrize("word", ["", "a b", "a\nb", "a\tb", "\N{EURO SIGN}", "\0"])
def test_what_is_no_word(path: str, tell: Any, word: str) -> None:
    told = tell("control", path, "drop", word)
    assert (told.status, told.out) == (2, "")
    assert told.err == (
        f"pymempool: error: {word!r} is not a word of printable ASCII without spaces\n"
    )


@POSIX
def test_nobody_there(path: str, tell: Any) -> None:
    for name, reason in (
        (path, "No such file or directory"),
        ("x" * 200, "AF_UNIX path too long"),
    ):
        told = tell("control", name, "list")
        assert (told.status, told.out) == (2, "")
        assert told.err.startswith("pymempool: error: cannot use the control socket ")
        assert told.err.endswith(f": {reason}\n")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    told = tell("control", path, "list")
    assert (
        told.err
        == f"pymempool: error: cannot use the control socket {path}: Connection refused\n"
    )


@POSIX
def test_somebody_who_does_not_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(
            control_module.CommandError,
            match=r"cannot use the control socket .*: timed out",
        ):
            control_module.request(path, ["stats"], 0.01)


def test_on_a_system_without_such_sockets(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    told = tell("control", "x", "list")
    assert (told.status, told.out) == (2, "")
    assert told.err == "pymempool: error: there are no UNIX sockets on this system\n"


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["control", "path"])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
