# SPDX-License-Identifier: MIT
"""Arguments of all kinds for test_fuzz_arguments.py.

Hypothesis draws Recipes, of which each call gets an object made anew: an argument may be
written to, or adopted, and what failed can be printed.
"""

from __future__ import annotations

import ctypes
import operator
import pickle
from array import array
from typing import Any, Callable, NamedTuple

from hypothesis import strategies as st
from internals import SIZE_MAX

from pymempool import MemoryPool


class Oops(Exception):  # noqa: N818
    """What arguments raise that raise something of their own."""


class Halt(BaseException):
    """The same, and as KeyboardInterrupt not an Exception."""


class Recipe(NamedTuple):
    """An argument that is made anew for each call: a name in MAKERS, and its numbers."""

    name: str
    numbers: tuple[int, ...] = ()


class Number:
    """Says that it is a number, and does something else as well."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def __index__(self) -> Any:
        return self.act()


class Exporter(Number):
    """The same for memory; asked for it from Python 3.12 on."""

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.act())


class Items(Number):
    """The same for a series of items, and for comparisons."""

    def __iter__(self) -> Any:
        return iter(self.act())

    def __len__(self) -> int:
        return len(self.act())

    def __eq__(self, other: object) -> bool:
        return bool(self.act() == other)

    __hash__ = None  # type: ignore[assignment]


def throw(error: type[BaseException]) -> Any:
    raise error


def disturb(world: Any, result: Any, change: Callable[[], Any]) -> Callable[[], Any]:
    """Something that is done when an argument is used by the library, not the model."""

    def act() -> Any:
        if world.armed:
            world.disturbed = True
            change()
        return result

    return act


def memory(world: Any, size: int) -> bytearray:
    world.made.append(bytearray(i * 7 & 255 for i in range(size)))
    return world.made[-1]


def released(size: int) -> memoryview:
    view = memoryview(bytearray(size))
    view.release()
    return view


def closed_pool() -> MemoryPool:
    pool = MemoryPool(50)
    pool.close()
    return pool


MAKERS: dict[str, Callable[..., Any]] = {
    "pool": lambda world, i: world.pairs[i].pool,
    "closed pool": lambda world: closed_pool(),
    "raises": lambda world: Number(lambda: throw(Oops)),
    "halts": lambda world: Number(lambda: throw(Halt)),
    "type error": lambda world: Number(lambda: throw(TypeError)),
    "no index": lambda world: Number(lambda: "5"),
    "subclass": lambda world, n: type("Int", (int,), {})(n),
    "closes": lambda world, i, n: Number(disturb(world, n, world.pairs[i].pool.close)),
    "resizes": lambda world, i, n: Number(
        disturb(world, n, lambda: world.pairs[i].pool.resize(n + 1))
    ),
    "memory raises": lambda world: Exporter(lambda: throw(Oops)),
    "memory none": lambda world: Exporter(lambda: None),
    "memory resizes": lambda world, i, n: Exporter(
        disturb(world, memory(world, n), lambda: world.pairs[i].pool.resize(n + 1))
    ),
    "items raise": lambda world: Items(lambda: throw(Oops)),
    "items close": lambda world, i, n: Items(
        disturb(world, [n, n], world.pairs[i].pool.close)
    ),
    "bytearray": memory,
    "bytes": lambda world, n: bytes(memory(world, n)),
    "released": lambda world, n: released(n),
    "view": lambda world, n: memoryview(bytearray(memory(world, n))),
    "read-only view": lambda world, n: memoryview(bytes(memory(world, n))),
    "reversed view": lambda world, n: memoryview(bytearray(n))[::-1],
    "strided view": lambda world, n: memoryview(bytearray(2 * n))[::2],
    "flat view": lambda world, n: (
        memoryview(bytearray(n)).cast("B", (1, max(n, 1))) if n else memoryview(b"")
    ),
    "scalar view": lambda world: memoryview(bytearray(8)).cast("B").cast("Q", ()),
    "doubles": lambda world, n: memoryview(array("d", [0.5] * n)),
    "array": lambda world, n: array("H", range(n)),
    "ctypes array": lambda world, n: (ctypes.c_uint16 * n)(*range(n)),
    "objects": lambda world, n: (ctypes.py_object * n)(*range(n)),
    "pickle buffer": lambda world, n: pickle.PickleBuffer(bytearray(n)),
    "list": lambda world, *numbers: list(numbers),
    "tuple": lambda world, *numbers: numbers,
    "part": lambda world, a: slice(a, a + 8),
    "range": lambda world, a, b: range(a, a + b),
    "slice": lambda world, a, b: slice(a, b),
    "open slice": lambda world, a: slice(None, a),
    "steps": lambda world, a, b, step: slice(a, b, step),
    "slice raises": lambda world: slice(Number(lambda: throw(Oops)), 5),
    "slice resizes": lambda world, i, n: slice(
        Number(disturb(world, 0, lambda: world.pairs[i].pool.resize(n + 1))), n
    ),
}


def numpy_makers(numpy: Any) -> dict[str, Callable[..., Any]]:
    return {
        "numpy": lambda world, n: numpy.arange(n, dtype=numpy.uint8),
        "numpy offsets": lambda world, *numbers: numpy.array(numbers, dtype=numpy.int64),
        "numpy plane": lambda world, n: numpy.arange(n * 2).reshape(2, n),
        "numpy columns": lambda world, n: numpy.ones((2, n), order="F"),
        "numpy strided": lambda world, n: numpy.arange(2 * n)[::2],
        "numpy scalar": lambda world, n: numpy.int16(n),
        "numpy 0-d": lambda world, n: numpy.array(n),
        "numpy float": lambda world, n: numpy.full(n, 1.5),
        "numpy bools": lambda world, n: numpy.full(n, True),
        "numpy objects": lambda world, n: numpy.array([None] * n, dtype=object),
        "numpy records": lambda world, n: numpy.zeros(n, dtype="i4, O"),
        "numpy read-only": lambda world, n: numpy.broadcast_to(numpy.uint8(1), (n,)),
    }


EDGES = [-1, 0, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**128]
EDGES += [-(2**63), -(2**64) - 1, 10**5000, -(10**5000), SIZE_MAX - 5]
PLAIN = [None, True, 1.0, -0.5, float("nan"), float("inf"), 1j, "1", "", b"1", b"", ()]
PLAIN += [{}, {1: 2}, {3, 4}, frozenset(), ..., NotImplemented, object, len, bytearray]
PLAIN += [MemoryPool, slice(None), "\N{SNOWMAN}", b"x" * 300]

ODD_NUMBERS = "raises, halts, type error, no index, scalar view, slice raises"
GOOD_MEMORY = (
    "bytearray, bytes, view, read-only view, flat view, array, ctypes array,"
    " pickle buffer, doubles, numpy, numpy plane, numpy read-only"
)
ODD_MEMORY = (
    "released, reversed view, strided view, objects, numpy columns, numpy strided,"
    " numpy float, numpy bools, numpy objects, numpy records"
)


@st.composite
def mostly(draw: Any, good: Any, odd: Any) -> Any:
    """Not a union, which would draw from each of its parts as often as from another."""
    return draw(odd if draw(st.integers(0, 5)) == 5 else good)


class Kinds:
    """What to draw for each kind of parameter; more often than not something good.

    n a number, s the size of an integer, t that of a pool, b memory, o offsets, p a pool,
    k what stands in brackets, v what is assigned to that, f what is looked for, e an end
    of a slice, a anything.
    """

    def __init__(self, makers: dict[str, Callable[..., Any]]) -> None:
        def recipes(names: str, *numbers: Any) -> Any:
            known = [name for name in names.split(", ") if name in makers]
            one = st.sampled_from(known) if known else st.nothing()
            return st.builds(Recipe, one, st.tuples(*numbers))

        small, signed, pools = st.integers(0, 40), st.integers(-3, 220), st.integers(0, 2)
        ends = st.sampled_from([-2, -1, 199, 200, 201, 255, 256])
        lengths = st.just(8) | small
        memory = recipes(GOOD_MEMORY, lengths)
        offsets = st.lists(signed, max_size=5).map(tuple)
        offsets = st.builds(Recipe, st.sampled_from(["list", "tuple"]), offsets)
        if "numpy offsets" in makers:
            offsets |= offsets.map(lambda recipe: recipe._replace(name="numpy offsets"))
        parts = recipes("part", signed) | recipes("slice", signed, signed)
        others = recipes("pool", pools)
        odd = (
            st.sampled_from(EDGES)
            | st.sampled_from(PLAIN)
            | recipes(ODD_NUMBERS)
            | recipes("closes, resizes, slice resizes", pools, small)
            | recipes("subclass, numpy scalar, numpy 0-d, open slice", signed)
            | recipes("slice, range", signed, small)
            | recipes("steps", small, small, st.integers(-1, 2))
            | recipes("closed pool")
            | recipes(ODD_MEMORY, lengths)
            | recipes("memory raises, memory none, items raise")
            | recipes("memory resizes, items close", pools, small)
            | memory
            | offsets
            | others
        )
        numbers = small | small | signed | ends
        sizes = st.sampled_from([1, 2, 4, 8])
        keys = signed | parts | parts | recipes("open slice", signed)
        values = small | memory | memory | others | offsets
        self.strategies: dict[str, Any] = {
            "n": mostly(numbers, odd),
            "s": mostly(sizes, odd),
            "t": mostly(st.integers(150, 230) | numbers, odd),
            "b": mostly(memory | memory | recipes(ODD_MEMORY, lengths), odd),
            "o": mostly(offsets | offsets | memory, odd),
            "p": mostly(others, odd),
            "k": mostly(keys, odd),
            "v": mostly(values, odd),
            "f": mostly(memory | st.sampled_from([0, 1, 7, b"", b"\1\2", b"r"]), odd),
            "e": mostly(numbers | signed.map(operator.neg) | st.none(), odd),
            "a": odd,
        }

    def arguments(self, kinds: str) -> Any:
        """Tuples for a string of kinds; those after a ? may be left out together."""
        needed, _, more = kinds.partition("?")
        fewest = st.tuples(*(self.strategies[kind] for kind in needed))
        most = st.tuples(*(self.strategies[kind] for kind in needed + more))
        return fewest | most
