# SPDX-License-Identifier: MIT
"""New files on file systems of fsspec: committed, or discarded if anything goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def committing(system: Any, path: str) -> Iterator[Any]:
    """Gives a new file of a file system, which is committed at the end of the with block.

    If the block raises, the file is discarded, as far as the file system can.

    fsspec's transactions do the same for all files of all threads at once. If the caller
    has begun one, that transaction commits this file.
    """
    in_transaction = system._intrans
    file = system.open(path, "wb", **({} if in_transaction else {"autocommit": False}))
    try:
        if not in_transaction:
            _leave_transaction(system, file)
        yield file
        file.close()
        if not in_transaction and not getattr(file, "autocommit", True):
            file.commit()
    except BaseException:
        _leave_transaction(system, file)
        _discard(system, path, file)
        raise


def _leave_transaction(system: Any, file: Any) -> None:
    """Takes a file out of the transaction, where open() may have put it."""
    while True:
        with suppress(AttributeError, ValueError):
            try:
                system.transaction.files.remove(file)
            except IndexError:  # another thread changed the list: again
                continue
        return


def _discard(system: Any, path: str, file: Any) -> None:
    """Undoes what was written, as far as the file system can."""
    if hasattr(file, "discard"):
        with suppress(Exception):
            file.discard()
        with suppress(Exception):  # else close(), or the finalizer, would commit it
            file.closed = True
    with suppress(Exception):
        file.close()
    if getattr(system, "store", {}).get(path) is file:  # memory:// has it from the start
        with suppress(Exception):
            system.rm_file(path)  # not rm(), which takes a "*" for a pattern
