# SPDX-License-Identifier: MIT
"""Pools as files: opened as one, saved to one and loaded from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, cast

from .._core.file import PoolFile
from . import formats
from .raw import Progress

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath, SupportsRead, SupportsWrite
    from typing_extensions import Self

    from ..pool import MemoryPool


class Storage:
    """The methods of a pool that have to do with files."""

    def open(
        self,
        mode: str = "r+b",
        offset: SupportsIndex = 0,
        size: SupportsIndex | None = None,
    ) -> PoolFile:
        """The bytes [offset, offset + size) as an unbuffered binary file.

        mode: "rb" for reading, "r+b" for writing too.
        size: None for all up to the end of the pool, wherever resize() puts that; only
            such a file can be truncated, or grow. The block size stays: see resize().

        The file is an io.RawIOBase with a position of its own, at its start; any number
        may be open. It keeps the pool alive until it is closed. Raises PoolRangeError;
        ValueError for another mode.
        """
        return PoolFile(cast("MemoryPool", self), mode, offset, size)

    def save(
        self,
        file: StrOrBytesPath | SupportsWrite[memoryview],
        *,
        format: str = "raw",
        since: MemoryPool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Writes the contents of one moment to a file, byte for byte.

        file: a path, a URL, or a binary file that is open for writing.
        format: "raw"; or "hex" or "srec" for Intel HEX or Motorola S-records, which hold
            data below 4 GiB, and of that whole blocks (extra `images`).
        since: None, or a relative by cloning, unchanged since, from which on apply() can
            go: then a checkpoint is written, of the size of what changed. It takes a
            digest of all that `since` holds, at about 1 GiB a second, by which apply()
            knows the pool that it may be applied to.
        progress: called as progress(done, total), in bytes of the image, after each
            piece of at most 1 MiB, or larger hole, and at the end.

        A path gets a new file, in which holes take no room (on Windows they do). It is
        written in the folder of the path, without a name, brought to the disk, and then
        takes the place of what was there, whose permissions it has, and owner and group
        where that is allowed; another group gets no more than all others have. If that
        fails, or `progress` raises, the old file stays as it was and nothing is left
        behind, nor if the process is killed. Where the system has no files without a name
        (Linux has) it is `.pymempool-*.tmp` beside the path until then, and stays if the
        process is killed. After a crash of the system the path may lead to either of the
        two files, whole. Only regular files are replaced; a symbolic link stays, its
        target is replaced.

        An open file gets the image at its position, and nothing outside of that range is
        changed. Bytes that were in the range become those of the pool, zeros for holes.
        Holes past its end are sought over; a file that cannot seek from its end (a pipe,
        a compressed file) or that appends gets zeros. Its position is then at the end of
        the image. If that fails, a part of the image may have been written.

        A URL is a str with "://" in it, for fsspec (extra `fsspec`); file:// is a path.
        It is compressed if it ends in .gz, .bz2 or .xz. The new file is committed when
        all of it is written, and discarded if that fails, by those file systems of
        fsspec that can; where it is put together as it is written (memory://, members
        of archives), a failed save() leaves no old file, or a half one.

        Raises OSError, TypeError, what `file`, `progress` and clone() raise; ValueError
        for another format, and what formats cannot hold; ImportError for a missing extra.
        """
        formats.save(cast("MemoryPool", self), file, format, since, progress)

    def apply(
        self,
        file: StrOrBytesPath | SupportsRead[bytes],
        *,
        progress: Progress | None = None,
    ) -> None:
        """Brings this pool from the contents that a checkpoint began with to its own.

        file: as for load(), with what save(since=) wrote; it is read to its end.
        progress: called as progress(done, total); total is None until the file was read.

        The contents and the size of this pool have to be those of `since` then, however
        it came to them: load() of a full image, and each checkpoint after it, in their
        order. All or nothing, for other threads too; what they write meanwhile is undone,
        as by restore().

        Raises CheckpointError for a file that is damaged, or was made for other contents;
        PoolMemoryError, PoolLimitError, OSError, TypeError, ImportError, what `file` and
        `progress` raise. Then nothing has changed.
        """
        formats.apply(cast("MemoryPool", self), file, progress)

    @classmethod
    def load(
        cls,
        file: StrOrBytesPath | SupportsRead[bytes],
        max_block_size: SupportsIndex = 65536,
        *,
        format: str = "raw",
        memory_limit: SupportsIndex | None = None,
        wipe: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """A pool with the contents and the size of a file.

        file: a path, a URL as for save(), or a binary file that is open for reading, from
            its position on.
        format: "raw"; or "hex", "srec" or "elf" for Intel HEX, Motorola S-records and the
            loaded parts of ELF programs, where addresses are offsets, gaps are holes, and
            the last byte of data is the end of the pool (extra `images`).
        max_block_size, memory_limit, wipe: as for a new pool.
        progress: as for save(), after each run of data or piece; total is None if it is
            not known.

        The file of a path is mapped and adopted: nothing is read before it is asked for,
        holes are left out where the system tells of them, and the pool never writes to
        it. Nobody else may change it or make it shorter while this pool, a clone or a
        view uses it (a process that reads what was cut off is killed by the system).
        save() to the same path is fine: it makes a new file. The file stays open, and
        Windows replaces no such file. With `wipe` it is read and copied instead.

        An open file, and what a URL names, is read to its end and copied. Blocks of zeros
        stay holes; blocks are of 1 MiB at most if there is more than that.

        What is adopted does not count for the memory limit, but for a last block that
        the end of the file cuts short. Raises PoolRangeError for an empty file, OSError,
        PoolMemoryError, PoolLimitError, TypeError, what `file` and `progress` raise;
        ValueError for another format or a damaged file, or what tells of damage in a
        compressed one (EOFError, OSError, an error of zlib or lzma); ImportError for a
        missing extra.
        """

        from ..pool import MemoryPool  # which imports this module

        def make(total_size: int) -> MemoryPool:
            pool = cast("MemoryPool", cls.__new__(cls))
            MemoryPool.__init__(
                pool, total_size, max_block_size, memory_limit=memory_limit, wipe=wipe
            )
            return pool

        return cast("Self", formats.load(make, file, format, wipe, progress))
