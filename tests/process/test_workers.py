"""Several API processes on one port, and background work in a process of its own."""

import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from process.program import TICKETRY, Served, environment, eventually, kill, ticketry

pytestmark = pytest.mark.process


def new_key(url: str) -> tuple[str, str]:
    """A key that may all, and its id."""
    made = ticketry("keys", "create", "--name", "A", "--scopes", "all", "--database-url", url)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip(), made.stderr.split()[1]


def status(server: Served, key: str) -> int:
    """What a new connection is answered."""
    with server.client(key) as client:
        return client.get("/v1/tickets/TICK-1").status_code


def test_a_revoked_key_stops_in_every_process(start: Any, database_url: str) -> None:
    """Within one second, whichever process is asked; before that both have known it."""
    server = start("--database-url", database_url, "--workers", "2").ready()
    key, key_id = new_key(database_url)
    assert {status(server, key) for _ in range(20)} == {404}
    assert ticketry("keys", "revoke", key_id, "--database-url", database_url).returncode == 0
    time.sleep(1)
    assert {status(server, key) for _ in range(20)} == {401}
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0


def test_a_dead_process_is_replaced(start: Any, database_url: str) -> None:
    """Callers wait for the new one rather than being refused."""
    server = start("--database-url", database_url, "--workers", "2").ready()
    key, _ = new_key(database_url)
    before = server.children()
    kill(before[0])
    assert {status(server, key) for _ in range(10)} == {404}
    assert eventually(lambda: len(server.children()) == 2)
    assert set(server.children()) != set(before)
    server.signal(signal.SIGINT)
    assert server.stopped() == 0


def sockets_of(pid: int) -> int:
    """How many sockets a process has open."""
    return sum(os.readlink(path).startswith("socket:") for path in Path(f"/proc/{pid}/fd").iterdir())


def test_the_connections_are_spread(start: Any, database_url: str) -> None:
    """With two processes, many connections do not all end in one."""
    server = start("--database-url", database_url, "--workers", "2", "--no-worker").ready()
    before = [sockets_of(pid) for pid in server.children()]
    with ExitStack() as stack:
        for _ in range(24):
            client = stack.enter_context(httpx.Client(base_url=server.url, verify=False))
            assert client.get("/healthz").status_code == 200
        more = [sockets_of(pid) - old for pid, old in zip(server.children(), before, strict=True)]
    assert all(number >= 3 for number in more), more


def test_the_worker_alone(database_url: str) -> None:
    """It works until SIGTERM and ends well."""
    process = subprocess.Popen(
        [TICKETRY, "worker", "--database-url", database_url],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    assert "worker runs" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    told, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told == ""
    assert "worker stopped" in errors
    assert "rror" not in errors
