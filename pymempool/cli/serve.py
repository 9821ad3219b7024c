# SPDX-License-Identifier: MIT
"""`pymempool serve`: a pool as a block device, by nbdkit and its plugin mempool.

    signals ────────────────┐
    what nbdkit has to say ─┼─► events ─► _watch ─► a display, see serve_display.py
    and its end ────────────┘               ▲
                             statistics ────┘ from the control socket, once a second

nbdkit runs in a session of its own, so that Ctrl-C reaches this process alone, which then
asks nbdkit to end and waits until it has saved what is to be saved. Should this process
be killed, nbdkit is told by the system, and ends.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TextIO, Union
from urllib.parse import quote

from .._core.words import human
from . import control
from .errors import CommandError
from .parser import Commands, add_command
from .serve_display import Figures, display
from .terminal import Page, counted, shown

_ABOUT = """\
Serves a pool as a disk to programs that speak NBD: a RAM disk that holds only what was
written to it, in snapshots and clones as well, until Ctrl-C or SIGTERM. Needs nbdkit and
its plugin mempool. Sizes are bytes, or such as 64K, 512M, 1G, 1T.
"""

_MORE = """\
Without --socket and --port the disk is at a socket in a new folder that is its owner's
alone. A port has no password: whoever reaches it reads and writes the disk.

examples:
  pymempool serve 1G
  pymempool serve 1T --limit 4G --socket /tmp/disk
  pymempool serve --image disk.img --save changed.img
  pymempool serve 1G --port 10809 --address 0.0.0.0

exit status:
  0  it was ended, and what was to be saved is saved
  2  wrong usage, no nbdkit, no plugin, or nbdkit failed
"""


#: A line that nbdkit wrote, the number of a signal, None when nbdkit has ended.
Event = Union[str, int, None]

_STARTING = 0.02  # seconds between looks whether nbdkit serves
_SECOND = 1.0  # between statistics
_PATIENCE = 5.0  # seconds that statistics may take

# A connection. Requests do not wait for anything but a processor: with nbdkit's 16, four
# connections to two processors wrote 1.4 times slower.
_THREADS = "4"

_PREFIX, _PIDFILE = "pymempool-serve-", "pid"  # of private folders, and in each

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # each ends the service

_NO_NBDKIT = "nbdkit is not installed: apt install nbdkit, or dnf install nbdkit"
_NO_PLUGIN = """\
{reason}
The plugin comes with the source of pymempool, and needs a compiler, cmake, pkg-config and
nbdkit-plugin-dev (Debian, Ubuntu) or nbdkit-devel (Fedora):
  cmake -S . -B build && cmake --build build
  sudo cmake --install build --component nbdkit --prefix /usr
or, without the last line: --plugin build/c/nbdkit/nbdkit-mempool-plugin.so"""


class Place(NamedTuple):
    """Where clients find the disk."""

    options: list[str]  # of nbdkit
    client: list[str]  # of nbd-client
    socket: str | None  # a path
    authority: str = ""  # the host and the port

    def uri(self, export: str = "") -> str:
        if self.socket is None:
            return f"nbd://{self.authority}/{export}"
        return f"nbd+unix:///{export}?socket={quote(os.fsencode(self.socket))}"


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Serves until a signal comes or nbdkit ends; returns 0. Raises CommandError."""
    nbdkit = _find_nbdkit()
    plugin = _find_plugin(nbdkit, options.plugin)
    with _private_folder() as private:
        place = _place(options, private)
        control = os.path.join(private, "control")
        if options.control is not None:
            control = os.path.abspath(options.control)
        ready = Path(private, _PIDFILE)
        command = [nbdkit, "--foreground", "--exit-with-parent", "--pidfile", str(ready)]
        command += ["--threads", _THREADS]
        command += [*place.options, plugin, *_parameters(options), f"control={control}"]
        service = _Service(place, control, options.save, ready, out)
        with _signals(service.events), _socket_removed(place.socket):
            service.start(command)
            try:
                service.watch()
            finally:
                service.end()
    return 0


