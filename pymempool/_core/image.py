# SPDX-License-Identifier: MIT
"""ImageFacts: what a pool knows of the image that it was loaded from, beside its bytes.

A pool's Owner has them, clones get the same. Pickles and shared snapshots hold them
packed: a dict of plain values, and only of those that differ from NO_IMAGE.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._native.arguments import integer


class SegmentedAddress(int):
    """An address that a HEX file gives as those of the 8086: 16 * segment + offset."""

    segment: int
    offset: int

    @classmethod
    def parsed(cls, data: bytes) -> SegmentedAddress:
        """The address in a record of type 3, which has 4 bytes of data."""
        segment, offset = (int.from_bytes(data[at : at + 2], "big") for at in (0, 2))
        address = cls(16 * segment + offset)
        address.segment, address.offset = segment, offset
        return address

    def record(self) -> bytes:
        """The data of the record."""
        return b"".join(part.to_bytes(2, "big") for part in (self.segment, self.offset))


class ImageFacts(NamedTuple):
    """What a pool keeps of the image that it was loaded from, and clones get."""

    whole: bool = False  #: a raw image, of which each byte was set
    start_address: int | None = None
    header: bytes | None = b"pymempool"

    def checked(self) -> ImageFacts:
        """The same, if they can be those of a pool. Raises PoolRangeError, TypeError."""
        _, address, header = self
        if address is not None:
            number = integer("start_address", address, 0, 2**64 - 1)
            address = address if type(address) is SegmentedAddress else number
        if header is not None:
            header = bytes(memoryview(header))
            integer("size of header", len(header), 0, 252)
        return ImageFacts(bool(self.whole), address, header)

    def packed(self) -> dict[str, Any]:
        """What differs from NO_IMAGE, by name; a segmented address as its record."""
        pairs = zip(self._fields, self, NO_IMAGE)
        return {
            name: value.record() if type(value) is SegmentedAddress else value
            for name, value, usual in pairs
            if value != usual
        }

    @classmethod
    def unpacked(cls, packed: Any) -> ImageFacts:
        """What was packed, which is not trusted. Raises PoolRangeError, TypeError."""
        facts = cls(**packed)
        address: Any = facts.start_address
        if type(address) is bytes:
            integer("size of start_address", len(address), 4, 4)
            facts = facts._replace(start_address=SegmentedAddress.parsed(address))
        return facts.checked()


NO_IMAGE = ImageFacts()
