# SPDX-License-Identifier: MIT
"""Every allocation of the library fails once, for each public method of MemoryPool.

A call is made with its first allocation failing, then its second, and so on until it gets
through, each time on pools made anew. After each failure the documented error was raised
and everything is as before: contents, statistics, and what is held of pools and objects.
Then the call is made again, and must do what it does where nothing fails.
"""

from __future__ import annotations

import gc
import itertools
from pathlib import Path
from typing import Any

import pytest
from every_call import CALLS, Call, Scene, attributes, require

from pymempool import MemoryPool, PoolMemoryError
from pymempool.testing import FailAllocation

# What the library needs no memory for.
NO_ALLOCATION = {
    *("from_handle", "closed", "__enter__", "read", "read, large", "readinto"),
    *("readinto, large", "readinto, a bytearray", "extents", "changes", "states"),
    *("total_size", "block_size", "handle", "_as_parameter_", "stats", "__repr__"),
    *("__len__", "__bool__", "__getitem__", "__getitem__, slice", "__getitem__, large"),
    *("gather", "gather, large", "gather, out", "gather, numpy", "open", "map", "svg"),
    *("view", "view, several blocks", "view, large", "plot"),
    *("array, frozen, numpy", "array, frozen copy, numpy", "_repr_html_"),
    *("read_many", "read_many, large", "read_many, out", "read_many, numpy"),
    *("changes, items", "written", "start_address", "header"),
    *("set_limit", "on_limit", "peak"),
}

# Several calls to the library: the most that was ever held may have become more.
PEAKS = {"views, pinned", "differences", "rfind", "rindex", "count"}
PEAKS |= {"save, since", "delta", "delta, a stranger"}
PEAKS |= {"apply", "apply, a path", "apply, bytes", "__reduce_ex__, relatives"}

# Several calls, of which the first is a clone: it makes frozen copies of what is pinned,
# which stay if a later one fails. Here they are there before.
BEHIND_A_CLONE = {"differences", "differences, a stranger", "count"}
BEHIND_A_CLONE |= {"share", "share, since"}
BEHIND_A_CLONE |= {"save, since", "delta", "delta, a stranger"}
BEHIND_A_CLONE |= {"__reduce_ex__, relatives"}


def test_each_attribute_is_tried() -> None:
    assert attributes() == {name.partition(",")[0] for name in CALLS}
    assert set(CALLS) >= NO_ALLOCATION | PEAKS


def shown(result: Any) -> Any:
    """What can be compared with another result when the pools are gone."""
    if isinstance(result, MemoryPool):
        return [result.total_size, result.block_size, result[:]]
    if isinstance(result, memoryview):
        return [result.readonly, bytes(result)]
    if hasattr(result, "tolist"):
        return [result.shape, result.flags.writeable, result.tolist()]
    return [shown(each) for each in result] if isinstance(result, list) else result


@pytest.fixture(autouse=True, scope="module")
def nothing_waits_to_be_collected() -> None:
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path, name: str) -> Path:
    require(name)
    scene = Scene(tmp_path)
    scene.stranger.save(tmp_path / "there")
    scene.pool.save(tmp_path / "delta", since=scene.clone)
    return tmp_path


def succeed(call: Call, scene: Scene) -> list[Any]:
    """What came of a call where nothing fails, and what the scene is then."""
    result = shown(call(scene))
    facts = scene.facts()
    scene.image.unlink(missing_ok=True)
    return [result, facts]


@pytest.mark.parametrize("name", CALLS)
def test_each_allocation(
    name: str, folder: Path, fail_allocation: FailAllocation
) -> None:
    call, peak = CALLS[name], {"family_peak_bytes": 0} if name in PEAKS else {}
    wanted = succeed(call, Scene(folder))
    for number in itertools.count(1):
        scene = Scene(folder)
        if name in BEHIND_A_CLONE:
            scene.pool.clone().close()
        before, raised = scene.facts(**peak), False
        with fail_allocation(number) as fault:
            try:
                call(scene)
            except PoolMemoryError as error:
                raised = True
                assert type(error) is PoolMemoryError
                assert "the system has no more memory" in str(error)
        assert raised == fault.reached
        if not raised:
            break
        assert scene.facts(**peak) == before
        assert succeed(call, scene) == wanted
    assert (number == 1) == (name in NO_ALLOCATION)


def test_reason_is_told_whatever_the_collector_does_meanwhile(
    pool: MemoryPool, fail_allocation: FailAllocation
) -> None:
    # It may end other pools after C has failed and before C is asked why.
    thresholds = gc.get_threshold()
    for delay in range(40):
        gc.collect()
        cycle: list[Any] = [MemoryPool(10)]
        cycle.append(cycle)
        del cycle
        with fail_allocation(1), pytest.raises(PoolMemoryError):
            gc.set_threshold(gc.get_count()[0] + delay)
            try:
                pool.clone()
            finally:
                gc.set_threshold(*thresholds)
