# SPDX-License-Identifier: MIT
"""Paths of mempool://: the store that a URL names, and the names of the entries below it.

    /folder/file                  in the store of the file system that is called
    mempool:///folder/file        the same
    mempool://NAME/folder/file    in the store NAME, from every file system

fsspec's functions for many paths and file systems hand complete URLs on, as they do for
http://. So a URL keeps the name of its store wherever it goes.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

_PROTOCOL = "mempool:"


def split_path(path: Any) -> tuple[str | None, list[str]]:
    """Returns the store and the names in a path: None for the store if it names none.

    Raises ValueError for a URL with one slash, as pathlib makes of two.
    """
    text: str = path.as_posix() if isinstance(path, PurePath) else os.fspath(path)
    if not text.startswith(_PROTOCOL):
        return None, _names(text)
    if not text.startswith(_PROTOCOL + "//"):
        raise ValueError(f"{text!r} names no store, allowed is mempool://NAME/path")
    store, _, rest = text[len(_PROTOCOL) + 2 :].partition("/")
    return store or None, _names(rest)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def join_path(names: list[str], store: str | None = None) -> str:
    """Returns the path of names, empty for the root; the URL if a store is given."""
    path = "".join("/" + name for name in names)
    return path if store is None else f"{_PROTOCOL}//{store}{path}"
