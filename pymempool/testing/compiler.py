# SPDX-License-Identifier: MIT
"""C source as a ctypes library that works on the pools of this process."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .._native import library, paths

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_NEAR = 4  # lines of source shown on each side of one that the compiler speaks of


class CompileError(Exception):
    """What the compiler did not accept: its words, and the source with line numbers."""

    def __init__(self, output: str, path: Path, source: str) -> None:
        super().__init__(output, path, source)
        self.output = output  #: the compiler's words
        self.path = path  #: the file that was compiled
        self.source = source  #: what it holds

    def __str__(self) -> str:
        told = re.findall(rf"{re.escape(self.path.name)}:(\d+)", self.output)
        lines = _numbered(self.source, {int(number) for number in told})
        return "\n".join([self.output.rstrip(), "", *lines])


class CompileC:
    """Compiles C source against the installed header and library:

        compile_c(source, *, name=None, flags=()) -> ctypes.CDLL

    source: the text, as a str, or the path of a file, as a pathlib.Path.
    name: what the result and, in messages, the text are called.
    flags: more words for the compiler, such as "-DN=5", "-Wall" or "-lm".

    The code uses the very library that this process uses, so that it can be given a
    MemoryPool as it is. What was compiled once is kept, in pytest's cache, for as long
    as source, headers, flags, compiler and library stay the same. Within a process the
    same source is the same library: static variables keep their values. Raises
    CompileError.
    """

    def __init__(self, compiler: Sequence[str], folder: Path) -> None:
        """compiler: its words, used as gcc's are; folder: where results are kept."""
        self._folder = folder
        self._compiler = [
            *compiler,
            "-g",
            # A function that is not declared would return pointers cut to an int.
            "-Werror=implicit-function-declaration",
            *paths.compiler_flags(),
        ]
        self._version = _run([*compiler, "--version"]).stdout

    def __call__(
        self,
        source: str | os.PathLike[str],
        *,
        name: str | None = None,
        flags: Sequence[str] = (),
    ) -> ctypes.CDLL:
        __tracebackhide__ = True
        if isinstance(source, str):
            path = self._stored(source, name or "source")
        else:
            path = Path(source).resolve()
        target = self._folder / f"{name or path.stem}-{self._key(path, flags)}{_SUFFIX}"
        if not target.exists():
            self._link(path, flags, target)
        try:
            library = ctypes.CDLL(str(target))
        except OSError as error:  # as a rule it calls a function that is nowhere
            raise _error(str(error), path) from error
        _check_one_library(library, path)
        return library

    def _stored(self, text: str, name: str) -> Path:
        """A file with this text, for the compiler and for debuggers."""
        data = text.encode()
        path = self._folder / f"{name}-{_digest(data)}" / f"{name}.c"
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return path

    def _key(self, path: Path, flags: Sequence[str]) -> str:
        """Something else whenever the result may be something else."""
        __tracebackhide__ = True
        # What the preprocessor makes of the source holds all headers that it uses.
        # Clang must not mind that what is meant for the linker has no use yet.
        quiet = "-Wno-unused-command-line-argument"
        whole = self._compile(path, ["-E", *flags, quiet])
        parts = [self._version, library.__version__, paths.get_library(), *self._compiler]
        key = [part.encode() for part in (*parts, *flags, whole)]
        key += [Path(flag).read_bytes() for flag in flags if os.path.isfile(flag)]
        return _digest(b"\0".join(key))

    def _link(self, path: Path, flags: Sequence[str], target: Path) -> None:
        __tracebackhide__ = True
        library = paths.get_library()
        words = ["-shared", *flags, library]
        if sys.platform != "win32":
            words += ["-fPIC", f"-Wl,-rpath,{os.path.dirname(library)}"]
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            made = Path(folder, target.name)
            self._compile(path, [*words, "-o", str(made)])
            made.replace(target)  # whole, should another process look for it now

    def _compile(self, path: Path, words: Sequence[str]) -> str:
        """Runs the compiler on a source; returns what it prints besides complaints."""
        __tracebackhide__ = True
        # The source goes first: what follows is searched for the functions it lacks.
        done = _run([*self._compiler, str(path), *words])
        if done.returncode != 0:
            raise _error(f"$ {shlex.join(done.args)}\n{done.stderr}", path)
        return done.stdout


def find_compiler() -> list[str] | None:
    """The words of CC, which must be there if it is set, or else the first of the usual
    compilers that is there; None if there is none."""
    words = shlex.split(os.environ.get("CC", ""), posix=os.name != "nt")
    if words and shutil.which(words[0]) is None:
        raise FileNotFoundError(f"the compiler that CC names is not there: {words[0]}")
    found = (words, ["cc"], ["gcc"], ["clang"])
    return next((each for each in found if each and shutil.which(each[0])), None)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _error(output: str, path: Path) -> CompileError:
    return CompileError(output, path, path.read_text("utf-8", errors="replace"))


def _check_one_library(compiled: ctypes.CDLL, path: Path) -> None:
    """Two copies of the library would each know nothing of the other's memory."""
    try:
        reached = compiled.pool_version
    except AttributeError:
        return  # the linker left out what is not called, or this is Windows
    ours = library.parallel.pool_version
    if _address(reached) != _address(ours):
        raise _error(f"it uses another library than {paths.get_library()}", path)


def _address(function: object) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]


def _numbered(source: str, told: set[int]) -> list[str]:
    """The lines near those that were told of, or all if none was, with their numbers."""
    lines = []
    for number, line in enumerate(source.splitlines(), 1):
        if not told or any(abs(number - each) <= _NEAR for each in told):
            lines.append(f"{'>' if number in told else ' '}{number:5}  {line}".rstrip())
        elif lines and lines[-1] != "...":
            lines.append("...")
    return lines
