# SPDX-License-Identifier: MIT
"""Locks that a forked child replaces: their owners there may be missing threads."""

from __future__ import annotations

import os
import threading
from typing import Any

from .weak import WeakObjects

_owners: WeakObjects[Any] = WeakObjects()


def new_lock(owner: Any) -> threading.RLock:
    """Returns a lock for owner.lock. A signal handler may take it again."""
    _owners.add(owner)
    return threading.RLock()


def _renew() -> None:
    for owner in _owners:
        owner.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
