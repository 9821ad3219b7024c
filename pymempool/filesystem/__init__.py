# SPDX-License-Identifier: MIT
"""mempool://, a file system for fsspec whose files are clones of one pool."""

from .._core.names import publish
from .system import MempoolFile, MempoolFileSystem, _unpickled

__all__ = ["MempoolFile", "MempoolFileSystem"]

# Pickles of a file system name _unpickled as a thing of this module, where it stays.
publish(__name__, MempoolFile, MempoolFileSystem, _unpickled)
