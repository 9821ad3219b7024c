# SPDX-License-Identifier: MIT
"""Marks: which bytes of a pool were set, kept in a second pool.

    Owner ─► the C pool, by whole blocks
          └► Marked ─► a second C pool of the same size: 1 for a byte that was set, else 0

A block says that something in it was written, and image formats need to know which bytes
were. So a pool that tracks them has a second one, as sparse as the first. Each call that
changes the pool does the like to the marks: a write or a fill sets a range to 1, and a
discard, a copy, a resize, a clone and a restore are the same calls. Both happen or none.

Pools that track nothing pay one comparison for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_size_t, sizeof

from .._native import handles
from .._native.calls import library_for, parallel
from .._native.signatures import PoolOptions
from .owner import Marked, Owner

_BLOCK_MAX = 4096  # each change copies the blocks of marks that it touches

_changing: threading.RLock  # locked while a pool and its marks differ


def _renew_lock() -> None:
    """Makes the lock, anew in a forked child, where its owner may be a missing thread."""
    global _changing
    # Reentrant: a signal handler, or a finalizer, may run in its owner.
    _changing = threading.RLock()


_renew_lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def track(owner: Owner) -> None:
    """Begins to mark what is set, in a pool that holds nothing yet."""
    size = owner.ask()
    block_size = min(owner.block_size, _BLOCK_MAX)
    options = PoolOptions(sizeof(PoolOptions), size, block_size, 0, 0)
    owner.marked = Marked(owner.alias(), Owner(handles.create(options), size))


def attach(owner: Owner, source: Owner) -> None:
    """Begins to mark what is set, in a pool of which somebody kept the marks so far.

    source: the pool that they are. They are not trusted: whatever is not zero marks a
        byte, and the size is made right by the next change, as after one by C code.
    """
    owner.marked = Marked(owner.alias(), _clone(source))


def clone(owner: Owner) -> Owner:
    """A clone of a pool, with its marks."""
    if owner.marked is None:
        return _clone(owner)
    with _changing:
        made, marks = _clone(owner), _clone(owner.marked.marks)
    made.marked = Marked(made.alias(), marks)
    return made


def _clone(owner: Owner) -> Owner:
    made = Owner(handles.clone(owner.address), owner.total_size, owner.loaded)
    made.image = owner.image
    return made


@contextmanager
def changing(owner: Owner) -> Iterator[Marked]:
    """Gives a pool and its marks, to change both. If the block raises, the marks stay.

    So the marks must be changed first, and the pool by one call that changes nothing if
    it fails.
    """
    assert owner.marked is not None
    plain, marks = owner.marked
    with _changing:
        size = plain.ask()
        if marks.ask() != size:  # C code changed it
            parallel.pool_resize(marks.address, size)
            marks.total_size = size
        before = handles.clone(marks.address)
        try:
            yield owner.marked
        except BaseException:
            parallel.pool_restore(marks.address, before.address)
            marks.total_size = size
            raise
        finally:
            del before


def restore(marks: Owner, source: Owner) -> None:
    """Makes marks those of a pool, as far as it has any."""
    if source.marked is not None:
        parallel.pool_restore(marks.address, source.marked.marks.address)
        marks.total_size = source.marked.marks.total_size
        return
    size = source.ask()
    parallel.pool_resize(marks.address, size)
    marks.total_size = size
    mark_blocks(marks, 0, source, 0, size)


def mark_blocks(marks: Owner, offset: int, source: Owner, at: int, size: int) -> None:
    """Marks a range as far as a pool without marks holds data in [at, at + size)."""
    parallel.pool_discard(marks.address, offset, size)
    start, length, end = c_size_t(), c_size_t(), at + size
    shift = offset - at
    if source.image.whole:
        library_for(size).pool_fill(marks.address, offset, 1, size)
        return
    while parallel.pool_next_extent(source.address, at, end, start, length):
        at = start.value + length.value
        parallel.pool_fill(marks.address, start.value + shift, 1, length.value)
