# SPDX-License-Identifier: MIT
"""Tools for tests of code, in Python and in C, that works on memory.

pytest offers the first three of them as fixtures, once pymempool is installed:

memory_pool      a pool that must have been given back wholly when the test ends
compile_c        C source as a ctypes library that works on the same pools
fail_allocation  makes an allocation of the library fail
assert_same      compares the bytes of a pool and shows how they differ
"""

from .._core.names import publish
from .compare import assert_same
from .compiler import CompileC, CompileError, find_compiler
from .faults import FailAllocation, Fault
from .leaks import Loan, lend_pool

__all__ = [
    "CompileC",
    "CompileError",
    "FailAllocation",
    "Fault",
    "Loan",
    "assert_same",
    "find_compiler",
    "lend_pool",
]

publish(__name__, *(globals()[name] for name in __all__))
