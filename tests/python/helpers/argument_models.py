# SPDX-License-Identifier: MIT
"""What the methods of a MemoryPool must do, in flat bytearrays.

For test_fuzz_arguments.py. Each function of the model takes the arguments of a call. It
refuses them, or returns a function to be called with the result, which compares it and
changes the flat memory.
"""

from __future__ import annotations

import ctypes
import gc
import operator
import sys
from typing import Any, Callable

from digest_definition import digest_of
from flat_memory import differing
from internals import SIZE_MAX

from pymempool import MemoryPool, PoolClosedError

TOTAL, BLOCK = 200, 16

# ------------------------------------------------------------------- the world


class Refused(Exception):  # noqa: N818
    """By the model; `kind` is what the argument itself raised, if it did."""

    def __init__(self, kind: type[BaseException] = TypeError) -> None:
        super().__init__(kind)
        self.kind = kind


class Pair:
    """A pool, another owner of it to look at it with, and what must be in it."""

    def __init__(self, pool: MemoryPool, flat: bytearray) -> None:
        self.pool = pool
        self.kept = MemoryPool.from_handle(pool.handle)
        self.flat = flat


class World:
    """A pool with a clone of it, and a stranger; and whatever calls have given."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.armed = self.disturbed = False
        self.made: list[bytearray] = []
        self.views: list[tuple[memoryview, bytes]] = []
        self.pins: list[tuple[memoryview, Pair, int, tuple[int, int]]] = []
        pool = MemoryPool(TOTAL, BLOCK, memory_limit=limit)
        pool.write(20, bytes(range(1, 50)))
        stranger = MemoryPool(100, 64)
        stranger.write(0, b"stranger")
        flat, other = bytearray(TOTAL), bytearray(100)
        flat[20:69], other[:8] = range(1, 50), b"stranger"
        self.pairs = [
            Pair(pool, flat),
            Pair(pool.clone(), flat[:]),
            Pair(stranger, other),
        ]

    def pair_of(self, pool: object) -> Pair:
        """The pair of an open pool."""
        for pair in self.pairs:
            if pair.pool is pool:
                if pool.closed:
                    raise Refused(PoolClosedError)
                return pair
        raise Refused

    def are_related(self, a: Pair, b: Pair) -> bool:
        return (a is self.pairs[2]) == (b is self.pairs[2])

    def cut_pins(self, pair: Pair) -> None:
        """Gives up the pins of a pair, which may be no windows on it any more."""
        for pin, of, *_ in self.pins:
            if of is pair:
                pin.release()
        self.pins = [entry for entry in self.pins if entry[1] is not pair]

    def pinned_with(self, pair: Pair, start: int, stop: int) -> tuple[int, int]:
        """The blocks, as a range, that a pin of [start, stop) holds.

        Those of a pin that has the first byte, or its own. Refuses it if it does not lie
        in these, or meets another pin.
        """
        block = pair.kept.block_size
        held = start - start % block, stop + -stop % block
        for *_, of, _, (low, high) in self.pins:
            if of is pair and low <= start < high:
                held = low, high
        if start < stop and (
            stop > held[1]
            or any(
                of is pair and (low, high) != held and low < held[1] and high > held[0]
                for *_, of, _, (low, high) in self.pins
            )
        ):
            raise Refused
        return held

    def check(self) -> None:
        for pair in self.pairs:
            if self.disturbed:
                self.cut_pins(pair)
                pair.flat = bytearray(pair.kept[:])
            assert pair.kept.total_size == len(pair.flat)
            assert pair.kept[:] == pair.flat
        for view, shown in self.views:
            assert view == shown
        for pin, pair, start, _ in self.pins:
            assert pin == pair.flat[start : start + len(pin)]

    def end(self) -> None:
        """Gives everything up; nothing may then be held any more."""
        for view, _ in self.views:
            view.release()
        for pair in self.pairs:
            self.cut_pins(pair)
            pair.pool.close()
        owners = [pair.kept.stats for pair in self.pairs]
        if any(stats.references > 1 or stats.family_views for stats in owners):
            gc.collect()
            owners = [pair.kept.stats for pair in self.pairs]
        assert [stats.references for stats in owners] == [1, 1, 1]
        assert [stats.family_views for stats in owners] == [0, 0, 0]
        assert [stats.family_pools for stats in owners] == [2, 2, 1]
        for pair in self.pairs:
            pair.kept.close()
        for memory in self.made:
            memory.append(0)  # a BufferError if somebody still holds it


# --------------------------------------------------------------------- a model
#
# Each function takes the arguments of a call, refuses them or returns what is to be done
# with the result: compare it, and change the flat memory.


def number(value: Any, lowest: int, highest: int) -> int:
    try:
        found = int(operator.index(value))
    except BaseException as error:
        raise Refused(type(error)) from None
    if not lowest <= found <= highest:
        raise Refused
    return found


def span(pair: Pair, offset: Any, size: Any) -> tuple[int, int]:
    start = number(offset, 0, len(pair.flat))
    return start, start + number(size, 0, len(pair.flat) - start)


def span_or_rest(pair: Pair, offset: Any, size: Any) -> tuple[int, int]:
    if size is None:
        size = len(pair.flat) - number(offset, 0, len(pair.flat))
    return span(pair, offset, size)


def content(value: Any, to_write: bool = False) -> bytes:
    """The bytes of a buffer, which must be contiguous."""
    try:
        with memoryview(value) as view:
            fit = view.c_contiguous and not (to_write and view.readonly)
            if not fit or (to_write and "O" in view.format):
                raise Refused
            return view.tobytes()
    except Refused:
        raise
    except BaseException as error:
        raise Refused(type(error)) from None


def is_memory(value: Any) -> bool:
    return bool(ctypes.pythonapi.PyObject_CheckBuffer(ctypes.py_object(value)))


def items(value: Any) -> bytes:
    """The bytes of an iterable of integers."""
    try:
        return bytes(iter(value)) if not isinstance(value, str) else content(value)
    except Refused:
        raise
    except BaseException as error:
        raise Refused(type(error)) from None


def numbers(value: Any) -> list[int]:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if type(value).__name__ == "ndarray":
        if kind not in "iu":
            raise Refused
        return [int(each) for each in value.ravel()]
    try:
        if isinstance(value, memoryview):
            value = value.tolist()
        return list(map(operator.index, value))
    except BaseException as error:
        raise Refused(type(error)) from None


Done = Callable[[Any], None]


def gives(expected: Any) -> Done:
    def done(result: Any) -> None:
        assert type(result) is type(expected)
        assert result == expected

    return done


def puts(pair: Pair, start: int, data: bytes, expected: Any) -> Done:
    def done(result: Any) -> None:
        assert type(result) is type(expected)
        assert result == expected
        pair.flat[start : start + len(data)] = data

    return done


def read(world: World, pair: Pair, offset: Any, size: Any) -> Done:
    start, stop = span(pair, offset, size)
    return gives(bytes(pair.flat[start:stop]))


def take(world: World, pair: Pair, offset: Any, size: Any) -> Done:
    start, stop = span(pair, offset, size)
    return puts(pair, start, bytes(stop - start), bytes(pair.flat[start:stop]))


def readinto(world: World, pair: Pair, offset: Any, buffer: Any) -> Done:
    size = len(content(buffer, to_write=True))
    start, stop = span(pair, offset, size)

    def done(result: Any) -> None:
        assert result == size
        assert content(buffer) == pair.flat[start:stop]

    return done


def write(world: World, pair: Pair, offset: Any, data: Any) -> Done:
    new = content(data)
    start, _ = span(pair, offset, len(new))
    return puts(pair, start, new, len(new))


def fill(world: World, pair: Pair, offset: Any, byte: Any, size: Any) -> Done:
    start, stop = span(pair, offset, size)
    return puts(pair, start, bytes([number(byte, 0, 255)]) * (stop - start), None)


def discard(world: World, pair: Pair, offset: Any, size: Any) -> Done:
    return fill(world, pair, offset, 0, size)


def copy_from(
    world: World,
    pair: Pair,
    source: Any,
    source_offset: Any = 0,
    size: Any = None,
    offset: Any = None,
) -> Done:
    other = world.pair_of(source)
    if size is None:
        size = len(other.flat) - number(source_offset, 0, len(other.flat))
    first, last = span(other, source_offset, size)
    start, _ = span(pair, first if offset is None else offset, last - first)
    return puts(pair, start, bytes(other.flat[first:last]), last - first)


def resize(world: World, pair: Pair, total_size: Any) -> Done:
    size = number(total_size, 1, SIZE_MAX)

    def done(result: Any) -> None:
        world.cut_pins(pair)
        del pair.flat[size:]
        pair.flat.extend(bytes(size - len(pair.flat)))

    return done


def view(world: World, pair: Pair, offset: Any = 0, size: Any = None) -> Done:
    start, stop = span_or_rest(pair, offset, size)

    def done(result: memoryview) -> None:
        assert result.readonly
        assert result == pair.flat[start:stop]
        world.views.append((result, bytes(result)))

    return done


def many_views(world: World, pair: Pair, offset: Any, size: Any) -> Done:
    start, stop = span(pair, offset, size)

    def done(result: list[memoryview]) -> None:
        assert b"".join(result) == pair.flat[start:stop]
        world.views += [(view, bytes(view)) for view in result]

    return done


def pin(world: World, pair: Pair, offset: Any = 0, size: Any = None) -> Done:
    start, stop = span_or_rest(pair, offset, size)
    held = world.pinned_with(pair, start, stop)

    def done(result: memoryview) -> None:
        assert result == pair.flat[start:stop]
        pair.flat[start:stop] = result[:] = b"p" * (stop - start)
        if start < stop:
            world.pins.append((result, pair, start, held))

    return done


def check_items(pair: Pair, offsets: list[int], size: int) -> None:
    number(size, 0, len(pair.flat))
    for offset in offsets:
        number(offset, 0, len(pair.flat) - size)


def check_whole(buffer: Any, size: int) -> None:
    """Items in the pool are no parts of the items of a typed array."""
    if size % (memoryview(buffer).itemsize or 1):
        raise Refused


def gather(
    world: World, pair: Pair, offsets: Any, item_size: Any, out: Any = None
) -> Done:
    places, size = numbers(offsets), number(item_size, 0, SIZE_MAX)
    check_items(pair, places, size)
    expected = b"".join(pair.flat[at : at + size] for at in places)
    if out is not None:
        if len(content(out, to_write=True)) != len(expected):
            raise Refused
        check_whole(out, size)

    def done(result: Any) -> None:
        assert out is None or result is out
        assert content(result) == expected

    return done


def scatter(world: World, pair: Pair, offsets: Any, data: Any) -> Done:
    places, new = numbers(offsets), content(data)
    size, rest = divmod(len(new), len(places) or 1)
    if rest or (new and not places):
        raise Refused
    check_whole(data, size)
    check_items(pair, places, size)

    def done(result: None) -> None:
        for i, at in enumerate(places):
            pair.flat[at : at + size] = new[i * size : (i + 1) * size]

    return done


def read_many(world: World, pair: Pair, offset: Any, size: Any) -> Done:
    span(pair, 9, 5)
    start, stop = span(pair, offset, size)
    return gives([bytes(pair.flat[9:14]), bytes(pair.flat[start:stop]), b""])


def write_many(world: World, pair: Pair, offset: Any, data: Any) -> Done:
    span(pair, 9, 5)
    new = content(data)
    start, stop = span(pair, offset, len(new))

    def done(result: None) -> None:
        pair.flat[9:14] = b"first"
        pair.flat[start:stop] = new

    return done


def integer_at(pair: Pair, offset: Any, size: Any) -> tuple[int, int, int]:
    if number(size, 1, 8) not in (1, 2, 4, 8):
        raise Refused
    start, stop = span(pair, offset, size)
    return start, stop - start, int.from_bytes(pair.flat[start:stop], sys.byteorder)


def fetch_add(world: World, pair: Pair, offset: Any, n: Any, size: Any = 8) -> Done:
    start, size, old = integer_at(pair, offset, size)
    new = (old + number(n, -(2**128), 2**128)) % (1 << 8 * size)
    return puts(pair, start, new.to_bytes(size, sys.byteorder), old)


def compare_exchange(
    world: World, pair: Pair, offset: Any, expected: Any, new: Any, size: Any = 8
) -> Done:
    start, size, old = integer_at(pair, offset, size)
    expected = number(expected, 0, (1 << 8 * size) - 1)
    new = number(new, 0, (1 << 8 * size) - 1)
    value = new if old == expected else old
    return puts(pair, start, value.to_bytes(size, sys.byteorder), old == expected)


def bracket(pair: Pair, key: Any) -> tuple[int, int]:
    """What stands in square brackets, as a range."""
    total = len(pair.flat)
    if not isinstance(key, slice):
        index = number(key, -total, total - 1) % total
        return index, index + 1
    number(1 if key.step is None else key.step, 1, 1)
    try:
        start, stop, _ = slice(key.start, key.stop).indices(total)
    except BaseException as error:
        raise Refused(type(error)) from None
    return start, max(start, stop)


def get_item(world: World, pair: Pair, key: Any) -> Done:
    start, stop = bracket(pair, key)
    data = bytes(pair.flat[start:stop])
    return gives(data if isinstance(key, slice) else data[0])


def set_item(world: World, pair: Pair, key: Any, value: Any) -> Done:
    start, stop = bracket(pair, key)
    if not isinstance(key, slice):
        data = bytes([number(value, 0, 255)])
    elif isinstance(value, MemoryPool):
        data = bytes(world.pair_of(value).flat)
    else:
        data = content(value) if is_memory(value) else items(value)
    if len(data) != stop - start:
        raise Refused
    return puts(pair, start, data, None)


def sought(value: Any) -> bytes:
    """The bytes that are looked for: those of memory, or a byte."""
    return content(value) if is_memory(value) else byte(value)


def byte(value: Any) -> bytes:
    try:
        return bytes((operator.index(value),))
    except BaseException as error:
        raise Refused(type(error)) from None


def index_of(value: Any) -> int | None:
    """An end of a slice."""
    try:
        return None if value is None else operator.index(value)
    except BaseException as error:
        raise Refused(type(error)) from None


def search(name: str) -> Callable[..., Done]:
    """The method of bytearray with that name."""

    def model(world: World, pair: Pair, sub: Any, *ends: Any) -> Done:
        pattern, numbers = sought(sub), [index_of(end) for end in ends]
        try:
            return gives(getattr(pair.flat, name)(pattern, *numbers))
        except ValueError:
            raise Refused(ValueError) from None  # index() has not found it

    return model


def contains(world: World, pair: Pair, sub: Any) -> Done:
    try:
        pattern = byte(sub)
    except Refused as refusal:
        if refusal.kind is not TypeError or not is_memory(sub):
            raise
        pattern = content(sub)
    return gives(pattern in pair.flat)


def digest(world: World, pair: Pair) -> Done:
    return gives(digest_of(pair.flat))


def same_bytes(world: World, pair: Pair, other: Any) -> Done:
    return gives(pair.flat == world.pair_of(other).flat)


def differences(
    world: World, pair: Pair, base: Any, offset: Any = 0, size: Any = None
) -> Done:
    other = world.pair_of(base)
    total = max(len(pair.flat), len(other.flat))
    start = number(offset, 0, total)
    stop = total if size is None else start + number(size, 0, total - start)
    runs = differing(pair.flat[start:stop], other.flat[start:stop])
    return gives([(start + at, length) for at, length in runs])


def restore(world: World, pair: Pair, source: Any) -> Done:
    other = world.pair_of(source)
    if not world.are_related(pair, other):
        raise Refused

    def done(result: None) -> None:
        if pair is not other:
            world.cut_pins(pair)
            pair.flat = other.flat[:]

    return done


def runs(flat: bytearray, other: bytearray) -> Done:
    """For extents() and changes(): outside of the runs the two are the same."""
    total = max(len(flat), len(other))
    first, second = bytearray(flat.ljust(total, b"\0")), other.ljust(total, b"\0")

    def done(result: Any) -> None:
        for start, size in result:
            first[start : start + size] = second[start : start + size]
        assert first == second

    return done


def changes(world: World, pair: Pair, base: Any) -> Done:
    other = world.pair_of(base)
    if not world.are_related(pair, other):
        raise Refused
    return runs(pair.flat, other.flat)


def create(
    world: World, pair: Pair, total_size: Any, block: Any = 1, limit: Any = None
) -> Done:
    number(block, 1, SIZE_MAX)
    if limit is not None:
        number(limit, 1, SIZE_MAX)
    return gives(number(total_size, 1, SIZE_MAX))


def twin(world: World, pair: Pair, *ignored: Any) -> Done:
    """Any way to get a pool with the same contents."""

    def done(result: MemoryPool) -> None:
        assert result is not pair.pool
        with result:
            assert result[:] == pair.flat

    return done


def same(world: World, pair: Pair, address: Any) -> Done:
    """Another owner of the pool; see from_handle() below."""
    number(address, 1, SIZE_MAX)
    return twin(world, pair)


def reduced(world: World, pair: Pair, protocol: Any) -> Done:
    number(protocol, -(10**9999), 10**9999)
    return twin(world, pair)


def refused(world: World, pair: Pair, *ignored: Any) -> Done:
    raise Refused


def fact(ask: Callable[[Pair], Any]) -> Callable[..., Done]:
    return lambda world, pair: gives(ask(pair))


def anything(world: World, pair: Pair, *ignored: Any) -> Done:
    return lambda result: None
