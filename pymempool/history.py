# SPDX-License-Identifier: MIT
"""History: states of a pool that were recorded, of which old ones become fewer.

    record ─► a clone, with the next number ─► while above a bound: drop what is spared

What is spared is the state without which the gap between its neighbours is smallest for
its age. So the gaps grow with the age, and of n records the states that stay are about
as many for each power of two: 20 states of 5,000 reach back 0, 1, 2, 3, 4, 5, 7, 11, ...
1415, 1927, 2951 and 4999 records.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ._core import stats
from ._core.locks import new_lock
from ._core.owner import owner_of
from ._native.arguments import integer
from ._native.signatures import SIZE_MAX
from .errors import PoolClosedError
from .pool import MemoryPool

if TYPE_CHECKING:
    from typing import SupportsIndex

    from typing_extensions import Self

#: What a state counts for beside its blocks: a clone has about 4.5 KiB of bookkeeping,
#: and 1 to 2 KiB more when some blocks of the pool were written to since.
STATE_BYTES = 8192


class _State(NamedTuple):
    label: str | None
    pool: MemoryPool


class History:
    """States of a pool that were recorded, to go back to, to look at and to compare.

    Each state is a clone, and costs what changes after it. With a bound, old states are
    dropped as new ones are recorded, so that many recent ones stay and few old ones: the
    newest and the oldest always, between them ever fewer with their age.

    A state has a number, the first one 0, which it keeps, and may have a label. Where a
    method takes a `key`, that is a label (of several states with one, the newest); the
    number of a state; or a negative one, which counts from the newest state, -1.
    Iterating gives the label of each state, or its number if it has none, from the
    oldest on; `in` looks for a key, and len() is the number of states.

    Threads may share a history, and write to the pool meanwhile: each method is one step
    for the others. Methods raise PoolClosedError once the history is closed, and
    record(), go_to() and held_bytes if the pool is. They raise KeyError for a state that
    is not there, or no more; TypeError for a key that is neither str nor integer.
    """

    def __init__(
        self,
        pool: MemoryPool,
        memory_limit: SupportsIndex | None = None,
        keep: SupportsIndex | None = None,
    ) -> None:
        """Makes an empty history of a pool, which it does not close.

        memory_limit: the most for held_bytes after record(), 1 or more. One state is kept
            all the same, the newest. None for no limit.
        keep: the most states that are kept, 1 or more. None for any number.

        Raises PoolRangeError, TypeError.
        """
        owner_of(pool)
        self._limit = (
            None
            if memory_limit is None
            else integer("memory_limit", memory_limit, 1, SIZE_MAX)
        )
        self._keep = None if keep is None else integer("keep", keep, 1, SIZE_MAX)
        self._pool: MemoryPool | None = pool
        self._states: dict[int, _State] = {}  # by number, in order
        self._next = 0  # the number of the next state
        self.lock = new_lock(self)

    # --------------------------------------------------------------------------- states

    def record(self, label: str | None = None) -> int:
        """Records the state that the pool has now; returns its number.

        label: to find it by, any str; None for none. A label may be given again.

        Drops what is then above the bounds. Costs a clone; thinning costs a look at each
        state for each that is dropped. Raises what clone() raises; then nothing has
        changed.
        """
        if not (label is None or isinstance(label, str)):
            raise TypeError(f"a label must be a str, not {type(label).__name__}")
        with self.lock:
            state = _State(label, self._recorded().clone())
            number, self._next = self._next, self._next + 1
            self._states[number] = state
            while len(self._states) > 1 and self._is_above_bounds():
                self._drop(self._spared())
            return number

    def go_to(self, key: str | SupportsIndex) -> None:
        """Makes the contents and the size of the pool those of a state.

        Takes one atomic step, as restore(), which undoes what other threads write
        meanwhile. All states stay, those recorded after it as well: record() first if the
        present one is to be found again. Raises what restore() raises.
        """
        with self.lock:
            self._recorded().restore(self._state(key).pool)

    def at(self, key: str | SupportsIndex) -> MemoryPool:
        """Returns a clone of a state: a pool of its own, for the caller to close.

        It may be read and written to, and the state stays what it is. Raises what clone()
        raises.
        """
        with self.lock:
            return self._state(key).pool.clone()

    def differences(
        self, a: str | SupportsIndex, b: str | SupportsIndex | None = None
    ) -> Iterator[tuple[int, int]]:
        """Yields the runs of bytes in which state b differs from state a.

        b: None for the pool as it is now.

        Each as (start, size), to the byte; see MemoryPool.differences(). A state that is
        dropped meanwhile is there until the iterator ends.
        """
        with self.lock:
            base = self._state(a).pool
            pool = self._recorded() if b is None else self._state(b).pool
            return pool.differences(base)

    def drop(self, key: str | SupportsIndex) -> None:
        """Drops a state, and frees what only this one holds."""
        with self.lock:
            self._drop(self._number(key))

    # ---------------------------------------------------------------------------- facts

    @property
    def pool(self) -> MemoryPool:
        """The pool whose states are recorded."""
        return self._recorded()

    @property
    def held_bytes(self) -> int:
        """The most bytes that the states hold beyond what the pool holds now.

        The blocks of all relatives that are not the pool's (those of clones that are not
        in the history, and frozen copies of pinned blocks, as well), and 8 KiB a state
        for its bookkeeping; with blocks below 1 KiB it can be more. Between two calls of
        record() it grows as the pool is written to. Costs the same for any number of
        states.
        """
        with self.lock:
            others = stats.bytes_of_others(owner_of(self._recorded()))
            return others + STATE_BYTES * len(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[str | int]:
        with self.lock:
            states = dict(self._states)
        for number, state in states.items():
            yield number if state.label is None else state.label

    def __contains__(self, key: object) -> bool:
        try:
            self._number(key)
        except (KeyError, TypeError):
            return False
        return True

    def __repr__(self) -> str:
        what = "closed" if self.closed else f"{len(self)} states of {self._pool!r}"
        return f"<History, {what}>"

    # --------------------------------------------------------------------------- its end

    def close(self) -> None:
        """Drops all states. The pool stays open, and closing twice does nothing."""
        with self.lock:
            self._pool = None
            for number in list(self._states):
                self._drop(number)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._pool is None

    def __enter__(self) -> Self:
        self._recorded()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ----------------------------------------------------------- with the lock held, all

    def _recorded(self) -> MemoryPool:
        pool = self._pool
        if pool is None:
            raise PoolClosedError("the history is closed")
        return pool

    def _number(self, key: object) -> int:
        """The number of a state. Raises KeyError if it is not there."""
        with self.lock:
            self._recorded()
            if isinstance(key, str):
                for number, state in reversed(list(self._states.items())):
                    if state.label == key:
                        return number
                raise KeyError(f"no state is labelled {key!r}")
            try:
                number = operator.index(key)  # type: ignore[arg-type]
            except TypeError:
                kind = type(key).__name__
                raise TypeError(f"a label or a number is needed, not {kind}") from None
            if number < 0 and -number <= len(self._states):
                return list(self._states)[number]
            if number not in self._states:
                raise KeyError(f"there is no state number {number}, or no more")
            return number

    def _state(self, key: object) -> _State:
        return self._states[self._number(key)]

    def _drop(self, number: int) -> None:
        self._states.pop(number).pool.close()

    def _is_above_bounds(self) -> bool:
        if self._keep is not None and len(self._states) > self._keep:
            return True
        return self._limit is not None and self.held_bytes > self._limit

    def _spared(self) -> int:
        """The number of the state to drop next, of two or more."""
        numbers = list(self._states)
        between = range(1, len(numbers) - 1)
        if not between:
            return numbers[0]

        def gap_for_its_age(place: int) -> float:
            gap = numbers[place + 1] - numbers[place - 1]
            return gap / (self._next - numbers[place])

        return numbers[min(between, key=gap_for_its_age)]
