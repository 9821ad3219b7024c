# SPDX-License-Identifier: MIT
"""Many items at once, and integers to count with.

Offsets come in many forms. They are checked and converted once, to one run of size_t.
numpy is never imported here: whoever passes an array has done that.
"""

from __future__ import annotations

import operator
import sys
from array import array
from ctypes import byref, c_size_t, c_uint64, sizeof
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar, overload

from .._native.arguments import integer
from .._native.buffers import BYTES_MAX, readable, writable
from .._native.library import library_for, quick
from .._native.signatures import SIZE_MAX
from ..errors import PoolMemoryError, PoolRangeError
from .owner import CLOSED, Owner

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_Buffer = TypeVar("_Buffer")

# The array code of a size_t.
_CODE = "Q" if sizeof(c_size_t) == 8 else "I"

# An item takes about as long as 64 bytes do, however short it is.
_ITEM_COST = 64


class Batches:
    """The methods of a pool for many items and for integers."""

    _owner: Owner = CLOSED

    @overload
    def gather(self, offsets: Any, item_size: SupportsIndex) -> Any: ...
    @overload
    def gather(self, offsets: Any, item_size: SupportsIndex, out: _Buffer) -> _Buffer: ...
    def gather(self, offsets: Any, item_size: SupportsIndex, out: Any = None) -> Any:
        """The items of `item_size` bytes at each of the offsets, one after the other.

        offsets: a numpy array of integers of any shape, or any sequence of integers.
        out: None, or what to fill: writable, contiguous memory of just their size.

        Returns out if given; for a numpy array an array of uint8 with the same shape and
        one more axis for the bytes of an item; for other sequences bytes.

        Each item is one atomic step. Raises PoolRangeError with the first wrong offset
        there is, TypeError if they are no integers; then nothing was read.
        """
        return _gather_all(self._owner, offsets, item_size, out)

    def scatter(self, offsets: Any, data: ReadableBuffer) -> None:
        """Puts equal parts of `data` at the offsets, in their order.

        offsets: as gather() takes them.
        data: contiguous memory; its size is a multiple of the number of offsets.

        Each item is one atomic step. Raises what gather() raises, PoolMemoryError and
        PoolLimitError; then nothing was written, unless another thread cloned, viewed,
        discarded or resized the pool meanwhile.
        """
        _scatter_all(self._owner, offsets, data)

    def fetch_add(
        self, offset: SupportsIndex, n: SupportsIndex, size: SupportsIndex = 8
    ) -> int:
        """Adds `n` to the unsigned integer at `offset`; returns what it was.

        size: 1, 2, 4 or 8 bytes, in the machine's order, aligned or not.
        n: -(2 ** 128) .. 2 ** 128; the sum is modulo 2 ** (8 * size).

        One atomic step for threads of both languages. Raises PoolRangeError,
        PoolMemoryError, PoolLimitError; then nothing was changed.
        """
        owner, old = self._owner, c_uint64()
        offset, size, mask = _integer_at(owner, offset, size)
        n = integer("n", n, -_ANY_INTEGER, _ANY_INTEGER) & mask
        quick.pool_fetch_add(owner.address, offset, size, n, byref(old))
        return old.value

    def compare_exchange(
        self,
        offset: SupportsIndex,
        expected: SupportsIndex,
        new: SupportsIndex,
        size: SupportsIndex = 8,
    ) -> bool:
        """Makes the unsigned integer at `offset` `new` if it is `expected`.

        Returns whether it was. size, atomicity and errors are those of fetch_add().
        """
        owner, old = self._owner, c_uint64()
        offset, size, mask = _integer_at(owner, offset, size)
        expected = integer("expected", expected, 0, mask)
        new = integer("new", new, 0, mask)
        quick.pool_compare_exchange(
            owner.address, offset, size, expected, new, byref(old)
        )
        return old.value == expected


# More than anybody adds, and few enough digits for an error message.
_ANY_INTEGER = 2**128


def _integer_at(owner: Owner, offset: Any, size: Any) -> tuple[int, int, int]:
    """offset and size as plain ints, and the largest integer of that size."""
    if type(size) is not int or size not in (1, 2, 4, 8):
        size = integer("size", size, 1, 8)
        if size not in (1, 2, 4, 8):
            raise PoolRangeError(f"size is {size}, allowed is 1, 2, 4 or 8")
    offset, size = owner.range(offset, size)
    return offset, size, (1 << 8 * size) - 1


