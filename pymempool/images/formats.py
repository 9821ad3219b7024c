# SPDX-License-Identifier: MIT
"""save(), load(), delta() and apply(): which format is written or read, and where.

    save:   pool ─► clone ─► raw, intel_hex or srec ─► locations.writing()
            pool, since ─► deltas ─► locations.writing()
    load:   locations.reading() ─► raw, intel_hex, srec or elf ─► pool
    apply:  locations.reading() or a buffer ─► deltas ─► pool

The addresses in a HEX, S-record or ELF file are the offsets in the pool.

A HEX or S-record file holds the runs of written(), zeros included: a device keeps its
old bytes where none are in the file. A pool that was loaded from such a file, or from
ELF, tracks which bytes were set; of a raw image all were, those of holes too. In other
pools it is whole blocks, if they were not made to track it. The file does not hold the
size of the pool: a pool that is loaded ends with the last byte of data.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Callable, NamedTuple, cast

from .._native.arguments import integer
from .._native.signatures import SIZE_MAX
from ..errors import FormatError, PoolRangeError, PoolUnrelatedError
from . import deltas, elf, intel_hex, locations, raw, sniff, srec
from .builder import PoolBuilder
from .extras import import_extra
from .pools import AnyPool, DeltaPool, ReadablePool, written
from .progress import Progress, callback
from .records import ADDRESSES_END, DataAt, Facts, Lines, windows_of_data
from .selection import Selected, Selection
from .streams import Unread, binary_file, put_back, read_full, write_all

#: The names of formats for save() and load(), beside AUTO. "elf" can only be loaded.
FORMATS = ("raw", "hex", "srec", "elf")
AUTO = "auto"  #: the format that the file says


class _Addressed(NamedTuple):
    """A format of files that hold data at addresses."""

    title: str  #: for errors
    read: Callable[[Any, Facts], Iterator[DataAt]]  #: yields the data in a file
    write: Callable[[Any, Iterable[DataAt], Facts], Lines] | None = None


_ADDRESSED = {
    "hex": _Addressed("an Intel HEX file", intel_hex.read, intel_hex.write),
    "srec": _Addressed("an S-record file", srec.read, srec.write),
    "elf": _Addressed("an ELF file", elf.read),
}


def _check_format(format: Any) -> None:
    possible = (*FORMATS, AUTO)
    if format not in possible:
        raise ValueError(f"format is {format!r}, possible are {', '.join(possible)}")


# ------------------------------------------------------------------------- save


def save(
    pool: DeltaPool,
    location: Any,
    format: Any,
    since: DeltaPool | None,
    progress: Any,
    selection: Selection | None = None,
) -> None:
    """Writes the contents that a pool has at one moment, or a delta to them.

    location: a path, a URL, or an open binary file.
    selection: which bytes of a MemoryPool are written; None for all.

    MemoryPool.save() has the rest.
    """
    report = callback(progress)
    _check_format(format)
    if selection is not None:
        selection = selection.checked()
    if since is not None:
        if selection is not None:
            raise ValueError("crop, fill and from_lowest are not for a delta")
        if format not in ("raw", AUTO):
            raise ValueError(f"format is {format!r}, but a delta has its own")
        _check_both(pool, since)
        with locations.writing(location) as file:
            deltas.save(pool, since, partial(write_all, file), report)
        return
    if format == AUTO:
        format = sniff.by_suffix(location) or "raw"
    if selection and selection.from_lowest and format != "raw":
        raise ValueError(f"from_lowest is for raw images, {format} files have addresses")
    with pool.clone() as snapshot:
        image: ReadablePool = snapshot
        if selection is not None:
            image = cast("ReadablePool", Selected(snapshot, selection))
        with locations.writing(location) as file:
            if format == "raw":
                raw.save(image, file, report)
            else:
                _save_records(image, file, format, report)


def delta(pool: DeltaPool, base: DeltaPool) -> bytes:
    """Returns what turns the contents and the size of `base` into those of a pool."""
    _check_both(pool, base)
    parts: list[bytes] = []
    deltas.save(pool, base, parts.append, callback(None))
    return b"".join(parts)


def _check_both(pool: DeltaPool, base: DeltaPool) -> None:
    """Raises what a closed pool raises, and TypeError for what is none."""
    with suppress(PoolUnrelatedError):
        pool.changes(base)


def _save_records(
    snapshot: ReadablePool, file: Any, format: str, report: Progress
) -> None:
    """Writes a pool that nobody changes to an open binary file.

    format: "hex" or "srec".
    report: called as report(done, total), in bytes of the pool, after each 64 KiB at most
        and at the end.

    Raises FormatError, with nothing written, if there is data or the start address past
    4 GiB, where these formats have no addresses; ValueError for another format;
    ImportError without bincopy; what `file` and `report` raise.
    """
    title, _, write = _ADDRESSED[format]
    if write is None:
        allowed = [name for name, it in _ADDRESSED.items() if it.write]
        raise ValueError(f"format is {format!r}, possible are {' and '.join(allowed)}")
    bincopy = import_extra("bincopy", "images", "this format")
    total_size, facts = snapshot.total_size, Facts()
    if total_size > ADDRESSES_END:
        end = max((start + size for start, size in written(snapshot)), default=0)
        if end > ADDRESSES_END:
            raise FormatError(
                f"there is data up to {end}, but the addresses of {title}"
                f" end at {ADDRESSES_END}"
            )
    for name in vars(facts):  # a sharded pool has none of them
        setattr(facts, name, getattr(snapshot, name, getattr(facts, name)))
    for at, lines in write(bincopy, windows_of_data(snapshot), facts):
        if lines:
            write_all(file, "".join(f"{line}\n" for line in lines).encode("ascii"))
        report(total_size if at is None else at, total_size)


# ------------------------------------------------------------------------- load


def apply(pool: DeltaPool, source: Any, progress: Any) -> None:
    """Applies a delta. MemoryPool.apply() has the rest.

    source: a delta in memory, or a path, a URL, or an open binary file, where one is.
    """
    report = callback(progress)
    opened, alone = _delta_file(source)
    with opened as file:
        deltas.apply(pool, lambda size: bytes(read_full(file, size)), alone, report)


def _delta_file(source: Any) -> tuple[AbstractContextManager[Any], bool]:
    """Returns what opens a file to read a delta from, and whether the file is all of it.

    Raises TypeError for what holds no delta.
    """
    if isinstance(source, (str, os.PathLike)):
        return locations.reading(source), True
    if isinstance(source, io.TextIOBase) or callable(getattr(source, "read", None)):
        return nullcontext(binary_file(source, "read")), False
    try:
        data = source if type(source) is bytes else memoryview(source).tobytes()
    except TypeError:
        kind = type(source).__name__
        raise TypeError(
            f"a delta, a path or a binary file with read() is needed, not {kind}"
        ) from None
    return io.BytesIO(data), True


def load(
    make: Callable[..., AnyPool],
    location: Any,
    format: Any,
    wipe: bool,
    progress: Any,
    opened: Callable[[str | None, Any], None] | None = None,
    offset: Any = 0,
) -> AnyPool:
    """Returns the pool whose image is at a location. MemoryPool.load() has the rest.

    make: makes an empty pool of a size in bytes; its blocks have the size that the user
        asked for, or at most that of a second argument.
    location: a path, a URL, or an open binary file.
    wipe: whether the pool wipes its blocks, so that it must copy a mapped file.
    opened: called with the path of a raw image, or None, and the file before it is read.
    offset: added to the addresses, and to the start address.
    """
    report = callback(progress)
    _check_format(format)
    offset = integer("offset", offset, -SIZE_MAX, SIZE_MAX)
    path = locations.path_of(location)
    with locations.reading(location) as file:
        if format == AUTO:
            start = bytes(read_full(file, sniff.GUESSED))
            format = sniff.recognise(start, location)
            file = put_back(file, start)
        if opened is not None:
            opened(path if format == "raw" and not offset else None, file)
        if format == "raw":
            mapped = path is not None and not isinstance(file, Unread)
            offset = integer("offset of a raw image", offset, 0, SIZE_MAX)
            return raw.load(make, file, offset, mapped, wipe, report)
        return _load_addressed(make, file, format, offset, report)


def _load_addressed(
    make: Callable[..., AnyPool],
    file: Any,
    format: str,
    offset: int,
    report: Progress,
) -> AnyPool:
    """Returns the pool whose data an open binary file holds.

    make: as for load().
    format: "hex", "srec" or "elf". The file is read to its end. An ELF file that cannot
        seek, or does not start at the position of the file, is held in memory meanwhile.
    report: called as report(done, None), in bytes of data, after each MiB or so and
        at the end.

    HEX and S-record: no address may have data twice, checksums and counts must be right,
    and the last record must be there (in an S-record file a count will do). ELF: the
    contents of the sections that are loaded (of a segment in which no section is, all of
    it), at their physical addresses, as to program a device, or at the virtual ones if no
    physical address is set. What is zeros and not in the file, as .bss, is ignored. No
    more is loaded than the file has bytes.

    The pool ends with the last byte of data. Raises FormatError, with the number of the
    line, for a file that is damaged, and for one without data; PoolMemoryError,
    PoolLimitError; PoolRangeError for an address that no pool has; ImportError for a
    missing package; what `file` and `report` raise.
    """
    builder, facts = PoolBuilder(make, report), Facts()
    try:
        for address, data in _ADDRESSED[format].read(file, facts):
            builder.add(_moved("there is data at", address, offset), data)
        pool = builder.finish(_ADDRESSED[format].title)
        if offset and facts.start_address is not None:
            facts.start_address = _moved(
                "the program starts at", facts.start_address, offset
            )
        pool.start_address, pool.header = facts.start_address, facts.header
        return pool
    except BaseException:
        builder.close()
        raise


def _moved(what: str, address: int, offset: int) -> int:
    """Returns an address in a file as one in the pool. Raises PoolRangeError below 0."""
    if address + offset < 0:
        raise PoolRangeError(f"{what} {address:#x}, which {offset:#x} moves below 0")
    return address + offset
