# SPDX-License-Identifier: MIT
"""Pools larger than one machine: one byte space over the workers of a Dask cluster.

Each module knows only those before it: addresses (where a byte lies), part (one part on
one worker), messages (how one is reached), shard (how two holders of a part stay the
same), placement (who has what, and who leads it), upkeep (who is to have what), remote
(one of the pools that lie there), items, array and files (longer calls on one), pool
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

from .._core.names import publish
from .placement import ShardLostError
from .pool import ShardedPool, ShardedStats

__all__ = ["ShardLostError", "ShardedPool", "ShardedStats"]

publish(__name__, *(globals()[name] for name in __all__))
