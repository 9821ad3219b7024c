# SPDX-License-Identifier: MIT
"""History: what is recorded, which states stay, and what they may hold."""

from __future__ import annotations

import gc
import os
import random
import threading
from typing import Any

import pytest
from internals import locks_module

from pymempool import (
    History,
    MemoryPool,
    PoolClosedError,
    PoolError,
    PoolLimitError,
    PoolMemoryError,
    PoolRangeError,
)
from pymempool.testing import FailAllocation

BLOCK = 4096
STATE = 8192  # what a state counts for beside its blocks


@pytest.fixture
def state() -> MemoryPool:
    return MemoryPool(1 << 20, BLOCK)


def recorded(pool: MemoryPool, history: History, count: int) -> list[bytes]:
    """What the pool began with in each of so many states, which all differ."""
    found = []
    for number in range(count):
        pool.write(0, b"%07d" % number)
        assert history.record() == number
        found.append(pool[:7])
    return found


# ------------------------------------------------------------------------- states


def test_go_back_and_forth(state: MemoryPool) -> None:
    with History(state) as history:
        assert (len(history), list(history)) == (0, [])
        found = recorded(state, history, 5)
        assert history.pool is state
        state.write(5000, b"since")
        for number in (2, 0, 4, 1, 3):
            history.go_to(number)
            assert state[:7] == found[number]
            assert state[5000:5005] == bytes(5)
        assert list(history) == [0, 1, 2, 3, 4]  # none was dropped
        for back in range(1, 6):
            history.go_to(-back)
            assert state[:7] == found[-back]
        assert history.record("again") == 5


def test_sizes_come_back(state: MemoryPool) -> None:
    history = History(state)
    history.record("large")
    state.resize(100)
    history.record("small")
    history.go_to("large")
    assert state.total_size == 1 << 20
    history.go_to("small")
    assert state.total_size == 100
    assert list(history.differences("small", "large")) == [(100, (1 << 20) - 100)]


def test_labels(state: MemoryPool) -> None:
    history = History(state)
    for label in ("start", None, "twice", "", "twice", None):
        history.record(label)
        state.write(0, bytes([len(history)]))
    assert list(history) == ["start", 1, "twice", "", "twice", 5]
    assert [history.at(key)[0] for key in history] == [0, 1, 4, 3, 4, 5]
    assert history.at(2)[0] == 2  # the older one, by its number
    history.drop("twice")
    assert history.at("twice")[0] == 2
    assert list(history) == ["start", 1, "twice", "", 5]
    assert [key in history for key in ("start", "end", 0, 4, 5, 6)] == [
        *(True, False, True),
        *(False, True, False),
    ]
    assert [key in history for key in (-1, -5, -6, None, 0.5, b"start")] == [
        *(True, True, False),
        *(False, False, False),
    ]


def test_at_is_a_pool_of_its_own(state: MemoryPool) -> None:
    history = History(state)
    state.write(0, b"first")
    history.record()
    with history.at(0) as pool:
        pool.write(0, b"other")
        assert (history.at(0)[:5], state[:5]) == (b"first", b"first")
        history.drop(0)
        state.write(0, b"after")
        assert pool[:5] == b"other"


def test_differences(state: MemoryPool) -> None:
    history = History(state)
    history.record("start")
    state.write(5, b"five")
    history.record("five")
    state.write(50_000, b"more")
    five, more = (5, 4), (50_000, 4)
    assert list(history.differences("start", "five")) == [five]
    assert list(history.differences("five", "start")) == [five]
    assert list(history.differences("start", "start")) == []
    assert list(history.differences("start")) == [five, more]
    found = history.differences(-1)
    history.drop("five")
    state.write(0, b"later")
    assert list(found) == [more]  # of the moment of the call


