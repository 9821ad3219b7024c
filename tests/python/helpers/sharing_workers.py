# SPDX-License-Identifier: MIT
"""What other processes do with shared snapshots, in a module that they can import."""

from __future__ import annotations

import pickle
from typing import Any

from pymempool import MemoryPool, SharedSnapshot

MIB = 1 << 20


def make(data: bytes) -> SharedSnapshot:
    """A snapshot whose pool is closed before this returns."""
    with MemoryPool(len(data)) as pool:
        pool[:] = data
        return pool.share()


def contents(snapshot: SharedSnapshot) -> bytes:
    with snapshot.open() as pool:
        return pool[:]


def changed(snapshot: SharedSnapshot) -> SharedSnapshot:
    """Another snapshot, which differs from the one that came by its first byte."""
    with snapshot, snapshot.open() as pool:
        pool[0] = 255 - pool[0]
        return pool.share()


def send_contents(connection: Any, snapshot: SharedSnapshot) -> None:
    connection.send(contents(snapshot))


def answer(connection: Any) -> None:
    """Receives a snapshot, sends a changed one, and stays until that has arrived."""
    connection.send(changed(connection.recv()))
    connection.recv()


def answer_queue(requests: Any, answers: Any) -> None:
    """The same through queues."""
    answers.put(changed(requests.get()))
    requests.get()


def answer_dict(shared: Any) -> None:
    """The same through a dict of a manager, which holds what is put into it."""
    shared["answer"] = changed(shared["request"])


def own(connection: Any, link: Any, data: bytes) -> None:
    """Sends a snapshot over `link`, and stays until it is told to end, or is killed."""
    link.send(make(data))
    connection.recv()


def own_address(connection: Any, data: bytes) -> None:
    """Sends a pickle of its own making, an address, and keeps the snapshot meanwhile."""
    with make(data) as snapshot:
        connection.send(pickle.dumps(snapshot))
        connection.recv()
    connection.send("closed")
    connection.recv()


def read_windows(connection: Any, link: Any, with_arrays: bool) -> None:
    """Opens what comes over `link`, keeps views and arrays alone, reads them later."""
    with link.recv() as snapshot, snapshot.open() as pool, snapshot.open() as other:
        windows = [pool.view(0, len(pool)), other.view(0, len(other))]
        if with_arrays:
            windows.append(pool.array(len(pool), "u1"))
    connection.send("opened")
    connection.recv()
    connection.send([bytes(window) for window in windows])


def read_and_write(connection: Any) -> None:
    """Opens what comes, reads all of it, writes a little; answers after each."""
    connection.recv()
    connection.send("started")
    pool = connection.recv().open()
    connection.send(pool.digest())
    size = connection.recv()
    pool.fill(0, 1, size)
    connection.send(size)
    connection.recv()


def follow(connection: Any, queue: Any) -> None:
    """A reader that follows a publisher, and says what it has seen."""
    while (snapshot := queue.get()) is not None:
        with snapshot, snapshot.open() as pool:
            connection.send(pool[:])
