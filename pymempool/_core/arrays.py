# SPDX-License-Identifier: MIT
"""NumPy arrays whose memory is that of a pool.

NumPy is imported when an array is made, and not before.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from . import pins
from .owner import Owner


def array(owner: Owner, shape: Any, dtype: Any, offset: Any, frozen: bool) -> Any:
    """An array over a pin of its bytes; over a view of them if it is frozen."""
    numpy = _numpy()
    dtype = numpy.dtype(dtype)
    if dtype.hasobject or dtype.itemsize == 0:
        what = "holds references to Python objects" if dtype.hasobject else "has no size"
        raise TypeError(f"dtype must be one of plain bytes, but {dtype!r} {what}")
    lengths = _lengths(shape)
    size = dtype.itemsize * math.prod(lengths)
    memory = (pins.view if frozen else pins.pin)(owner, offset, size)
    # The array keeps what exports the memory, which is all that the memoryview does.
    return numpy.ndarray(lengths, dtype, memory.obj)


def _lengths(shape: Any) -> tuple[int, ...]:
    try:
        lengths = tuple(shape)
    except TypeError:  # one number, which may be an array of NumPy without axes
        lengths = (shape,)
    return tuple(integer("a length in shape", each, 0, SIZE_MAX) for each in lengths)


def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise ImportError(
            "arrays are those of NumPy: pip install 'pymempool[numpy]'", name="numpy"
        ) from error