# ---------------------------------------------------------------- many at once


class _Offsets(NamedTuple):
    """Offsets on their way to C."""

    items: int
    lowest: int
    highest: int
    raw: Any  #: what holds them: ints if they fit a size_t, else useless
    find: Any  #: a function that gives the place of an offset
    shape: tuple[int, ...] | None  #: of the numpy array that they were


def _gather_all(owner: Owner, offsets: Any, item_size: Any, out: Any) -> Any:
    """The items at the offsets, one after the other."""
    found = _convert(offsets)
    item_size = integer("item_size", item_size, 0, SIZE_MAX)
    _check(owner, found, item_size)
    size = found.items * item_size
    if out is not None:
        with writable(out) as target:
            integer("size of out", target.size, size, size)
            _gather(owner, found, item_size, target.address)
        return out
    if size > BYTES_MAX:
        raise PoolMemoryError(f"{size} bytes do not fit an object")
    if found.shape is None:
        data = bytes(size)  # of zeros: errors show the arguments of calls
        if size:
            _gather(owner, found, item_size, data)
        return data
    numpy = sys.modules["numpy"]
    items = numpy.empty((*found.shape, item_size), dtype=numpy.uint8)
    try:
        _gather(owner, found, item_size, items.ctypes.data)
    except BaseException:
        del items  # it holds old memory, and a traceback would show it
        raise
    return items


def _gather(owner: Owner, found: _Offsets, item_size: int, dest: Any) -> None:
    library = library_for(found.items * (_ITEM_COST + item_size))
    with readable(found.raw) as raw:
        library.pool_gather(owner.address, dest, raw.address, found.items, item_size)


def _scatter_all(owner: Owner, offsets: Any, data: Any) -> None:
    """Puts equal parts of data at the offsets, in their order."""
    found = _convert(offsets)
    with readable(data) as source:
        item_size, rest = divmod(source.size, found.items or 1)
        if rest or (source.size and not found.items):
            raise PoolRangeError(
                f"size of data is {source.size}, which {found.items} items of one size"
                " do not make"
            )
        _check(owner, found, item_size)
        library = library_for(found.items * (_ITEM_COST + item_size))
        with readable(found.raw) as raw:
            library.pool_scatter(
                owner.address, raw.address, source.address, found.items, item_size
            )


def _check(owner: Owner, found: _Offsets, item_size: int) -> None:
    """Raises, with the offender, if an item is not in the pool."""
    end = found.highest + item_size
    if found.lowest >= 0 and (end <= owner.total_size or end <= owner.ask()):
        return
    wrong = found.lowest if found.lowest < 0 else found.highest
    most = owner.total_size - item_size
    if most < 0:
        integer("item_size", item_size, 0, owner.total_size)
    integer(f"offset number {found.find(wrong)}", wrong, 0, most)


def _convert(offsets: Any) -> _Offsets:
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(offsets, numpy.ndarray):
        return _convert_array(numpy, offsets)
    if isinstance(offsets, memoryview):
        offsets = offsets.tolist()  # CPython trips over the iterator of a released one
    try:
        items = iter(offsets)
    except TypeError:
        kind = type(offsets).__name__
        raise TypeError(f"offsets must be a series of integers, not {kind}") from None
    numbers = list(map(operator.index, items))
    lowest, highest = min(numbers, default=0), max(numbers, default=0)
    raw = array(_CODE, numbers) if 0 <= lowest <= highest <= SIZE_MAX else None
    return _Offsets(len(numbers), lowest, highest, raw, numbers.index, None)


def _convert_array(numpy: Any, offsets: Any) -> _Offsets:
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"offsets must be integers, not {offsets.dtype}")
    numbers = numpy.asarray(offsets)
    lowest = highest = 0
    if numbers.size:
        lowest, highest = int(numbers.min()), int(numbers.max())
    raw = numpy.ascontiguousarray(numbers, dtype=numpy.uintp)

    def find(wrong: int) -> int:
        return int((numbers == wrong).argmax())  # counted in the order of memory in C

    return _Offsets(numbers.size, lowest, highest, raw, find, numbers.shape)
