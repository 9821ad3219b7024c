# SPDX-License-Identifier: MIT
"""A stream whose pieces come in any order, put together within a memory limit.

Threads bring pieces of a stream. Each piece has an offset, and is written there in a pool
as long as the whole stream. The consumer takes bytes from the front as soon as there is
no gap, which frees their memory. A piece that is too far ahead waits, so there is always
room for the one that the consumer needs. The memory limit proves that this is right: the
pool would refuse a piece beyond it.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator

from pymempool import MemoryPool

LENGTH = 16 << 20  # bytes in the stream
PIECE = 1400  # bytes in a piece, as on a network
LIMIT = 1 << 20  # bytes of memory, a sixteenth of the stream
BLOCK = 4096
WINDOW = LIMIT - 2 * BLOCK  # how far ahead; it may begin and end within a block
REACH = 300  # pieces by which one may come too early, well within the window
THREADS = 4


class Assembler:
    """Bytes go in anywhere, and come out in order."""

    def __init__(self) -> None:
        self._pool = MemoryPool(LENGTH, BLOCK, memory_limit=LIMIT)
        self._arrived: dict[int, int] = {}  # offset and size of what waits in the pool
        self._changed = threading.Condition()
        self._front = 0  # everything before it was taken

    def put(self, offset: int, piece: bytes) -> None:
        """Called by many threads; waits until the piece lies in the window."""
        end = offset + len(piece)
        with self._changed:
            self._changed.wait_for(lambda: end <= self._front + WINDOW)
        self._pool.write(offset, piece)
        with self._changed:
            self._arrived[offset] = len(piece)
            self._changed.notify_all()

    def chunks(self) -> Iterator[bytes]:
        """The stream from its start to its end; called by one thread."""
        while self._front < LENGTH:
            with self._changed:
                self._changed.wait_for(lambda: self._front in self._arrived)
                end = self._front
                while end in self._arrived:
                    end += self._arrived.pop(end)
            chunk = self._pool.take(self._front, end - self._front)
            with self._changed:
                self._front = end
                self._changed.notify_all()
            yield chunk

    def peak(self) -> int:
        """The most bytes of memory that were in use."""
        return self._pool.stats.family_peak_bytes

    def left(self) -> int:
        """Bytes of memory in use now."""
        return self._pool.stats.held_bytes


def bring(assembler: Assembler, stream: bytes, offsets: Iterator[int]) -> None:
    for offset in offsets:
        assembler.put(offset, stream[offset : offset + PIECE])


def out_of_order(chance: random.Random) -> list[int]:
    """Offsets of all pieces, none of them more than REACH places from where it was."""
    offsets = list(range(0, LENGTH, PIECE))
    return sorted(offsets, key=lambda offset: offset + chance.random() * REACH * PIECE)


def main() -> None:
    chance = random.Random(1)
    stream = chance.randbytes(LENGTH)
    assembler = Assembler()
    offsets = out_of_order(chance)
    threads = [
        threading.Thread(
            target=bring, args=(assembler, stream, iter(offsets[number::THREADS]))
        )
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()

    digest, length = hashlib.sha256(), 0
    for chunk in assembler.chunks():
        digest.update(chunk)
        length += len(chunk)
    for thread in threads:
        thread.join()

    print(f"{length} bytes in {len(offsets)} pieces by {THREADS} threads")
    print(f"the same as was sent: {digest.digest() == hashlib.sha256(stream).digest()}")
    print(f"within the limit of {LIMIT} bytes: {assembler.peak() <= LIMIT}")
    print(f"left in the pool: {assembler.left()} bytes")


if __name__ == "__main__":
    main()