def test_what_others_write_meanwhile(state: MemoryPool) -> None:
    history, stop = History(state, keep=5), threading.Event()

    def write() -> None:
        rng = random.Random(1)
        while not stop.is_set():
            state.fill(0, rng.randrange(256), 3 * BLOCK)

    def work() -> None:
        for _ in range(100):
            history.record("of many")
            with history.at("of many") as pool:
                assert len(set(pool[: 3 * BLOCK])) == 1  # half a write is in none
            history.go_to(-1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    writer = threading.Thread(target=write)
    for thread in (writer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    writer.join()
    assert len(history) == 5
    assert history.record() == 300


# ------------------------------------------------------------------------- thinning


def back(history: History) -> list[int]:
    """How many records ago each state was made."""
    last = [number for number in history if isinstance(number, int)][-1]
    return [last - number for number in history if isinstance(number, int)]


def test_few_old_states(state: MemoryPool) -> None:
    history = History(state, keep=20)
    recorded(state, history, 1000)
    assert back(history) == [
        *(999, 743, 487, 359, 231, 167, 103, 71, 55, 39),
        *(31, 23, 15, 11, 7, 5, 3, 2, 1, 0),
    ]
    for number in list(history):
        history.go_to(number)
        assert state[:7] == b"%07d" % number
    assert state.stats.family_pools == 21


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 7, 30])
def test_any_number_of_states(keep: int, state: MemoryPool) -> None:
    """The oldest and the newest stay, and no gap is large for its age."""
    history = History(state, keep=keep)
    for count in range(1, 300):
        history.record()
        ages = back(history)
        assert len(ages) == len(history) == min(count, keep)
        assert ages[-1] == 0
        assert ages[0] == (count - 1 if keep > 1 else 0)
        if keep == 30:
            assert all(older < 2 * newer + 2 for older, newer in zip(ages, ages[1:]))


def test_memory_limit(state: MemoryPool) -> None:
    limit = 10 * (BLOCK + STATE)
    history = History(state, memory_limit=limit)
    for number in range(200):
        state.write(number % 250 * BLOCK, b"x")
        history.record()
        assert history.held_bytes <= limit
    assert 10 <= len(history) < 20
    assert (back(history)[0], back(history)[-1]) == (199, 0)
    assert state.stats.held_blocks == 200


def test_what_is_held(state: MemoryPool) -> None:
    history = History(state)
    assert history.held_bytes == 0
    state.fill(0, 1, 10 * BLOCK)
    assert history.held_bytes == 0
    history.record()
    assert history.held_bytes == STATE
    state.fill(0, 2, 3 * BLOCK)
    assert history.held_bytes == STATE + 3 * BLOCK
    history.record()
    state.fill(0, 3, 2 * BLOCK)
    assert history.held_bytes == 2 * STATE + 5 * BLOCK
    history.drop(0)
    assert history.held_bytes == STATE + 2 * BLOCK
    with state.clone() as other:  # of which the history knows nothing
        other.fill(0, 4, BLOCK)
        assert history.held_bytes == STATE + 3 * BLOCK
    state.adopt(20 * BLOCK, bytes(range(256)) * 16 * 5)
    assert history.held_bytes >= STATE + 2 * BLOCK
    history.close()
    assert state.stats.family_bytes == 10 * BLOCK


def test_blocks_that_are_there_twice(state: MemoryPool) -> None:
    """They count once for the family, and twice for the pool."""
    history = History(state)
    state.fill(0, 1, BLOCK)
    state.copy_from(state, 0, BLOCK, BLOCK)
    assert state.stats.held_blocks == 2
    assert state.stats.family_bytes == BLOCK
    assert history.held_bytes == 0


def test_one_state_stays_above_the_limit(state: MemoryPool) -> None:
    history = History(state, 1, 5)
    state.fill(0, 1, 1 << 20)
    for number in range(5):
        history.record()
        assert list(history) == [number]
        state.fill(0, 2 + number, 1 << 20)
        assert history.held_bytes == STATE + (1 << 20)


def test_a_state_is_what_it_is_said_to_be() -> None:
    """8 KiB are enough for what a clone and its nodes take."""
    for block_size in (1024, 4096, 65536):
        pool = MemoryPool(1 << 24, block_size)
        pool.fill(0, 1, 1 << 22)
        history, before = History(pool), pool.stats.metadata_bytes
        for number in range(200):
            history.record()
            for place in range(4):
                pool.write(number * 7919 * 64 % (1 << 20) + (place << 20), b"x")
        taken = pool.stats.metadata_bytes - before
        assert 4000 * 200 < taken < STATE * 200


# ------------------------------------------------------------------------ what fails


def test_the_memory_of_the_pool_ends() -> None:
    """The blocks of states count for the limit of the pool; drop() frees them."""
    pool = MemoryPool(1 << 20, BLOCK, memory_limit=4 * BLOCK)
    history = History(pool)
    pool.fill(0, 1, 3 * BLOCK)
    history.record()
    with pytest.raises(PoolLimitError):
        pool.fill(0, 2, 2 * BLOCK)
    history.drop(0)
    pool.fill(0, 2, 2 * BLOCK)


def test_no_memory(state: MemoryPool, fail_allocation: FailAllocation) -> None:
    history = History(state, keep=2)
    recorded(state, history, 2)
    state.write(0, b"present")
    calls: list[Any] = [history.record, lambda: history.at(0)]
    for call in calls:
        with fail_allocation(1), pytest.raises(PoolMemoryError):
            call()
        assert list(history) == [0, 1]
        assert state[:7] == b"present"
    assert state.stats.family_pools == 3
    assert history.record() == 2
    assert list(history) == [0, 2]


