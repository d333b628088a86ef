"""An export is a stream: of one moment, no longer in memory than a block, and never silently short."""

import http.client
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import House, MovedClock, serve
from kit import problem

from ticketry.db.pool import Tx, long_unit
from ticketry.web import streams

PATH = "/v1/tickets/export"
MANY = 3_000
"""Tickets of 9 kB: far more than all the buffers between the database and a client that takes nothing."""


@pytest.fixture(scope="module")
def heavy(house: House) -> House:
    """Two workspaces with so many tickets."""
    for workspace in (house.cast.workspace_id, house.cast.stranger_workspace_id):
        house.sql(
            """INSERT INTO tickets (workspace_id, id, number, subject, description, priority, status, created_at,
                   updated_at, sla_since)
               SELECT %(ws)s, 'ticket_' || n, n, 'Ticket ' || n, repeat(repeat('x', 1000) || ' ', 9), 3, 'open',
                   '2025-01-01T00:00:00Z'::timestamptz + make_interval(secs => n), '2025-01-01T00:00:00Z',
                   '2025-01-01T00:00:00Z' FROM generate_series(1, %(many)s) n""",
            {"ws": workspace, "many": MANY},
        )
        house.sql(f"SELECT setval('numbers.\"{workspace}\"', {MANY})")
    return house


@contextmanager
def begun(house: House, key: str, **asked: str) -> Iterator[httpx.Response]:
    """An export of which nothing but the head was read. The turns of those before it may just be ending."""
    client, end = house.client(key), time.monotonic() + 15
    while True:
        with client.stream("GET", PATH, params=asked) as answer:
            if answer.status_code != 429 or time.monotonic() > end:
                yield answer
                return
        time.sleep(0.02)


def sending(house: House) -> int:
    """Database sessions that are at work on an export."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
    return int(house.sql(query)[0][0])


def soon(holds: Callable[[], bool]) -> None:
    """Within a few seconds it holds."""
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_of_it_is_of_the_moment_it_began(heavy: House) -> None:
    """Nothing that happens while it is sent is seen: no new ticket, no change, no half of a change."""
    before = heavy.sql(
        "SELECT id, subject FROM tickets WHERE workspace_id = %s ORDER BY created_at, id", (heavy.cast.workspace_id,)
    )
    with begun(heavy, heavy.cast.admin, sort_order="asc") as answer:
        heavy.sql("UPDATE tickets SET subject = 'Changed' WHERE workspace_id = %s", (heavy.cast.workspace_id,))
        heavy.ticket(subject="New")
        found = [json.loads(line) for line in answer.iter_lines()]
    assert answer.headers["x-total-count"] == str(len(before))
    assert [(ticket["id"], ticket["subject"]) for ticket in found] == before
    soon(lambda: sending(heavy) == 0)


@pytest.mark.parametrize("asked", [{}, {"search": "ticket"}, {"format": "csv"}], ids=str)
def test_a_client_that_leaves_frees_what_it_held_at_once(heavy: House, asked: dict[str, str]) -> None:
    for _ in range(5):  # more often than a workspace may at a time
        with begun(heavy, heavy.cast.admin, **asked) as answer:
            assert answer.status_code == 200
            assert sending(heavy) <= 1
        soon(lambda: sending(heavy) == 0)


def test_a_client_that_leaves_before_the_first_row_frees_it_too(heavy: House) -> None:
    parts = urlsplit(heavy.url)
    for _ in range(5):
        with socket.create_connection((parts.hostname, parts.port)) as conn:
            head = f"GET {PATH}?search=ticket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {heavy.cast.admin}\r\n\r\n"
            conn.sendall(head.encode())

    def free() -> bool:
        with begun(heavy, heavy.cast.admin) as answer:
            return answer.status_code == 200

    soon(free)
    soon(lambda: sending(heavy) == 0)


def test_slow_readers_hold_neither_the_pool_nor_other_workspaces(heavy: House) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(begun(heavy, heavy.cast.admin)).status_code == 200
        refused = httpx.get(f"{heavy.url}{PATH}", headers={"Authorization": f"Bearer {heavy.cast.admin}"})
        error = problem(refused, 429, "rate_limit_error", "too_many_exports")
        assert refused.headers["retry-after"] == str(error["retry_after"])
        for _ in range(2):
            assert stack.enter_context(begun(heavy, heavy.cast.stranger)).status_code == 200
        refused = httpx.get(f"{heavy.url}{PATH}", headers={"Authorization": f"Bearer {heavy.cast.test_key}"})
        problem(refused, 429, "rate_limit_error", "too_many_exports")
        heavy.ticket()
        soon(lambda: sending(heavy) == 4)
    soon(lambda: sending(heavy) == 0)
    with begun(heavy, heavy.cast.test_key) as answer:
        assert answer.status_code == 200


def test_a_refused_question_takes_nobodys_turn(heavy: House) -> None:
    client = heavy.client(heavy.cast.admin)
    for _ in range(5):
        assert client.get(PATH, params={"search": "a b c d e f g h i j k l m n o p q r"}).status_code == 422
    assert sum(1 for _ in client.get(PATH, params={"search": "New"}).iter_lines()) >= 0


def cut_short(answer: httpx.Response) -> int:
    """The lines that came before the connection was cut; the client's library says that it was."""
    lines = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        lines.extend(answer.iter_lines())
    return len(lines)


