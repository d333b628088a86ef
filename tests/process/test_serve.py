"""`ticketry serve` from the first start to the last signal."""

import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from process.program import embedded_url, eventually, postgres_of, ticketry

pytestmark = pytest.mark.process

TICKET = {"subject": "Refund not received", "description": "I was charged twice."}


def test_a_newcomers_first_start(start: Any, folder: Path) -> None:
    """The printed lines work as they are, a key made beside the server works, and nothing is left running."""
    data_dir = folder / "data"
    server = start("--data-dir", str(data_dir)).ready()
    lines = re.findall(r"^ +(curl .*)$", server.told(), re.M)
    answers = [subprocess.run(f"{line} -sf", shell=True, capture_output=True, text=True) for line in lines]
    assert '"status":"new"' in answers[0].stdout
    assert '"status":"closed"' in answers[1].stdout
    made = ticketry("keys", "create", "--name", "B", "--scopes", "tickets:read", "--quiet", "--data-dir", str(data_dir))
    with server.client(made.stdout.strip()) as client:
        assert client.get("/v1/tickets/TICK-1").json()["data"]["status"] == "closed"
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
    assert not postgres_of(data_dir)
    assert made.stdout == f"{made.stdout.strip()}\n"
    assert made.stderr == ""


def test_a_later_start(start: Any, folder: Path) -> None:
    """Quick, quiet, with the same data, and a hint how to make another key."""
    first = start("--data-dir", str(folder / "data")).ready()
    key = first.key()
    with first.client(key) as client:
        number = client.post("/v1/tickets", json=TICKET).json()["data"]["number"]
    first.signal(signal.SIGINT)
    assert first.stopped() == 0
    again = start("--data-dir", str(folder / "data")).ready()
    assert again.told().strip() == (
        f'Another API key: ticketry keys create --name "My program" --scopes all --data-dir {folder / "data"}'
    )
    with again.client(key) as client:
        assert client.put(f"/v1/tickets/{number}/close").status_code == 200


def _blocked_close(server: Any, key: str, url: str, answers: list[Any]) -> tuple[psycopg.Connection, threading.Thread]:
    """A close that waits for a row which we hold."""
    with server.client(key) as client:
        ticket = client.post("/v1/tickets", json=TICKET).json()["data"]
    holder = psycopg.connect(url)
    holder.execute("SELECT FROM tickets WHERE id = %s FOR UPDATE", [ticket["id"]])

    def close() -> None:
        with server.client(key) as client:
            try:
                answers.append(client.put(f"/v1/tickets/{ticket['id']}/close").status_code)
            except httpx.HTTPError as error:
                answers.append(error)

    thread = threading.Thread(target=close)
    thread.start()
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as watch:
        assert eventually(lambda: watch.execute(waiting).rowcount > 0)
    return holder, thread


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_in_flight_finishes(start: Any, folder: Path, workers: str) -> None:
    """SIGTERM lets it finish, then all ends well."""
    server = start("--data-dir", str(folder / "data"), "--workers", workers).ready()
    answers: list[Any] = []
    holder, thread = _blocked_close(server, server.key(), embedded_url(folder / "data"), answers)
    server.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert server.process.poll() is None
    holder.rollback()
    holder.close()
    thread.join()
    assert answers == [200]
    assert server.stopped() == 0
    assert not postgres_of(folder / "data")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_ctrl_c_does_not_wait(start: Any, folder: Path, workers: str) -> None:
    """The request in flight is dropped, the database still stops in order."""
    server = start("--data-dir", str(folder / "data"), "--workers", workers).ready()
    answers: list[Any] = []
    holder, thread = _blocked_close(server, server.key(), embedded_url(folder / "data"), answers)
    server.signal(signal.SIGINT)
    time.sleep(0.3)
    server.signal(signal.SIGINT)
    assert server.stopped() == 0
    thread.join()
    holder.close()
    assert answers != [200]
    assert not postgres_of(folder / "data")
