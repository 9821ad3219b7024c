# SPDX-License-Identifier: MIT
"""Raw images that the disk starts as and ends as, and parameters that are refused."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import (
    ENVIRONMENT,
    GIB,
    KIB,
    MIB,
    PATIENCE,
    PRELOAD,
    Serve,
    nbdsh,
    need,
    needs_limits,
    needs_status,
    pattern,
    plugin,
    preloaded,
    run,
)


def image(path: Path, size: int, runs: dict[int, bytes]) -> Path:
    """A sparse file."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in runs.items():
            file.seek(offset)
            file.write(data)
    return path


def preloading(library: Path, code: str) -> tuple[str, str]:
    """What nbdkit is started by for functions in C to take the place of the system's."""
    run("gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-", "-ldl", text=code)
    return "env", f"LD_PRELOAD={PRELOAD}:{library}".replace("=:", "=")


def taken(path: Path) -> int:
    """The bytes that a file takes on its disk."""
    return path.stat().st_blocks * 512


def log_of(serve: Serve, *parameters: str) -> str:
    """What a server says that must not start."""
    with pytest.raises(RuntimeError) as refused:
        serve(*parameters)
    return str(refused.value)


# ---------------------------------------------------------------------------- image=


def test_an_image_is_read_and_never_written(serve: Serve, tmp_path: Path) -> None:
    data = pattern(3 * MIB)
    source = image(
        tmp_path / "image", 64 * MIB, {5 * MIB: data, 64 * MIB - 8: b"the end!"}
    )
    whole, before = source.read_bytes(), source.stat()
    source.chmod(0o400)
    server = serve(f"image={source}")
    copy = tmp_path / "copy"
    run("nbdcopy", server.uri(), copy)
    assert copy.read_bytes() == whole
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 7 0 8M")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "discard 8M 56M")
    told = run(
        "qemu-io", "-f", "raw", server.uri(), text="read -P 7 0 8M\nread -P 0 8M 56M\n"
    )
    assert "failed" not in told
    server.control("snapshot one")
    assert server.stop() == 0
    assert source.read_bytes() == whole
    assert source.stat().st_mtime_ns == before.st_mtime_ns


def test_holes_of_an_image_are_holes_of_the_disk(serve: Serve, tmp_path: Path) -> None:
    runs = {0: pattern(64 * KIB), 128 * GIB: pattern(MIB, 2)}
    source = image(tmp_path / "image", 256 * GIB, runs)  # all of it would never end
    server = serve(f"image={source}", "limit=64K")
    stats = server.stats()
    assert stats["total_size"] == 256 * GIB
    assert stats["adopted_blocks"] == 17
    assert stats["held_bytes"] == 17 * 64 * KIB and stats["family_bytes"] == 0
    code = "print(bytes(h.pread(32, (1 << 37) - 16)).hex())"
    assert nbdsh(server.uri(), code).strip() == (bytes(16) + runs[128 * GIB][:16]).hex()
    # The limit is for what is written: a block of the image that changes is one.
    write = ["qemu-io", "-f", "raw", server.uri(), "-c"]
    run(*write, "write -P 1 128G 4k")
    assert server.stats()["family_bytes"] == 64 * KIB
    assert "No space left" in run(*write, "write -P 1 0 4k", fails=True)


def test_a_block_that_an_image_has_a_part_of_takes_no_memory(
    serve: Serve, tmp_path: Path
) -> None:
    source = image(tmp_path / "image", MIB, {100 * KIB: pattern(4 * KIB)})
    stats = serve(f"image={source}").stats()
    assert (stats["adopted_blocks"], stats["family_bytes"]) == (1, 0)


def test_a_snapshot_keeps_what_came_from_the_image(serve: Serve, tmp_path: Path) -> None:
    source = image(tmp_path / "image", MIB, {0: pattern(MIB)})
    server = serve(f"image={source}")
    server.control("snapshot clean")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 1M")
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, server.uri("clean"))
    server.control("restore clean")
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, server.uri())


