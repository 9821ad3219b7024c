# SPDX-License-Identifier: MIT
"""Pools as Intel HEX and Motorola S-records, and pools from ELF programs.

    save:  pool ─► clone ─► its runs of data ─► records of 32 bytes ─► file
    load:  file ─► lines ─► records ─► pool;  file ─► loaded sections of an ELF ─► pool

The addresses of a file are the offsets of the pool. bincopy packs and unpacks records,
pyelftools the tables of ELF files (extra `images`). Records are made and read one by one,
so that a file of any length needs little memory beside the pool.

A HEX or S-record file holds what extents() tells, zeros in those blocks too: to leave
zeros out would leave there what a device held before. So holes are kept by whole blocks.
Pools for such files want small ones: MemoryPool.load(path, 16, format="hex"). The file
does not tell how large the pool was: one that is loaded ends with its last byte of data.
"""

from __future__ import annotations

import bisect
import errno
import importlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import _places
from ._signatures import SIZE_MAX
from .errors import PoolError, PoolRangeError

if TYPE_CHECKING:
    from .pool import MemoryPool

#: What images.save() and load() call `format`. "elf" can be loaded only.
FORMATS = ("raw", "hex", "srec", "elf")

Progress = Optional[Callable[[int, Optional[int]], object]]
Run = tuple[int, bytes]  # an address and the bytes there

_TITLES = {"hex": "an Intel HEX file", "srec": "an S-record file", "elf": "an ELF file"}
_END = 1 << 32  # where the addresses of HEX and S-record files end
_RECORD = 32  # bytes in a record that is written
_PIECE = 1 << 16  # a HEX file starts a new count after as many bytes
_PENDING = 1 << 20
_PENDING_RUNS = 1 << 16  # each of which takes more memory than a few bytes do
_ALLOCATED = 2  # a flag of sections of ELF
_LINE_MAX = 1024  # records have 521 characters at most

#: Bytes that tell the format of a file.
GUESSED = 64

_FIRST_BYTES = (
    ("elf", re.compile(rb"\x7fELF")),
    ("hex", re.compile(rb"\s*:[0-9A-Fa-f]{8}")),
    ("srec", re.compile(rb"\s*S[0-9][0-9A-Fa-f]{4}")),
)


class FormatError(PoolError, ValueError):
    """A file is not what its format says, or cannot hold what it was to hold."""


def guess(path: Any) -> str:
    """The format of the file at a path, by its first bytes; "raw" if it has no other.

    Raises OSError.
    """
    with open(path, "rb") as file:
        return guess_bytes(file.read(GUESSED))


def guess_bytes(start: bytes) -> str:
    """The same for what a file starts with, GUESSED bytes if it has as many."""
    return next((name for name, form in _FIRST_BYTES if form.match(start)), "raw")


def save(pool: MemoryPool, file: Any, format: str, progress: Progress = None) -> None:
    """Writes the contents of one moment to an open binary file.

    format: "hex" or "srec".
    progress: called as progress(done, total), in bytes of the pool, after each piece of
        64 KiB and at the end.

    Raises FormatError, with nothing written, if there is data past 4 GiB, where these
    formats have no addresses; ValueError for another format; ImportError without
    bincopy; what `file` and `progress` raise.
    """
    writers = {"hex": _hex_records, "srec": _srec_records}
    if format not in writers:
        raise ValueError(f"format is {format!r}, possible are {' and '.join(writers)}")
    bincopy = _module("bincopy")
    with pool.clone() as moment:
        end = max((start + size for start, size in moment.extents()), default=0)
        if end > _END:
            raise FormatError(
                f"there is data up to {end}, but the addresses of {_TITLES[format]}"
                f" end at {_END}"
            )
        total_size = moment.total_size
        for at, lines in writers[format](bincopy, _pieces(moment)):
            if lines:
                _places.put(file, "".join(f"{line}\n" for line in lines).encode("ascii"))
            if progress is not None:
                progress(total_size if at is None else at, total_size)