def test_bad_keys(state: MemoryPool) -> None:
    history = History(state)
    history.record("label")
    cases: list[tuple[Any, type[Exception]]] = [
        *((1, KeyError), (-2, KeyError), (1 << 100, KeyError), (-1 << 100, KeyError)),
        *(("other", KeyError), (b"label", TypeError), (None, TypeError)),
        (0.5, TypeError),
    ]
    for key, kind in cases:
        for call in (history.go_to, history.at, history.drop, history.differences):
            with pytest.raises(kind):
                call(key)  # type: ignore[operator]
        if key is not None:
            with pytest.raises(kind):
                history.differences(0, key)
    with pytest.raises(KeyError, match="no state is labelled 'other'"):
        history.at("other")
    with pytest.raises(KeyError, match="there is no state number 7, or no more"):
        history.at(7)
    with pytest.raises(TypeError, match="a label or a number is needed, not list"):
        history.at([])  # type: ignore[arg-type]
    assert len(history) == 1


@pytest.mark.parametrize("label", [5, b"label", 0.5, ("a",)])
def test_bad_labels(label: Any, state: MemoryPool) -> None:
    history = History(state)
    with pytest.raises(TypeError, match="a label must be a str, not"):
        history.record(label)
    assert (len(history), state.stats.family_pools) == (0, 1)


def test_bad_bounds(state: MemoryPool) -> None:
    for wrong in (0, -1, 1 << 100):
        with pytest.raises(PoolRangeError):
            History(state, memory_limit=wrong)
        with pytest.raises(PoolRangeError):
            History(state, keep=wrong)
    cases: list[Any] = [("5", None), (None, 0.5)]
    for memory_limit, keep in cases:
        with pytest.raises(TypeError):
            History(state, memory_limit, keep)
    others: list[Any] = [None, b"bytes", History(state)]
    for other in others:
        with pytest.raises(TypeError, match="a MemoryPool is needed"):
            History(other)


# --------------------------------------------------------------------------- its end


def test_closed(state: MemoryPool) -> None:
    history = History(state, memory_limit=1 << 20)
    recorded(state, history, 3)
    clone = history.at(0)
    assert repr(history) == f"<History, 3 states of {state!r}>"
    for _ in range(2):
        history.close()
        assert history.closed
    assert repr(history) == "<History, closed>"
    assert (len(history), list(history)) == (0, [])
    assert clone[:7] == b"0000000"
    assert state.stats.family_pools == 2
    calls: list[Any] = [
        history.record,
        lambda: history.go_to(0),
        lambda: history.at(0),
        lambda: history.drop(0),
        lambda: history.differences(0),
        lambda: history.held_bytes,
        lambda: history.pool,
        lambda: 0 in history,
        history.__enter__,
    ]
    for call in calls:
        with pytest.raises(PoolClosedError, match="the history is closed"):
            call()


def test_the_pool_is_closed(state: MemoryPool) -> None:
    history = History(state)
    recorded(state, history, 3)
    state.close()
    calls: list[Any] = [
        history.record,
        lambda: history.go_to(0),
        lambda: history.differences(0),
        lambda: history.held_bytes,
    ]
    for call in calls:
        with pytest.raises(PoolClosedError, match="the pool is closed"):
            call()
    assert history.at(1)[:7] == b"0000001"
    assert len(list(history.differences(0, 2))) == 1
    history.drop(0)
    assert not history.closed
    history.close()
    with pytest.raises(PoolClosedError):
        History(state).record()


def test_it_ends_with_its_last_reference(state: MemoryPool) -> None:
    history = History(state)
    recorded(state, history, 3)
    assert state.stats.family_pools == 4
    del history
    gc.collect()
    assert state.stats.family_pools == 1


def test_an_exception_closes_it(state: MemoryPool) -> None:
    with pytest.raises(PoolError), History(state) as history:
        history.record()
        raise PoolError
    assert history.closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child(state: MemoryPool) -> None:
    """It has a history of its own, whoever held the lock when it was forked."""
    history = History(state)
    recorded(state, history, 2)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with history.lock:
            holding.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    child = os.fork()
    if not child:
        status = 1
        try:
            history.go_to(0)
            status = 0 if state[:7] == b"0000000" and history.record() == 2 else 2
        finally:
            os._exit(status)
    locks_module._renew()  # what the child did first
    history.go_to(0)
    history.go_to(1)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert (state[:7], len(history)) == (b"0000001", 2)
