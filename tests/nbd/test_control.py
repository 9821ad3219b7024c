# SPDX-License-Identifier: MIT
"""The control socket and those who mean no good."""

from __future__ import annotations

import os
import random
import socket
import stat
import threading
from pathlib import Path

import pytest
from conftest import PATIENCE, Serve, Server, crowded


def clients_of(server: Server, count: int) -> list[socket.socket]:
    """Clients that have their places, since they were answered."""
    clients = [server.connect() for _ in range(count)]
    for client in clients:
        client.sendall(b"list\n")
        assert client.makefile().readline().startswith("ok")
    return clients


def test_only_the_owner_may_connect(server: Server) -> None:
    found = server.path.stat()
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600


def test_help_names_every_command(server: Server) -> None:
    told = [line.split()[0] for line in server.control("help")]
    changes, reports = ["snapshot", "clone", "restore", "drop"], ["list", "clients"]
    actions = [*changes, "save", "changes", "limit"]
    assert told == [*actions, *reports, "stats", "help"]


def test_many_lines_at_once_are_answered_in_order(server: Server) -> None:
    with server.connect() as connected:
        connected.sendall(b"snapshot a\nsnapshot a\n  drop   a \ndrop a\nstats")
        connected.shutdown(socket.SHUT_WR)
        assert connected.makefile().read().splitlines() == [
            "ok",
            "error there is a disk of that name already",
            "ok",
            "error there is no disk of that name",
        ]


def test_a_line_in_pieces_is_one_command(server: Server) -> None:
    with server.connect() as connected:
        for byte in b"snapshot slowly\n":
            connected.sendall(bytes([byte]))
        assert connected.makefile().readline() == "ok\n"


def test_half_a_line_is_no_command(server: Server) -> None:
    server.control("snapshot one")
    server.control("snapshot one-more")
    with server.connect() as connected:
        connected.sendall(b"drop one")  # -more, if the client had lived
    assert len(server.control("list")) == 3


@pytest.mark.parametrize(
    "line",
    [
        b"snapshot a\0b",
        b"\0",
        b"snapshot \xff\xfe",
        b"snapshot \xc3\xa4",
        b"list\r",
        b"\x1b[2J",
    ],
)
def test_lines_that_are_not_printable_are_refused(server: Server, line: bytes) -> None:
    with server.connect() as connected:
        connected.sendall(line + b"\nlist\n")
        answers = connected.makefile()
        assert answers.readline() == "error a command must be printable ASCII\n"
        assert answers.readline().startswith("ok [")


@pytest.mark.parametrize("size", [500, 501, 100_000])
def test_a_line_that_is_too_long_ends_the_connection(server: Server, size: int) -> None:
    with server.connect() as connected:
        try:
            connected.sendall(b"s" * size)
        except (BrokenPipeError, ConnectionResetError):
            assert size > 500  # it closed before all of it was sent
        assert connected.makefile().readline() == "error the line is too long\n"
        try:
            assert connected.recv(1) == b""
        except ConnectionResetError:
            assert size > 500
    with server.connect() as connected:
        connected.sendall(b" " * 495 + b"list\n")
        assert connected.makefile().readline().startswith("ok [")


def test_noise_breaks_nothing(server: Server) -> None:
    noise = random.Random(1)
    words = [
        b"snapshot",
        b"clone",
        b"restore",
        b"drop",
        b"a",
        b"b",
        b"-",
        b"",
        b"\0",
        b"\n",
    ]
    for _ in range(200):
        with server.connect() as connected:
            connected.sendall(noise.randbytes(noise.randrange(1, 400)))
        with server.connect() as connected:
            line = b" ".join(noise.choices(words, k=noise.randrange(1, 40)))
            connected.sendall(line[:400] + b"\n")
            assert connected.makefile().readline().startswith(("ok", "error "))
    assert server.alive() and server.control("list")[0]["export"] == ""


