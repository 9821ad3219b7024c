# SPDX-License-Identifier: MIT
"""The sanitizers of gcc and clang, for C code under test.

Code with AddressSanitizer needs its runtime in the process before the interpreter. So a
test that compiles such code runs in a child process, with the runtime preloaded; what the
sanitizers report goes to files there.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from ctypes import CDLL
from pathlib import Path

from .errors import UnavailableError

#: Variables of the environment of a child: its sanitizers, and where reports go.
VARIABLE, REPORTS = "PYMEMPOOL_SANITIZE", "PYMEMPOOL_SANITIZE_REPORTS"

_KINDS = ("address", "undefined")
_OUTSIDE = "ffi_call|libffi|_ctypes"  # in the first frame that is not of the C code


def parsed(sanitize: str) -> list[str]:
    """The sanitizers in a text as the compilers take it. Raises ValueError."""
    kinds = sanitize.split(",")
    if not set(kinds) <= set(_KINDS):
        raise ValueError(f"sanitize is {sanitize!r}, allowed are {' and '.join(_KINDS)}")
    return sorted(set(kinds))


def flags(kinds: Sequence[str]) -> list[str]:
    """What a compiler needs for them."""
    return [
        f"-fsanitize={','.join(kinds)}",
        "-fno-sanitize-recover=all",  # the first error ends the process
        "-fno-omit-frame-pointer",
    ]


def is_child_for(kinds: Sequence[str]) -> bool:
    """Whether this process has the runtime. Raises ValueError in a child without it."""
    there = os.environ.get(VARIABLE, "")
    if there and not set(kinds) <= set(there.split(",")):
        raise ValueError(
            f"sanitize is {','.join(kinds)!r}, and the test runs with {there!r}: pass the"
            " same to each compile_c of a test"
        )
    return bool(there)


def set_reports(compiler: Sequence[str], kinds: Sequence[str]) -> None:
    """Lets the code in this child process report to files.

    gcc's UBSanitizer takes that from no option if AddressSanitizer is there as well.
    """
    if "undefined" in kinds and not _is_clang(compiler):
        for runtime in _found(compiler, "file", ["libubsan.so"]):
            set_path = getattr(CDLL(runtime), "__sanitizer_set_report_path")
            set_path(os.environ[REPORTS].encode())


def child_environment(compiler: Sequence[str], kinds: Sequence[str]) -> dict[str, str]:
    """What a child process needs beside the environment, for reports in its folder.

    Raises UnavailableError where the compiler has no runtime that can be preloaded.
    """
    if not sys.platform.startswith("linux"):
        raise UnavailableError(
            f"compile_c(sanitize=...) works on Linux, with gcc or clang; this is"
            f" {sys.platform}"
        )
    preload = [_runtime(compiler, kinds)]
    # Else the first exception of C++ code in the process would find no way out.
    preload += _found(compiler, "file", ["libstdc++.so.6"])
    preload += os.environ.get("LD_PRELOAD", "").split()
    options = "detect_leaks=0:allocator_may_return_null=1:allow_addr2line=1"
    options += ":abort_on_error=1:print_stacktrace=1:verify_asan_link_order=0"
    environment = {
        VARIABLE: ",".join(kinds),
        "LD_PRELOAD": " ".join(preload),
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": options,
        "PYTHONMALLOC": "malloc",  # so that objects of Python are watched, too
    }
    for symbolizer in _found(compiler, "prog", ["llvm-symbolizer"]):
        environment["ASAN_SYMBOLIZER_PATH"] = symbolizer
        environment["UBSAN_SYMBOLIZER_PATH"] = symbolizer
    return environment


def _runtime(compiler: Sequence[str], kinds: Sequence[str]) -> str:
    """The path of the runtime to preload."""
    names = ["libasan.so" if "address" in kinds else "libubsan.so"]
    if _is_clang(compiler):
        name = "asan" if "address" in kinds else "ubsan_standalone"
        machine = re.sub(r"i\d86", "i386", platform.machine())
        names = [f"libclang_rt.{name}-{machine}.so", f"libclang_rt.{name}.so"]
    for path in _found(compiler, "file", names):
        return path
    raise UnavailableError(f"{compiler[0]} has no runtime for {kinds}: no {names[0]}")


def _is_clang(compiler: Sequence[str]) -> bool:
    return "clang" in _output([*compiler, "--version"])


def _found(compiler: Sequence[str], what: str, names: Sequence[str]) -> list[str]:
    """The paths of those files, or programs, that a compiler has."""
    paths = [_output([*compiler, f"-print-{what}-name={name}"]).strip() for name in names]
    return [path for path in paths if os.path.isfile(path)]


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, cwd: Path
) -> tuple[int, str, str]:
    """Runs a command with the environment of a child, and reports in a folder.

    Returns its status, its output, and what the sanitizers have reported, with the calls
    in Python that led there; empty if they found nothing.
    """
    reports = str(folder / "report")
    own = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST_")}
    whole = {**own, **environment, REPORTS: reports}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        options = [f"{environment[name]}:log_path={reports}", os.environ.get(name)]
        whole[name] = ":".join(filter(None, options))
    done = subprocess.run(
        [*_without_randomisation(), *command],
        cwd=cwd,
        env=whole,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    texts = [path.read_text(errors="replace") for path in sorted(folder.glob("report.*"))]
    found = "".join(map(_shortened, texts))
    report = _summary(found) + found + _calls(done.stdout) if found else ""
    return done.returncode, done.stdout, report


def _summary(report: str) -> str:
    """The line that says what a report is about."""
    line = re.search(r"(?:SUMMARY: |(?=runtime error: ))(.*)", report)
    return f"{line[1]}\n\n" if line else ""


def _without_randomisation() -> list[str]:
    """What runs a command where older runtimes find the addresses that they need."""
    prefix = ["setarch", "-R"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []  # not there, or not allowed
    return prefix


def _shortened(report: str) -> str:
    """A report without the frames of ctypes and CPython, and without shadow memory."""
    lines, inside = [], False
    for line in report.partition("Shadow bytes around")[0].splitlines():
        is_frame = re.match(r" +#\d+ ", line) is not None
        inside = is_frame and (inside or re.search(_OUTSIDE, line) is not None)
        if not inside:
            lines.append(f"{line}\n")
    return "".join(lines)


def _calls(output: str) -> str:
    """The calls in Python that led to the end of a process, from faulthandler."""
    found = re.search(r"\(most recent call first\):\n((?:  File .*\n)+)", output)
    lines = found[1].splitlines() if found else []
    own = list(itertools.takewhile(lambda line: "_pytest" not in line, lines))
    return "".join(f"{line}\n" for line in ["called from Python:", *own]) if own else ""
