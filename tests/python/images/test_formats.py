# SPDX-License-Identifier: MIT
"""Intel HEX, S-records and ELF: against bincopy and intelhex, and damaged ones."""

from __future__ import annotations

import errno
import io
import pickle
import shutil
import struct
import subprocess
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import given, strategies as st
from internals import PoolBuilder, formats_module, sniff_module, srec_module

from pymempool import (
    FormatError,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolRangeError,
)

bincopy = pytest.importorskip("bincopy", reason="bincopy is not installed")

GIB = 1 << 30
HEX, SREC = "hex", "srec"
BOTH = pytest.mark.parametrize("form", [HEX, SREC])


def saved(pool: MemoryPool, form: str) -> bytes:
    file = io.BytesIO()
    pool.save(file, format=form)
    return file.getvalue()


def load(make: Any, file: Any, form: str, progress: Any = None) -> MemoryPool:
    return formats_module.load(make, file, form, False, progress)


def loaded(data: bytes, form: str, block_size: int = 16, **options: Any) -> MemoryPool:
    return load(
        lambda size, _: MemoryPool(size, block_size, **options), io.BytesIO(data), form
    )


def runs(pool: MemoryPool) -> dict[int, bytes]:
    """The data of a pool by address, without zeros: what files must agree in."""
    held = {}
    for start, size in pool.extents():
        for at, byte in enumerate(pool.read(start, size), start):
            if byte:
                held[at] = byte
    return held


def by_bincopy(data: bytes) -> dict[int, bytes]:
    file = bincopy.BinFile()
    file.add(data.decode())
    return {
        segment.address + at: byte
        for segment in file.segments
        for at, byte in enumerate(segment.data)
        if byte
    }


# ------------------------------------------------------------------------ what is saved


def test_the_text_of_a_hex_file() -> None:
    with MemoryPool(GIB, 16) as pool:
        pool.write(16, bytes(range(48)))
        pool.write(0x2000A, b"x")
        assert saved(pool, HEX).decode().split("\n") == [
            ":10001000000102030405060708090A0B0C0D0E0F68",
            ":20002000101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2FD0",
            ":020000040002F8",
            ":100000000000000000000000000078000000000078",
            ":00000001FF",
            "",
        ]


def test_the_text_of_an_srecord_file() -> None:
    with MemoryPool(GIB, 16) as pool:
        pool.write(0x2000A, b"x")
        assert saved(pool, SREC).decode().split("\n") == [
            "S00C000070796D656D706F6F6C11",
            "S315000200000000000000000000000078000000000070",
            "S5030001FB",
            "S70500000000FA",
            "",
        ]


@BOTH
def test_holes_and_zeros(form: str) -> None:
    """Zeros that stand in a block are written, holes are not."""
    with MemoryPool(1 << 20, 64) as pool:
        pool.write(128, bytes(64))
        pool.write(1 << 19, b"x" * 100)
        again = loaded(saved(pool, form), form, 64)
        assert (
            list(again.extents()) == [(128, 64), (1 << 19, 128)] == list(pool.extents())
        )
        assert again.total_size == (1 << 19) + 128
        assert again[:] == pool[: again.total_size]


@BOTH
def test_a_run_across_a_new_count(form: str) -> None:
    """The records of a HEX file count up to 64 KiB, wherever a run of data starts."""
    with MemoryPool(1 << 20, 16) as pool:
        pool.write(32, bytes(range(256)) * 600)
        data = saved(pool, form)
        assert by_bincopy(data) == runs(pool)
        assert loaded(data, form)[:] == pool[: 32 + 256 * 600]


@BOTH
def test_the_last_address(form: str) -> None:
    with MemoryPool(1 << 40, 64) as pool:
        pool.write((1 << 32) - 3, b"end")
        data = saved(pool, form)
        again = loaded(data, form)
        assert (again.total_size, again[-4:]) == (1 << 32, b"\0end")
        assert list(again.extents()) == [((1 << 32) - 64, 64)]
        assert by_bincopy(data) == runs(pool)


@BOTH
def test_past_the_last_address(form: str) -> None:
    with MemoryPool(1 << 40, 64) as pool:
        pool.write(0, b"x")
        pool.write(1 << 32, b"x")
        file = io.BytesIO()
        with pytest.raises(FormatError, match="up to 4294967360, but the addresses"):
            pool.save(file, format=form)
        assert file.getvalue() == b""


@BOTH
def test_nothing_but_a_hole(form: str) -> None:
    with MemoryPool(GIB) as pool:
        data = saved(pool, form)
    with pytest.raises(FormatError, match="there is no data"):
        loaded(data, form)


def test_a_count_of_three_bytes_and_one_too_large(monkeypatch: Any) -> None:
    pieces = [(at << 16, b"x" * 65536) for at in range(33)]
    *_, (_, last) = srec_module.write(bincopy, pieces)
    assert [line[:2] for line in last] == ["S6", "S7"]
    assert last[0] == bincopy.pack_srec("6", 33 * 2048, 0, None)

    assert srec_module.COUNT_MAX == 0xFFFFFF  # of 512 MiB of data
    for most, kinds in ((33 * 2048, ["S6", "S7"]), (33 * 2048 - 1, ["S7"])):
        monkeypatch.setattr(srec_module, "COUNT_MAX", most)
        *_, (_, last) = srec_module.write(bincopy, pieces)
        assert [line[:2] for line in last] == kinds


def test_formats_that_cannot_be_saved(pool: MemoryPool) -> None:
    with pytest.raises(ValueError, match="possible are hex and srec"):
        pool.save(io.BytesIO(), format="elf")
    for form in ("", None, 1):
        with pytest.raises(ValueError, match="possible are raw, hex, srec, elf"):
            pool.save(io.BytesIO(), format=form)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="possible are raw, hex, srec, elf"):
            loaded(b"", form)  # type: ignore[arg-type]


@BOTH
def test_a_closed_pool(pool: MemoryPool, form: str) -> None:
    pool.close()
    with pytest.raises(PoolClosedError):
        pool.save(io.BytesIO(), format=form)


class Slow(io.RawIOBase):
    """Takes and gives a few bytes at once, and cannot seek."""

    def __init__(self, data: bytes = b"") -> None:
        self.data, self.at = bytearray(data), 0

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data[:7])
        return min(7, len(data))

    def readinto(self, buffer: Any) -> int:
        part = self.data[self.at : self.at + min(5, len(buffer))]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