class _Service:
    """nbdkit in the foreground, and what is told of it."""

    def __init__(
        self, place: Place, control: str, save: str | None, ready: Path, out: TextIO
    ) -> None:
        self._place, self._control, self._save = place, control, save
        self._ready = ready  # nbdkit writes it when it serves
        self._out, self._page = out, Page(out)
        self._said: list[str] = []  # by nbdkit, and not yet shown
        self._asked_to_end = False  # by a signal
        self.events: SimpleQueue[Event] = SimpleQueue()

    def start(self, command: list[str]) -> None:
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
        except (OSError, ValueError) as error:  # a NUL in a name
            raise CommandError(f"cannot start nbdkit: {error}") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.events.put(_printable(line.rstrip("\n")))
        self.events.put(None)

    def watch(self) -> None:
        """Returns when a signal has come or nbdkit has ended."""
        while not self._ready.exists():
            if self._ended(_STARTING):
                return
        stats = control.ask(self._control, ["stats"], _PATIENCE)
        self._introduce(stats)
        screen = display(self._out)
        try:
            meter = Meter()
            screen.show(meter.figures(stats, time.monotonic()))
            while not self._ended(_SECOND):
                while self._said:
                    screen.say(self._said.pop(0))
                with suppress(CommandError):  # it has other things to do just now
                    stats = control.ask(self._control, ["stats"], _PATIENCE)
                    screen.show(meter.figures(stats, time.monotonic()))
        finally:
            screen.close()
        if self._asked_to_end and self._save is not None:
            self._line(f"saving to {shown(self._save)}")

    def _ended(self, seconds: float) -> bool:
        """Waits for what happens; whether that is the end."""
        try:
            event = self.events.get(timeout=seconds)
        except Empty:
            return False
        if isinstance(event, str):
            self._said.append(event)
            return False
        self._asked_to_end = event is not None
        return True

    def end(self) -> None:
        """Has nbdkit end, which saves the disk, and tells how that went.

        Raises CommandError if nbdkit failed, now or before. Who interrupts it does
        without what is to be saved.
        """
        try:
            self._process.terminate()
            status = self._process.wait()
        finally:
            self._process.kill()
            self._process.wait()
            self._listener.join()
        while not self.events.empty():
            self._ended(0)
        if status not in (0, -signal.SIGTERM):
            raise CommandError(_reason(self._said, status))
        for line in [*self._said, "ended"]:
            self._line(line)

    def _introduce(self, stats: dict[str, Any]) -> None:
        """Where the disk is, and what to do with it."""
        place, page = self._place, self._page
        uri, control = shlex.quote(place.uri()), shlex.quote(self._control)
        size, block = human(stats["total_size"]), human(stats["block_size"])
        page.fact("serving", f"{size}, in blocks of {block}")
        page.fact("address", place.uri())
        page.fact("look", f"nbdinfo {uri}")
        page.fact("copy", f"nbdcopy {uri} copy.img")
        page.fact("fill", f"nbdcopy disk.img {uri}")
        page.fact("qemu", f"qemu-img info {uri}")
        page.fact("attach", f"sudo nbd-client {shlex.join(place.client)} /dev/nbd0")
        page.fact("snapshot", f"pymempool control {control} snapshot NAME")
        page.fact("", f"its address: {place.uri('NAME')}")
        page.fact("more", f"pymempool control {control} help")
        self._line("Ctrl-C ends it")

    def _line(self, text: str) -> None:
        self._page.line(text)
        self._out.flush()


class Meter:
    """Makes figures of the statistics that the plugin gives one after the other."""

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._time = 0.0

    def figures(self, stats: dict[str, Any], now: float) -> Figures:
        """What is shown. now: seconds, of any clock."""
        held, limit = stats["family_bytes"], stats["memory_limit"]
        of = f" of {human(limit)}" if limit else ""
        rows = [
            ("held", human(held) + of),
            ("snapshots", str(stats["disks"] - 1)),
            ("connections", str(stats["connections"])),
        ]
        for label, key in (("read", "read_bytes"), ("written", "written_bytes")):
            rows.append((label, human(stats[key]) + self._rate(stats, key, now)))
        if stats["failures"]:
            rows.append(("failed", counted(stats["failures"], "request")))
        rows.append(("peak", human(stats["family_peak_bytes"])))
        self._before, self._time = stats, now
        return Figures(rows, held / limit if limit else None)

    def _rate(self, stats: dict[str, Any], key: str, now: float) -> str:
        moved = stats[key] - self._before.get(key, stats[key])
        seconds = now - self._time
        return f" ({human(round(moved / seconds))}/s)" if moved and seconds else ""


# ------------------------------------------------------------------- before it starts


def _find_nbdkit() -> str:
    if not hasattr(socket, "AF_UNIX"):
        raise CommandError("there is no nbdkit for this system; WSL has one")
    found = shutil.which("nbdkit")
    if found is None:
        raise CommandError(_NO_NBDKIT)
    return found


def _find_plugin(nbdkit: str, file: str | None) -> str:
    """What nbdkit is to load: the file given, or one where it keeps its plugins."""
    plugin = "mempool" if file is None else os.path.abspath(file)
    told = _output([nbdkit, "--dump-plugin", plugin])
    if told.returncode != 0:
        reason = _plain(told.stderr.partition("\n")[0])
        raise CommandError(_NO_PLUGIN.format(reason=reason) if file is None else reason)
    if "name=mempool" not in told.stdout.splitlines():
        raise CommandError(f"{shown(plugin)} is another plugin of nbdkit")
    return plugin


