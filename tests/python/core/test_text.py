# SPDX-License-Identifier: MIT
"""Text for people: sizes, times, counts, names; and that it escapes what is not plain."""

from __future__ import annotations

import io

import pytest
from internals import words_module as words


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1024, "1 KiB"),
        (12345, "12.1 KiB"),
        ((1 << 30) - 1, "1.00 GiB"),
        (1 << 63, "8 EiB"),
        (1 << 74, "16384 EiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert words.human(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234e-9, "1.23 ns"),
        (9.996e-9, "10.0 ns"),
        (999.6e-9, "1.00 us"),
        (0.05, "50.0 ms"),
        (12.0, "12.0 s"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert words.human_time(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.234, "1.23"), (0.5, "0.5"), (1 / 5000, "1/5,000")]
)
def test_ratios(ratio: float, text: str) -> None:
    assert words.human_ratio(ratio) == text


def test_counts() -> None:
    assert [words.counted(n) for n in (0, 1, 2)] == ["0 bytes", "1 byte", "2 bytes"]
    assert words.counted(1, "more extent") == "1 more extent"
    assert words.counted(3, "more extent") == "3 more extents"


def test_long_texts_lose_their_start() -> None:
    assert words.shortened("abcdefgh", 8) == "abcdefgh"
    assert words.shortened("abcdefghi", 8) == "...efghi"


@pytest.mark.parametrize("name", ["a.img", "\u00e9 b", "a'b"])
def test_plain_names_stay(name: str) -> None:
    assert words.shown(name) == words.printable(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\x1b[2J", "a\udcff"])
def test_other_names_are_quoted(name: str) -> None:
    assert words.shown(name) == repr(name)


def test_what_commands_a_terminal_is_escaped() -> None:
    assert words.printable("it's\x1b[2J\n\u4e2d") == "it's\\x1b[2J\\n\u4e2d"


def test_characters_that_an_encoding_lacks_are_escaped() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert words.encodable("\u00e9\u4e2d", latin) == "\u00e9\\u4e2d"
    assert words.encodable("\u2592x", io.StringIO()) == r"\u2592x"  # it names none
