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
from process.program import TICKETRY, embedded_url, eventually, postgres_of, ticketry

pytestmark = pytest.mark.process

TICKET = {"subject": "Refund not received", "description": "I was charged twice."}


def test_the_first_start_and_the_next(start: Any, folder: Path) -> None:
    """The printed lines work as they are, so does a key made beside the server; later starts only give a hint."""
    data_dir = folder / "data"
    server = start("--data-dir", str(data_dir)).ready()
    lines = re.findall(r"^ +(curl .*)$", server.told(), re.M)
    answers = [subprocess.run(f"{line} -sf", shell=True, capture_output=True, text=True) for line in lines]
    assert '"status":"new"' in answers[0].stdout
    assert '"status":"closed"' in answers[1].stdout
    made = ticketry("keys", "create", "--name", "B", "--scopes", "tickets:read", "--quiet", "--data-dir", str(data_dir))
    assert (made.stdout, made.stderr) == (f"{made.stdout.strip()}\n", "")
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
    assert not postgres_of(data_dir)

    again = start("--data-dir", str(data_dir)).ready()
    hint = f'Another API key: {TICKETRY} keys create --name "My program" --scopes all --data-dir {data_dir}'
    assert again.told().strip() == hint
    with again.client(made.stdout.strip()) as client:
        assert client.get("/v1/tickets/TICK-1").json()["data"]["status"] == "closed"


def test_who_waits_for_news_does_not_hold_up_the_end(start: Any, folder: Path) -> None:
    """A long poll is answered when the server is told to stop, long before its time."""
    server = start("--data-dir", str(folder / "data")).ready()
    answers: list[Any] = []

    def wait() -> None:
        with server.client(server.key()) as client:
            answers.append(client.get("/v1/events", params={"wait": 30}).json())

    thread = threading.Thread(target=wait)
    thread.start()
    listening = "SELECT FROM pg_stat_activity WHERE application_name = 'ticketry news'"
    with psycopg.connect(embedded_url(folder / "data"), autocommit=True) as watch:
        assert eventually(lambda: watch.execute(listening).rowcount > 0)
    asked = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
    assert time.monotonic() - asked < 15
    thread.join(20)
    assert answers == [{"data": [], "meta": {"next_after": None, "has_more": False}}]


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
