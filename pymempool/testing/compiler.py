# SPDX-License-Identifier: MIT
"""compile_c: compiles C source to a ctypes library that works on the same pools."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NoReturn

from .._native import library, paths
from . import faults, sanitizers
from .errors import CompileError, UnavailableError

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


class CompileC:
    """Compiles C source against the installed header and library.

        compile_c(source, *, name=None, flags=(), sanitize=None, fail_allocation=False)
            -> ctypes.CDLL

    source: the text, as a str, or the path of a file, as a pathlib.Path.
    name: of the result and, in messages, of a text.
    flags: more arguments of the compiler, such as "-DN=5", "-Wall" or "-lm".
    sanitize: "address", "undefined" or "address,undefined", for the sanitizers of gcc and
        clang on Linux. The fixture then runs the whole test in a child process of its
        own, which has their runtime: the test fails with their report, or passes or is
        skipped as in the child.
    fail_allocation: whether FailAllocation can make allocations of this code fail
        (malloc, calloc, realloc, reallocarray, aligned_alloc, posix_memalign, strdup,
        strndup); other code is not affected. On Linux.

    The code links to the library that this process uses, so that a MemoryPool can be
    passed to it. Results are cached, by the fixture in pytest's cache, until source,
    headers, flags, compiler or library change. Compiling a source again in one process
    returns the same library: static variables keep their values. Raises CompileError;
    UnavailableError, with which pytest skips the test, for sanitize and fail_allocation
    on other systems and where the compiler has no runtime; ValueError for sanitizers that
    it does not know.
    """

    def __init__(
        self,
        compiler: Sequence[str],
        folder: Path,
        *,
        run_in_child: Callable[[dict[str, str]], NoReturn] | None = None,
    ) -> None:
        """compiler: a command that takes arguments as gcc does.
        folder: for the results.
        run_in_child: called for sanitize, with what the environment of a process with
            the runtime has; must not return. None raises UnavailableError.
        """
        self._command = list(compiler)
        self._folder = folder
        self._run_in_child = run_in_child
        self._compiler = [
            *compiler,
            "-g",
            # Else a pointer from a function without a declaration is truncated to an int.
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
        sanitize: str | None = None,
        fail_allocation: bool = False,
    ) -> ctypes.CDLL:
        __tracebackhide__ = True
        flags = list(flags)
        if fail_allocation:
            flags += faults.wrapping_flags()
        kinds = sanitizers.parsed(sanitize) if sanitize is not None else []
        environment = self._child_environment(kinds)
        if kinds:
            flags += sanitizers.flags(kinds)
        if isinstance(source, str):
            path = self._stored(source, name or "source")
        else:
            path = Path(source).resolve()
        target = self._folder / f"{name or path.stem}-{self._key(path, flags)}{_SUFFIX}"
        if not target.exists():
            self._link(path, flags, target)
        if environment:
            self._leave(environment)
        try:
            library = ctypes.CDLL(str(target))
        except OSError as error:  # usually a function that is not defined
            raise _error(str(error), path) from error
        _check_one_library(library, path)
        faults.watch_calls(library)
        if fail_allocation:
            faults.watch_allocations(library)
        return library

    def _child_environment(self, kinds: Sequence[str]) -> dict[str, str]:
        """What a process for the code needs; empty if this one can load it."""
        if not kinds:
            return {}
        if sanitizers.is_child_for(kinds):
            sanitizers.set_reports(self._command, kinds)
            return {}
        return sanitizers.child_environment(self._command, kinds)

    def _leave(self, environment: dict[str, str]) -> NoReturn:
        __tracebackhide__ = True
        if self._run_in_child is not None:
            self._run_in_child(environment)
        raise UnavailableError(
            "compile_c(sanitize=...) needs a process with the runtime of the sanitizers:"
            " use the fixture compile_c of pytest, or start Python with"
            f" {' '.join(f'{name}={value!r}' for name, value in environment.items())}"
        )

    def _stored(self, text: str, name: str) -> Path:
        """Writes the text to a file, also for debuggers, and returns the path."""
        data = text.encode()
        path = self._folder / f"{name}-{_digest(data)}" / f"{name}.c"
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return path

    def _key(self, path: Path, flags: Sequence[str]) -> str:
        """Returns a key for the cache, which differs if the result may differ."""
        __tracebackhide__ = True
        # The output of the preprocessor has all headers that the source includes.
        # Clang would warn of flags for the linker here.
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
            made.replace(target)  # atomically: another process may load it now

    def _compile(self, path: Path, words: Sequence[str]) -> str:
        """Runs the compiler on a source; returns its stdout. Raises CompileError."""
        __tracebackhide__ = True
        # The source goes first: linkers look for its functions in the libraries after it.
        done = _run([*self._compiler, str(path), *words])
        if done.returncode != 0:
            raise _error(f"$ {shlex.join(done.args)}\n{done.stderr}", path)
        return done.stdout


def find_compiler() -> list[str] | None:
    """Returns the command of the C compiler: CC if it is set, else cc, gcc or clang.

    None if there is no compiler. Raises FileNotFoundError if CC names none.
    """
    words = shlex.split(os.environ.get("CC", ""), posix=os.name != "nt")
    if words and shutil.which(words[0]) is None:
        raise FileNotFoundError(f"the compiler of CC is not on the PATH: {words[0]}")
    found = (words, ["cc"], ["gcc"], ["clang"])
    return next((each for each in found if each and shutil.which(each[0])), None)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if sanitizers.VARIABLE in environment:
        environment.pop("LD_PRELOAD", None)  # is for this process
    return subprocess.run(
        list(command),
        env=environment,
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
    """Raises CompileError if the code uses a copy of the library, with other pools."""
    try:
        reached = compiled.pool_version
    except AttributeError:
        return  # it calls no function of the library, or this is Windows
    ours = library.parallel.pool_version
    if _address(reached) != _address(ours):
        raise _error(f"it uses another library than {paths.get_library()}", path)


def _address(function: object) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
