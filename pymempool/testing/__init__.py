# SPDX-License-Identifier: MIT
"""Tools for tests of Python and C code that works on pools.

The first four are fixtures of pytest, once pymempool is installed:

memory_pool        a pool of which the test must release everything
compile_c          compiles C source to a ctypes library that works on the same pools
only_writes        assert_only_wrote() for the pool of memory_pool
fail_allocation    makes an allocation of the library fail (fault injection)
assert_same        compares a pool with bytes, and shows a hex dump of the differences
assert_only_wrote  finds writes outside of the ranges that code may write to
written            lists which bytes of a pool were written
report             tells who holds what, of all pools of the process
"""

from .._core.names import publish
from .compare import assert_same
from .compiler import CompileC, find_compiler
from .errors import (
    ChildError,
    CompileError,
    LeakError,
    OverReleaseError,
    ReleaseError,
    SanitizerError,
    UnavailableError,
)
from .faults import FailAllocation, Fault
from .leaks import Loan, lend_pool
from .reports import ReportEntry, report
from .writes import Written, assert_only_wrote, written

__all__ = [
    "ChildError",
    "CompileC",
    "CompileError",
    "FailAllocation",
    "Fault",
    "LeakError",
    "Loan",
    "OverReleaseError",
    "ReleaseError",
    "ReportEntry",
    "SanitizerError",
    "UnavailableError",
    "Written",
    "assert_only_wrote",
    "assert_same",
    "find_compiler",
    "lend_pool",
    "report",
    "written",
]

publish(__name__, *(globals()[name] for name in __all__))
