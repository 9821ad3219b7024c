# SPDX-License-Identifier: MIT
"""`pymempool serve`: a pool as a block device, by nbdkit and its plugin mempool.

    signals ────────────────┐
    the output of nbdkit ───┼─► events ─► watch() ─► a display, see serve_display.py
    and its end ────────────┘               ▲
                             statistics ────┘ from the control socket, once a second

nbdkit runs in a session of its own, so that Ctrl-C reaches this process alone, which then
asks nbdkit to end and waits until it has saved the disk. If this process is killed, the
system sends nbdkit a signal that ends it.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TextIO, Union
from urllib.parse import quote

from .._core.words import human, printable, shown
from . import control, nbdkit
from .errors import CommandError
from .parser import Commands, add_command
from .serve_display import RateMeter, display
from .serve_resources import PIDFILE, private_folder, signals_to, socket_removed
from .terminal import Page

_ABOUT = """\
Serves a pool as a disk to programs that speak NBD, until Ctrl-C or SIGTERM: a RAM disk
that holds only what was written to it, with snapshots and clones. Needs nbdkit and its
plugin mempool. Sizes are bytes, or such as 64K, 512M, 1G, 1T.
"""

_MORE = """\
Without --socket and --port the disk is at a socket in a new folder that only its owner
can enter. A port has no password: whoever reaches it reads and writes the disk.

examples:
  pymempool serve 1G
  pymempool serve 1T --limit 4G --socket /tmp/disk
  pymempool serve --image disk.img --save changed.img
  pymempool serve 1G --port 10809 --address 0.0.0.0

exit status:
  0  the disk was served, and saved with --save
  2  wrong usage, no nbdkit, no plugin, or nbdkit failed
"""


#: A line that nbdkit wrote, the number of a signal, None when nbdkit has ended.
Event = Union[str, int, None]

_STARTING = 0.02  # seconds from one look for the pidfile to the next
_SECOND = 1.0  # between statistics
_TIMEOUT = 5.0  # seconds to wait for statistics
_AT_ONCE = 1.0  # seconds in which nbdkit ends if no client is connected
_WAIT = 10.0  # seconds that clients have to leave

# Per connection. Requests wait for nothing but a processor: with nbdkit's default of 16,
# four connections to two processors wrote 1.4 times slower.
_THREADS = "4"


class DiskAddress(NamedTuple):
    """Where clients find the disk."""

    options: list[str]  # of nbdkit
    client: list[str]  # of nbd-client
    socket: str | None  # a path; None for TCP
    authority: str = ""  # the host and the port of TCP

    def uri(self, export: str = "") -> str:
        if self.socket is None:
            return f"nbd://{self.authority}/{export}"
        return f"nbd+unix:///{export}?socket={quote(os.fsencode(self.socket))}"


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Serves until a signal arrives or nbdkit ends; returns 0. Raises CommandError."""
    program = nbdkit.find_nbdkit()
    plugin = nbdkit.find_plugin(program, options.plugin)
    with private_folder() as private:
        address = _address(options, private)
        control = os.path.join(private, "control")
        if options.control is not None:
            control = os.path.abspath(options.control)
        ready = Path(private, PIDFILE)
        command = [program, "--foreground", "--exit-with-parent", "--pidfile", str(ready)]
        command += ["--threads", _THREADS]
        command += [*address.options, plugin, *_parameters(options), f"control={control}"]
        service = _Service(address, control, options.save, options.wait, ready, out)
        sockets = socket_removed(address.socket), socket_removed(control)
        with signals_to(service.events), sockets[0], sockets[1]:
            service.start(command)
            try:
                service.watch()
            finally:
                service.end()
    return 0


def _address(options: argparse.Namespace, private: str) -> DiskAddress:
    """The address that the options request; by default a socket in the private folder."""
    if options.port is None:
        if options.address is not None:
            raise CommandError("--address needs --port")
        path = os.path.abspath(options.socket or os.path.join(private, "disk"))
        return DiskAddress(["--unix", path], ["-unix", path], path)
    address, port = options.address or "127.0.0.1", str(options.port)
    host = f"[{address}]" if ":" in address else address
    listen = ["--ipaddr", address, "--port", port]
    return DiskAddress(listen, [address, port], None, f"{host}:{port}")


def _parameters(options: argparse.Namespace) -> list[str]:
    """The parameters of the plugin, which parses the sizes and reports errors in them."""
    names = (
        *("size", "block_size", "limit", "image", "format", "record", "records", "save"),
    )
    given = {name.replace("_", "-"): getattr(options, name) for name in names}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


