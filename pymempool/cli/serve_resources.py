# SPDX-License-Identifier: MIT
"""What `pymempool serve` takes while it serves and releases at the end: a private folder,
handlers of signals, and the place of a socket."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import Any

PIDFILE = "pid"  # the name in the private folder of the file that nbdkit writes
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # each ends the service

_PREFIX = "pymempool-serve-"  # of the names of private folders


@contextmanager
def private_folder() -> Iterator[str]:
    """Makes a folder that only its owner can enter, and removes it at the end.

    The folder is locked for as long as this process lives. Those of processes that were
    killed, which nobody has locked, are removed too.
    """
    parent = glob.escape(tempfile.gettempdir())
    for left in glob.glob(os.path.join(parent, f"{_PREFIX}*")):
        # The pidfile is only written after the folder was locked: another process may be
        # between the two.
        if os.path.exists(os.path.join(left, PIDFILE)):
            with _locked(left) as was_free:
                if was_free:
                    shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as private, _locked(private):
        yield private


@contextmanager
def _locked(folder: str) -> Iterator[bool]:
    """Tries to lock a folder; yields whether it could."""
    import fcntl  # not on Windows, where there is no nbdkit

    with ExitStack() as stack:
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            stack.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def signals_to(events: SimpleQueue[Any]) -> Iterator[None]:
    """Puts the numbers of signals into a queue, each signal once.

    A second one does what it did before. A signal that was ignored stays ignored, as
    nohup needs it.
    """
    before = {
        getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in SIGNALS
    }

    def handle(number: int, _: object) -> None:
        signal.signal(number, before[number])
        events.put(number)  # SimpleQueue.put() may be called in a handler

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def socket_removed(path: str | None) -> Iterator[None]:
    """Removes a socket that nobody listens to, before and after."""
    _remove_unused(path)
    try:
        yield
    finally:
        _remove_unused(path)


def _remove_unused(path: str | None) -> None:
    if path is None:
        return
    with suppress(OSError, ValueError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)  # its queue of connections may be full
                try:
                    client.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
