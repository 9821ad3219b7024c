# SPDX-License-Identifier: MIT
"""Pools as images: which format is written and read, and from where to where.

    save:  pool ─► clone ─► raw, intel_hex or srec ─► locations.writing()
    load:  locations.reading() ─► raw, intel_hex, srec or elf ─► pool

The addresses of a HEX, S-record or ELF file are the offsets of the pool.

A HEX or S-record file holds what extents() tells, zeros in those blocks too: to leave
zeros out would leave there what a device held before. So holes are kept by whole blocks.
Pools for such files want small ones: MemoryPool.load(path, 16, format="hex"). The file
does not tell how large the pool was: one that is loaded ends with its last byte of data.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ..errors import FormatError
from . import checkpoints, elf, intel_hex, locations, raw, srec
from .parts import Parts
from .pools import AnyTarget, Changed, Source
from .raw import Progress
from .records import ADDRESSES_END, extra, pieces

#: What save() and load() call `format`. "elf" can be loaded only.
FORMATS = ("raw", "hex", "srec", "elf")

_TITLES = {"hex": "an Intel HEX file", "srec": "an S-record file", "elf": "an ELF file"}
_WRITERS = {"hex": intel_hex.write, "srec": srec.write}
_READERS = {"hex": intel_hex.read, "srec": srec.read, "elf": elf.read}


def _callback(progress: Any) -> Progress:
    if progress is None:
        return lambda done, total: None
    if not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")
    called: Progress = progress
    return called


def _check_format(format: Any) -> None:
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}, possible are {', '.join(FORMATS)}")


# ------------------------------------------------------------------------- save


def save(
    pool: Source, target: Any, format: Any, since: Changed | None, progress: Any
) -> None:
    """Writes the contents of one moment to a path, a URL or an open binary file."""
    report = _callback(progress)
    _check_format(format)
    if since is not None:
        if format != "raw":
            raise ValueError(f"format is {format!r}, but a checkpoint has its own")
        pool.changes(since)  # says what is wrong with the two
        with locations.writing(target) as file:
            checkpoints.save(pool, since, partial(locations.put, file), report)
        return
    with pool.clone() as moment, locations.writing(target) as file:
        if format == "raw":
            raw.save(moment, file, report)
        else:
            _save_records(moment, file, format, report)


def _save_records(moment: Source, file: Any, format: str, report: Progress) -> None:
    """Writes a pool that nobody changes to an open binary file.

    format: "hex" or "srec".
    report: called as report(done, total), in bytes of the pool, after each piece of
        64 KiB and at the end.

    Raises FormatError, with nothing written, if there is data past 4 GiB, where these
    formats have no addresses; ValueError for another format; ImportError without
    bincopy; what `file` and `report` raise.
    """
    if format not in _WRITERS:
        raise ValueError(f"format is {format!r}, possible are {' and '.join(_WRITERS)}")
    bincopy = extra("bincopy")
    end = max((start + size for start, size in moment.extents()), default=0)
    if end > ADDRESSES_END:
        raise FormatError(
            f"there is data up to {end}, but the addresses of {_TITLES[format]}"
            f" end at {ADDRESSES_END}"
        )
    total_size = moment.total_size
    for at, lines in _WRITERS[format](bincopy, pieces(moment)):
        if lines:
            locations.put(file, "".join(f"{line}\n" for line in lines).encode("ascii"))
        report(total_size if at is None else at, total_size)


# ------------------------------------------------------------------------- load


def apply(pool: Changed, source: Any, progress: Any) -> None:
    """Applies the checkpoint that a path, a URL or an open binary file holds."""
    report = _callback(progress)
    with locations.reading(source) as file:
        checkpoints.apply(pool, lambda size: bytes(locations.get(file, size)), report)


def load(
    make: Callable[[int], AnyTarget],
    source: Any,
    format: Any,
    wipe: bool,
    progress: Any,
) -> AnyTarget:
    """The pool that a path, a URL or an open binary file holds the image of.

    make: gives the empty pool, once the size is known.
    """
    report = _callback(progress)
    _check_format(format)
    mapped = locations.path_of(source) is not None
    with locations.reading(source) as file:
        if format == "raw":
            return raw.load(make, file, mapped, wipe, report)
        return _load_parts(make, file, format, report)


def _load_parts(
    make: Callable[[int], AnyTarget], file: Any, format: str, report: Progress
) -> AnyTarget:
    """The pool that an open binary file holds.

    make: gives the empty pool, once the size is known.
    format: "hex", "srec" or "elf". All that is left in the file is read; an ELF file
        that cannot seek, or not start here, is held in memory meanwhile.
    report: called as report(done, None), in bytes of data, after each MiB or so and
        at the end.

    HEX and S-record: no byte may be given twice, checksums and counts must be right, and
    a HEX file, or an S-record file without a count, must have its last record. Where
    execution starts, and titles, are left out. ELF: the contents of the sections that
    are loaded (whole segments, if there are no sections), at their physical addresses
    as for programming a device (virtual ones if no physical one is given); what is zeros
    and not in the file, as .bss, is left out. No more is loaded than the file has bytes.

    The pool ends with the last byte of data. Raises FormatError for a file that is not
    as it should be, with the number of the line, or has no data; PoolMemoryError,
    PoolLimitError; PoolRangeError for an address that no pool has; ImportError without
    bincopy; what `file` and `report` raise.
    """
    parts = Parts(make, report)
    try:
        for address, data in _READERS[format](file):
            parts.add(address, data)
        return parts.finish(_TITLES[format])
    except BaseException:
        parts.close()
        raise
