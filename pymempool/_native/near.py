# SPDX-License-Identifier: MIT
"""Short reads and writes, in the ways that cost ctypes least.

A third of what an empty call costs is the conversion of its arguments to their declared
types. Functions without declared types take, as they are: bytes (a pointer to them),
objects of ctypes, and an int as a C int, of which ctypes drops all bits beyond 32.

So these functions are for offsets up to NEAR, and for sizes up to QUICK_BYTES. The caller
must have checked that, and that both are of type int. The pool is an Owner's `argument`.
All keep the interpreter's lock, unless they wait.
"""

from __future__ import annotations

from ctypes import c_int, c_void_p, py_object
from typing import Any, Callable

from .finalizers import function

#: The largest offset for these functions: 1 GiB. A C int reaches twice as far, but Python
#: compares numbers up to here in one step.
NEAR = 2**30 - 1

#: as_argument(address): the address as what may be passed without a declared type.
as_argument: Callable[[int], Any] = c_void_p.from_param

#: read_bytes(pool, offset, size): a new bytes object, or None if not all is in the pool.
#: size is 1 or more.
read_bytes: Callable[[Any, int, int], bytes | None] = function(
    "read_bytes_near", py_object
)
#: read(pool, memory, offset, size), write(pool, offset, data, size): how many bytes were
#: not moved.
read: Callable[[Any, Any, int, int], int] = function("read_near", c_int)
write: Callable[[Any, int, bytes, int], int] = function("write_near", c_int)

#: read_bytes_far(address, offset, size): as read_bytes, for any offset. Declared.
read_bytes_far: Callable[[Any, int, int], bytes | None] = function(
    "read_bytes", py_object, c_void_p, c_void_p, c_void_p
)
