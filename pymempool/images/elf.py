# SPDX-License-Identifier: MIT
"""What ELF programs load. pyelftools reads the tables (extra `images`)."""

from __future__ import annotations

import bisect
import io
import os
import re
from collections.abc import Iterator
from typing import Any

from ..errors import FormatError
from . import locations
from .parts import PENDING
from .records import Run, extra

_ALLOCATED = 2  # a flag of sections of ELF


def read(file: Any) -> Iterator[Run]:
    if not hasattr(file, "seekable") or not file.seekable() or file.tell():
        file = io.BytesIO(file.read())
    for address, offset, size in _parts(file):
        file.seek(offset)
        while size:
            data = file.read(min(size, PENDING))
            if not data:  # it was as long as that a moment ago
                raise FormatError("an ELF file that was cut off")
            yield address, data
            address, size = address + len(data), size - len(data)


def _parts(file: Any) -> Iterator[tuple[int, int, int]]:
    """What of an ELF file is loaded: each as address, offset in the file, size.

    Found one by one, in the order of the addresses: a small file can say so often where
    the same bytes go that there is no room for a list.
    """
    length = file.seek(0, os.SEEK_END)
    loads, sections = _tables(file, length)
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


def _tables(
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
            data = locations.get(file, size)
        if len(data) < size:
            raise FormatError("no ELF file, or a damaged one: it ends too early")
        return form.parse(bytes(data))

    def table(form: Any, at: int, step: int, count: int) -> Iterator[Any]:
        if count and step < form.sizeof():
            raise FormatError("no ELF file, or a damaged one: its tables are too narrow")
        return (row(form, at + step * number) for number in range(count))

    structs = _structs(file)
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


def _structs(file: Any) -> Any:
    """How a file of this kind of ELF has its numbers."""
    file.seek(0)
    start = bytes(locations.get(file, 6))
    if re.match(rb"\x7fELF[\1\2][\1\2]", start) is None:
        raise FormatError("no ELF file, or a damaged one: it does not begin as one")
    module = extra("elftools.elf.structs")  # bincopy brings it
    structs = module.ELFStructs(little_endian=start[5] == 1, elfclass=32 * start[4])
    structs.create_basic_structs()
    return structs