class _Service:
    """nbdkit as a child process, and what is printed about it."""

    def __init__(
        self,
        address: DiskAddress,
        control: str,
        save: str | None,
        wait: float,
        ready: Path,
        out: TextIO,
    ) -> None:
        self._address, self._control, self._save = address, control, save
        self._wait = wait  # seconds that clients have to leave
        self._ready = ready  # nbdkit writes this file when it serves
        self._out, self._page = out, Page(out)
        self._lines: list[str] = []  # of nbdkit, not yet printed
        self._signalled = False  # this process received a signal
        self.events: SimpleQueue[Event] = SimpleQueue()

    def start(self, command: list[str]) -> None:
        """Starts nbdkit. Raises CommandError."""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            raise CommandError(f"cannot start nbdkit: {error}") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:  # some have text from clients
                self.events.put(printable(line.rstrip("\n")))
        self.events.put(None)

    def watch(self) -> None:
        """Prints where the disk is and its statistics, until a signal or nbdkit's end."""
        while not self._ready.exists():
            if self._ended(_STARTING):
                return
        stats = self._stats()
        self._introduce(stats)
        screen = display(self._out)
        try:
            meter = RateMeter()
            screen.show(meter.figures(stats, time.monotonic()))
            while not self._ended(_SECOND):
                while self._lines:
                    screen.say(self._lines.pop(0))
                with suppress(CommandError):  # the plugin may be busy
                    screen.show(meter.figures(self._stats(), time.monotonic()))
        finally:
            screen.close()
        if self._signalled and self._save is not None:
            self._line(f"saving to {shown(self._save)}")

    def _stats(self) -> Any:
        return control.request(self._control, ["stats"], _TIMEOUT)

    def _ended(self, seconds: float) -> bool:
        """Waits for an event, and returns whether it ends the service."""
        try:
            event = self.events.get(timeout=seconds)
        except Empty:
            return False
        if isinstance(event, str):
            self._lines.append(event)
            return False
        self._signalled = event is not None
        return True

    def end(self) -> None:
        """Ends nbdkit, which saves the disk, and waits for it.

        nbdkit waits for its clients. If there are any, the disk is saved at once; those
        that have not left after a while are disconnected, and it is saved again.

        Raises CommandError if nbdkit failed, now or before, or cannot save. An exception
        while it waits, such as KeyboardInterrupt, kills nbdkit; then the disk is not
        saved, or is as it was when the clients were waited for.
        """
        try:
            self._process.terminate()
            if self._clients_have_left():
                status = self._process.wait()
            else:
                status = self._cut_off()
        finally:
            self._process.kill()
            self._process.wait()
            self._listener.join()
        while not self.events.empty():
            self._ended(0)
        if status not in (0, -signal.SIGTERM):
            raise CommandError(nbdkit.reason(self._lines, status))
        for line in [*self._lines, "ended"]:
            self._line(line)

    def _clients_have_left(self) -> bool:
        """Waits until the clients have left or their time is over; returns which."""
        if self._waited(_AT_ONCE):
            return True
        try:
            clients = control.request(self._control, ["clients"], _TIMEOUT)
        except CommandError:
            clients = []
        if not clients:
            return True  # nbdkit ends, and saves the disk itself
        try:
            self._save_now()
        except CommandError as error:
            self._line(f"not saved: {error}")
        names = ", ".join(client["client"] for client in clients)
        self._line(f"waiting {self._wait:g} s at most for clients: {names}")
        return self._waited(self._wait)

    def _cut_off(self) -> int:
        """Saves the disk once more; returns 0, and nbdkit is to be killed."""
        try:
            self._save_now()
        except CommandError:
            if os.path.exists(self._control):
                raise
            return self._process.wait()  # they have left meanwhile
        return 0

    def _waited(self, seconds: float) -> bool:
        """Waits for nbdkit so long; returns whether it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _save_now(self) -> None:
        """Saves the disk while nbdkit runs. Raises CommandError."""
        if self._save is not None:
            words = ["save", control.path_word(self._save)]
            control.request(self._control, words, timeout=None)

    def _introduce(self, stats: dict[str, Any]) -> None:
        """Prints where the disk is, and commands to use it."""
        address, page = self._address, self._page
        uri, control = shlex.quote(address.uri()), shlex.quote(self._control)
        size, block = human(stats["total_size"]), human(stats["block_size"])
        page.fact("serving", f"{size}, in blocks of {block}")
        page.fact("address", address.uri())
        page.fact("look", f"nbdinfo {uri}")
        page.fact("copy", f"nbdcopy {uri} copy.img")
        page.fact("fill", f"nbdcopy disk.img {uri}")
        page.fact("qemu", f"qemu-img info {uri}")
        page.fact("attach", f"sudo nbd-client {shlex.join(address.client)} /dev/nbd0")
        page.fact("snapshot", f"pymempool control {control} snapshot NAME")
        page.fact("", f"its address: {address.uri('NAME')}")
        page.fact("more", f"pymempool control {control} help")
        self._line("Ctrl-C ends it")

    def _line(self, text: str) -> None:
        self._page.line(text)
        self._out.flush()


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    parser = add_command(commands, "serve", "serve a disk by NBD", _ABOUT, _MORE)
    parser.add_argument(
        "size", metavar="SIZE", nargs="?", help="of the disk (default: as the image)"
    )
    parser.add_argument(
        "--image", metavar="FILE", help="start with this raw image; it is not changed"
    )
    parser.add_argument(
        "--format", choices=["raw"], help="the image is raw, whatever it looks like"
    )
    parser.add_argument("--limit", metavar="N", help="memory limit (default: none)")
    parser.add_argument(
        "--block-size", metavar="N", help="largest size of a block (default: 64K)"
    )
    parser.add_argument(
        "--record",
        choices=["flush"],
        help="make a snapshot whenever a client flushes",
    )
    parser.add_argument(
        "--records", metavar="N", help="keep the newest N of these (default: 1000)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="serve at this UNIX socket")
    where.add_argument("--port", metavar="N", type=_port, help="serve by TCP")
    parser.add_argument(
        "--address", metavar="A", help="listen at this address (default: 127.0.0.1)"
    )
    parser.add_argument("--save", metavar="FILE", help="write a raw image at the end")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        default=_WAIT,
        help="that clients have to leave at the end (default: 10)",
    )
    parser.add_argument("--control", metavar="PATH", help="socket for pymempool control")
    parser.add_argument("--plugin", metavar="FILE", help="nbdkit-mempool-plugin.so")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) > 1e6:
        raise argparse.ArgumentTypeError("a number of seconds, 1000000 at most")
    return float(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is 1 to 65535")
    return int(text)
