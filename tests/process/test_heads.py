"""Request heads are bounded: the parser would keep whatever a stranger sends."""

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process


def test_a_head_that_does_not_end_is_refused(start: Any, folder: Path) -> None:
    server = start("--data-dir", str(folder / "data"), "--no-worker").ready()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.sendall(b"x" * 100_000)
        answer = b""
        with contextlib.suppress(OSError):
            answer = connection.recv(100)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    with server.client(server.key()) as client:
        assert client.get("/healthz", headers={"X-Long": "x" * 30_000}).status_code == 200
        assert client.get("/healthz").status_code == 200
