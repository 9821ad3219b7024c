# SPDX-License-Identifier: MIT
"""A program that looks like nbdkit with the plugin mempool, and does what a plan says.

The plan is a file of JSON in its folder; what it was called with is left in another:

- dump: [status, stdout, stderr] of --dump-plugin.
- says: what is written to stderr before it serves; fails: with which status it then ends.
- answers: to the commands at the control socket, one after the other. In place of one:
  "!INT" and the like sends that signal to who started it, "!end 3" ends with 3, "!die" is
  killed, "!default" ended by SIGTERM, "!say TEXT" writes to stderr; each is done before
  the next one is answered. When there are none left, all are answered with STATS.
- end: [status, stderr] after SIGTERM, or something to do instead of that.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

STATS = {
    "total_size": 1 << 30,
    "block_size": 65536,
    "held_bytes": 1 << 20,
    "family_bytes": 3 << 20,
    "family_peak_bytes": 4 << 20,
    "memory_limit": 0,
    "disks": 3,
    "connections": 2,
    "read_bytes": 5 << 20,
    "written_bytes": 6 << 20,
    "failures": 0,
}

#: What is shown of STATS.
SHOWN = "held 3 MiB, snapshots 2, connections 2, read 5 MiB, written 6 MiB, peak 4 MiB"

PLAN: dict[str, Any] = {
    "dump": [0, "path=x\nname=mempool\n", ""],
    "says": "",
    "fails": None,
    "answers": [STATS, "!INT"],
    "end": [0, ""],
}


def main() -> None:
    folder = Path(sys.argv[0]).parent
    plan = json.loads((folder / "plan").read_text())
    arguments = sys.argv[1:]
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    if arguments[0] == "--dump-plugin":
        leave(*plan["dump"])
    signal.alarm(300)  # whoever started it may be gone
    signal.signal(signal.SIGTERM, lambda *_: finish(plan["end"]))
    sys.stderr.write(plan["says"])
    sys.stderr.flush()
    if plan["fails"] is not None:
        sys.exit(plan["fails"])
    serve(arguments, plan["answers"])


def serve(arguments: list[str], answers: list[Any]) -> None:
    if "--unix" in arguments:
        disk = socket.socket(socket.AF_UNIX)
        disk.bind(arguments[arguments.index("--unix") + 1])
    path = next(word for word in arguments if word.startswith("control="))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path[len("control=") :])
    listener.listen()
    Path(arguments[arguments.index("--pidfile") + 1]).write_text(f"{os.getpid()}\n")
    for answer in answers:
        if isinstance(answer, str) and answer.startswith("!"):
            act(*answer[1:].split(" ", 1))
            continue
        reply(
            listener, answer if isinstance(answer, str) else f"ok {json.dumps(answer)}\n"
        )
    while True:
        reply(listener, f"ok {json.dumps(STATS)}\n")


def reply(listener: socket.socket, text: str) -> None:
    with listener.accept()[0] as client:
        client.recv(100)
        client.sendall(text.encode())


def act(action: str, more: str = "") -> None:
    if action == "end":
        sys.exit(int(more))
    elif action == "default":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    elif action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "say":
        sys.stderr.write(more + "\n")
        sys.stderr.flush()
    else:
        os.kill(os.getppid(), getattr(signal, f"SIG{action}"))


def finish(end: Any) -> None:
    if isinstance(end, str):
        act(*end[1:].split(" ", 1))
    else:
        leave(end[0], "", end[1])


def leave(status: int, out: str, err: str) -> None:
    sys.stdout.write(out)
    sys.stdout.flush()
    sys.stderr.write(err)
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