def test_a_client_that_reads_nothing_keeps_only_itself_waiting(server: Server) -> None:
    for number in range(300):
        server.control(f"snapshot s{number}")
    with server.connect() as deaf:
        deaf.setblocking(False)
        sent = 0
        try:
            while True:  # until the server takes no more commands of this client
                sent += deaf.send(b"list\n" * 100)
        except BlockingIOError:
            pass
        assert len(server.control("list")) == 301
        deaf.settimeout(PATIENCE)
        deaf.shutdown(socket.SHUT_WR)
        answers = deaf.makefile().read().splitlines()
        assert len(answers) == sent // 5
        assert all(answer.startswith("ok [") for answer in answers)


def test_clients_come_and_go_in_parallel(server: Server) -> None:
    def work(number: int) -> None:
        with server.connect() as connected, connected.makefile("rw") as file:
            for turn in range(50):
                for verb in ("snapshot", "drop"):
                    file.write(f"{verb} c{number}-{turn}\n")
                    file.flush()
                    answers.append(file.readline())

    answers: list[str] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["ok\n"] * 800
    assert len(server.control("list")) == 1


def test_more_clients_than_places(server: Server) -> None:
    waiting = clients_of(server, 32)
    refused = [server.connect() for _ in range(68)]
    for client in refused:
        with client, client.makefile() as answers:
            assert answers.readline() == "error there are too many clients\n"
    waiting.pop().close()
    while True:  # until the server has seen that the place is free
        with server.connect() as another, another.makefile("rw") as file:
            try:
                file.write("list\n")
                file.flush()
                if file.readline().startswith("ok"):
                    break
            except (BrokenPipeError, ConnectionResetError):
                file.detach()  # what could not be sent must not be tried again
        assert server.alive()
    for client in waiting:
        client.close()


def test_no_descriptor_is_free_for_a_client(serve: Serve) -> None:
    server = serve("1M", wrapper=("prlimit", "--nofile=40"))
    waiting = [server.connect() for _ in range(60)]  # those without one wait in the queue
    for client in waiting:
        client.close()
    assert len(server.control("list")) == 1


def test_fewer_descriptors_are_allowed_than_places(serve: Serve, tmp_path: Path) -> None:
    """It answered nobody, and did not end."""
    saved = tmp_path / "saved"
    server = serve("1M", f"save={saved}", wrapper=("prlimit", "--nofile=20"))
    for client in clients_of(server, 5):
        client.close()
    assert len(server.control("list")) == 1
    assert server.stop() == 0
    assert saved.exists()


def test_a_socket_that_was_left_behind_is_replaced(serve: Serve) -> None:
    first = serve("1M")
    first.process.kill()
    first.process.wait()
    assert first.path.exists()
    second = serve("1M", f"control={first.path}")  # the last control= counts
    second.path = first.path
    assert len(second.control("list")) == 1
    assert second.stop() == 0 and not first.path.exists()


def test_a_socket_in_use_and_a_file_are_left_alone(serve: Serve) -> None:
    first = serve("1M")
    with pytest.raises(RuntimeError, match=r"control: .*: Address already in use"):
        serve("1M", f"control={first.path}")
    assert len(first.control("list")) == 1
    file = first.folder / "file"
    file.write_text("precious")
    with pytest.raises(RuntimeError, match=r"control: .*: Address already in use"):
        serve("1M", f"control={file}")
    assert file.read_text() == "precious"


def test_a_socket_whose_owner_accepts_nobody(serve: Serve, tmp_path: Path) -> None:
    """It waited for the owner, instead of leaving the socket alone."""
    path = tmp_path / "control"
    with crowded(path), pytest.raises(RuntimeError, match="Address already in use"):
        serve("1M", f"control={path}")


def test_paths_that_cannot_be(serve: Serve) -> None:
    with pytest.raises(RuntimeError, match="at most 107 characters"):
        serve("1M", "control=/" + "a" * 108)
    with pytest.raises(RuntimeError, match="No such file or directory"):
        serve("1M", "control=/nowhere/at/all")
    with pytest.raises(RuntimeError, match=r"control: /proc/control: "):
        serve("1M", "control=/proc/control")


def test_a_server_stops_while_clients_are_connected(serve: Serve) -> None:
    server = serve("1M")
    clients = [server.connect() for _ in range(5)]
    clients[0].sendall(b"half a li")
    assert len(server.control("list")) == 1
    assert server.stop() == 0
    for client in clients:
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            assert client is clients[0]
        client.close()
    assert not os.path.exists(server.path)
