# SPDX-License-Identifier: MIT
"""What fsspec has subclassed for mempool://, beside the file system itself."""

from __future__ import annotations

import importlib
from typing import Any

from .open_file import MempoolFile
from .store import Store, link_all
from .stored_file import StoredFile

try:
    FileSystem: Any = importlib.import_module("fsspec").AbstractFileSystem
    _FsspecTransaction: Any = importlib.import_module("fsspec.transaction").Transaction
    _FsspecFile: Any = importlib.import_module("fsspec.spec").AbstractBufferedFile
except ImportError as error:
    raise ImportError(
        "mempool:// needs fsspec: pip install 'pymempool[fsspec]'", name="fsspec"
    ) from error


class MissingName(str):
    """The empty name of a URL without one, which the name that is given replaces.

    fsspec drops what a URL says if it does not differ from what is given.
    """

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


class BufferedFile(_FsspecFile):  # type: ignore[misc] # fsspec has no types
    """A file that is read through a cache of fsspec, for who asks for one: blockcache."""

    def __init__(self, system: Any, path: str, file: StoredFile, **options: Any) -> None:
        self._file = file  # which the cache may read at once
        super().__init__(system, path, "rb", **{**options, "size": file.length})

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._file.read(start, end - start)


class Transaction(_FsspecTransaction):  # type: ignore[misc] # fsspec has no types
    """fsspec's transaction, but its files appear in one atomic step, or none of them."""

    def _files(self) -> list[MempoolFile]:
        """Returns the files in order, each once, without what compresses them."""
        opened = dict.fromkeys(self.files)
        return [file for file in opened if isinstance(file, MempoolFile)]

    def pending_at(self, store: Store, names: list[str]) -> StoredFile | None:
        """Returns the file that would have this path after a commit now."""
        found = (file.pending_at(store, names) for file in reversed(self._files()))
        return next(filter(None, found), None)

    def complete(self, commit: bool = True) -> None:
        """Gives all files their paths, or discards them if that fails.

        Raises what MempoolFile.commit() raises.
        """
        files = self._files()
        self.files.clear()
        try:
            if commit:
                link_all([link for file in files for link in file.links()])
        finally:
            for file in files:
                file.discard()
            super().complete(commit=False)  # there are no files: it ends the transaction
