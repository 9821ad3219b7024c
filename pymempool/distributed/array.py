# SPDX-License-Identifier: MIT
"""A range of a sharded pool as a dask.array."""

from __future__ import annotations

import operator
import uuid
from typing import Any

import dask.array
import numpy as np
from distributed import Client

from .._native.arguments import byte_range, integer
from ..errors import PoolRangeError
from .addresses import TOTAL_MAX
from .remote import Remote


def array(
    pool: Any,
    remote: Remote,
    client: Client,
    offset: Any,
    shape: Any,
    dtype: Any,
    stripes: Any,
) -> Any:
    """ShardedPool.array(). Tasks get the pool; remote says where it is."""
    placement, dtype = remote.placement, np.dtype(dtype)
    total_size, stripe, parts = remote.layout
    shape = _sizes(shape)
    row = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
    offset, size = byte_range(offset, row * shape[0], total_size)
    step = stripe * integer("stripes", stripes, 1, TOTAL_MAX // stripe)
    borders = [*range(offset - offset % stripe + step, offset + size, step)]
    if dtype.hasobject or row == 0 or (borders and (stripe % row or offset % row)):
        raise PoolRangeError(
            f"rows of {row} bytes of {dtype} from offset {offset} do not fit stripes of"
            f" {stripe}"
        )
    cuts = [offset, *borders, offset + size]
    name = f"pymempool-array-{uuid.uuid4().hex}"
    rows, tasks = [], {}
    for i, (start, end) in enumerate(zip(cuts, cuts[1:])):
        rows.append((end - start) // row)
        address, _ = placement.leaders[start // stripe % parts]
        tasks[(name, i) + (0,) * (len(shape) - 1)] = client.submit(
            _chunk,
            pool,
            start,
            (rows[-1], *shape[1:]),
            dtype,
            workers=[address],
            allow_other_workers=True,
            pure=False,
        )
    chunks = (tuple(rows), *((width,) for width in shape[1:]))
    return dask.array.Array(tasks, name, chunks, dtype)


def _sizes(shape: Any) -> tuple[int, ...]:
    """The shape as numpy takes it: an integer, or some of them."""
    try:
        shape = (operator.index(shape),)
    except TypeError:
        shape = tuple(shape)
    if not shape:
        raise PoolRangeError("shape is (), which has no rows")
    return tuple(integer("a size in shape", size, 0, TOTAL_MAX) for size in shape)


def _chunk(pool: Any, offset: int, shape: Any, dtype: Any) -> Any:
    out = np.empty(shape, dtype)
    pool.readinto(offset, out.reshape(-1).view(np.uint8).data)
    return out
