# SPDX-License-Identifier: MIT
"""Pools as pickles: each is a clone of a Moment, which is written once.

    pool ─► Moment ─► new pool: options, and one buffer for each run of data
     │            └─► a base, and what differs from it: an earlier Moment of a relative in
     │                the same pickle, or the file that the pool was loaded from
     └────► if it has them: what is known of its image; its marks, as a pool of their own

A pickler writes what it remembers as a reference. So relatives in one pickle stay
relatives, and what they share is written once. A pool cannot ask a pickler what it
remembers; but a pickler calls what it does not remember. So a pool puts the Mark of the
newest Moment of its family before its own Moment: if the mark is called, this pickle does
not have that Moment, and the pool is written as a whole.

Only picklers keep Moments alive. Holes cost nothing. Loading adopts the buffers: they are
not copied before somebody writes to them.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from .._native.arguments import integer
from .._native.signatures import HUGE, OVERCOMMIT, SIZE_MAX, WIPE
from . import lifecycle, marks, pins, ranges, stats, walks
from .image import NO_IMAGE, ImageFacts
from .owner import Owned, Owner, owner_of
from .weak import Weak, weak

Rebuild = Callable[..., Any]  # the function that pickles name

_EARLIER = 8  # the most Moments that are compared with a pool to find the nearest

# The newest Moment by thread and family. A thread pickles one thing at a time, so that
# this mostly is a Moment of the same pickle.
_newest: dict[tuple[int, int], Weak] = {}


def reduced(pool: Owned, make: type[Owned], rebuild: Rebuild) -> tuple[Any, ...]:
    """What pool.__reduce_ex__() returns.

    make: the class of the pools that Moments are loaded as.
    """
    owner = lifecycle.clone(pool._owner)
    moment = Moment(owner, make, rebuild)
    facts = type(pool), moment.known and moment.known.mark, moment
    if owner.marked is None and owner.image == NO_IMAGE and owner.loaded is None:
        return rebuild, facts
    pool_of: Any = make._cloned  # type: ignore[attr-defined]
    written = owner.marked and pool_of(owner.marked.marks)
    return rebuild, (*facts, None, (), (), owner.image.packed(), written)


class Mark:
    """Stands for a Moment, in the pickle that has it, and holds nothing."""

    def __init__(self, rebuild: Rebuild) -> None:
        self.calls = 0  #: how many picklers did not remember this mark
        self._rebuild = rebuild

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        self.calls += 1
        return self._rebuild, ()


class Moment(Owned):
    """A pool as it was when it was pickled. Nobody writes to it.

    known: the newest Moment of its family, if one pickler has written that, which may be
        the one of this Moment.
    """

    def __init__(self, owner: Owner, make: type[Owned], rebuild: Rebuild) -> None:
        self._owner = owner
        self._make, self._rebuild = make, rebuild
        self.mark = Mark(rebuild)
        self._key = threading.get_ident(), pins.family(owner)
        newest = _newest.get(self._key)
        known: Moment | None = None if newest is None else newest()
        self.known = known if known is not None and known.mark.calls == 1 else None
        self._earlier: tuple[Moment, ...] = ()  # of the same pickle

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # What holds for this pickle does not for another one, should that call as well.
        known, self.known, self._earlier = self.known, None, ()
        if known is not None and known.mark.calls == 1:  # so the pickler remembers it
            first, rest = known._earlier[:1], known._earlier[1:]
            self._earlier = (*first, *rest[2 - _EARLIER :], known)
        origin, runs = self._origin()
        found = [*self._pieces(runs)]
        starts = [start for start, _ in found]
        pieces: list[Any] = [
            pickle.PickleBuffer(piece)
            if protocol >= 5 and type(piece) is bytes
            else piece
            for _, piece in found
        ]
        _newest[self._key] = weak(self, _newest, self._key)
        total_size = self._owner.total_size
        return self._rebuild, (self._make, self.mark, origin, total_size, starts, pieces)

    def _origin(self) -> tuple[Any, Iterable[tuple[int, int]]]:
        """What this pool can be made of, and the runs that differ from it."""
        loaded = self._owner.loaded
        bases: list[Owned] = [loaded] if loaded is not None and loaded.there() else []
        bases += self._earlier
        if not bases:
            return _options(self._owner), walks.extents(self, 0, None)
        changes = ((base, [*walks.changes(self, base, 0, None)]) for base in bases)
        return min(changes, key=lambda it: sum(size for _, size in it[1]))

    def _pieces(
        self, runs: Iterable[tuple[int, int]]
    ) -> Iterator[tuple[int, bytes | int]]:
        """The start of each piece of the runs, with its bytes, or the size of a hole."""
        total_size = self._owner.total_size
        for at, size in runs:
            end = min(at + size, total_size)
            if at >= end:
                return  # the rest is past the end of this pool
            for start, length in walks.extents(self, at, end - at):
                if at < start:
                    yield at, start - at
                yield start, ranges.fetch("pool_read", self._owner, start, length)
                at = start + length
            if at < end:
                yield at, end - at


def _options(owner: Owner) -> tuple[Any, ...]:
    """What a new pool needs to know besides its size."""
    found = stats.options(owner)
    flags = [found.flags & flag != 0 for flag in (WIPE, OVERCOMMIT, HUGE)]
    return found.block_size, found.memory_limit or None, *flags


# ------------------------------------------------------------------------ loading


def rebuild(
    kind: Any,
    mark: None,
    origin: Any,
    total_size: Any = None,
    starts: Any = (),
    pieces: Any = (),
    image: Any = None,
    written: Any = None,
) -> Any:
    """The pool that reduced(), or a Moment, took apart. No argument but kind is trusted.

    kind: the class of the pool.
    origin: a pool to clone, or the options of a new one.
    total_size: None for that of the pool to clone.
    image: ImageFacts, packed; None for those of the pool to clone.
    written: None, or a pool that marks what was set in this one, see marks.py.
    """
    if isinstance(origin, tuple):
        pool = _fresh(kind, total_size, *origin)
    else:
        pool = kind._cloned(owner_of(origin))
    if total_size is not None:
        _put(pool, integer("total_size", total_size, 1, SIZE_MAX), starts, pieces)
    if image is not None:
        pool._owner.image = ImageFacts.unpacked(image)
    if written is not None:
        marks.attach(pool._owner, owner_of(written))
    return pool


def _fresh(
    kind: Any,
    total_size: Any,
    block_size: Any,
    limit: Any,
    wipe: Any,
    overcommit: Any,
    huge_pages: Any,
) -> Any:
    block_size = integer("block_size", block_size, 1, SIZE_MAX)
    # Blocks are never larger than a new pool, only than one that was made smaller.
    return kind._made(
        max(integer("total_size", total_size, 1, SIZE_MAX), block_size),
        block_size,
        memory_limit=limit,
        wipe=bool(wipe),
        overcommit=bool(overcommit),
        huge_pages=bool(huge_pages),
    )


def _put(pool: Any, total_size: int, starts: Any, pieces: Any) -> None:
    """Gives a pool its size, and puts the pieces down."""
    if not (type(starts) is list is type(pieces) and len(starts) == len(pieces)):
        raise TypeError("two lists of equal length are needed for the pieces")
    if total_size != pool.total_size:
        pool.resize(total_size)
    # What is adopted cannot be wiped.
    put = pool.write if stats.options(pool._owner).flags & WIPE else pool.adopt
    end = 0
    for start, piece in zip(starts, pieces):
        start = integer("start of a piece", start, end, total_size)
        if type(piece) is int:
            pool.discard(start, piece)
            end = start + piece
        else:
            end = start + put(start, piece)
