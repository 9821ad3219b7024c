# SPDX-License-Identifier: MIT
"""nbdkit and its plugin mempool: finds them, and edits what they write."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess

from .._core.words import shown
from .errors import CommandError

_NO_NBDKIT = "nbdkit is not installed: apt install nbdkit, or dnf install nbdkit"
_NO_PLUGIN = """\
{reason}
The plugin comes with the source of pymempool, and needs a compiler, cmake, pkg-config and
nbdkit-plugin-dev (Debian, Ubuntu) or nbdkit-devel (Fedora):
  cmake -S . -B build && cmake --build build
  sudo cmake --install build --component nbdkit --prefix /usr
or, without the last line: --plugin build/c/nbdkit/nbdkit-mempool-plugin.so"""


def find_nbdkit() -> str:
    """Returns the path of the program. Raises CommandError."""
    if not hasattr(socket, "AF_UNIX"):
        raise CommandError("there is no nbdkit for this system; WSL has one")
    found = shutil.which("nbdkit")
    if found is None:
        raise CommandError(_NO_NBDKIT)
    return found


def find_plugin(nbdkit: str, path: str | None) -> str:
    """Returns the argument by which nbdkit loads the plugin.

    nbdkit: the path of the program.
    path: of the plugin; None for the one in nbdkit's folder of plugins.

    Raises CommandError if nbdkit cannot load it, or if it is another plugin.
    """
    plugin = "mempool" if path is None else os.path.abspath(path)
    done = _run([nbdkit, "--dump-plugin", plugin])
    if done.returncode != 0:
        reason = without_prefix(done.stderr.partition("\n")[0])
        raise CommandError(_NO_PLUGIN.format(reason=reason) if path is None else reason)
    if "name=mempool" not in done.stdout.splitlines():
        raise CommandError(
            f"{shown(plugin)} is another plugin of nbdkit, not nbdkit-mempool-plugin.so"
        )
    return plugin


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot start nbdkit: {error}") from error


def reason(lines: list[str], status: int) -> str:
    """Returns why nbdkit ended: the lines that it wrote, if any, else its exit status."""
    errors = [line for line in lines if ": note: " not in line]
    if errors:
        return "\n".join(map(without_prefix, errors))
    if status < 0:
        return f"nbdkit was ended by {signal.Signals(-status).name}"
    return f"nbdkit ended with status {status}"


def without_prefix(line: str) -> str:
    """Removes `nbdkit: error: ` and the like from the start of a line."""
    return re.sub(r"^nbdkit: (\S+: )?error: ", "", line)
