# SPDX-License-Identifier: MIT
"""Locations: the paths, URLs and open files that pools are saved to and loaded from.

    path, file://   replacement.py: written beside the old file, which it then replaces
    other URL       remote.py: a file of fsspec, committed or discarded
    open file       as it is

A str with "://" in it is a URL. A file that a URL names is compressed if its suffix says
so; a file at a path never is. fsspec is imported for the first URL. storage_options go
with the URL, as those of fsspec.open() do.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from .extras import import_extra
from .remote import committing
from .replacement import replacing
from .streams import binary_file

_NAMES = (str, bytes, os.PathLike)  # what names a file, and is none


class _Location(NamedTuple):
    """What a path or a URL names."""

    system: Any  #: the file system of fsspec; None for that of the machine
    path: str
    codec: str  #: how the file is compressed: a key of _CODECS, or empty


class _URL(str):
    """A URL with options for the file system that it names."""

    options: dict[str, Any]


def with_options(location: Any, options: Mapping[str, Any] | None) -> Any:
    """Returns a location that hands storage_options to fsspec.

    Raises ValueError if there are any and the location is no URL.
    """
    if not options:
        return location
    if not _is_url(location):
        raise ValueError(f"storage_options are for a URL, not for {location!r}")
    url = _URL(location)
    url.options = dict(options)
    return url


@contextmanager
def writing(location: Any) -> Iterator[Any]:
    """Opens a binary file to write to.

    If the with block raises, what the location held before stays, if the file system can
    do that.
    """
    if not isinstance(location, _NAMES):
        yield binary_file(location, "write")
        return
    system, path, codec = _resolve(location)
    with replacing(path) if system is None else committing(system, path) as raw:
        if not codec:
            yield raw
            return
        file = _compressed(codec, raw, "wb")
        try:
            yield file
        except BaseException:
            with suppress(Exception):  # the last bytes are discarded with all others
                file.close()
            raise
        file.close()


@contextmanager
def reading(location: Any) -> Iterator[Any]:
    """Opens a binary file to read from."""
    if not isinstance(location, _NAMES):
        yield binary_file(location, "read")
        return
    system, path, codec = _resolve(location)
    with _opened(system, path) as raw:
        if not codec:
            yield raw
            return
        with _compressed(codec, raw, "rb") as file:
            yield file


def path_of(location: Any) -> str | None:
    """Returns the path of a local file that is not compressed; None for all else."""
    if not isinstance(location, _NAMES):
        return None
    system, path, codec = _resolve(location)
    return path if system is None and not codec else None


def suffix_of(location: Any) -> str:
    """Returns the suffix of a path, a URL or an open file's name, in lower case.

    Of a compressed file that a URL names it is the one before that of the compression.
    Empty for a file without a name.
    """
    name = location if isinstance(location, _NAMES) else getattr(location, "name", None)
    if not isinstance(name, _NAMES):
        return ""
    base, suffix = os.path.splitext(os.fsdecode(name).lower())
    if suffix in _CODECS and "://" in base:
        suffix = os.path.splitext(base)[1]
    return suffix


def _opened(system: Any, path: str) -> Any:
    if system is None:
        return open(path, "rb", buffering=0)
    return system.open(path, "rb")


def _resolve(name: Any) -> _Location:
    """Returns what a path or a URL names. Raises ImportError for a URL without fsspec."""
    if not _is_url(name):
        return _Location(None, os.fsdecode(name), "")
    core = import_extra("fsspec.core", "fsspec", "a URL")
    local = importlib.import_module("fsspec.implementations.local")
    options = name.options if isinstance(name, _URL) else {}
    system, path = core.url_to_fs(str(name), **options)
    codec = os.path.splitext(path)[1]
    if isinstance(system, local.LocalFileSystem):
        if options:
            raise ValueError(f"storage_options are not for a local file: {name!r}")
        system = None
    return _Location(system, path, codec if codec in _CODECS else "")


def _is_url(name: Any) -> bool:
    return isinstance(name, str) and "://" in name


# Suffixes, with the module and the class of the standard library that open such files.
_CODECS = {
    ".gz": ("gzip", "GzipFile"),
    ".bz2": ("bz2", "BZ2File"),
    ".xz": ("lzma", "LZMAFile"),
}


def _compressed(codec: str, raw: Any, mode: str) -> Any:
    """Returns a file that compresses what it writes to `raw`, or decompresses `raw`."""
    module, name = _CODECS[codec]
    make = getattr(importlib.import_module(module), name)
    # A gzip file holds a file name, which would be that of a temporary file.
    return make("", mode, fileobj=raw) if codec == ".gz" else make(raw, mode)
