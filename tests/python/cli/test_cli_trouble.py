# SPDX-License-Identifier: MIT
"""The commands inspect, convert and diff on trouble: images, names, streams, signals."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from command_line import ONE_RUN, POSIX, command
from internals import CommandError, inputs_module, inspect_module

from pymempool import MemoryPool, cli

pytest_plugins = ["command_fixtures"]


# ------------------------------------------------------------- what cannot be read


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["missing", ".", "nul\0", "empty"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "IN"],
        ["convert", "IN", "out"],
        ["diff", "a", "IN"],
        ["diff", "IN", "a"],
        ["digest", "IN"],
        ["find", "text", "IN"],
    ],
    ids=" ".join,
)
def test_an_image_that_cannot_be_read(arguments: list[str], name: str, tell: Any) -> None:
    Path("empty").touch()
    told = tell(*[name if word == "IN" else word for word in arguments])
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    shown = {"nul\0": r"'nul\x00'"}.get(name, name)
    assert told.err.startswith(f"pymempool: error: cannot read {shown}: ")
    assert not Path("out").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root, as anybody on Windows, may read all"
)
def test_a_file_that_nobody_may_read(tell: Any) -> None:
    os.chmod("a", 0)
    told = tell("inspect", "a")
    assert told.status == 2
    assert told.err == "pymempool: error: cannot read a: Permission denied\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (FileNotFoundError("/x"), "FileNotFoundError: /x"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (MemoryError(), "not enough memory"),
        (ValueError("line 1:\n no"), "line 1: no"),
        (ImportError("pip install 'pymempool[x]'"), "pip install 'pymempool[x]'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reasons(
    error: Exception, told: str, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> MemoryPool:
        raise error

    monkeypatch.setattr(MemoryPool, "load", load)
    found = tell("inspect", "a")
    assert (found.status, found.out) == (2, "")
    assert found.err == f"pymempool: error: cannot read a: {told}\n"


def test_errors_that_are_told_already_stay_as_they_are() -> None:
    with pytest.raises(CommandError, match="one"), inputs_module.named("read", "x"):
        raise CommandError("one")


@pytest.mark.usefixtures("folder")
def test_bugs_are_not_hidden_but_for_those_of_other_machines(
    monkeypatch: pytest.MonkeyPatch, tell: Any
) -> None:
    def load(*_: Any, **__: Any) -> MemoryPool:
        raise RuntimeError("odd")

    monkeypatch.setattr(MemoryPool, "load", load)
    with pytest.raises(RuntimeError, match="odd"):
        cli.main(["inspect", "a"])
    told = tell("inspect", "memory://a")
    assert told.status == 2
    assert told.err == "pymempool: error: cannot read memory://a: RuntimeError: odd\n"


@pytest.mark.usefixtures("folder", "bincopy")
@pytest.mark.parametrize(
    ("name", "text"),
    [("sum.hex", ":0100000041BF\n:00000001FF\n"), ("cut.srec", "S1040000")],
)
def test_a_damaged_file(name: str, text: str, tell: Any) -> None:
    Path(name).write_text(text)
    told = tell("inspect", name)
    assert told.status == 2
    assert re.fullmatch(rf"pymempool: error: cannot read {name}: line 1: .+\n", told.err)
    assert tell("inspect", name, "--format", "raw").status == 0


@pytest.mark.usefixtures("folder")
def test_a_format_that_needs_an_extra(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bincopy", None)
    Path("x.hex").write_text(":0100000041BE\n:00000001FF\n")
    told = tell("inspect", "x.hex")
    assert told.status == 2
    assert "pip install 'pymempool[images]'" in told.err
    told = tell("convert", "a", "out.hex")
    assert told.status == 2
    assert "cannot write out.hex: " in told.err
    assert "pip install 'pymempool[images]'" in told.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["x\ny", " x", "x\x1b[31m", "x\udcff"])
def test_names_that_are_not_plain(name: str, tell: Any) -> None:
    try:
        Path(name).write_bytes(b"data")
    except (OSError, ValueError):
        pytest.skip("this system has no such names")
    if name not in os.listdir():
        pytest.skip("this system has other names for such files")
    told = tell("inspect", name)
    assert (told.status, told.err) == (0, "")
    assert told.out.startswith(f"image     {name!r}\nformat ")
    assert json.loads(tell("inspect", name, "--json").out)["image"] == name
    assert repr(name) in tell("inspect", f"{name}.missing").err.replace(".missing", "")


def test_a_name_that_the_output_cannot_show(folder: Path) -> None:
    name = "\u00e9 \u4e2d"
    Path(name).write_bytes(b"data")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = command("inspect", folder / name, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\xe9 \u4e2d" in done.stdout


@POSIX
@pytest.mark.usefixtures("folder")
def test_a_pipe_that_has_a_name(tell: Any) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(
        target=lambda: Path("pipe").write_bytes(Path("a").read_bytes()), daemon=True
    )
    writer.start()
    told = tell("inspect", "pipe")
    writer.join(60)
    assert told.status == 0
    assert told.out == ONE_RUN.replace("image     a", "image     pipe")


def test_standard_input_that_is_empty_or_closed(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("inspect", "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr.startswith(b"pymempool: error: cannot read standard input: the im")
    monkeypatch.setattr(sys, "stdin", None)
    told = tell("inspect", "-")
    assert told.status == 2
    assert told.err == "pymempool: error: cannot read standard input: it is closed\n"


@pytest.mark.usefixtures("folder")
def test_standard_input_of_a_format_that_it_does_not_look_like(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x").write_text(":0100000041BE\n:00000001FF\n")
    with open("x") as source:
        monkeypatch.setattr(sys, "stdin", source)
        told = tell("inspect", "-", "--format", "raw", "--json")
    facts = json.loads(told.out)
    assert (facts["format"], facts["size"]) == ("raw", os.path.getsize("x"))


def test_an_image_is_closed_when_nobody_uses_it_any_more(folder: Path) -> None:
    with pytest.raises(KeyError), inputs_module.opened("a") as image:
        assert image.pool.read(0, 2) == b"\0\1"
        raise KeyError
    assert image.pool.closed


@pytest.mark.parametrize("size", [1, 1 << 22, 1 << 23, (1 << 40) + 1])
def test_blocks_are_small_but_not_too_many(size: int) -> None:
    for format, least in (("raw", 4096), ("hex", 64)):
        block_size = inputs_module._block_size(size, format)
        assert block_size >= least
        assert size <= block_size << 22
        assert block_size == least or size > block_size << 21


# -------------------------------------------------------------------------- URLs


def test_urls(folder: Path, tell: Any) -> None:
    pytest.importorskip("fsspec")
    assert tell("convert", "a", "memory://cli/a.bin.gz").status == 0
    told = tell("diff", "memory://cli/a.bin.gz", "a")
    assert told.out == "memory://cli/a.bin.gz and a are the same: 12345 bytes\n"
    told = tell("convert", "memory://cli/a.bin.gz", "memory://cli/a.bin.gz")
    assert "are the same file" in told.err
    assert tell("convert", (folder / "b").as_uri(), "c").status == 0
    assert Path("c").read_bytes() == Path("b").read_bytes()
    told = tell("inspect", "memory://cli/missing")
    assert told.status == 2
    assert told.err.startswith("pymempool: error: cannot read memory://cli/missing: File")


@pytest.mark.parametrize("arguments", ["inspect {} --html a", "convert {} a"])
def test_the_url_of_the_same_file(folder: Path, tell: Any, arguments: str) -> None:
    pytest.importorskip("fsspec")
    before = Path("a").read_bytes()
    told = tell(*arguments.format((folder / "a").as_uri()).split())
    assert (told.status, told.out) == (2, "")
    assert told.err.endswith("a and a are the same file\n")
    assert Path("a").read_bytes() == before
    told = tell("convert", "nonsense://a", "a")
    assert told.err.startswith("pymempool: error: cannot read nonsense://a: ")


@pytest.mark.usefixtures("folder", "bincopy")
def test_urls_of_a_format(tell: Any) -> None:
    pytest.importorskip("fsspec")
    assert tell("convert", "a", "memory://cli/a.hex.xz").status == 0
    facts = json.loads(tell("inspect", "memory://cli/a.hex.xz", "--json").out)
    assert (facts["format"], facts["size"]) == ("hex", 12345)


@pytest.mark.usefixtures("folder")
def test_urls_need_an_extra(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fsspec", "fsspec.core"):
        monkeypatch.setitem(sys.modules, module, None)
    told = tell("inspect", "memory://x")
    assert told.status == 2
    assert "pip install 'pymempool[fsspec]'" in told.err


# ------------------------------------------------------------------------ trouble


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["convert", "a"],
        ["diff", "a"],
        ["inspect", "a", "--format", "odd"],
        ["convert", "a", "b", "--to", "elf"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: pymempool {arguments[0]}")


@pytest.mark.parametrize("name", ["inspect", "convert", "diff", "digest", "find"])
def test_help_is_short_and_names_the_status(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    out = capsys.readouterr().out
    assert "exit status:" in out
    assert "examples:\n  pymempool " in out
    assert max(map(len, out.splitlines())) <= 90


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", ["inspect a", "convert a c", "diff a b"])
def test_interrupted(arguments: str, tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> MemoryPool:
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryPool, "load", load)
    told = tell(*arguments.split())
    assert (told.status, told.out, told.err) == (130, "", "pymempool: interrupted\n")


@POSIX
def test_interrupted_by_a_signal(folder: Path) -> None:
    os.mkfifo("pipe")
    program = (  # who is run in the background may have been told to ignore it
        "import signal, sys; from pymempool import cli;"
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(cli.main())"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, "convert", folder / "pipe", folder / "out"],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
    )
    with open("pipe", "wb"):  # which waits until the other end is open: it reads now
        running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, b"pymempool: interrupted\n")
    assert sorted(os.listdir()) == ["a", "b", "pipe"]


def test_no_memory_meanwhile(
    folder: Path, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(inspect_module, "examine", examine)
    told = tell("inspect", "a")
    assert (told.status, told.err) == (2, "pymempool: error: not enough memory\n")


@POSIX
@pytest.mark.parametrize("arguments", ["inspect a", "convert a -", "diff a b"])
def test_a_reader_that_goes_away(folder: Path, arguments: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    name, *rest = arguments.split()
    files = [word if word == "-" else folder / word for word in rest]
    done = command(name, *files, stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(
    os.name == "nt" or not os.path.exists("/dev/full"), reason="there is no /dev/full"
)
@pytest.mark.parametrize("arguments", ["inspect a", "convert a -", "diff a b"])
def test_output_that_cannot_be_written(folder: Path, arguments: str) -> None:
    name, *rest = arguments.split()
    files = [word if word == "-" else folder / word for word in rest]
    with open("/dev/full", "w") as full:
        done = command(name, *files, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"pymempool: error: cannot write ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(
    os.name == "nt" or not os.path.exists("/dev/full"), reason="there is no /dev/full"
)
@pytest.mark.parametrize("arguments", ["inspect missing", "diff a missing"])
def test_errors_that_cannot_be_written(folder: Path, arguments: str) -> None:
    """The exit status is that of the error, not the 1 of images that differ."""
    name, *files = arguments.split()
    with open("/dev/full", "w") as full:
        done = command(name, *(folder / file for file in files), stderr=full)
    assert (done.returncode, done.stdout) == (2, b"")
    with open("/dev/full", "w") as full:
        done = command("diff", folder / "a", folder / "b", stdout=full, stderr=full)
    assert done.returncode == 2


def test_no_output_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["inspect", "a"]) == 0
    assert cli.main(["diff", "a", "b"]) == 1
    assert capsys.readouterr().err == ""
    assert cli.main(["convert", "a", "-"]) == 2
    assert capsys.readouterr().err == (
        "pymempool: error: cannot write standard output: it is closed\n"
    )


def test_a_pipe_that_breaks_while_there_is_no_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: Any, **__: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(MemoryPool, "save", save)
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["convert", "a", "c"]) == 141
