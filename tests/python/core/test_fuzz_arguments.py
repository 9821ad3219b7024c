# SPDX-License-Identifier: MIT
"""Every public method, with whatever Python has to offer as arguments.

For each call a model in flat bytearrays says, from the documentation alone, whether its
arguments are good. If they are, the call must succeed and do what the model does; if not,
it must raise what is documented, or what the argument itself raised, and change nothing.
It must never raise anything else, SystemError above all, let alone crash. Some arguments
close or resize a pool at the moment they are asked for their number or their memory. Then
only the kind of an exception is checked, and what is held afterwards.

TEST_SCALE, a percentage, says how much is tried: 100000 is some hours. --hypothesis-seed
repeats a run.
"""

from __future__ import annotations

import copy
import ctypes
import operator
import os
from typing import Any, Callable, NamedTuple

import argument_models as models
import pytest
from argument_models import Done, Pair, Refused, World
from hypothesis import HealthCheck, given, settings, strategies as st
from internals import SIZE_MAX, count_adopted, count_windows
from odd_arguments import MAKERS, Halt, Kinds, Oops, Recipe, numpy_makers

import pymempool
from pymempool import MemoryPool, PoolError, PoolLimitError

EXAMPLES = max(1, 300 * int(os.environ.get("TEST_SCALE", "100")) // 100)
DOCUMENTED = (TypeError, MemoryError, PoolError, Oops, Halt)

# ------------------------------------------------------------------- the calls


class Call(NamedTuple):
    kinds: str  #: of the arguments, see Kinds
    model: Callable[..., Done]
    make: Callable[..., Any]


def method(kinds: str, model: Callable[..., Done], name: str) -> Call:
    return Call(kinds, model, lambda pool, *rest: getattr(pool, name)(*rest))


def new_total(
    pool: MemoryPool, total_size: Any, block: Any = 1, limit: Any = None
) -> int:
    with MemoryPool(total_size, block, memory_limit=limit) as made:
        return made.total_size


def from_handle(pool: MemoryPool, address: Any) -> MemoryPool:
    """With no address of something else, which would be the end of it."""
    try:
        harmless = not 1 <= operator.index(address) <= SIZE_MAX
    except BaseException:
        harmless = True
    return MemoryPool.from_handle(address if harmless else pool.handle)


def load(pool: MemoryPool, protocol: Any) -> MemoryPool:
    rebuild, parts = pool.__reduce_ex__(protocol)
    return rebuild(*parts)


CALLS = {
    "MemoryPool": Call("n?nn", models.create, new_total),
    "from_handle": Call("n", models.same, from_handle),
    "trim": Call("", models.anything, lambda pool: pymempool.trim()),
    "get_include": Call("", models.anything, lambda pool: pymempool.get_include()),
    "get_library": Call("", models.anything, lambda pool: pymempool.get_library()),
    "read": method("nn", models.read, "read"),
    "readinto": method("nb", models.readinto, "readinto"),
    "write": method("nb", models.write, "write"),
    "fill": method("nnn", models.fill, "fill"),
    "discard": method("nn", models.discard, "discard"),
    "take": method("nn", models.take, "take"),
    "copy_from": method("p?nnn", models.copy_from, "copy_from"),
    "resize": method("t", models.resize, "resize"),
    "view": method("?nn", models.view, "view"),
    "views": method("nn", models.many_views, "views"),
    "pin": method("?nn", models.pin, "pin"),
    "adopt": method("nb", models.write, "adopt"),
    "gather": method("on?b", models.gather, "gather"),
    "scatter": method("ob", models.scatter, "scatter"),
    "read_many": Call(
        "nn",
        models.read_many,
        lambda pool, *pair: pool.read_many([(9, 5), pair, (0, 0)]),
    ),
    "write_many": Call(
        "nb",
        models.write_many,
        lambda pool, *pair: pool.write_many([(9, b"first"), pair, (0, b"")]),
    ),
    "pairs": Call("a", models.refused, lambda pool, it: pool.read_many([(1, 1), it, 5])),
    "fetch_add": method("nn?s", models.fetch_add, "fetch_add"),
    "compare_exchange": method("nnn?s", models.compare_exchange, "compare_exchange"),
    "clone": method("", models.twin, "clone"),
    "restore": method("p", models.restore, "restore"),
    **{
        name: Call(
            "",
            lambda world, pair: models.runs(pair.flat, bytearray()),
            lambda pool, name=name: list(getattr(pool, name)()),
        )
        for name in ("extents", "written")
    },
    "changes": Call("p", models.changes, lambda pool, base: list(pool.changes(base))),
    "pool[]": Call("k", models.get_item, operator.getitem),
    "pool[] =": Call("kv", models.set_item, operator.setitem),
    "in": Call("f", models.contains, operator.contains),
    **{
        name: method("f?ee", models.search(name), name)
        for name in ("find", "rfind", "index", "rindex", "count")
    },
    "digest": method("", models.digest, "digest"),
    "same": method("p", models.same_bytes, "same"),
    "differences": Call(
        "p?nn", models.differences, lambda pool, *rest: list(pool.differences(*rest))
    ),
    "iter": Call("", models.refused, iter),
    "memoryview": Call("", models.refused, memoryview),
    "len": Call("", models.fact(lambda pair: len(pair.flat)), len),
    "copy": Call("", models.twin, copy.copy),
    "deepcopy": Call("", models.twin, copy.deepcopy),
    "pickle": Call("a", models.reduced, load),
    "total_size": Call(
        "", models.fact(lambda pair: len(pair.flat)), lambda pool: pool.total_size
    ),
    "block_size": Call(
        "", models.fact(lambda pair: pair.kept.block_size), lambda pool: pool.block_size
    ),
    "handle": Call(
        "", models.fact(lambda pair: pair.kept.handle), lambda pool: pool.handle
    ),
    "stats": Call("", models.anything, lambda pool: pool.stats),
    "repr": Call("", models.anything, repr),
    "bool": Call("", models.fact(lambda pair: True), bool),
    "closed": Call(
        "", models.fact(lambda pair: pair.pool.closed), lambda pool: pool.closed
    ),
    "close": method("", models.anything, "close"),
    "with": method("aaa", models.anything, "__exit__"),
}
# These need no open pool.
ALWAYS = {"MemoryPool", "trim", "get_include", "get_library"}
ALWAYS |= {"repr", "bool", "closed", "close", "with"}


# These name files, or need more packages; test_files.py, test_images.py, test_formats.py,
# test_deltas.py, test_arrays.py, test_pictures.py and test_sharing.py have what is odd
# for them.
ELSEWHERE = {"array", "open", "save", "load", "delta", "apply", "states", "map", "svg"}
ELSEWHERE |= {"plot", "share", "start_address", "header", "merge"}
ELSEWHERE |= {"set_limit", "on_limit", "peak", "tracemalloc_domain"}


def test_all_that_is_public_is_tried() -> None:
    tried = set(CALLS) | set(ALWAYS) | ELSEWHERE
    assert {name for name in dir(MemoryPool) if not name.startswith("_")} <= tried
    functions = {name for name in pymempool.__all__ if name[0].islower()}
    assert functions <= tried


# ------------------------------------------------------------------- the tests


def perform(world: World, name: str, pair: Pair, arguments: list[Any]) -> None:
    """Makes a call, compares it with what the model says, and the pools with theirs."""
    kind: type[BaseException] = PoolError
    done = None
    try:
        done = CALLS[name].model(world, pair, *arguments)
    except Refused as refusal:
        kind = refusal.kind
    if pair.pool.closed and name not in ALWAYS:
        done = None
    world.armed, world.disturbed = True, False
    try:
        result = CALLS[name].make(pair.pool, *arguments)
    except (*DOCUMENTED, kind) as error:
        if done is not None and not world.disturbed:
            assert isinstance(error, PoolLimitError), repr(error)
            assert world.limit is not None
    else:
        if not world.disturbed:
            assert done is not None, f"{name} did what it should refuse: {result!r}"
            done(result)
    finally:
        world.armed = False
    world.check()


def is_too_long(value: Any) -> bool:
    """Whether a pool of so many bytes is possible, and too much for the model."""
    return isinstance(value, int) and 10_000 < value <= SIZE_MAX


@pytest.mark.parametrize("arrays", ["without numpy", "with numpy"])
def test_any_arguments(arrays: str) -> None:
    makers = dict(MAKERS)
    if arrays == "with numpy":
        makers.update(numpy_makers(pytest.importorskip("numpy")))
    kinds = Kinds(makers)
    calls = [
        st.tuples(st.just(name), st.integers(0, 2), kinds.arguments(call.kinds))
        for name, call in CALLS.items()
        for _ in range(1 + 2 * len(call.kinds))  # those with most to go wrong most often
    ]

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(
        st.none() | st.integers(100, 500),
        st.lists(st.one_of(calls), min_size=8, max_size=25),
    )
    def run(limit: int | None, steps: list[tuple[str, int, tuple[Any, ...]]]) -> None:
        held = count_windows(), count_adopted()
        world = World(limit)
        for name, place, recipes in steps:
            if name == "resize" and is_too_long(recipes[0]):
                continue
            arguments = [
                makers[each.name](world, *each.numbers)
                if isinstance(each, Recipe)
                else each
                for each in recipes
            ]
            perform(world, name, world.pairs[place], arguments)
            del arguments
        world.end()
        assert (count_windows(), count_adopted()) == held

    run()


# ------------------------------------------------- what was found in this way


@pytest.mark.parametrize("wrong", [1.0, "2", float("nan"), float("inf")])
def test_protocol_that_is_no_integer(wrong: Any, pool: MemoryPool) -> None:
    with pytest.raises(TypeError):
        pool.__reduce_ex__(wrong)


@pytest.mark.parametrize("wrong", [[], [1, 2], [4]])
def test_size_that_is_an_array(wrong: list[int], pool: MemoryPool) -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="size must be an integer"):
        pool.fetch_add(0, 1, numpy.array(wrong))
    with pytest.raises(TypeError, match="size must be an integer"):
        pool.compare_exchange(0, 0, 1, numpy.array(wrong))


def test_offsets_in_a_released_view(pool: MemoryPool) -> None:
    offsets = memoryview(bytearray(4))
    offsets.release()
    with pytest.raises(ValueError, match="released"):
        pool.gather(offsets, 1)


def test_offsets_in_an_array_of_ctypes(pool: MemoryPool) -> None:
    offsets = (ctypes.c_uint16 * 2)(
        100, 102
    )  # a sequence, and no collections.abc.Iterable
    assert pool.gather(offsets, 2) == pool[100:104]
    pool.scatter(offsets, b"abcd")
    assert pool[100:104] == b"abcd"
