# SPDX-License-Identifier: MIT
"""mempool://, a file system in memory for fsspec. Its files are clones of one pool."""

from .._core.names import publish
from .open_file import MempoolFile
from .system import MempoolFileSystem, _unpickled

__all__ = ["MempoolFile", "MempoolFileSystem"]

# Pickles of a file system name pymempool.filesystem._unpickled: that name never moves.
publish(__name__, MempoolFile, MempoolFileSystem, _unpickled)
