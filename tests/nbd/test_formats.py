# SPDX-License-Identifier: MIT
"""Images that are not raw are refused with the command that converts them, and sizes of
which clients cannot use the end are noted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MIB, Serve, nbdsh, pattern, run

RECORD = b":0400000001020304F2\n:00000001FF\n"
LOOKS = {
    "a qcow image": b"QFI\xfb\0\0\0\3",
    "a QED image": b"QED\0",
    "a VMDK image": b"KDMV\1\0\0\0",
    "a VHDX image": b"vhdxfile",
    "a VHD image": b"conectix",
    "a VDI image": bytes(64) + b"\x7f\x10\xda\xbe",
    "an ELF file": b"\x7fELF\2\1\1",
    "an Intel HEX file": RECORD,
    "an S-record file": b"S00600004844521B\nS107000001020304EE\n",
}
TEXTS = {
    b"\xef\xbb\xbf" + RECORD: "an Intel HEX file",
    b"\r\n \t" + RECORD: "an Intel HEX file",
    b":00000001": "an Intel HEX file",
    b"S903": None,
    b"S9030000FC": "an S-record file",
    b":0000000": None,
    b":0000000g": None,
    b"SA030000FC": None,
    b":": None,
    b"S": None,
    b" ": None,
    b" " * 200 + RECORD: None,  # the first bytes decide
    b"QFI": None,
    b"qfi\xfb": None,
    bytes(64) + b"\x7f\x10\xda": None,
    b"\0" + LOOKS["a qcow image"]: None,
}


def refused(serve: Serve, *parameters: str) -> str:
    with pytest.raises(RuntimeError) as trouble:
        serve(*parameters)
    return str(trouble.value)


@pytest.mark.parametrize("title", LOOKS)
def test_formats_that_must_be_converted(serve: Serve, tmp_path: Path, title: str) -> None:
    file = tmp_path / "image"
    file.write_bytes(LOOKS[title])
    told = refused(serve, f"image={file}", "size=1M")
    assert f"image: {file}: this is {title}, not a raw image; convert it (" in told
    tool = "qemu-img convert -O raw" if title.endswith("image") else "pymempool convert"
    assert f"({tool} FILE disk.img), or serve it as it is by format=raw" in told
    assert file.read_bytes() == LOOKS[title]
    server = serve(f"image={file}", "size=1M", "format=raw")
    code = "print(bytes(h.pread(100, 0)).hex())"
    whole = LOOKS[title] + bytes(100)
    assert nbdsh(server.uri(), code).strip() == whole[:100].hex()


@pytest.mark.parametrize("text", TEXTS)
def test_the_first_bytes_decide(serve: Serve, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "image"
    file.write_bytes(text)
    title = TEXTS[text]
    if title is None:
        assert serve(f"image={file}").stats()["total_size"] == len(text)
    else:
        assert f"this is {title}, not a raw image" in refused(serve, f"image={file}")


def test_the_commands_that_are_named_convert(serve: Serve, tmp_path: Path) -> None:
    """And what they write is served."""
    qcow, text = tmp_path / "a.qcow2", tmp_path / "a.hex"
    for kind in ("qcow2", "vmdk", "vhdx", "vdi", "qed"):
        run("qemu-img", "create", "-f", kind, qcow, "1M")
        assert "qemu-img convert -O raw FILE" in refused(serve, f"image={qcow}")
    run("qemu-img", "create", "-f", "qcow2", qcow, "1M")
    run("qemu-io", "-f", "qcow2", qcow, "-c", "write -P 7 0 64k")
    run("qemu-img", "convert", "-O", "raw", qcow, tmp_path / "disk.img")
    assert serve(f"image={tmp_path / 'disk.img'}").stats()["total_size"] == MIB
    text.write_bytes(RECORD)
    command = [sys.executable, "-m", "pymempool", "convert", text, tmp_path / "a.img"]
    subprocess.run(command, check=True, cwd="/")
    assert (tmp_path / "a.img").read_bytes() == bytes([1, 2, 3, 4])
    assert serve(f"image={tmp_path / 'a.img'}").stats()["total_size"] == 4


def test_another_format_cannot_be_asked_for(serve: Serve, tmp_path: Path) -> None:
    told = refused(serve, "1M", "format=qcow2")
    assert "format=qcow2: an image is served only if it is raw" in told


NOTE = (
    "nbdkit: mempool: note: the disk has {} bytes, no multiple of 512: Linux does not use"
    " the rest, and qemu cannot write it\n"
)


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1000, 1024])
def test_a_size_that_is_no_multiple_is_noted(
    serve: Serve, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "image"
    file.write_bytes(pattern(1024)[:size])
    for server in (serve(f"{size}"), serve(f"image={file}")):
        told = server.log.read_text()
        assert told == ("" if size % 512 == 0 else NOTE.format(size))
        assert server.stats()["total_size"] == size


def test_what_qemu_does_with_such_a_size(serve: Serve) -> None:
    uri = serve("1000").uri()
    assert "1024 bytes" in run("qemu-img", "info", "-f", "raw", uri)
    run("qemu-io", "-f", "raw", uri, "-c", "write 0 512", "-c", "read -P 0 512 512")
    told = run("qemu-io", "-f", "raw", uri, "-c", "write 512 512", fails=True)
    assert "No space left" in told
