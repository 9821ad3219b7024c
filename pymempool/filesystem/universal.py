# SPDX-License-Identifier: MIT
"""MempoolPath: what universal_pathlib makes of UPath("mempool://NAME/path")."""

from __future__ import annotations

import importlib
from typing import Any

from .paths import join_path, split_path

_UPath: Any = importlib.import_module("upath").UPath


class MempoolPath(_UPath):  # type: ignore[misc] # it is imported at run time
    """A path of mempool://, whose store is in its storage_options, as name."""

    __slots__ = ()

    @classmethod
    def _transform_init_args(
        cls, args: tuple[Any, ...], protocol: str, storage_options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], str, dict[str, Any]]:
        if args and isinstance(args[0], str):
            store, names = split_path(args[0])
            if store is not None:
                args = (join_path(names) or "/", *args[1:])
                storage_options = {**storage_options, "name": store}
        return args, protocol, storage_options