def load(
    make: Callable[[int], MemoryPool], file: Any, format: str, progress: Progress = None
) -> MemoryPool:
    """The pool that an open binary file holds.

    make: gives the empty pool, once the size is known.
    format: "hex", "srec" or "elf". All that is left in the file is read; an ELF file
        that cannot seek, or not start here, is held in memory meanwhile.
    progress: called as progress(done, None), in bytes of data, after each MiB or so and
        at the end.

    HEX and S-record: no byte may be given twice, checksums and counts must be right, and
    a HEX file, or an S-record file without a count, must have its last record. Where
    execution starts, and titles, are left out. ELF: the contents of the sections that
    are loaded (whole segments, if there are no sections), at their physical addresses
    as for programming a device (virtual ones if no physical one is given); what is zeros
    and not in the file, as .bss, is left out. No more is loaded than the file has bytes.

    The pool ends with the last byte of data. Raises FormatError for a file that is not
    as it should be, with the number of the line, or has no data; PoolMemoryError,
    PoolLimitError; PoolRangeError for an address that no pool has; ValueError for another
    format; ImportError without bincopy; what `file` and `progress` raise.
    """
    readers = {"hex": _read_hex, "srec": _read_srec, "elf": _read_elf}
    if format not in readers:
        raise ValueError(f"format is {format!r}, possible are {', '.join(readers)}")
    parts = _Parts(make, progress)
    try:
        for address, data in readers[format](file):
            parts.add(address, data)
        return parts.finish(_TITLES[format])
    except BaseException:
        parts.close()
        raise


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"this format needs {name}: pip install 'pymempool[images]'", name=name
        ) from error


# ------------------------------------------------------------------------- save


def _pieces(moment: MemoryPool) -> Iterator[Run]:
    """The data of a pool, in pieces that do not reach across a multiple of 64 KiB."""
    for start, size in moment.extents():
        at, end = start, start + size
        while at < end:
            count = min(end - at, _PIECE - at % _PIECE)
            yield at, moment.read(at, count)
            at += count


def _records(start: int, data: bytes) -> Iterator[Run]:
    """The same data by records, which end at multiples of their size."""
    at = 0
    while at < len(data):
        count = _RECORD - (start + at) % _RECORD
        yield start + at, data[at : at + count]
        at += count


# Each yields lines, and up to where in the pool they go: None for the end.
Lines = Iterator[tuple[Optional[int], list[str]]]


def _hex_records(bincopy: Any, pieces: Iterable[Run]) -> Lines:
    pack, upper = bincopy.pack_ihex, 0
    for start, data in pieces:
        lines = []
        if start >> 16 != upper:
            upper = start >> 16
            bits = upper.to_bytes(2, "big")
            lines.append(pack(bincopy.IHEX_EXTENDED_LINEAR_ADDRESS, 0, 2, bits))
        for at, part in _records(start, data):
            lines.append(pack(bincopy.IHEX_DATA, at & 0xFFFF, len(part), part))
        yield start + len(data), lines
    yield None, [pack(bincopy.IHEX_END_OF_FILE, 0, 0, None)]


def _srec_records(bincopy: Any, pieces: Iterable[Run]) -> Lines:
    pack, count = bincopy.pack_srec, 0
    yield 0, [pack("0", 0, 9, b"pymempool")]
    for start, data in pieces:
        lines = [pack("3", at, len(part), part) for at, part in _records(start, data)]
        count += len(lines)
        yield start + len(data), lines
    last = [pack("7", 0, 0, None)]
    if count < 1 << 24:  # there is no record that counts further
        last.insert(0, pack("5" if count < 1 << 16 else "6", count, 0, None))
    yield None, last


# ------------------------------------------------------------------------- load


class _Parts:
    """A pool that is put together from parts.

    Its size, on which its blocks depend, is known at the end only. So the first MiB
    waits, or less if it is in small pieces; if there is more, the pool starts with all
    addresses of 32 bits, or as many as are needed, and is cut off at the end.
    """

    def __init__(self, make: Callable[[int], MemoryPool], progress: Progress) -> None:
        self.make, self.progress = make, progress
        self.pool: MemoryPool | None = None
        self.waiting: list[tuple[int, bytearray]] = []
        self.size = self.done = self.end = self.next = 0

    def add(self, address: int, data: bytes) -> None:
        if not data:
            return
        end = address + len(data)
        if end > SIZE_MAX:
            raise PoolRangeError(f"data up to {end}, a pool ends at {SIZE_MAX}")
        if not self.waiting or address != self.next:
            self.waiting.append((address, bytearray()))
        self.waiting[-1][1].extend(data)
        self.next, self.end = end, max(self.end, end)
        self.size += len(data)
        if self.size >= _PENDING or len(self.waiting) >= _PENDING_RUNS:
            self.write(max(self.end, min(_END, SIZE_MAX)))

    def write(self, total_size: int) -> None:
        """What waits, into the pool, which has at least that size."""
        if self.pool is None:
            self.pool = self.make(total_size)
        elif self.pool.total_size < total_size:
            self.pool.resize(total_size)
        for address, data in self.waiting:
            self.pool.write(address, data)
        self.done += self.size
        self.waiting, self.size = [], 0
        if self.progress is not None:
            self.progress(self.done, None)

    def finish(self, title: str) -> MemoryPool:
        if not self.end:
            raise FormatError(f"there is no data in this, as {title}")
        self.write(self.end)
        assert self.pool is not None
        self.pool.resize(self.end)
        return self.pool

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()


