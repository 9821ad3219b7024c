# SPDX-License-Identifier: MIT
"""Pools larger than one machine: one byte space over the workers of a Dask cluster.

Each module imports only those before it: addresses (which part holds a byte), part (one
part on one worker), messages (the transport), shard (how two holders of a part stay
equal), placement (the holders and the leader of each part), upkeep (repair and
rebalance), remote (one pool of a placement), ranges, items, array and files (calls that
are split by parts), pool (what a user calls).
"""

try:
    import dask.array as _array  # noqa: F401
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"pools over many machines need Dask: pip install 'pymempool[dask]' ({error})",
        name=error.name,
    ) from error

from .._core.names import publish
from .placement import ShardLostError
from .pool import ShardedPool, ShardedStats

__all__ = ["ShardLostError", "ShardedPool", "ShardedStats"]

publish(__name__, *(globals()[name] for name in __all__))
