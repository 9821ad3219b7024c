# SPDX-License-Identifier: MIT
"""What ELF programs load into memory. pyelftools parses the tables (extra `images`)."""

from __future__ import annotations

import bisect
import io
import os
import re
from collections.abc import Iterator
from typing import Any

from ..errors import FormatError
from .builder import PENDING_MAX
from .extras import import_extra
from .records import DataAt, Facts
from .streams import read_full

_SHF_ALLOC = 2  # the flag of sections that are in memory


def read(file: Any, facts: Facts) -> Iterator[DataAt]:
    """Yields the data in a file. Raises FormatError; ImportError without pyelftools."""
    if not hasattr(file, "seekable") or not file.seekable() or file.tell():
        file = io.BytesIO(file.read())
    for address, offset, size in _parts(file, facts):
        file.seek(offset)
        while size:
            data = file.read(min(size, PENDING_MAX))
            if not data:  # somebody made it shorter just now
                raise FormatError("the ELF file was cut off")
            yield address, data
            address, size = address + len(data), size - len(data)


def _parts(file: Any, facts: Facts) -> Iterator[tuple[int, int, int]]:
    """Yields what is loaded as (address, offset in the file, size), by address.

    One by one: a small hostile file can load the same bytes to so many addresses that a
    list of them would not fit in memory.
    """
    length = file.seek(0, os.SEEK_END)
    segments, sections = _tables(file, length, facts)
    last = total = 0
    for segment_address, offset, count in segments:
        for start, size in _loaded(sections, offset, offset + count):
            address = segment_address + start - offset
            total += size
            if start + size > length:
                raise FormatError("the ELF file was cut off")
            if address < last:
                raise FormatError(
                    f"the ELF file has data at {address:#x} for a second time"
                )
            if total > length:
                raise FormatError(f"the ELF file loads more bytes than its {length}")
            last = address + size
            yield address, start, size


def _loaded(
    sections: list[tuple[int, int]], start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yields what is loaded of the segment [start, end) of a file, as (offset, size).

    That is the sections that begin in it: between them there is only padding. If there
    are none, as in memory dumps and stripped files, it is the whole segment.
    """
    at = first = bisect.bisect_left(sections, (start, 0))
    while at < len(sections) and sections[at][0] < end:
        offset, size = sections[at]
        yield offset, min(size, end - offset)
        at += 1
    if at == first:
        yield start, end - start


def _tables(
    file: Any, length: int, facts: Facts
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Returns the segments that are loaded, and the sections that are in memory.

    Segments are (address, offset, size), by address; sections are (offset, size), by
    offset. The entry point becomes the start address.

    pyelftools knows the layout of the tables. Its ELFFile would also look up the names of
    all sections, each of which in a hostile file can be as long as the rest of the file.
    """

    def row(form: Any, at: int) -> Any:
        size, data = form.sizeof(), bytearray()
        if at + size <= length:
            file.seek(at)
            data = read_full(file, size)
        if len(data) < size:
            raise FormatError("no ELF file, or a damaged one: it ends too early")
        return form.parse(bytes(data))

    def table(form: Any, at: int, step: int, count: int) -> Iterator[Any]:
        if count and step < form.sizeof():
            raise FormatError(
                f"no ELF file, or a damaged one: a table has rows of {step} bytes,"
                f" needed are {form.sizeof()}"
            )
        return (row(form, at + step * number) for number in range(count))

    structs = _structs(file)
    head = row(structs.Elf_Ehdr, 0)
    structs.create_advanced_structs()
    facts.start_address = head.e_entry or None
    segment_count, section_count = head.e_phnum, head.e_shnum
    if head.e_shoff and (segment_count == 0xFFFF or not section_count):
        # The first section holds the counts that do not fit in the header.
        first = row(structs.Elf_Shdr, head.e_shoff)
        segment_count = first.sh_info if segment_count == 0xFFFF else segment_count
        section_count = section_count or first.sh_size
    found = table(structs.Elf_Phdr, head.e_phoff, head.e_phentsize, segment_count)
    loads = [it for it in found if it.p_type == "PT_LOAD" and it.p_filesz]
    sections = []
    if head.e_shoff and section_count:
        found = table(structs.Elf_Shdr, head.e_shoff, head.e_shentsize, section_count)
        sections = sorted(
            (section.sh_offset, section.sh_size)
            for section in found
            if section.sh_flags & _SHF_ALLOC and section.sh_type != "SHT_NOBITS"
            if section.sh_size
        )
    # Some linkers set only the virtual addresses.
    kind = "p_paddr" if any(load.p_paddr for load in loads) else "p_vaddr"
    return sorted((load[kind], load.p_offset, load.p_filesz) for load in loads), sections


def _structs(file: Any) -> Any:
    """Returns the layout of the tables for the word size and byte order of a file."""
    file.seek(0)
    start = bytes(read_full(file, 6))
    if re.match(rb"\x7fELF[\1\2][\1\2]", start) is None:
        raise FormatError("no ELF file, or a damaged one: it does not start as one")
    module = import_extra("elftools.elf.structs", "images", "this format")
    structs = module.ELFStructs(little_endian=start[5] == 1, elfclass=32 * start[4])
    structs.create_basic_structs()
    return structs