def _lines(file: Any) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number."""
    number, rest, piece = 1, b"", b"\n"
    while piece:
        piece = file.read(_PIECE)
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "the file has no more just now")
        *lines, rest = (rest + piece if piece else rest + b"\n").split(b"\n")
        for line in lines:
            if len(line) > _LINE_MAX:
                raise FormatError(f"line {number}: longer than a record can be")
            if line.strip():
                yield number, line.strip().decode("ascii", "replace")
            number += 1
        if len(rest) > _LINE_MAX:
            raise FormatError(f"line {number}: longer than a record can be")


def _unpacked(
    file: Any, unpack: Callable[[str], Any], form: str, error: type[Exception]
) -> Iterator[tuple[int, str, Any]]:
    """The records of a file, each as the number of the line, the text, the parts."""
    for number, text in _lines(file):
        if not re.fullmatch(form, text):
            raise FormatError(f"line {number}: no record: {text[:40]!r}")
        try:
            parts = unpack(text)
        except (error, ValueError) as wrong:
            raise FormatError(f"line {number}: {wrong}") from wrong
        yield number, text, parts


def _once(number: int, address: int, data: bytes, seen: MemoryPool) -> Run:
    """The data of a line; it is noted in `seen`, where none of it may stand."""
    if address + len(data) > min(_END, SIZE_MAX):
        raise FormatError(f"line {number}: data past the end of the addresses")
    if any(seen.read(address, len(data))):
        raise FormatError(f"line {number}: data at {address:#x} for a second time")
    seen.fill(address, 1, len(data))
    return address, data


def _seen() -> MemoryPool:
    from .pool import MemoryPool  # which imports this module

    return MemoryPool(min(_END, SIZE_MAX), 256)


# What the data of a record that is not data must be long.
_HEX_SIZES = {1: 0, 2: 2, 3: 4, 4: 2, 5: 4}


def _read_hex(file: Any) -> Iterator[Run]:
    bincopy = _module("bincopy")
    base, ended = 0, False
    records = _unpacked(file, bincopy.unpack_ihex, ":[0-9A-Fa-f]+", bincopy.Error)
    with _seen() as seen:
        for number, _, (kind, address, size, data) in records:
            if ended:
                raise FormatError(f"line {number}: a record behind the last one")
            if size != _HEX_SIZES.get(kind, size):
                raise FormatError(
                    f"line {number}: {size} bytes in a record of type {kind}"
                )
            if kind == bincopy.IHEX_DATA:
                yield _once(number, base + address, data, seen)
            elif kind == bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS:
                base = int.from_bytes(data, "big") << 4
            elif kind == bincopy.IHEX_EXTENDED_LINEAR_ADDRESS:
                base = int.from_bytes(data, "big") << 16
            elif kind not in _HEX_SIZES:
                raise FormatError(f"line {number}: there are no records of type {kind}")
            ended = kind == bincopy.IHEX_END_OF_FILE
    if not ended:
        raise FormatError("the last record is missing: the file was cut off")


def _read_srec(file: Any) -> Iterator[Run]:
    bincopy = _module("bincopy")
    count, counted, ended = 0, False, False
    records = _unpacked(file, bincopy.unpack_srec, "S[0-9][0-9A-Fa-f]+", bincopy.Error)
    with _seen() as seen:
        for number, text, (kind, address, _, data) in records:
            width = 4 if kind in "37" else 3 if kind in "268" else 2
            if len(text) < 6 + 2 * width:  # then bincopy takes the checksum for address
                raise FormatError(f"line {number}: the record is too short")
            if ended or (counted and kind in "123"):
                raise FormatError(f"line {number}: a record behind the last one")
            if kind in "123":
                count += 1
                yield _once(number, address, data, seen)
            elif kind in "56":
                counted = True
                if address != count:
                    raise FormatError(
                        f"line {number}: {address} records of data, but there are {count}"
                    )
            ended = kind in "789"
    if not (counted or ended):
        raise FormatError("the last record is missing: the file was cut off")


def _read_elf(file: Any) -> Iterator[Run]:
    if not hasattr(file, "seekable") or not file.seekable() or file.tell():
        file = io.BytesIO(file.read())
    for address, offset, size in _elf_parts(file):
        file.seek(offset)
        while size:
            data = file.read(min(size, _PENDING))
            if not data:  # it was as long as that a moment ago
                raise FormatError("an ELF file that was cut off")
            yield address, data
            address, size = address + len(data), size - len(data)


def _elf_parts(file: Any) -> Iterator[tuple[int, int, int]]:
    """What of an ELF file is loaded: each as address, offset in the file, size.

    Found one by one, in the order of the addresses: a small file can say so often where
    the same bytes go that there is no room for a list.
    """
    length = file.seek(0, os.SEEK_END)
    loads, sections = _elf_tables(file, length)
    last = total = 0
    for address, offset, count in loads:
        end = offset + count
        held = [(offset, count)] if sections is None else sections
        for at in range(bisect.bisect_left(held, (offset, 0)), len(held)):
            start, size = held[at]
            if start >= end:
                break
            place, size = address + start - offset, min(size, end - start)
            total += size
            if start + size > length:
                raise FormatError("an ELF file that was cut off")
            if place < last:
                raise FormatError(
                    f"an ELF file with data at {place:#x} for a second time"
                )
            if total > length:
                raise FormatError("an ELF file that loads more bytes than it has")
            last = place + size
            yield place, start, size


def _elf_tables(
    file: Any, length: int
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]] | None]:
    """The segments that are loaded, by address: each as address, offset, size. And what
    of the file the sections have that are in memory, None if there are no sections.

    pyelftools says what the numbers are. Its ELFFile would look up the names of all
    sections as well, which in a hostile file can be the rest of the file each.
    """

    def row(form: Any, at: int) -> Any:
        size, data = form.sizeof(), bytearray()
        if at + size <= length:
            file.seek(at)
            data = _places.get(file, size)
        if len(data) < size:
            raise FormatError("no ELF file, or a damaged one: it ends too early")
        return form.parse(bytes(data))

    def table(form: Any, at: int, step: int, count: int) -> Iterator[Any]:
        if count and step < form.sizeof():
            raise FormatError("no ELF file, or a damaged one: its tables are too narrow")
        return (row(form, at + step * number) for number in range(count))

    structs = _elf_structs(file)
    head = row(structs.Elf_Ehdr, 0)
    structs.create_advanced_structs()
    load_count, section_count = head.e_phnum, head.e_shnum
    if head.e_shoff and (load_count == 0xFFFF or not section_count):
        first = row(structs.Elf_Shdr, head.e_shoff)  # has numbers that were too large
        load_count = first.sh_info if load_count == 0xFFFF else load_count
        section_count = section_count or first.sh_size
    loads = [
        load
        for load in table(structs.Elf_Phdr, head.e_phoff, head.e_phentsize, load_count)
        if load.p_type == "PT_LOAD" and load.p_filesz
    ]
    sections = None
    if head.e_shoff and section_count:
        found = table(structs.Elf_Shdr, head.e_shoff, head.e_shentsize, section_count)
        sections = sorted(
            (section.sh_offset, section.sh_size)
            for section in found
            if section.sh_flags & _ALLOCATED and section.sh_type != "SHT_NOBITS"
            if section.sh_size
        )
    # Some linkers give virtual addresses alone.
    kind = "p_paddr" if any(load.p_paddr for load in loads) else "p_vaddr"
    return sorted((load[kind], load.p_offset, load.p_filesz) for load in loads), sections


def _elf_structs(file: Any) -> Any:
    """How a file of this kind of ELF has its numbers."""
    file.seek(0)
    start = bytes(_places.get(file, 6))
    if re.match(rb"\x7fELF[\1\2][\1\2]", start) is None:
        raise FormatError("no ELF file, or a damaged one: it does not begin as one")
    module = _module("elftools.elf.structs")  # bincopy brings it
    structs = module.ELFStructs(little_endian=start[5] == 1, elfclass=32 * start[4])
    structs.create_basic_structs()
    return structs
