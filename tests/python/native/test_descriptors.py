# SPDX-License-Identifier: MIT
"""Descriptors: closed with their last reference or before, once, by C."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from internals import Descriptor, opened
from interrupts import interrupted_at

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="handles are closed there, and os.open() makes none"
)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_closed_with_the_last_reference() -> None:
    made = opened(os.open, os.devnull, os.O_RDONLY)
    number, other = made.number, made
    assert is_open(number)
    assert not gc.is_tracked(made)
    del made
    assert is_open(number)
    del other
    assert not is_open(number)


def test_closed_once() -> None:
    made = opened(os.open, os.devnull, os.O_RDONLY)
    number = made.number
    made.close()
    assert made.number == -1
    assert not is_open(number)
    other = os.open(os.devnull, os.O_RDONLY)  # the same number again
    assert other == number
    made.close()
    del made
    assert is_open(other)
    os.close(other)


def test_number_0_is_one() -> None:
    """Where standard input is closed, 0 is the first number that is free."""
    kept = os.dup(0)
    try:
        os.close(0)
        made = opened(os.open, os.devnull, os.O_RDONLY)
        assert made.number == 0
        assert is_open(0)
        del made
        assert not is_open(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_what_fails_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(os.open, tmp_path / "none", os.O_RDONLY)
    with pytest.raises(TypeError):
        opened(str)
    assert Descriptor().number == -1


def test_interrupted_at_every_place() -> None:
    free = os.dup(0)
    os.close(free)
    number = 1
    while interrupted_at(number, lambda: opened(os.open, os.devnull, os.O_RDONLY)):
        assert not is_open(free), number
        number += 1
    assert number > 1