@BOTH
def test_files_that_take_and_give_little(pool: MemoryPool, form: str) -> None:
    file = Slow()
    pool.save(file, format=form)
    assert bytes(file.data) == saved(pool, form)
    again = load(lambda size, _: MemoryPool(size, 64), file, form)
    assert again[:] == pool[:4032]  # where the last block of data ends


def test_files_that_do_not_say_or_lie(pool: MemoryPool) -> None:
    class Stub:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def write(self, data: Any) -> Any:
            return self.answer

        def read(self, size: int) -> Any:
            return self.answer

    pool.save(Stub(None), format=HEX)
    for count in (0, -1, 1 << 30):
        with pytest.raises(OSError, match="returned"):
            pool.save(Stub(count), format=HEX)
    with pytest.raises(BlockingIOError) as caught:
        load(MemoryPool, Stub(None), HEX)
    assert caught.value.errno == errno.EAGAIN


@BOTH
def test_progress(form: str) -> None:
    with MemoryPool(GIB, 4096) as pool:
        pool.write(0, b"x" * 3_000_000)
        pool.write(GIB // 2, b"x")
        steps: list[tuple[int, int | None]] = []
        file = io.BytesIO()
        pool.save(file, format=form, progress=lambda *step: steps.append(step))
        assert steps == sorted(steps)
        assert steps[-1] == (GIB, GIB)
        assert len(steps) > 40
        assert all(total == GIB for _, total in steps)
        steps.clear()
        file.seek(0)
        again = load(
            lambda size, _: MemoryPool(size, 4096),
            file,
            form,
            lambda *step: steps.append(step),
        )
        held = sum(size for _, size in pool.extents())
        done = [done for done, _ in steps]
        assert [each >> 20 for each in done] == [1, 2, held >> 20]
        assert all(each % (1 << 20) < 1 << 16 for each in done[:2])
        assert done[2] == held
        assert {total for _, total in steps} == {None}
        assert again[:] == pool[: again.total_size]

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    made: list[MemoryPool] = []

    def make(size: int, _: int) -> MemoryPool:
        made.append(MemoryPool(size))
        return made[0]

    with pytest.raises(KeyboardInterrupt):
        load(make, io.BytesIO(file.getvalue()), form, stop)
    assert made[0].closed


@BOTH
def test_blocks_are_those_of_a_pool_of_that_size(form: str) -> None:
    with MemoryPool(100, 65536) as pool:
        pool.write(0, b"x" * 100)
        again = loaded(saved(pool, form), form, 65536, memory_limit=128)
        assert (again.total_size, again.block_size) == (100, 128)
        assert again.stats.memory_limit == 128
        with pytest.raises(PoolLimitError):
            loaded(saved(pool, form), form, 65536, memory_limit=64)


@given(
    form=st.sampled_from([HEX, SREC]),
    block_size=st.sampled_from([1, 16, 64, 4096]),
    writes=st.lists(
        st.tuples(
            st.integers(0, (1 << 32) - 300)
            | st.integers(0, 300)
            | st.integers(65536 - 300, 65536 + 300),
            st.binary(min_size=1, max_size=299),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_the_same_as_others_read_and_write(
    form: str, block_size: int, writes: list[tuple[int, bytes]]
) -> None:
    intelhex = pytest.importorskip("intelhex", reason="intelhex is not installed")
    theirs, also = bincopy.BinFile(), intelhex.IntelHex()
    with MemoryPool(1 << 32, block_size) as pool:
        for at, data in writes:
            pool.write(at, data)
            theirs.add_binary(data, at, overwrite=True)
            also.puts(at, data)
        data, expected = saved(pool, form), runs(pool)
        assert by_bincopy(data) == expected
        again = loaded(data, form, block_size)
        assert list(again.extents()) == list(pool.extents())
        assert runs(again) == expected
        if form == HEX:
            read = intelhex.IntelHex(io.StringIO(data.decode()))
            assert {at: read[at] for at in read.addresses() if read[at]} == expected
            text = io.StringIO()
            also.write_hex_file(text)
            assert runs(loaded(text.getvalue().encode(), HEX, block_size)) == expected
        text_of = theirs.as_ihex if form == HEX else theirs.as_srec
        again = loaded(text_of().encode(), form, block_size)
        assert runs(again) == expected
        assert again.total_size == theirs.maximum_address


# ------------------------------------------------------------------- exact to the byte


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """All data of a file as bincopy reads it, zeros too."""
    file = bincopy.BinFile()
    file.add(data.decode())
    return [(part.address, bytes(part.data)) for part in file.segments]


def corpus() -> dict[str, Any]:
    """Files with gaps of all sizes, zeros at their ends, one byte alone, much at once."""
    places = {
        "one byte": {0x400001: b"w"},
        "one zero": {7: b"\0"},
        "gaps of a byte": {at: b"\0" if at % 4 else b"x" for at in range(0, 600, 2)},
        "zeros around": {0xFFF0: bytes(8) + b"x" + bytes(30), 0x10100: bytes(300)},
        "far apart": {0: b"a", 0x8000000: bytes(5), 0xFFFFFFFF: b"\0"},
        "much": {3: bytes(range(256)) * 300, 1 << 20: bytes(70_000)},
        "erased flash": {0x8000000: b"\xff" * 40 + bytes(40) + b"\xff"},
    }
    files = {}
    for name, parts in places.items():
        files[name] = file = bincopy.BinFile()
        for at, data in parts.items():
            file.add_binary(data, at)
    return files


@BOTH
@pytest.mark.parametrize("block_size", [1, 64, 65536])
@pytest.mark.parametrize("name", corpus())
def test_round_trips_are_exact(form: str, block_size: int, name: str) -> None:
    theirs = corpus()[name]
    text = (theirs.as_ihex() if form == HEX else theirs.as_srec()).encode()
    expected = [(part.address, bytes(part.data)) for part in theirs.segments]
    with loaded(text, form, block_size) as pool, pool.clone() as clone:
        assert segments(saved(pool, form)) == expected
        assert segments(saved(clone, SREC if form == HEX else HEX)) == expected
        assert list(pool.written()) == [(at, len(data)) for at, data in expected]
        again = loaded(saved(clone, form), form, 16)
        assert saved(again, form) == saved(pool, form)


@BOTH
def test_a_file_that_is_changed(form: str) -> None:
    """What is written comes in, zeros too, and what is discarded goes out."""
    theirs = corpus()["far apart"]
    with loaded(theirs.as_ihex().encode(), HEX, 65536) as pool, pool.clone() as before:
        pool.write(0x100, bytes(3))
        pool.fill(0x8000004, 0, 3)
        pool.discard(0, 1)
        expected = [(0x100, bytes(3)), (0x8000000, bytes(7)), (0xFFFFFFFF, b"\0")]
        assert segments(saved(pool, form)) == expected
        pool.restore(before)
        assert segments(saved(pool, form)) == segments(theirs.as_ihex().encode())


@BOTH
def test_elf_files_are_exact(form: str) -> None:
    data = elf([(0x8000001, 0x8000001, b"\0code\0", 99), (0x9000, 0x9000, bytes(7), 0)])
    with loaded(data, "elf", 65536) as pool:
        expected = [(0x9000, bytes(7)), (0x8000001, b"\0code\0")]
        assert segments(saved(pool, form)) == expected


@BOTH
def test_pools_that_track_what_was_written(form: str) -> None:
    with MemoryPool(GIB, track_written=True) as pool:
        pool.write(0x20003, b"\0x\0")
        assert segments(saved(pool, form)) == [(0x20003, b"\0x\0")]


@BOTH
@pytest.mark.parametrize("how", ["a path", "a sparse file", "a stream", "a pipe"])
def test_zeros_of_raw_images_are_data(form: str, how: str, tmp_path: Path) -> None:
    data = b"A" * 4096 + bytes(4096 * 20) + b"B" * 16 + bytes(5)
    path = tmp_path / "z.bin"
    path.write_bytes(data)
    source: Any = {"a stream": io.BytesIO(data), "a pipe": Slow(data)}.get(how, path)
    if how == "a sparse file":
        with MemoryPool(len(data)) as pool:
            pool.write(0, data[:4096])
            pool.write(4096 * 21, b"B" * 16)
            pool.save(path)
    with MemoryPool.load(source, 4096, format="raw") as pool:
        assert segments(saved(pool, form)) == [(0, data)]


@pytest.mark.skipif(shutil.which("objcopy") is None, reason="there is no objcopy")
@pytest.mark.parametrize("name", corpus())
def test_objcopy_reads_the_same(name: str, tmp_path: Path) -> None:
    """And what it writes is read."""
    theirs = corpus()[name]
    expected = [(part.address, bytes(part.data)) for part in theirs.segments]
    names = {HEX: ("ours.hex", "ihex"), SREC: ("ours.srec", "srec")}
    with loaded(theirs.as_ihex().encode(), HEX, 65536) as pool:
        for form, (file, target) in names.items():
            pool.save(tmp_path / file, format=form)
            for back, (_, kind) in names.items():
                command = ["objcopy", "-I", target, "-O", kind, file, "back"]
                subprocess.run(command, cwd=tmp_path, check=True)
                text = (tmp_path / "back").read_bytes()
                assert segments(saved(loaded(text, back, 4096), back)) == expected


# ------------------------------------------------------------ start addresses, headers


DATA = ":0100000061" + "9E"


@pytest.mark.parametrize(
    ("kind", "data", "start"),
    [
        (5, b"\x08\0\1\1", 0x8000101),
        (5, bytes(4), 0),
        (5, b"\xff" * 4, 0xFFFFFFFF),
        (3, b"\x12\x34\x56\x78", 0x12340 + 0x5678),
        (3, bytes(4), 0),
    ],
)
def test_start_addresses_of_hex_files(kind: int, data: bytes, start: int) -> None:
    """Both kinds come out as they came in, wherever they stood; also from a clone."""
    record = ihex(kind, 0, data)
    for lines in ([DATA, record, END], [record, DATA, END]):
        with loaded("\n".join(lines).encode(), HEX) as pool, pool.clone() as clone:
            assert pool.start_address == clone.start_address == start
            text = "\n".join([DATA, record, END, ""])
            assert saved(pool, HEX).decode() == saved(clone, HEX).decode() == text
            pool.start_address = start  # a plain number
            assert saved(clone, SREC).decode().endswith(srec("7", start) + "\n")
            pool.start_address = None
            assert saved(pool, HEX).decode() == "\n".join([DATA, END, ""])
            pool.restore(clone)
            assert pool.start_address == start


@pytest.mark.parametrize(
    ("kind", "start"), [("9", 0x1234), ("8", 0x123456), ("7", 0x8000101), ("7", 0)]
)
def test_start_addresses_of_srecords(kind: str, start: int) -> None:
    lines = [srec("0", 0, b"title"), srec("1", 0, b"a"), srec(kind, start)]
    with loaded("\n".join(lines).encode(), SREC) as pool:
        assert pool.start_address == (start or None)  # 0 says nothing
        text = saved(pool, SREC).decode()
        assert text.endswith(srec("7", start) + "\n")
        assert saved(loaded(text.encode(), SREC), SREC).decode() == text
        assert (":04000005" in saved(pool, HEX).decode()) == (start > 0)


def test_headers_of_srecords() -> None:
    line, last = srec("1", 0, b"a"), srec("9", 0)
    for headers, found in {
        (): None,
        (b"",): b"",
        (b"title",): b"title",
        (b"\0\xff", b"another"): b"\0\xff",
    }.items():
        lines = [*(srec("0", 0, header) for header in headers), line, last]
        with loaded("\n".join(lines).encode(), SREC) as pool, pool.clone() as clone:
            assert pool.header == clone.header == found
            first = saved(clone, SREC).decode().split("\n")[0]
            assert first == (srec("3", 0, b"a") if found is None else lines[0])
    with loaded(f"{DATA}\n{END}".encode(), HEX) as pool:
        assert pool.header == b"pymempool"
        pool.header = bytearray(252)
        again = loaded(saved(pool, SREC), SREC)
        assert again.header == bytes(252) == pool.header


SENT: dict[str, Callable[[MemoryPool], MemoryPool]] = {
    **{
        f"protocol {protocol}": partial(
            lambda protocol, pool: pickle.loads(pickle.dumps(pool, protocol)), protocol
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "shared": lambda pool: pool.share().open(),
    "shared and sent": lambda pool: pickle.loads(pickle.dumps(pool.share().open())),
}


@pytest.mark.parametrize("how", SENT)
def test_sent_pools_save_the_same_files(how: str) -> None:
    """Both kinds of start addresses, headers, and bytes by the byte."""
    far = [ihex(4, 0, b"\x08\0"), ihex(0, 0x100, bytes(3))]
    files = [("\n".join([DATA, *far, END]).encode(), HEX), (elf(PROGRAM), "elf")]
    for kind in (3, 5):
        start = ihex(kind, 0, b"\x12\x34\x56\x78")
        files.append(("\n".join([DATA, start, END]).encode(), HEX))
    for headers in ([], [srec("0", 0, b"")], [srec("0", 0, b"\0\xff")]):
        lines = [*headers, srec("1", 5, b"\0a"), srec("9", 0x1234)]
        files.append(("\n".join(lines).encode(), SREC))
    for data, form in files:
        pool = loaded(data, form, 4096)
        sent = SENT[how](pool)
        assert list(sent.written()) == list(pool.written())
        for other in (HEX, SREC):
            assert saved(sent, other) == saved(pool, other)


@pytest.mark.parametrize("bits", [32, 64])
def test_entry_points_of_elf_files(bits: int) -> None:
    program = elf(PROGRAM, bits=bits)
    with loaded(program, "elf") as pool:
        assert pool.start_address == 0x1234
        assert "S7050000" + "1234" in saved(pool, SREC).decode()
    none = program[:24] + bytes(4) + program[28:]
    assert loaded(none, "elf").start_address is None


@BOTH
def test_start_addresses_that_a_format_has_no_room_for(form: str) -> None:
    with MemoryPool(100) as pool:
        for far in (1 << 32, (1 << 64) - 1):
            pool.start_address, file = far, io.BytesIO()
            with pytest.raises(FormatError, match="start address is 0x"):
                pool.save(file, format=form)
            assert file.getvalue() == b""


def test_wrong_start_addresses_and_headers(pool: MemoryPool) -> None:
    for wrong in (-1, 1 << 64):
        with pytest.raises(PoolRangeError, match="start_address"):
            pool.start_address = wrong
    for kind in ("0", 1.5):
        with pytest.raises(TypeError):
            pool.start_address = kind  # type: ignore[assignment]
        with pytest.raises(TypeError):
            pool.header = kind  # type: ignore[assignment]
    with pytest.raises(PoolRangeError, match="size of header is 253"):
        pool.header = bytes(253)
    assert (pool.start_address, pool.header) == (None, b"pymempool")


@pytest.mark.skipif(shutil.which("objcopy") is None, reason="there is no objcopy")
def test_objcopy_reads_the_same_start_address(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(f"{DATA}\n{ihex(5, 0, bytes((0, 0, 16, 1)))}\n{END}\n")
    kinds = {HEX: "ihex", SREC: "srec"}
    with MemoryPool.load(tmp_path / "in") as pool:
        for form, kind in kinds.items():
            pool.save(tmp_path / "ours", format=form)
            for back, their in kinds.items():
                command = ["objcopy", "-I", kind, "-O", their, "ours", "back"]
                subprocess.run(command, cwd=tmp_path, check=True)
                with MemoryPool.load(tmp_path / "back", format=back) as again:
                    assert again.start_address == 0x1001


# --------------------------------------------------------------------- what can be read


def srec(kind: str, address: int, data: bytes = b"") -> str:
    return str(bincopy.pack_srec(kind, address, len(data), data))


def ihex(kind: int, address: int = 0, data: bytes = b"") -> str:
    return str(bincopy.pack_ihex(kind, address, len(data), data))


END = ":00000001FF"


def test_addresses_of_other_widths() -> None:
    lines = [
        srec("1", 0x1234, b"a"),
        srec("2", 0x123456, b"b"),
        srec("3", 0x1234567, b"c"),
    ]
    pool = loaded("\r\n\r\n".join([*lines, srec("9", 0)]).encode(), SREC)
    assert runs(pool) == {0x1234: 97, 0x123456: 98, 0x1234567: 99}
    assert pool.total_size == 0x1234568
    lines = [ihex(0, 5, b"a"), ihex(2, 0, b"\x12\x34"), ihex(0, 5, b"b")]
    lines += [ihex(4, 0, b"\x00\x20"), ihex(0, 5, b"c"), ihex(3, 0, bytes(4))]
    pool = loaded("\n".join([*lines, ihex(5, 0, bytes(4)), END, " "]).encode(), HEX)
    assert runs(pool) == {5: 97, 0x12345: 98, 0x200005: 99}


def test_lower_case_and_records_of_no_data() -> None:
    text = "\n".join([ihex(0, 5), ihex(0, 0xABC, b"\xab"), END]).lower()
    assert runs(loaded(text.encode(), HEX)) == {0xABC: 0xAB}


def test_records_in_any_order() -> None:
    places = [5000, 20, 64, 4096, 21, 0]
    lines = [ihex(0, at, bytes([at % 255 + 1])) for at in places]
    pool = loaded("\n".join([*lines, END]).encode(), HEX)
    assert runs(pool) == {at: at % 255 + 1 for at in places}


BAD_HEX = {
    "line 1: no record: 'hello'": "hello",
    "line 2: no record": f"{ihex(0, 0, b'x')}\nhello\n{END}",
    "line 1: no record: ':é": ":é",
    "line 1: expected crc": ihex(0, 0, b"x")[:-1] + "F",
    "line 1: record ':00' too short": ":00",
    "line 1: record '.*' has wrong size": ":020000006100",
    "line 1: non-hexadecimal": ":000000000FF",
    "line 1: no record: ':00 ": ":00 000001FF",
    "line 3: data at 0x10001 for a second time": "\n".join(
        [ihex(4, 0, b"\0\1"), ihex(0, 0, b"ab"), ihex(0, 1, b"b"), END]
    ),
    "line 2: data past the end": "\n".join(
        [ihex(4, 0, b"\xff\xff"), ihex(0, 0xFFFF, b"ab"), END]
    ),
    "line 1: 1 bytes in a record of type 4, allowed is 2": ihex(4, 0, b"x"),
    "line 1: 3 bytes in a record of type 2": ihex(2, 0, b"xyz"),
    "line 1: 1 bytes in a record of type 1": ihex(1, 0, b"x"),
    "line 1: type 6, records have types 0 .. 5": ihex(6),
    "line 3: a record after the last": f"{ihex(0, 0, b'x')}\n{END}\n{ihex(0, 9, b'x')}",
    "the last record is missing": ihex(0, 0, b"x"),
    "there is no data in this, as an Intel HEX file": END,
    "line 2: longer than": f"{ihex(0, 0, b'x')}\n:{'0' * 2000}\n{END}",
    "line 1: longer than": ":" + "0" * 200_000,
}
BAD_SREC = {
    "line 1: no record: ':": END,
    "line 1: no record: 'S": "SX03",
    "line 1: expected record type": bincopy.pack_srec("3", 0, 0, None).replace(
        "S3", "S4"
    ),
    "line 1: the record is too short": "S30200FD",
    "line 1: expected crc": "S1040000000A",
    "line 2: data at 0x4 for a second time": srec("1", 5, b"x")
    + "\n"
    + srec("3", 4, b"ab"),
    "line 1: data past the end": srec("3", 0xFFFFFFFF, b"ab"),
    "line 2: a count of 2 records of data, but there are 1": "\n".join(
        [srec("1", 0, b"x"), srec("5", 2)]
    ),
    "line 3: a record after the last": "\n".join(
        [srec("1", 0, b"x"), srec("5", 1), srec("1", 9, b"x")]
    ),
    "line 3: a record after": "\n".join([srec("1", 0, b"x"), srec("9", 0), srec("5", 1)]),
    "the last record is missing": srec("1", 0, b"x"),
    "there is no data in this, as an S-record file": srec("9", 0),
}


@pytest.mark.parametrize("text", BAD_HEX.values(), ids=BAD_HEX)
def test_bad_hex(text: str) -> None:
    message = next(message for message, bad in BAD_HEX.items() if bad is text)
    with pytest.raises(FormatError, match=message.split("é")[0]) as caught:
        loaded(text.encode(), HEX)
    assert isinstance(caught.value, PoolError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("text", BAD_SREC.values(), ids=BAD_SREC)
def test_bad_srec(text: str) -> None:
    message = next(message for message, bad in BAD_SREC.items() if bad is text)
    with pytest.raises(FormatError, match=message):
        loaded(text.encode(), SREC)


@given(st.sampled_from([HEX, SREC]), st.data())
def test_damaged(form: str, data: st.DataObject) -> None:
    """One byte changed: a file that says the same, or an error, but no other data."""
    with MemoryPool(1 << 20, 16) as pool:
        pool.write(65530, bytes(range(40)))
        text = bytearray(saved(pool, form))
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.integers(0, 255))
        try:
            again = loaded(bytes(text), form)
        except FormatError:
            return
        assert runs(again) == runs(pool)


ADDRESSES = st.integers(0, 40) | st.integers(0xFFF0, 0xFFFF)
PARTS = st.binary(max_size=6)
BASES = st.sampled_from([b"\0\0", b"\0\1", b"\x12\x34", b"\xff\xff"])
HEX_RECORDS = st.one_of(
    st.tuples(st.just(0), ADDRESSES, PARTS),
    st.tuples(st.sampled_from([2, 4]), st.just(0), BASES),
    st.tuples(st.sampled_from([3, 5]), st.just(0), st.just(bytes(4))),
)
HEX_FAULTS = st.tuples(st.integers(1, 6), ADDRESSES, PARTS)
SRECORDS = st.tuples(st.sampled_from("01233"), ADDRESSES, PARTS)
SRECORD_ENDS = st.tuples(st.sampled_from("56789"), st.integers(0, 4), st.just(b""))
SRECORD_FAULTS = st.tuples(st.sampled_from("4567"), ADDRESSES, PARTS)


@given(
    st.lists(HEX_RECORDS, max_size=8),
    st.sampled_from([[(1, 0, b"")], [(1, 0, b"")], []])
    | st.lists(HEX_FAULTS | HEX_RECORDS, max_size=3),
)
def test_any_records_of_hex(
    records: list[tuple[int, int, bytes]], last: list[tuple[int, int, bytes]]
) -> None:
    """Just what they say, by a reader of this test, or an error."""
    records = records + last
    base, held, good, ended = 0, {}, True, False
    for kind, address, data in records:
        sizes = {0: len(data), 1: 0, 2: 2, 3: 4, 4: 2, 5: 4}
        places = range(base + address, base + address + len(data))
        good &= not ended and sizes.get(kind) == len(data)
        ended |= kind == 1
        if kind == 0:
            good &= held.keys().isdisjoint(places) and places.stop <= 1 << 32
            held.update(zip(places, data))
        elif kind in (2, 4):
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
    text = "\n".join(ihex(*record) for record in records)
    if not (good and ended and held):
        with pytest.raises(FormatError):
            loaded(text.encode(), HEX)
        return
    with loaded(text.encode(), HEX, 1) as pool:
        assert pool.total_size == max(held) + 1
        assert all(pool[at] == byte for at, byte in held.items())
        assert sum(size for _, size in pool.extents()) == len(held)


@given(
    st.lists(SRECORDS, max_size=5),
    st.lists(SRECORD_ENDS, min_size=1, max_size=2)
    | st.lists(SRECORD_FAULTS | SRECORD_ENDS | SRECORDS, max_size=3),
)
def test_any_srecords(
    records: list[tuple[str, int, bytes]], last: list[tuple[str, int, bytes]]
) -> None:
    """The same for S-records."""
    records = records + last
    held: dict[int, int] = {}
    good, counted, ended, count = True, False, False, 0
    for kind, address, data in records:
        good &= not ended and not (counted and kind in "123") and kind != "4"
        if kind in "123":
            count += 1
            places = range(address, address + len(data))
            good &= held.keys().isdisjoint(places)
            held.update(zip(places, data))
        elif kind in "56":
            counted = True
            good &= address == count
        ended |= kind in "789"
    texts = [srec(kind.replace("4", "3"), at, data) for kind, at, data in records]
    texts = [f"S{kind}{text[2:]}" for text, (kind, _, _) in zip(texts, records)]
    file = "\n".join(texts).encode()
    if not (good and (counted or ended) and held):
        with pytest.raises(FormatError):
            loaded(file, SREC)
        return
    with loaded(file, SREC, 1) as pool:
        assert pool.total_size == max(held) + 1
        assert all(pool[at] == byte for at, byte in held.items())
        assert sum(size for _, size in pool.extents()) == len(held)


def test_small_pieces_far_apart_do_not_wait_for_long() -> None:
    """Each takes some 200 bytes while it waits, which a file of a few MiB can ask for."""
    builder: PoolBuilder[MemoryPool] = PoolBuilder(
        lambda size, _: MemoryPool(size, 64), lambda done, total: None
    )
    count = 200_000
    for at in range(count):
        builder.add(2 * at, b"x")
        assert len(builder._pending) < 1 << 16
    with builder.finish("one") as pool:
        assert pool[:] == (b"x\0" * count)[:-1]


@pytest.mark.parametrize(
    ("runs", "most", "found"),
    [
        ([(0, 100_000)], 65536, 65536),
        ([(0, 100_000)], 1 << 18, 1 << 17),  # all in one
        ([(0x100000 * at, 1) for at in range(15)], 65536, 65536),  # less than 1 MiB
        ([(0x100000 * at, 1) for at in range(40)], 65536, 16384),
        ([(0x100000 * at, 1) for at in range(40)], 4096, 4096),
        ([(0x100000 * at, 1) for at in reversed(range(40))], 65536, 16384),
        ([(1000 * at, 1) for at in range(9_000)], 65536, 64),
        ([(1000 * at, 1) for at in range(9_000)], 16, 16),
        ([(2 * at, 1) for at in reversed(range(9_000))], 65536, 32768),
        ([(8192 * at, 4096) for at in range(300)], 65536, 65536),  # as much as the data
        ([(8192 * at, 1024) for at in range(1500)], 65536, 2048),
    ],
)
def test_blocks_are_small_where_data_is_scattered(
    runs: list[tuple[int, int]], most: int, found: int
) -> None:
    """Else a file of a few MiB could take GiB."""
    parts = [ihex(4, 0, b"\0\0")]
    for start, size in runs:
        for at in range(start, start + size, 250):
            parts.append(ihex(4, 0, (at >> 16).to_bytes(2, "big")))
            data = b"x" * min(250, start + size - at)
            parts.append(ihex(0, at & 0xFFFF, data))
    text = "\n".join([*parts, END]).encode()
    with MemoryPool.load(io.BytesIO(text), most, format="hex") as pool:
        assert pool.block_size == found
        assert list(pool.written()) == sorted(runs)
        held = sum(size for _, size in runs)
        most = max(64 * len(runs), 2 * held, held + (1 << 20))
        assert pool.stats.held_bytes <= most + pool.block_size


# ------------------------------------------------------------------------------- others


def test_guess(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for start, form in {
        b"\x7fELF\2\1\1": "elf",
        b":020000040002F8\r\n": "hex",
        b"\n :0200000a": "hex",
        b"S0030000FC": "srec",
        b"S31500": "srec",
        b"SX0300": "raw",
        b"S0": "raw",
        b":hello": "raw",
        b"\x7fEL": "raw",
        b"": "raw",
        b"\0" * 100: "raw",
    }.items():
        path.write_bytes(start)
        assert sniff_module.guess(path) == form
        assert form in formats_module.FORMATS
    with pytest.raises(FileNotFoundError):
        sniff_module.guess(tmp_path / "none")


TEXT = ":0400010061626364" + "71\n:00000001FF\n"  # abcd at 1
HEX_FILE = TEXT.encode()
SREC_FILE = b"S107000161626364" + b"6D\nS9030000FC\n"


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("x", HEX_FILE, "hex"),
        ("x.bin", HEX_FILE, "hex"),  # no suffix of any format
        ("x.HEX", HEX_FILE, "hex"),
        ("x.hex", b"\xef\xbb\xbf" + HEX_FILE, "hex"),
        ("x.hex", b"\n" * 100 + HEX_FILE, "hex"),
        ("x", b"\xef\xbb\xbf" + HEX_FILE, "hex"),
        ("x", SREC_FILE, "srec"),
        ("x.s19", SREC_FILE, "srec"),
        ("x.s19", SREC_FILE.lower(), "srec"),
        ("x.mot", b" \r\n" + SREC_FILE, "srec"),
        ("x", SREC_FILE.lower(), "raw"),
        ("x", b"; a comment\n" + HEX_FILE, "raw"),
        ("x.hex.gz", b"raw", "raw"),  # a path is never compressed
        ("x", b"raw", "raw"),
    ],
)
def test_what_a_file_is(name: str, data: bytes, found: str, tmp_path: Path) -> None:
    """The same by path, by URL, of an open file and for the command line."""
    path = tmp_path / name
    path.write_bytes(data)
    assert sniff_module.guess(path) == found
    sources: list[Any] = [path, str(path), bytes(path), path.open("rb")]
    for source in sources:
        with MemoryPool.load(source) as pool:
            if found == "raw":
                assert pool[:] == data
            else:
                assert (list(pool.written()), pool[:]) == ([(1, 4)], b"\0abcd")
    sources[-1].close()
    with MemoryPool.load(path, format="raw") as pool:
        assert pool[:] == data


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("x.hex", b"; a comment\n" + HEX_FILE, "line 1: no record: '; a comment'"),
        ("x.hex", TEXT.encode("utf-16"), "line 1: no record"),
        ("x.hex", b"", "the last record is missing"),
        ("x.hex", b"\0" * 5000, "line 1: longer than a record"),
        ("x.s19", b"# a comment\n" + SREC_FILE, "line 1: no record"),
        ("x.elf", b"text", "no ELF file"),
        ("x.hex", SREC_FILE, "of the format srec, the suffix is of hex"),
        ("x.s37", HEX_FILE, "of the format hex, the suffix is of srec"),
        ("x.hex", b"\x7fELF", "of the format elf, the suffix is of hex"),
    ],
)
def test_files_that_are_not_what_their_suffix_says(
    name: str, data: bytes, error: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FormatError, match=error):
        MemoryPool.load(path)
    if data:
        with MemoryPool.load(path, format="raw") as pool:
            assert pool[:] == data


def test_the_suffix_says_what_is_saved(tmp_path: Path) -> None:
    with MemoryPool(100, 4) as pool:
        pool.write(4, b"abcd")
        for name, start in {"x.hex": b":0400", "x.S19": b"S0", "x.bin": bytes(4)}.items():
            pool.save(tmp_path / name)
            assert (tmp_path / name).read_bytes().startswith(start)
            with MemoryPool.load(tmp_path / name) as again:
                assert again[:8] == pool[:8]
            with (tmp_path / name).open("wb") as file:
                pool.save(file)
            assert (tmp_path / name).read_bytes().startswith(start)
        with pytest.raises(ValueError, match="possible are hex and srec"):
            pool.save(tmp_path / "x.elf")
        pool.save(tmp_path / "delta.hex", since=pool)  # has a format of its own
        pool.apply(tmp_path / "delta.hex")


def test_compressed_files_of_urls_are_recognised(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with MemoryPool(100, 4) as pool:
        pool.write(4, b"abcd")
        for url in ("memory://f/x.hex.gz", (tmp_path / "x.s19.xz").as_uri()):
            pool.save(url)
            with MemoryPool.load(url) as again:
                assert list(again.written()) == [(4, 4)]


@pytest.mark.parametrize("data", [HEX_FILE, SREC_FILE, b"raw", b":", b"", b"r" * 70_000])
def test_streams_are_recognised(data: bytes) -> None:
    """None of what was read to recognise them is lost."""

    class Pipe(Slow):
        def seekable(self) -> bool:
            return True  # a lie

        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise OSError(errno.ESPIPE, "no")

        def tell(self) -> int:
            return 64

    for source in (Slow(data), Pipe(data)):
        if not data:
            with pytest.raises(PoolRangeError, match="empty"):
                MemoryPool.load(source)
            continue
        with MemoryPool.load(source) as pool:
            short = data in (HEX_FILE, SREC_FILE)
            assert pool[:] == (b"\0abcd" if short else data)
    with MemoryPool.load(Slow(elf(PROGRAM))) as pool:
        assert pool[-4:] == b"data"


def test_without_the_package(pool: MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bincopy", None)
    with pytest.raises(ImportError, match=r"pip install 'pymempool\[images\]'"):
        saved(pool, HEX)
    with pytest.raises(ImportError, match="needs bincopy"):
        loaded(b"", SREC)


# ---------------------------------------------------------------------------------- ELF

Segment = tuple[int, int, bytes, int]  # virtual and physical address, data, size of zeros


def elf(
    segments: list[Segment], *, sections: bool = True, bits: int = 64, big: bool = False
) -> bytes:
    """A program of these segments, each with one section of data and one of zeros."""
    order, wide = ">" if big else "<", bits == 64
    word = "Q" if wide else "I"
    header_size, load_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    data_at = header_size + load_size * len(segments)
    loads, table, contents = b"", [(0, 0, 0, 0, 0)], b""
    for virtual, physical, data, zeros in segments:
        at = data_at + len(contents)
        sizes = (len(data), len(data) + zeros)
        fields = (at, virtual, physical, *sizes)
        if wide:
            loads += struct.pack(order + "II6Q", 1, 5, *fields, 1)
        else:
            loads += struct.pack(order + "8I", 1, *fields, 5, 1)
        table.append((1, 2, virtual, at, len(data)))  # of data, allocated
        table.append((8, 2, virtual + len(data), at + len(data), zeros))  # of zeros
        contents += data
    table.append((1, 0, 0, data_at, 1))  # not allocated
    names_at = data_at + len(contents)
    table.append((3, 0, 0, names_at, 1))  # the names of sections: all are empty
    contents += b"\0"
    held = b""
    for kind, flags, address, at, size in table if sections else []:
        held += struct.pack(
            f"{order}II4{word}II2{word}", 0, kind, flags, address, at, size, 0, 0, 1, 0
        )
    header = b"\x7fELF" + bytes([2 if wide else 1, 2 if big else 1, 1]) + bytes(9)
    header += struct.pack(
        f"{order}HHI3{word}I6H", 2, 62 if wide else 3, 1, 0x1234, header_size,
        names_at + 1 if sections else 0, 0, header_size, load_size, len(segments),
        section_size if sections else 0, len(table) if sections else 0,
        len(table) - 1 if sections else 0,
    )  # fmt: skip
    return header + loads + contents + held


PROGRAM: list[Segment] = [
    (0x8000000, 0x8000000, b"code" * 100, 0),
    (0x20000000, 0x8000200, b"data", 100),
]


@pytest.mark.parametrize("sections", [True, False])
@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize("bits", [32, 64])
def test_elf(bits: int, big: bool, sections: bool) -> None:
    data = elf(PROGRAM, bits=bits, big=big, sections=sections)
    pool = loaded(data, "elf")
    assert list(pool.extents()) == [(0x8000000, 400), (0x8000200, 4)]
    assert pool.read(0x8000000, 400) == b"code" * 100
    assert (pool.total_size, pool[-4:]) == (0x8000204, b"data")
    if sections:  # without them bincopy finds nothing
        theirs = bincopy.BinFile()
        theirs.add_elf(data)
        assert [(part.address, bytes(part.data)) for part in theirs.segments] == [
            (0x8000000, b"code" * 100),
            (0x8000200, b"data"),
        ]


def test_elf_without_physical_addresses() -> None:
    pool = loaded(elf([(0x1000, 0, b"code", 0), (0x3000, 0, b"data", 9)]), "elf")
    assert runs(pool) == dict(enumerate(b"code", 0x1000)) | dict(
        enumerate(b"data", 0x3000)
    )


def test_elf_far_up_and_large() -> None:
    far = (1 << 63) + 5
    code = bytes(range(256)) * 10000
    pool = loaded(elf([(far, far, code, 0), (7, 7, b"low", 0)]), "elf", 4096)
    assert pool.total_size == far + len(code)
    assert (pool.read(far, len(code)), pool.read(6, 5)) == (code, b"\0low\0")


def test_elf_in_a_part_of_a_file_and_in_a_stream() -> None:
    data = elf(PROGRAM)
    file = io.BytesIO(b"before" + data)
    file.seek(6)
    for source in (file, Slow(data)):
        pool = load(lambda size, _: MemoryPool(size, 16), source, "elf")
        assert pool[-4:] == b"data"


def test_bad_elf() -> None:
    good = elf(PROGRAM)
    for bad, message in {
        b"": "no ELF file",
        b"\x7fELF": "no ELF file",
        b"text" * 100: "no ELF file",
        good[:150]: "damaged",
        elf(PROGRAM, sections=False)[:-5]: "cut off",
        elf([(5, 5, b"code", 0), (8, 8, b"data", 0)]): "data at 0x8 for a second time",
        elf([]): "there is no data in this, as an ELF file",
        elf([(5, 5, b"", 100)]): "there is no data",
    }.items():
        with pytest.raises(FormatError, match=message):
            loaded(bad, "elf")
    top = (1 << 64) - 3
    with pytest.raises(PoolRangeError, match="a pool ends at"):
        loaded(elf([(top, top, b"code", 0)], sections=False), "elf")


def test_elf_on_a_disk_that_fails() -> None:
    class Failing(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise OSError(errno.EIO, "worn out")

    with pytest.raises(OSError, match="worn out"):
        load(MemoryPool, Failing(elf(PROGRAM)), "elf")


def test_elf_that_becomes_shorter() -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b"" if size == 400 else super().read(size)

    with pytest.raises(FormatError, match="cut off"):
        load(MemoryPool, Shrinking(elf(PROGRAM)), "elf")


def header_at(bits: int) -> dict[str, tuple[int, str]]:
    """Where the numbers stand in the header of an ELF file, and how struct has them."""
    wide = bits == 64
    word, start = ("Q", 24) if wide else ("I", 24)
    size = struct.calcsize(word)
    rest = start + 3 * size + 4
    names = ["size", "load_step", "load_count", "section_step", "section_count"]
    return {
        "loads": (start + size, word),
        "sections": (start + 2 * size, word),
        **{name: (rest + 2 * at, "H") for at, name in enumerate(names)},
    }


def patched(program: bytes, bits: int, big: bool = False, **numbers: int) -> bytes:
    """The program with other numbers in its header."""
    data = bytearray(program)
    for name, number in numbers.items():
        at, word = header_at(bits)[name]
        struct.pack_into((">" if big else "<") + word, data, at, number)
    return bytes(data)


@pytest.mark.parametrize("bits", [32, 64])
def test_elf_with_more_of_them_than_the_header_can_count(bits: int) -> None:
    """Then the first section says how many there are, of segments and of sections."""
    program = bytearray(elf(PROGRAM, bits=bits))
    at, word = header_at(bits)["sections"]
    (first,) = struct.unpack_from("<" + word, program, at)
    row = "<II4QI" if bits == 64 else "<7I"
    fields = list(struct.unpack_from(row, program, first))
    linked = first + struct.calcsize(row)
    struct.pack_into(row, program, first, *fields[:5], 7, 0)
    struct.pack_into("<I", program, linked, len(PROGRAM))
    many = patched(bytes(program), bits, load_count=0xFFFF, section_count=0)
    assert runs(loaded(many, "elf")) == runs(loaded(elf(PROGRAM), "elf"))
    struct.pack_into("<I", program, linked, 0xFFFFFFFF)
    with pytest.raises(FormatError, match="ends too early"):
        loaded(patched(bytes(program), bits, load_count=0xFFFF), "elf")
    struct.pack_into(row, program, first, *fields[:5], (1 << bits) - 1, 0)
    with pytest.raises(FormatError, match="ends too early"):
        loaded(patched(bytes(program), bits, section_count=0), "elf")


@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize("bits", [32, 64])
def test_elf_with_hostile_tables(bits: int, big: bool, tmp_path: Path) -> None:
    """The same of a file of the system, which can be asked for places it cannot have."""
    top, path = (1 << bits) - 1, tmp_path / "program"
    program = elf(PROGRAM, bits=bits, big=big)
    for numbers in (
        {"loads": top},
        {"loads": top // 2 - 7},
        {"sections": top},
        {"sections": top // 2 - 7},
        {"sections": top, "section_count": 0},
        {"load_step": 0},
        {"load_step": 31},
        {"load_step": 0xFFFF},
        {"load_count": 0xFFFE},
        {"load_count": 0xFFFF, "section_count": 0xFFFF},
        {"section_step": 0, "section_count": 0xFFFF},
        {"section_step": 39},
        {"section_step": 0xFFFF},
        {"section_count": 0xFFFF},
    ):
        path.write_bytes(patched(program, bits, big, **numbers))
        with pytest.raises(FormatError, match="no ELF file, or a damaged one"):
            MemoryPool.load(path, format="elf")


@pytest.mark.parametrize("bits", [32, 64])
def test_elf_whose_sections_cover_no_segment(bits: int) -> None:
    """As memory dumps, with nothing but the null section, and stripped files."""
    whole = runs(loaded(elf(PROGRAM, bits=bits, sections=False), "elf"))
    program = bytearray(elf(PROGRAM, bits=bits))
    assert runs(loaded(patched(bytes(program), bits, section_count=1), "elf")) == whole
    at, word = header_at(bits)["sections"]
    (first,) = struct.unpack_from("<" + word, program, at)
    program[first:] = bytes(len(program) - first)  # a table of zeros
    assert runs(loaded(bytes(program), "elf")) == whole


def test_elf_in_which_some_segments_have_sections() -> None:
    """Of those the sections are loaded, of the others all bytes."""
    program = bytearray(elf([*PROGRAM, (0x9000, 0x9000, b"no section", 0)]))
    (table,) = struct.unpack_from("<Q", program, header_at(64)["sections"][0])
    struct.pack_into("<Q", program, table + 5 * 64 + 8, 0)  # the flags: not allocated
    at = table + 64 + 24  # the first section: without its first 4 and last 8 bytes
    offset, size = struct.unpack_from("<2Q", program, at)
    struct.pack_into("<2Q", program, at, offset + 4, size - 12)
    pool = loaded(bytes(program), "elf", 1)
    assert list(pool.extents()) == [(0x9000, 10), (0x8000004, 388), (0x8000200, 4)]
    assert pool.read(0x9000, 10) == b"no section"


@pytest.mark.parametrize("sections", [True, False])
@pytest.mark.parametrize("overlap", [True, False])
def test_elf_that_loads_the_same_bytes_again_and_again(
    sections: bool, overlap: bool
) -> None:
    """Some 50 KB could say where to put 300 times 300 pieces."""
    count = 300
    data = bytearray(elf([(at, at, b"x", 0) for at in range(count)], sections=sections))
    start, step = 64 + 56 * count, 0 if overlap else 2 * count
    for at in range(count):
        load = start, at * step, at * step, count, count
        struct.pack_into("<5Q", data, 64 + 56 * at + 8, *load)
    tracemalloc.start()
    with pytest.raises(FormatError, match="second time" if overlap else "more bytes"):
        loaded(bytes(data), "elf")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


def test_elf_in_which_two_segments_load_the_same_bytes() -> None:
    """As a ROM that is seen in two places."""
    data = bytearray(elf([(0, 0, b"code", 0), (0x100, 0x100, b"data", 0)]))
    at = 64 + 56 + 8
    struct.pack_into("<Q", data, at, 64 + 2 * 56)  # where the first one lies
    pool = loaded(bytes(data), "elf")
    assert pool[:] == b"code".ljust(0x100, b"\0") + b"code"


def test_elf_without_a_way_to_seek() -> None:
    class Only:
        def __init__(self, data: bytes) -> None:
            self.read = io.BytesIO(data).read

    pool = load(lambda size, _: MemoryPool(size, 16), Only(elf(PROGRAM)), "elf")
    assert pool[-4:] == b"data"


NUMBERS = st.sampled_from([0, 1, 7, 63, 64, 0xFF, 0xFFFF, (1 << 31) - 1, (1 << 64) - 1])


@given(st.data())
def test_damaged_elf(data: st.DataObject) -> None:
    """Whatever stands there, it is an error of ours or a pool."""
    bits, big = data.draw(st.sampled_from([32, 64])), data.draw(st.booleans())
    sections = data.draw(st.booleans())
    program = bytearray(elf(PROGRAM, bits=bits, big=big, sections=sections))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(program) - 1))
        program[at] = data.draw(st.integers(0, 255))
    for _ in range(data.draw(st.integers(0, 2))):  # and whole numbers
        at = data.draw(st.integers(4, 70).map(lambda word: 4 * word))
        number = data.draw(NUMBERS).to_bytes(8, "big" if big else "little")
        program[at : at + 4] = number[4:] if big else number[:4]
    try:
        pool = loaded(bytes(program), "elf", 64)
    except (FormatError, PoolRangeError):
        return
    assert pool.stats.held_bytes <= len(program) + 512