def _output(command: list[str]) -> subprocess.CompletedProcess[str]:
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


def _place(options: argparse.Namespace, private: str) -> Place:
    """Where the disk is to be found: a socket in a private folder if nothing is said."""
    if options.port is None:
        if options.address is not None:
            raise CommandError("--address needs --port")
        path = os.path.abspath(options.socket or os.path.join(private, "disk"))
        return Place(["--unix", path], ["-unix", path], path)
    address, port = options.address or "127.0.0.1", str(options.port)
    host = f"[{address}]" if ":" in address else address
    listen = ["--ipaddr", address, "--port", port]
    return Place(listen, [address, port], None, f"{host}:{port}")


def _parameters(options: argparse.Namespace) -> list[str]:
    """What the plugin is told; it knows how sizes are written, and what is wrong."""
    names = ("size", "block_size", "limit", "image", "save")
    given = {name.replace("_", "-"): getattr(options, name) for name in names}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


@contextmanager
def _private_folder() -> Iterator[str]:
    """A folder for as long as this process lives, which it has locked.

    What processes that were killed have left, which nobody has locked, is removed.
    """
    parent = glob.escape(tempfile.gettempdir())
    for left in glob.glob(os.path.join(parent, f"{_PREFIX}*")):
        # nbdkit writes its number when whoever made the folder has long locked it.
        if os.path.exists(os.path.join(left, _PIDFILE)):
            with _locked(left) as is_free:
                if is_free:
                    shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as private, _locked(private):
        yield private


@contextmanager
def _locked(folder: str) -> Iterator[bool]:
    """Locks a folder; whether that could be done."""
    import fcntl  # not on Windows, where there is no nbdkit

    with ExitStack() as stack:
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            stack.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def _signals(events: SimpleQueue[Event]) -> Iterator[None]:
    """Turns signals into events, each once: the second of a kind does what it always did.

    What was ignored stays ignored, as for nohup.
    """
    before = {
        getattr(signal, name): signal.getsignal(getattr(signal, name))
        for name in _SIGNALS
    }

    def handle(number: int, _: object) -> None:
        signal.signal(number, before[number])
        events.put(number)  # which may be done in a signal's handler

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _socket_removed(path: str | None) -> Iterator[None]:
    """Removes what is left of a socket, before and behind."""
    _remove_left_over(path)
    try:
        yield
    finally:
        _remove_left_over(path)


def _remove_left_over(path: str | None) -> None:
    """Removes a socket to which nobody listens any more."""
    if path is None:
        return
    with suppress(OSError, ValueError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as tried:
                tried.setblocking(False)  # where many wait to be accepted
                try:
                    tried.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)


# ----------------------------------------------------------------------- when it fails


def _reason(said: list[str], status: int) -> str:
    """Why nbdkit ended, in its words if there are any."""
    if said:
        return "\n".join(map(_plain, said))
    if status < 0:
        return f"nbdkit was ended by {signal.Signals(-status).name}"
    return f"nbdkit ended with status {status}"


def _printable(line: str) -> str:
    """A line in which nothing commands a terminal: clients have a say in some of them."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def _plain(line: str) -> str:
    """A line of nbdkit's without what says that it is one, and an error."""
    return re.sub(r"^nbdkit: (\S+: )?error: ", "", line)


# ------------------------------------------------------------------ the command line


def add(commands: Commands) -> None:
    told = add_command(commands, "serve", "serve a disk by NBD", _ABOUT, _MORE)
    told.add_argument(
        "size", metavar="SIZE", nargs="?", help="of the disk (default: as the image)"
    )
    told.add_argument(
        "--image", metavar="FILE", help="begin with a raw image, which is not changed"
    )
    told.add_argument("--limit", metavar="N", help="most bytes of memory to hold")
    told.add_argument("--block-size", metavar="N", help="most bytes a block (64K)")
    where = told.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="serve at this UNIX socket")
    where.add_argument("--port", metavar="N", type=_port, help="serve by TCP")
    told.add_argument("--address", metavar="A", help="of the port (127.0.0.1)")
    told.add_argument("--save", metavar="FILE", help="write a raw image at the end")
    told.add_argument("--control", metavar="PATH", help="socket for pymempool control")
    told.add_argument("--plugin", metavar="FILE", help="nbdkit-mempool-plugin.so")
    told.set_defaults(run=run)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is 1 to 65535")
    return int(text)