@pytest.mark.parametrize("size", [1, 511, 4097, 64 * KIB + 1, MIB - 1])
@pytest.mark.parametrize("block", ["512", "64K", "1M"])
def test_sizes_that_are_no_multiple(
    serve: Serve, tmp_path: Path, size: int, block: str
) -> None:
    data = pattern(MIB)[:size]
    source = image(tmp_path / "image", size, {0: data})
    saved = tmp_path / "saved"
    server = serve(f"image={source}", f"save={saved}", f"block-size={block}")
    code = "print(h.get_size(), bytes(h.pread(1, h.get_size() - 1)).hex())"
    assert nbdsh(server.uri(), code).split() == [str(size), data[-1:].hex()]
    assert server.stop() == 0
    assert saved.read_bytes() == data


def test_a_disk_larger_than_its_image(serve: Serve, tmp_path: Path) -> None:
    data = pattern(MIB)[:-5]
    source = image(tmp_path / "image", len(data), {0: data})
    server = serve("4M", f"image={source}")
    copy = tmp_path / "copy"
    run("nbdcopy", server.uri(), copy)
    assert copy.read_bytes() == data + bytes(4 * MIB - len(data))
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 5 1000k 3M")
    told = run("qemu-io", "-f", "raw", server.uri(), "-c", "read -P 5 1000k 3M")
    assert "failed" not in told
    assert source.read_bytes() == data


