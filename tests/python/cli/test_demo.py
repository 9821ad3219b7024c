"""The tour: it comes out right, and whatever goes wrong with a pool makes it fail."""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from internals import demo_module

import pymempool
from pymempool import MemoryPool, cli


def run(*files: Path) -> tuple[int, str]:
    out = io.StringIO()
    return demo_module.run(files, out), out.getvalue()


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymempool", *map(str, arguments)],
        text=True,
        timeout=300,
        cwd=Path(__file__).parent,  # not the root: there `-m` would find the sources
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Sizes at the edges of blocks, pieces, chunks and packets, and contents of zeros."""
    sizes = [0, 1, 999, 4096, 4097, 70_000, demo_module.CHUNK * 2 + 1]
    paths = [tmp_path / f"file-{size}" for size in sizes]
    for path, size in zip(paths, sizes):
        path.write_bytes(random.Random(size).randbytes(size))
    (tmp_path / "zeros").write_bytes(bytes(50_000))
    return [*paths, tmp_path / "zeros"]


def test_files_of_all_sizes(files: list[Path]) -> None:
    status, text = run(*files)
    assert status == 0, text
    assert f"{sum(path.stat().st_size for path in files)} bytes" in text
    assert re.search(r"\n(\d+) of \1 checks hold\n$", text)
    for path in files[1:]:  # all but the empty one have a place on the map
        assert path.name in text


@pytest.mark.parametrize("number", range(8))
def test_one_file_alone(files: list[Path], number: int) -> None:
    status, text = run(files[number])
    assert status == 0, text


def test_default_files_are_the_package_with_its_library() -> None:
    names = {path.name for path in demo_module.default_files()}
    assert {"demo.py", "__init__.py"} <= names
    assert any(name.endswith((".so", ".dll", ".dylib")) for name in names)


def test_the_same_every_time(files: list[Path]) -> None:
    measured = re.compile("  (bookkeeping|resident|cloned|restored) ")

    def facts() -> list[str]:
        lines = run(*files)[1].partition("\nTimes\n")[0].splitlines()
        return [line for line in lines if not measured.match(line)]

    assert facts() == facts()


def test_many_extents_are_folded(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / str(number)).write_bytes(b"x")
    status, text = run(*tmp_path.iterdir())
    assert status == 0, text
    assert "more extents" in text
    assert len(text.splitlines()) < 100


def test_lines_are_short_and_plain(files: list[Path]) -> None:
    text = run(*files)[1]
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 90


# ------------------------------------------------ each check can fail: broken pools


class ForgetsWrite(MemoryPool):
    def write(self, offset: Any, data: Any) -> int:
        return len(data)


class SpoilsWrite(MemoryPool):
    def write(self, offset: Any, data: Any) -> int:
        return super().write(offset, bytes([data[0] ^ 1]) + bytes(data[1:]))


class ReadsAllocate(MemoryPool):
    def read(self, offset: Any, size: Any) -> bytes:
        data = super().read(offset, size)
        super().write(offset, data)
        return data


class CloneIsTheSamePool(MemoryPool):
    def clone(self) -> MemoryPool:
        return MemoryPool.from_handle(self.handle)


class CloneCopies(MemoryPool):
    def clone(self) -> MemoryPool:
        clone = super().clone()
        for start, size in self.extents():
            clone.write(start, clone.read(start, size))
        return clone


class SeesNoChange(MemoryPool):
    def changes(self, base: MemoryPool) -> Iterator[tuple[int, int]]:
        return iter(())


class SeesChangeEverywhere(MemoryPool):
    def changes(self, base: MemoryPool) -> Iterator[tuple[int, int]]:
        return self.extents()


class KeepsDiscarded(MemoryPool):
    def discard(self, offset: Any, size: Any) -> None:
        pass


class DoesNotRestore(MemoryPool):
    def restore(self, source: MemoryPool) -> None:
        pass


class TakeOnlyReads(MemoryPool):
    def take(self, offset: Any, size: Any) -> bytes:
        return self.read(offset, size)


class TakeGivesZeros(MemoryPool):
    def take(self, offset: Any, size: Any) -> bytes:
        return bytes(len(super().take(offset, size)))


class HasNoLimit(MemoryPool):
    def __init__(self, total_size: Any, max_block_size: Any, **options: Any) -> None:
        super().__init__(total_size, max_block_size)


class WritesHalfAtTheLimit(MemoryPool):
    def write(self, offset: Any, data: Any) -> int:
        try:
            return super().write(offset, data)
        except pymempool.PoolLimitError:
            super().write(offset, bytes(data)[:100])
            raise


@pytest.mark.parametrize(
    ("broken", "claim"),
    [
        (ForgetsWrite, "sha256 in the pool"),
        (SpoilsWrite, "sha256 in the pool"),
        (ReadsAllocate, "it stays a hole"),
        (CloneIsTheSamePool, "the original did not change"),
        (CloneCopies, "takes none of its own"),
        (SeesNoChange, "of the edits, and no other"),
        (SeesChangeEverywhere, "of the edits, and no other"),
        (KeepsDiscarded, "has zeros there"),
        (DoesNotRestore, "finds no difference"),
        (TakeOnlyReads, "down to nothing"),
        (TakeGivesZeros, "what was consumed is what was sent"),
        (HasNoLimit, "past the limit is refused"),
        (WritesHalfAtTheLimit, "it changed nothing"),
    ],
)
def test_a_broken_pool_is_found_out(
    broken: type[MemoryPool],
    claim: str,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_module, "MemoryPool", broken)
    out = io.StringIO()
    try:
        assert demo_module.run(files, out) == 1
    except pymempool.PoolLimitError:
        # At the end these two run into the limit where a pool would not.
        assert broken in (ReadsAllocate, KeepsDiscarded)
    lines = re.sub(r"\n {14}", " ", out.getvalue()).splitlines()
    assert any(line.startswith("  FAILED") and claim in line for line in lines), lines


# ------------------------------------------------------------------ the command


def test_command_without_files() -> None:
    done = command("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "memory_pool" in done.stdout


def test_version() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"pymempool {pymempool.__version__}\n")


def test_help_names_the_command_and_the_status() -> None:
    assert "demo" in command("--help").stdout
    done = command("demo", "--help")
    assert "exit status" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 90


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--nonsense"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: pymempool")


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_a_file_that_cannot_be_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("pymempool: error: cannot read ")


def test_a_file_that_shrinks_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shrinks"
    path.write_bytes(b"long")
    choose_offsets = demo_module.choose_offsets

    def shrink(files: Any) -> None:
        path.write_bytes(b"l")
        choose_offsets(files)

    monkeypatch.setattr(demo_module, "choose_offsets", shrink)
    assert cli.main(["demo", str(path)]) == 2
    assert "became shorter" in capsys.readouterr().err


def test_a_file_that_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "changes"
    path.write_bytes(b"before")
    choose_offsets = demo_module.choose_offsets

    def change(files: Any) -> None:
        path.write_bytes(b"behind")
        choose_offsets(files)

    monkeypatch.setattr(demo_module, "choose_offsets", change)
    assert cli.main(["demo", str(path)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_files_that_are_too_large(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(demo_module, "POOL_SIZE", 1 << 16)
    assert cli.main(["demo", *map(str, files)]) == 2
    assert "larger than 64 KiB together" in capsys.readouterr().err


def test_a_system_that_does_not_tell_what_is_resident(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        def __init__(self, path: str) -> None:
            assert path == "/proc/self/statm"

        def read_text(self) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(demo_module, "Path", Absent)
    assert demo_module.resident_bytes() is None
    monkeypatch.undo()
    monkeypatch.setattr(demo_module, "resident_bytes", lambda: None)
    status, out = run(*files)
    assert status == 0
    assert "not measured on this system" in out


def test_no_memory(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def write(self: MemoryPool, offset: Any, data: Any) -> int:
        raise pymempool.PoolMemoryError("the system has no more memory")

    monkeypatch.setattr(MemoryPool, "write", write)
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == "pymempool: error: the system has no more memory\n"


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def scatter(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_module, "scatter", scatter)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "pymempool: interrupted\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes break in another way on Windows")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("argument", "statuses"),
    [("demo", {141}), ("--help", {0, 141})],  # argparse does not always tell
)
def test_a_reader_that_goes_away(
    argument: str, statuses: set[int], unbuffered: str
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = command(argument, stdout=write_end, env=environment)
    os.close(write_end)
    assert done.stderr == ""
    assert done.returncode in statuses


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        done = command("demo", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("pymempool: error: cannot write the output: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="closes a descriptor in the child")
def test_no_output_at_all() -> None:
    done = command("demo", stdout=None, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_the_console_cannot_show(tmp_path: Path) -> None:
    path = tmp_path / "b\u00e9b\u00e9 \u4e2d"
    path.write_bytes(b"data")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = command("demo", path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"b\xe9b\xe9 \u4e2d" in done.stdout
