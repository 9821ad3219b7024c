# SPDX-License-Identifier: MIT
"""Pools larger than one machine: one byte space over the workers of a Dask cluster.

Each module knows only those before it: _addresses (where a byte lies), _part (one part on
one worker), _messages (how one is reached), _shard (how two holders of a part stay the
same), _placement (who has what, and who leads it), _upkeep (who is to have what), _remote
(one of the pools that lie there), _items, _array and _files (longer calls on one), _pool
(what a user calls).
"""

try:
    import dask.array as _array  # noqa: F401
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"pools over many machines need Dask: pip install 'pymempool[dask]' ({error})",
        name=error.name,
    ) from error

from ._placement import ShardLostError
from ._pool import ShardedPool, ShardedStats

__all__ = ["ShardLostError", "ShardedPool", "ShardedStats"]
