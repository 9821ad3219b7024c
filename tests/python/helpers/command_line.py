# SPDX-License-Identifier: MIT
"""What tests of the commands share: the command as a process, a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    run = partial(
        subprocess.run,
        [sys.executable, "-m", "pymempool", *map(str, arguments)],
        timeout=300,
        cwd=Path(__file__).parent,  # not the root: there `-m` would find the sources
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )
    try:
        return run()
    except OSError as error:
        # Now and then Wine starts no process, for no reason that it tells.
        if getattr(error, "winerror", None) != 1359:
            raise
        return run()


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


#: What inspect tells of the image a.
ONE_RUN = """\
image     a
format    raw
size      12345 bytes (12.1 KiB)
data      12345 bytes (12.1 KiB)
holes     0 bytes
entropy   8.00 bits per byte
extents   1

  start     end  bytes      size  entropy
    0x0  0x3039  12345  12.1 KiB     8.00
"""
