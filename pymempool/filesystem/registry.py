# SPDX-License-Identifier: MIT
"""The stores of the process that have names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.locks import new_lock
from .store import Store, new_store

if TYPE_CHECKING:
    from typing import SupportsIndex


class _Named:
    """Stores by name. The lock guards them."""

    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}
        self.lock = new_lock(self)


_named = _Named()


def _check(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or "/" in name:
        raise ValueError(f"name is {name!r}, allowed is a name that is not empty, no '/'")


def open_store(
    name: str, limit: SupportsIndex | None, block_size: SupportsIndex | None
) -> Store:
    """Returns the store of a name, which is made if there is none.

    limit, block_size: as for MempoolFileSystem; None also means what a store has.

    Raises TypeError, ValueError: see MempoolFileSystem.
    """
    _check(name)
    with _named.lock:
        store = _named.stores.get(name)
        if store is None:
            store = _named.stores[name] = new_store(limit, block_size)
    if limit is not None and limit != store.limit:
        raise ValueError(
            f"limit is {limit}, but the store {name!r} has a limit of"
            f" {store.limit or None}"
        )
    if block_size is not None:
        wanted, held = new_store(None, block_size).origin, store.origin.block_size
        if wanted.block_size != held:
            raise ValueError(
                f"block_size is {block_size}, but the store {name!r} has blocks of {held}"
            )
    return store


def name_store(name: str, store: Store) -> None:
    """Gives a store a name that no other has. Raises TypeError, ValueError."""
    _check(name)
    with _named.lock:
        if _named.stores.setdefault(name, store) is not store:
            raise ValueError(f"name is {name!r}, but there is a store of that name")


def store_names() -> list[str]:
    """Returns the names of all stores, sorted."""
    with _named.lock:
        return sorted(_named.stores)


def drop_store(name: str) -> None:
    """Forgets the store of a name, if there is one."""
    with _named.lock:
        _named.stores.pop(name, None)
