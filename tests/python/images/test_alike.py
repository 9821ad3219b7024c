# SPDX-License-Identifier: MIT
"""Records that are parsed and made many at once: the same as one by one."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, strategies as st
from internals import alike_module as alike, intel_hex_module, srec_module

from pymempool import FormatError, MemoryPool

bincopy = pytest.importorskip("bincopy", reason="bincopy is not installed")

KINDS = {
    "0": intel_hex_module._DATA,
    **{k.decode(): v for k, v in srec_module._DATA.items()},
}
EACH = pytest.mark.parametrize("kind", KINDS)
ALL, NONE = 1, 1 << 30  # of the lines are parsed together


def record(kind: str, address: int, data: bytes = b"") -> str:
    """A line of a HEX file for the kind 0, of an S-record file for others."""
    if kind == "0":
        return str(bincopy.pack_ihex(0, address, len(data), data))
    return str(bincopy.pack_srec(kind, address, len(data), data))


def run(kind: str, address: int, data: bytes, size: int) -> list[str]:
    return [
        record(kind, address + at, data[at : at + size])
        for at in range(0, len(data), size)
    ]


def found(text: bytes, kind: str, few: int) -> Any:
    """All that a file says; or its error."""
    try:
        with (
            mock.patch.object(alike, "FEW", few),
            MemoryPool.load(
                io.BytesIO(text), 64, format="hex" if kind == "0" else "srec"
            ) as pool,
        ):
            held = [(at, pool.read(at, size)) for at, size in pool.written()]
            return held, pool.start_address, pool.header, pool.total_size
    except FormatError as error:
        return str(error)


def file_of(kind: str, lines: list[str], end: str = "\n") -> bytes:
    last = ":00000001FF" if kind == "0" else "S9030000FC"
    return end.join([*lines, last, ""]).encode()


@EACH
def test_runs(kind: str) -> None:
    data = bytes(range(256))
    lines = run(kind, 0x1000, data, 16) + run(kind, 0x2000, data, 16)
    for texts in (lines, [line + "\r" for line in lines]):
        assert alike.unpack([text.encode() for text in texts], KINDS[kind]) == [
            (0, 0x1000, data, 16),
            (16, 0x2000, data, 16),
        ]


@EACH
@pytest.mark.parametrize("size", [1, 2, 250, 251, 252, 253, 255])
def test_sizes_of_records(kind: str, size: int) -> None:
    """The largest ones have sums of more than 16 bits, and are parsed one by one."""
    if kind != "0" and size > 254 - KINDS[kind].width:
        size = 254 - KINDS[kind].width
    data = b"\xff" * (size * 9)
    lines = run(kind, 0x0800, data, size)
    raw = [line.encode() for line in lines]
    assert (alike.unpack(raw, KINDS[kind]) is None) == (kind == "0" and size > 252)
    expected = [(0x0800, data)]
    assert found(file_of(kind, lines), kind, ALL)[0] == expected


@EACH
@given(
    st.integers(0, 1 << 15),
    st.integers(1, 20),
    st.sampled_from([1, 2, 16, 32, 250]),
    st.randoms(use_true_random=False),
)
def test_lines_are_those_of_bincopy(
    kind: str, address: int, count: int, size: int, random: Any
) -> None:
    data = random.randbytes(count * size)
    lines = alike.pack(KINDS[kind], address, data, size)
    assert lines == run(kind, address, data, size)


DAMAGE = st.sampled_from(b"0123456789abcdefABCDEF") | st.integers(0, 255)
RUNS = st.lists(
    st.tuples(
        st.integers(0, 0x400) | st.integers(0xFE00, 0xFF00),
        st.sampled_from([1, 2, 3, 16]),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=4,
)


@EACH
@given(
    RUNS,
    st.sampled_from(["\n", "\r\n", " \n", "\n\n"]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0), DAMAGE), max_size=2),
    st.randoms(use_true_random=False),
)
def test_together_or_one_by_one(
    kind: str,
    parts: list[tuple[int, int, int]],
    end: str,
    lower: bool,
    damage: list[tuple[int, int]],
    random: Any,
) -> None:
    """Runs in any order, which may overlap, and damaged: the same data, or error."""
    lines = []
    for address, size, count in parts:
        lines += run(kind, address, random.randbytes(size * count), size)
    text = bytearray(file_of(kind, lines, end))
    if lower:
        text = bytearray(text.lower())
    for at, byte in damage:
        text[at % len(text)] = byte
    one_by_one = found(bytes(text), kind, NONE)
    assert found(bytes(text), kind, ALL) == one_by_one
    assert found(bytes(text), kind, 8) == one_by_one


@EACH
def test_the_line_of_an_error_among_many(kind: str) -> None:
    data = bytes(range(256))
    lines = run(kind, 0x1000, data, 16)
    again = run(kind, 0x0F80, data, 16)
    far = record(kind, 0xF000, b"far")
    for before in (lines, [far, *lines]):  # in ascending order, and not
        text = file_of(kind, before + again)
        number = len(before) + 9
        message = f"line {number}: data at 0x1000 for a second time"
        assert found(text, kind, ALL) == found(text, kind, NONE) == message
        text = file_of(kind, before + again[:8])
        assert found(text, kind, ALL)[0][0] == (0x0F80, data[:128] + data)
    bad = [*lines[:5], lines[5][:-1] + "G", *lines[6:]]
    assert found(file_of(kind, bad), kind, ALL).startswith("line 6: no record")


def test_the_end_of_the_addresses_among_many() -> None:
    lines = run("3", (1 << 32) - 68, bytes(72), 8)
    message = "line 9: data past the end of the addresses"
    for few in (ALL, NONE):
        assert found(file_of("3", lines), "3", few) == message


@EACH
@pytest.mark.parametrize(
    "wrong",
    [
        lambda lines: [lines[0], lines[1][1:] + "0", *lines[2:]],
        lambda lines: [lines[0] + lines[1], " " * len(lines[0] + lines[1]), *lines[2:]],
        lambda lines: [*lines[:-1], lines[-1][:-2] + "zz"],
        lambda lines: [*lines[:-1], lines[-1][:-2] + lines[-1][:1] + "0"],
        lambda lines: [*lines[:-1], lines[-1][:-4] + "00" + lines[-1][-2:]],
        lambda lines: [line[:-1] for line in lines],
        lambda lines: [line[:9] for line in lines],
        lambda lines: ["" for line in lines],
        lambda lines: [" " + line[:-1] + "\t" for line in lines],
    ],
)
def test_lines_that_are_not_alike_or_wrong(kind: str, wrong: Any) -> None:
    lines = wrong(run(kind, 0, bytes(range(1, 201)), 20))
    assert alike.unpack([line.encode() for line in lines], KINDS[kind]) is None
    text = file_of(kind, lines)
    assert found(text, kind, ALL) == found(text, kind, NONE)


def test_records_of_the_same_length_without_data() -> None:
    """Between records of two bytes of data, those that say where these are."""
    lines = []
    for high in range(20):
        lines.append(str(bincopy.pack_ihex(4, 0, 2, bytes([0, high]))))
        lines += run("0", 0x1000, b"abcd", 2)
    expected = [(high * 0x10000 + 0x1000, b"abcd") for high in range(20)]
    text = file_of("0", lines)
    assert found(text, "0", ALL) == found(text, "0", NONE)
    assert found(text, "0", ALL)[0] == expected


@pytest.mark.parametrize("form", ["hex", "srec"])
def test_few_records_are_parsed_one_by_one(form: str) -> None:
    """Of a file of ordinary records, those that hold no data."""
    with MemoryPool(1 << 20) as pool:
        pool.write(0, b"data" * 50_000)
        file = io.BytesIO()
        pool.save(file, format=form)
    file.seek(0)
    name = "unpack_ihex" if form == "hex" else "unpack_srec"
    with mock.patch.object(bincopy, name, wraps=getattr(bincopy, name)) as unpack:
        assert MemoryPool.load(file, format=form).total_size >= 200_000
    assert 0 < unpack.call_count < 40