def test_images_that_cannot_be(serve: Serve, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", image(tmp_path / "empty", 0, {})
    small = image(tmp_path / "small", MIB, {})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to open it would be to wait
    assert f"{missing}: No such file or directory" in log_of(serve, f"image={missing}")
    assert f"{empty}: the image is empty" in log_of(serve, f"image={empty}")
    neither = "neither a file nor a block device"
    assert f"{tmp_path}: {neither}" in log_of(serve, f"image={tmp_path}")
    assert f"{pipe}: {neither}" in log_of(serve, f"image={pipe}")
    told = log_of(serve, "1048575", f"image={small}")
    assert f"{small}: the image has 1048576 bytes, the disk only 1048575" in told


SHORTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

off_t lseek(int file, off_t offset, int whence)
{
    off_t (*real)(int, off_t, int) = dlsym(RTLD_NEXT, "lseek");
    return real(file, offset, whence) - (whence == SEEK_END ? 5000 : 0);
}
"""


def test_an_image_that_has_grown_since_it_was_measured(
    serve: Serve, tmp_path: Path
) -> None:
    """The last run of data, which went beyond the disk, was a hole."""
    shorter, data = tmp_path / "shorter.so", pattern(MIB)
    source = image(tmp_path / "image", 2 * MIB, {MIB: data})
    server = serve(f"image={source}", wrapper=preloading(shorter, SHORTER))
    copy = tmp_path / "copy"
    run("nbdcopy", server.uri(), copy)
    assert copy.read_bytes() == bytes(MIB) + data[:-5000]


@needs_limits
def test_an_image_that_has_no_room_in_memory(serve: Serve, tmp_path: Path) -> None:
    """It is not read, but it needs addresses."""
    source = image(tmp_path / "image", 1 << 40, {})
    with pytest.raises(RuntimeError, match=r"image: .*/image: Cannot allocate memory"):
        serve(f"image={source}", wrapper=(need("prlimit"), f"--as={GIB}"))


def test_cache_reads_what_lies_in_an_image(serve: Serve, tmp_path: Path) -> None:
    source = image(tmp_path / "image", MIB, {0: pattern(MIB)})
    for parameter, reads in ((f"image={source}", 1), ("1M", 0)):
        server = serve(parameter)
        nbdsh(server.uri(), "h.cache(65536, 65536)")
        assert server.stats()["reads"] == reads


# ----------------------------------------------------------------------------- save=


def test_the_disk_is_saved_at_the_end(serve: Serve, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    server = serve("64M", f"save={saved}")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 1M 1M")
    server.control("snapshot one")
    server.control("clone - copy")
    run("qemu-io", "-f", "raw", server.uri("copy"), "-c", "write -P 3 0 8M")
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 2 1536k 1M")
    assert not saved.exists()
    mask = os.umask(0)
    os.umask(mask)
    assert server.stop() == 0
    expected = bytes(MIB) + b"\1" * (MIB // 2) + b"\2" * MIB
    assert saved.read_bytes() == expected + bytes(64 * MIB - len(expected))
    assert taken(saved) == 1536 * KIB
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~mask
    assert sorted(tmp_path.glob("*saved*")) == [saved]
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"


def test_a_disk_of_holes_is_saved_as_one_hole(serve: Serve, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    server = serve("1G", f"save={saved}")
    assert server.stop() == 0
    assert (saved.stat().st_size, taken(saved)) == (1 << 30, 0)


def test_an_image_is_saved_over_itself(serve: Serve, tmp_path: Path) -> None:
    data = pattern(MIB)
    file = image(tmp_path / "image", 4 * MIB, {MIB: data})
    file.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file)
    for turn in range(3):
        server = serve(f"image={file}", f"save={link}")
        run("qemu-io", "-f", "raw", server.uri(), "-c", f"write -P {turn + 1} {turn}k 1k")
        assert server.stop() == 0
    start = b"".join(bytes([turn + 1]) * KIB for turn in range(3))
    whole = start + bytes(MIB - len(start)) + data + bytes(2 * MIB)
    assert file.read_bytes() == whole
    assert link.is_symlink() and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert taken(file) == MIB + 64 * KIB


def test_the_way_through_qemu_img_and_back(serve: Serve, tmp_path: Path) -> None:
    runs = {0: pattern(KIB), 9 * MIB + 512: pattern(2 * MIB, 2)}
    source = image(tmp_path / "source", 32 * MIB, runs)
    qcow, raw, saved = (tmp_path / name for name in ("qcow2", "raw", "saved"))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, qcow)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", qcow, raw)
    server = serve(f"image={raw}", f"save={saved}")
    assert "identical" in run("qemu-img", "compare", "-F", "raw", qcow, server.uri())
    assert server.stop() == 0
    assert "identical" in run("qemu-img", "compare", "-F", "raw", qcow, saved)
    assert saved.read_bytes() == source.read_bytes()
    assert taken(saved) <= taken(raw) + 2 * 64 * KIB


# What a file may have is limited; the signal for more is ignored, so that writing fails.
NO_SIGNAL = (
    "/usr/bin/python3",
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])",
)


def test_a_disk_that_no_file_can_hold(serve: Serve, tmp_path: Path) -> None:
    limited = (*NO_SIGNAL, need("prlimit"), "--fsize=1048576")
    server = serve("1M", f"save={tmp_path}/saved", wrapper=limited)
    assert server.stop() == 0
    with pytest.raises(RuntimeError, match=r"save: .*/larger: File too large"):
        serve("1025K", f"save={tmp_path}/larger", wrapper=limited)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["saved"]


SHORT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    static int turn;
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (++turn % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return real(file, data, size < 1000 ? size : 1000, offset);
}
"""


def test_a_system_that_writes_little_at_once(serve: Serve, tmp_path: Path) -> None:
    short, saved = tmp_path / "short.so", tmp_path / "saved"
    data = pattern(MIB)
    source = image(tmp_path / "image", 2 * MIB, {100 * KIB: data})
    wrapper = preloading(short, SHORT)
    server = serve(f"image={source}", f"save={saved}", wrapper=wrapper)
    assert server.stop() == 0
    assert saved.read_bytes() == source.read_bytes()


@needs_status
def test_the_old_file_is_whole_if_saving_fails(serve: Serve, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.write_bytes(b"precious")
    server = serve("4M", f"save={saved}", wrapper=NO_SIGNAL)
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 2M")
    run("prlimit", "--fsize=1048576", "--pid", server.process.pid)
    assert server.stop() == 1
    assert f"save: {saved}: File too large" in server.log.read_text()
    assert saved.read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*")), "the temporary file was left behind"


# nbdkit is killed when the plugin calls this function.
KILLING = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int FUNCTION
{
    return kill(getpid(), SIGKILL);
}
"""
CALLS = {
    "fsync": "fsync(int file)",
    "linkat": "linkat(int from, const char *old, int to, const char *new, int flags)",
    "rename": "rename(const char *from, const char *to)",
}


def killed_at(serve: Serve, tmp_path: Path, call: str, saved: Path) -> list[Path]:
    """The hidden files that are left when nbdkit is killed while it saves."""
    code = KILLING.replace("FUNCTION", CALLS[call])
    wrapper = preloading(tmp_path / "killing.so", code)
    server = serve("4M", f"save={saved}", wrapper=wrapper)
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 2M")
    assert server.stop() == -signal.SIGKILL
    return list(tmp_path.glob(".*"))


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("call", ["fsync", "linkat"])
def test_killed_while_it_saves(
    call: str, exists: bool, serve: Serve, tmp_path: Path
) -> None:
    """Until it takes the place of the old one nothing is seen of the new file."""
    saved = tmp_path / "saved"
    if exists:
        saved.write_bytes(b"precious")
    assert killed_at(serve, tmp_path, call, saved) == []
    assert saved.read_bytes() == b"precious" if exists else not saved.exists()


def test_killed_when_the_old_file_is_replaced(serve: Serve, tmp_path: Path) -> None:
    """Between two calls of the system the whole new file has a name of its own."""
    saved = tmp_path / "saved"
    saved.write_bytes(b"precious")
    (left,) = killed_at(serve, tmp_path, "rename", saved)
    assert left.name.startswith(".nbdkit-mempool-")
    assert left.read_bytes() == b"\1" * 2 * MIB + bytes(2 * MIB)
    assert saved.read_bytes() == b"precious"


# Files without a name are refused; or such a file has no path.
NAMED = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#ifdef NO_PROC
int access(const char *path, int mode)
{
    int (*real)(const char *, int) =
        (int (*)(const char *, int))dlsym(RTLD_NEXT, "access");
    return strncmp(path, "/proc/self/fd/", 14) == 0 ? -1 : real(path, mode);
}
#else
int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) =
        (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return real(path, flags, mode);
}
#endif
"""


@pytest.mark.parametrize("missing", ["O_TMPFILE", "/proc"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_system_without_files_without_a_name(
    missing: str, exists: bool, serve: Serve, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    if exists:
        saved.write_bytes(b"old")
    code = ("#define NO_PROC\n" if missing == "/proc" else "") + NAMED
    server = serve("4M", f"save={saved}", wrapper=preloading(tmp_path / "it.so", code))
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write -P 1 0 2M")
    assert server.stop() == 0
    assert saved.read_bytes() == b"\1" * 2 * MIB + bytes(2 * MIB)
    assert not list(tmp_path.glob(".*")), "the temporary file was left behind"


@needs_status
def test_a_folder_that_goes_away(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    server = serve("1M", f"save={folder}/saved")
    folder.rmdir()
    assert server.stop() == 1
    assert "No such file or directory" in server.log.read_text()


@pytest.mark.skipif(PRELOAD != "", reason="a shell would load the sanitizer as well")
def test_relative_paths_are_those_of_the_folder_nbdkit_starts_in(
    tmp_path: Path,
) -> None:
    command = "qemu-io -f raw $uri -c 'write -P 6 0 64k'"
    done = subprocess.run(
        [need("nbdkit"), "-U", "-", plugin(), "1M", "save=saved", "--run", command],
        cwd=tmp_path,
        env=ENVIRONMENT,
        # The pipe is closed when the server has ended, which is after what it ran has.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    saved = (tmp_path / "saved").read_bytes()
    assert saved == b"\6" * 64 * KIB + bytes(MIB - 64 * KIB)


def test_places_where_nothing_can_be_saved(serve: Serve, tmp_path: Path) -> None:
    """They are refused at the start: at the end it is too late."""
    told = log_of(serve, "1M", f"save={tmp_path}/none/saved")
    assert f"save: {tmp_path}/none/saved: No such file or directory" in told
    assert f"save: {tmp_path}: not a regular file" in log_of(
        serve, "1M", f"save={tmp_path}"
    )
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert f"save: {pipe}: not a regular file" in log_of(serve, "1M", f"save={pipe}")
    assert "save: /proc/saved: " in log_of(serve, "1M", "save=/proc/saved")


# ----------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ([], "size=SIZE or image=FILE must be given"),
        (["size=0"], "size=0: out of range"),
        (["size=-1"], "error: .*size"),
        (["size="], "could not parse size string"),
        (["size=1X"], "error: .*size"),
        (["size=8E"], "error: .*size"),
        (["size=99999999999999999999"], "error: .*size"),
        (["1M", "block-size=0"], "block-size=0: out of range"),
        (["1M", "block-size=many"], "could not parse size string"),
        (["1M", "limit=none"], "could not parse size string"),
        (["1M", "limit=65535"], "limit: less than one block, of 65536 bytes"),
        (["1M", "block-size=4K", "limit=4095"], "less than one block, of 4096 bytes"),
        (["1M", "colour=red"], "unknown parameter: colour"),
        (["1M", "image="], "null or empty path"),
        (["1M", "save="], "null or empty path"),
        (["1M", "control="], "null or empty path"),
    ],
)
def test_parameters_that_are_refused(
    serve: Serve, parameters: list[str], told: str
) -> None:
    log = log_of(serve, *parameters)
    assert re.search(told, log), log


def test_what_nbdkit_tells_of_the_plugin() -> None:
    told = run("nbdkit", plugin(), "--dump-plugin", environment=preloaded())
    facts = dict(line.split("=", 1) for line in told.splitlines())
    header = Path(__file__).parents[2] / "c" / "memory_pool.h"
    numbers = re.findall(r"^#define POOL_VERSION_\w+ (\d+)$", header.read_text(), re.M)
    version = ".".join(numbers)
    assert (facts["name"], facts["version"]) == ("mempool", version)
    assert facts["memory_pool_version"] == version
    assert facts["thread_model"] == "parallel"
    assert facts["block_size_default"] == str(64 * KIB)
    told = run("nbdkit", plugin(), "--help", environment=preloaded())
    for parameter in ("size", "block-size", "limit", "image", "save", "control"):
        assert re.search(rf"^{parameter}=[A-Z]+ ", told, re.MULTILINE), parameter


def test_a_block_is_no_larger_than_the_disk(serve: Serve) -> None:
    assert serve("1M", "block-size=4E").stats()["block_size"] == MIB


def test_the_smallest_limit_is_one_block(serve: Serve) -> None:
    server = serve("1M", "block-size=5000", "limit=4K")
    assert server.stats()["block_size"] == 4 * KIB
    run("qemu-io", "-f", "raw", server.uri(), "-c", "write 0 4k")


def test_the_last_of_a_parameter_counts(serve: Serve) -> None:
    server = serve(
        "1M", "size=2M", "block-size=4K", "block-size=8K", "limit=1M", "limit=0"
    )
    stats = server.stats()
    told = (stats["total_size"], stats["block_size"], stats["memory_limit"])
    assert told == (2 * MIB, 8 * KIB, 0)
