# SPDX-License-Identifier: MIT
"""The system itself refuses: a file-size limit, a /dev/shm that is too small.

In processes of their own, because such limits are for all of a process.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has")

_SHARE = f"""
import sys
sys.path[:] = {sys.path!r}
import os
from pymempool import MemoryPool

def held():
    return [os.listdir(folder) for folder in ("/proc/self/fd", "/dev/shm")]

def fails(errno):
    try:
        pool.share()
    except OSError as error:
        assert error.errno == errno, error
    else:
        raise AssertionError("there was room")

pool = MemoryPool(8 << 20)
pool.fill(0, 1, 8 << 20)
pool.clone().close()  # opens what tracks written pages
"""


def run(code: str, *prefix: str) -> None:
    command = [*prefix, sys.executable, "-c", _SHARE + code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_write_that_ends_in_the_midst() -> None:
    run(
        """
import errno, resource
with pool.share():
    pass  # imports what sharing needs
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
before = held()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
fails(errno.EFBIG)
assert held() == before
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
with pool.share() as snapshot:
    assert snapshot.stored_bytes == 8 << 20
"""
    )


_MOUNT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
_SMALL = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'


def test_small_dev_shm() -> None:
    """Where memfd is refused, and the folder in its place has too little room."""
    if shutil.which("unshare") is None or subprocess.call(
        [*_MOUNT, _SMALL, "sh", "true"], stderr=subprocess.DEVNULL
    ):
        pytest.skip("no namespace can be made here")
    run(
        """
import errno, shutil
def refused(*arguments):
    raise PermissionError(errno.EPERM, "refused")
os.memfd_create = refused
small = MemoryPool(65536)
small.fill(0, 1, 65536)
with small.share() as snapshot:
    assert shutil.disk_usage("/dev/shm").used > 0
before = held()
fails(errno.ENOSPC)
assert held() == before and shutil.disk_usage("/dev/shm").used == 0
""",
        *_MOUNT,
        _SMALL,
        "sh",
    )
