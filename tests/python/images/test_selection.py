# SPDX-License-Identifier: MIT
"""Where images are placed and which bytes of them: offset, crop, fill, from_lowest."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pymempool import FormatError, MemoryPool, PoolRangeError

bincopy = pytest.importorskip("bincopy", reason="bincopy is not installed")

FLASH = 0x0800_0000
SIZE = 0x1_0000


def of(held: dict[int, bytes], size: int = 1 << 32, block_size: int = 64) -> MemoryPool:
    pool = MemoryPool(size, block_size, track_written=True)
    for at, data in held.items():
        pool.write(at, data)
    return pool


def saved(pool: MemoryPool, form: str = "raw", **options: Any) -> bytes:
    file = io.BytesIO()
    pool.save(file, format=form, **options)
    return file.getvalue()


def by_address(data: bytes, form: str) -> dict[int, int]:
    """What bincopy finds in a file: bytes by address."""
    found = bincopy.BinFile()
    found.add(data.decode())
    return {
        at: byte
        for segment in found.segments
        for at, byte in enumerate(segment.data, segment.address)
    }


def test_a_program_far_up_is_as_long_as_it_is() -> None:
    pool = of({FLASH: b"\0" + b"x" * 62 + b"\0"})
    assert saved(pool, from_lowest=True) == b"\0" + b"x" * 62 + b"\0"
    assert saved(pool, from_lowest=1, crop=(FLASH + 60, None)) == b"xxx\0"
    with MemoryPool.load(io.BytesIO(saved(pool, "hex"))) as again:
        assert saved(again, from_lowest=True) == saved(pool, from_lowest=True)
    assert saved(of({5: b"a"}), crop=(0, 9)) == bytes(5) + b"a"


RUNS = st.lists(
    st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=40)), max_size=6
)
CROPS = st.none() | st.tuples(st.integers(0, 400), st.none() | st.integers(0, 500))


@given(
    runs=RUNS,
    crop=CROPS,
    fill=st.none() | st.sampled_from([0, 0xFF]),
    from_lowest=st.booleans(),
    form=st.sampled_from(["raw", "hex", "srec"]),
    block_size=st.sampled_from([1, 16, 4096]),
)
def test_as_a_model_that_is_a_dict(
    runs: Any, crop: Any, fill: int | None, from_lowest: bool, form: str, block_size: int
) -> None:
    """By the definition, one byte at a time."""
    pool = of(dict(runs), 400, block_size)
    held = {a + i: byte for a, data in dict(runs).items() for i, byte in enumerate(data)}
    options = {"crop": crop, "fill": fill, "from_lowest": from_lowest}
    if form != "raw":
        options["from_lowest"] = from_lowest = False
    if crop is None and fill is None and not from_lowest:
        return  # the pool as it is, which others test
    start, end = crop or (0, None)
    if end is not None and end <= start:
        with pytest.raises(PoolRangeError, match="crop is empty"):
            saved(pool, form, **options)
        return
    held = {a: b for a, b in held.items() if start <= a and (end is None or a < end)}
    where = set(held)
    if fill is not None and held:
        where = set(range(min(held), max(held) + 1))
    if fill is not None and crop and end is not None:
        where = set(range(start, end))
    elif fill is not None and crop and held:
        where = set(range(start, max(held) + 1))
    if not where:
        with pytest.raises(FormatError, match=f"no byte was set from {start:#x} on"):
            saved(pool, form, **options)
        return
    data = saved(pool, form, **options)
    if form == "raw":
        first = min(where) if from_lowest else 0
        expected = [held.get(a, fill or 0) for a in range(first, max(where) + 1)]
        assert list(data) == expected
    else:
        assert by_address(data, form) == {a: held.get(a, fill) for a in where}


def test_fill_of_much_in_pieces() -> None:
    pool = of({10: b"a", 3 << 20: b"b"})
    data = saved(pool, fill=0xEE, from_lowest=True)
    assert data == b"a" + b"\xee" * ((3 << 20) - 11) + b"b"
    reports: list[Any] = []
    pool.save(
        io.BytesIO(), format="raw", fill=1, progress=lambda *done: reports.append(done)
    )
    assert reports[-1] == ((3 << 20) + 1,) * 2
    assert len(reports) == 4


@pytest.mark.parametrize("way", ["path", "file"])
@pytest.mark.parametrize("offset", [1, 4096, FLASH, FLASH + 7])
@pytest.mark.parametrize("wipe", [False, True])
def test_a_raw_image_at_an_offset(
    tmp_path: Path, way: str, offset: int, wipe: bool
) -> None:
    """Each of its bytes is set, zeros too, and none before it."""
    data = b"\0vectors" + bytes(200_000) + b"code\0"
    (tmp_path / "boot.bin").write_bytes(data)
    source = tmp_path / "boot.bin" if way == "path" else io.BytesIO(data)
    with MemoryPool.load(source, 4096, offset=offset, wipe=wipe) as pool:
        assert list(pool.written()) == [(offset, len(data))]
        assert pool.total_size == offset + len(data)
        assert pool.read(offset, len(data)) == data
        assert saved(pool, from_lowest=True) == data
        expected = dict(enumerate(data, offset))
        assert by_address(saved(pool, "hex"), "hex") == expected
        pool.discard(offset, 8)
        assert list(pool.written()) == [(offset + 8, len(data) - 8)]


@pytest.mark.parametrize("form", ["hex", "srec"])
def test_addresses_are_moved(form: str) -> None:
    pool = of({FLASH: b"code", FLASH + 0x100: b"\0"})
    pool.start_address, pool.header = FLASH + 1, b"mine"
    for offset, back in ((0x1000, -0x1000), (-FLASH, FLASH)):
        with MemoryPool.load(
            io.BytesIO(saved(pool, form)), format=form, offset=offset
        ) as moved:
            runs = [(FLASH + offset, 4), (FLASH + offset + 0x100, 1)]
            assert list(moved.written()) == runs
            assert moved.start_address == FLASH + offset + 1
            data = io.BytesIO(saved(moved, form))
        with MemoryPool.load(data, format=form, offset=back) as again:
            assert saved(again, form) == saved(pool, form)


def test_offsets_that_lead_nowhere(tmp_path: Path) -> None:
    pool = of({0x10: b"a"}, 0x20)
    pool.start_address = 8
    file = saved(pool, "hex")
    wrong = "there is data at 0x10, which -0x11 moves below 0"
    with pytest.raises(PoolRangeError, match=wrong):
        MemoryPool.load(io.BytesIO(file), offset=-0x11)
    wrong = "the program starts at 0x8, which -0x10 moves below 0"
    with pytest.raises(PoolRangeError, match=wrong):
        MemoryPool.load(io.BytesIO(file), offset=-0x10)
    with pytest.raises(PoolRangeError, match="offset of a raw image is -1"):
        MemoryPool.load(io.BytesIO(b"raw"), offset=-1)
    with pytest.raises(PoolRangeError):
        MemoryPool.load(io.BytesIO(b"raw"), offset=2**64 - 2)
    with pytest.raises(TypeError, match="offset must be an integer"):
        MemoryPool.load(io.BytesIO(b"raw"), offset="0x10")  # type: ignore[arg-type]
    (tmp_path / "x").write_bytes(b"raw")
    with pytest.raises(ValueError, match="pickle_path is for raw images"):
        MemoryPool.load(tmp_path / "x", offset=5, pickle_path=True)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"crop": (5, 5)}, PoolRangeError, "crop is empty: 0x5 .. 0x5"),
        ({"crop": (-1, 5)}, PoolRangeError, r"crop\[0\] is -1"),
        ({"crop": (1, "x")}, TypeError, r"crop\[1\] must be an integer"),
        ({"fill": 256}, PoolRangeError, "fill is 256"),
        ({"crop": (5, None)}, FormatError, "no byte was set from 0x5 on"),
        ({"from_lowest": True, "form": "hex"}, ValueError, "from_lowest is for raw"),
        ({"fill": 0, "since": MemoryPool(9)}, ValueError, "are not for a delta"),
    ],
)
def test_selections_that_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(error, match=words):
        of({1: b"a"}).save(path, format=options.pop("form", "raw"), **options)
    assert path.read_bytes() == b"old"


def test_what_is_saved_is_of_one_moment() -> None:
    pool = of({1: b"a", 9: b"b"}, 4096)

    class Meddler(io.BytesIO):
        def write(self, data: Any) -> int:
            pool.write(0, b"later" * 9)
            return super().write(data)

    file = Meddler()
    pool.save(file, format="raw", from_lowest=True, fill=0x2E)
    assert file.getvalue() == b"a.......b"


@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_as_objcopy_and_bincopy_write_binaries(tmp_path: Path, fill: int) -> None:
    objcopy = shutil.which("objcopy")
    if objcopy is None:
        pytest.skip("objcopy is not installed")
    pool = of({FLASH + 3: b"vectors\0", FLASH + 0x200: b"\0code", FLASH + SIZE: b"z"})
    pool.save(tmp_path / "in.hex")
    step = [objcopy, "-I", "ihex", "-O", "binary", f"--gap-fill={fill:#x}"]
    subprocess.run([*step, "in.hex", "out.bin"], cwd=tmp_path, check=True)
    data = saved(pool, fill=fill, from_lowest=True)
    assert data == (tmp_path / "out.bin").read_bytes()
    found = bincopy.BinFile()
    found.add_ihex_file(tmp_path / "in.hex")
    assert data == found.as_binary(padding=bytes([fill]))
    low, high = FLASH + 5, FLASH + 0x202
    found.crop(low, high)
    crop = low, high
    expected = found.as_binary(padding=bytes([fill]))
    assert saved(pool, fill=fill, crop=crop, from_lowest=True) == expected
    assert by_address(saved(pool, "hex", crop=crop), "hex") == by_address(
        found.as_ihex().encode(), "hex"
    )
