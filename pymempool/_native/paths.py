# SPDX-License-Identifier: MIT
"""Where the header and the library are, for compilers and for other bindings.

`python -m pymempool config --cflags --libs` tells the same on the command line.
"""

from __future__ import annotations

import os
import sys

from . import library


def get_include() -> str:
    """The folder of memory_pool.h, which is installed beside the library."""
    folder = os.path.join(os.path.dirname(get_library()), "include")
    if not os.path.exists(os.path.join(folder, "memory_pool.h")):
        raise FileNotFoundError(f"memory_pool.h is not in {folder}")
    return folder


def get_library() -> str:
    """The path of the shared library, the very one that this process uses."""
    return library.path


def is_debug() -> bool:
    """Whether this process uses the debug library."""
    return os.path.basename(get_library()) == library.DEBUG_FILE_NAME


def compiler_flags() -> list[str]:
    """What a compiler needs to find the header.

    For the debug library also what makes the code tell it its lines.
    """
    return [f"-I{get_include()}", *(["-DPOOL_DEBUG"] if is_debug() else [])]


def linker_flags() -> list[str]:
    """What a compiler needs to link the library, and the program to find it again."""
    folder = os.path.dirname(get_library())
    flags = [f"-L{folder}", "-lmemory_pool_debug" if is_debug() else "-lmemory_pool"]
    if sys.platform != "win32":  # Windows looks beside the program and along PATH
        flags.insert(1, f"-Wl,-rpath,{folder}")
    return flags
