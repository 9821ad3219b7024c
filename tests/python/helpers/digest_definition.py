# SPDX-License-Identifier: MIT
"""The digest of a pool as memory_pool.h defines it, written again with hashlib."""

from __future__ import annotations

from hashlib import blake2b

PAGE = 4096
ZERO = bytes(32)  # the digest of a page or a node of zeros


def _hashed(text: bytes, data: bytes) -> bytes:
    return blake2b(data, digest_size=32, person=text).digest()


def digest_of_pages(total_size: int, pages: dict[int, bytes]) -> bytes:
    """The digest of so many bytes: zeros, but for some pages, by their numbers."""
    nodes = {
        i: _hashed(b"pool page", data.ljust(PAGE, b"\0"))
        for i, data in pages.items()
        if any(data)
    }
    covered = PAGE
    while covered < total_size:
        nodes = {
            i: _hashed(b"pool node", nodes.get(2 * i, ZERO) + nodes.get(2 * i + 1, ZERO))
            for i in {child // 2 for child in nodes}
        }
        covered *= 2
    size = total_size.to_bytes(8, "little")
    return _hashed(b"pool", size + nodes.get(0, ZERO))


def digest_of(flat: bytes) -> bytes:
    """The digest of a pool with these bytes."""
    starts = range(0, len(flat), PAGE)
    pages = {at // PAGE: bytes(flat[at : at + PAGE]) for at in starts}
    return digest_of_pages(len(flat), pages)