def kill_exports(house: House) -> None:
    soon(lambda: sending(house) == 1)
    house.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")


def test_an_export_that_fails_half_way_never_looks_whole(heavy: House) -> None:
    with begun(heavy, heavy.cast.admin) as answer:
        kill_exports(heavy)
        assert cut_short(answer) < int(answer.headers["x-total-count"])
    assert len(heavy.client(heavy.cast.admin).get(PATH).text.splitlines()) > MANY


def test_a_client_without_chunks_can_count(heavy: House) -> None:
    """In HTTP/1.0, as some proxies speak it, an answer just ends: the announced number tells."""
    parts = urlsplit(heavy.url)
    with socket.create_connection((parts.hostname, parts.port)) as conn:
        head = f"GET {PATH} HTTP/1.0\r\nAuthorization: Bearer {heavy.cast.admin}\r\n\r\n"
        conn.sendall(head.encode())
        kill_exports(heavy)
        answer = http.client.HTTPResponse(conn)
        answer.begin()
        lines = 0
        with suppress(ConnectionError, http.client.IncompleteRead):
            lines = answer.read().count(b"\n")
    total = answer.getheader("X-Total-Count")
    assert total is not None
    assert lines < int(total)


def test_a_client_that_takes_nothing_is_cut_off(heavy: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    with begun(heavy, heavy.cast.admin) as answer:
        soon(lambda: sending(heavy) == 1)
        soon(lambda: sending(heavy) == 0)
        assert cut_short(answer) < MANY


def test_a_client_that_takes_too_little_is_cut_off(heavy: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block is taken in time, and all of them would take hours."""
    monkeypatch.setattr(streams, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "LEAST_RATE", 1e12)

    def read_slowly(answer: httpx.Response) -> None:
        for _ in answer.iter_raw(65_536):
            time.sleep(0.02)

    with begun(heavy, heavy.cast.admin) as answer, pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        read_slowly(answer)


def test_it_may_take_longer_than_a_request(heavy: House) -> None:
    """Its session has none of the limits that keep a request from holding up others, and can change nothing."""

    async def look() -> list[Any]:
        async with long_unit(heavy.database_url, heavy.clock(), reads=True) as tx:
            names = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_isolation",
                     "transaction_read_only")  # fmt: skip
            return [(await tx.one(f"SHOW {name}") or ("",))[0] for name in names]

    async def work(tx: Tx) -> list[Any]:
        return await look()

    assert heavy.run(work) == ["0", "0", "repeatable read", "on"]


def test_the_limit_is_a_setting(heavy: House) -> None:
    for url in serve(heavy.database_url, MovedClock(), export_limit=1):
        headers = {"Authorization": f"Bearer {heavy.cast.admin}"}
        with httpx.stream("GET", f"{url}{PATH}", headers=headers):
            other = {"Authorization": f"Bearer {heavy.cast.stranger}"}
            problem(httpx.get(f"{url}{PATH}", headers=other), 429, "rate_limit_error", "too_many_exports")


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_it_is_never_whole_in_memory(heavy: House, kind: str) -> None:
    """Server and client together, the client letting go of what it has read: all that Python holds."""
    taken = 0
    tracemalloc.start()
    try:
        with begun(heavy, heavy.cast.admin, format=kind) as answer:
            for chunk in answer.iter_raw():
                taken += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken > MANY * 9_000
    assert peak < 8_000_000


def test_who_has_got_all_of_it_finds_its_turn_free(heavy: House) -> None:
    for url in serve(heavy.database_url, MovedClock(), export_limit=1):
        headers = {"Authorization": f"Bearer {heavy.cast.admin}"}
        with httpx.Client(base_url=url, headers=headers) as client:
            for _ in range(30):
                assert client.get(PATH, params={"search": "TICK-1"}).status_code == 200
