"""Bulk calls with an Idempotency-Key, killed half-way: after the retry every operation happened exactly once."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from process.program import Served, embedded_url, eventually, kill, postgres_of
from process.test_serve import TICKET

pytestmark = pytest.mark.process

TICKETS, THREADS = 8, 6
HALF_DONE = """
    SELECT count(*) FROM (
        SELECT count(p.part) AS parts FROM idempotent_answers a
        LEFT JOIN idempotent_parts p USING (workspace_id, key_id, idempotency_key)
        WHERE a.idempotency_key = ANY(%s) GROUP BY a.idempotency_key) AS counted
    WHERE parts > 0 AND parts < %s"""


@dataclass
class Desk:
    """A caller with tickets of its own, who sends one bulk after another and remembers each."""

    name: str
    tickets: list[str]
    original: str
    """The ticket of which the first one is closed as a duplicate, again and again."""
    sent: list[str] = field(default_factory=list)
    """Keys of all bulks; the last may be unanswered."""
    answers: dict[str, bytes] = field(default_factory=dict)

    def operations(self, key: str) -> list[dict[str, Any]]:
        """On each ticket a comment, a close, a reopening and a note, all marked by the key."""
        return [
            {"action": action, "ticket_id": ticket, "params": params}
            for ticket in self.tickets
            for action, params in (
                ("comment", {"body": f"said {key}"}),
                (
                    "close",
                    {"resolution_note": key, **({"duplicate_of": self.original} if ticket == self.tickets[0] else {})},
                ),
                ("reopen", {"reason": key}),
                ("update", {"internal_note": f"noted {key}"}),
            )
        ]

    def send(self, client: httpx.Client, key: str) -> httpx.Response:
        body = {"operations": self.operations(key)}
        return client.post("/v1/tickets/bulk", json=body, headers={"Idempotency-Key": key})

    def work(self, server: Served, api_key: str, over: threading.Event) -> None:
        """Sends bulks until the server is gone."""
        with server.client(api_key) as client:
            while not over.is_set():
                key = f"{self.name} {len(self.sent)}"
                self.sent.append(key)
                try:
                    answer = self.send(client, key)
                except httpx.HTTPError:
                    return
                if answer.status_code != 200:
                    return
                self.answers[key] = answer.content

    def retry(self, client: httpx.Client) -> None:
        """Sends what was not answered again, and what was answered too: that is told again."""
        for key in self.sent:
            answer = self.send(client, key)
            assert answer.status_code == 200, answer.text
            assert {result["status"] for result in answer.json()["data"]} == {200, 201}
            if key in self.answers:
                assert answer.headers["Idempotent-Replayed"] == "true"
                assert answer.content == self.answers[key]
            self.answers[key] = answer.content

    def check(self, conn: psycopg.Connection[Any]) -> None:
        """Each operation of each bulk is there once, in order, with one fact each."""
        for ticket in self.tickets:
            said = conn.execute(
                "SELECT body FROM comments WHERE ticket_id = %s ORDER BY position", (ticket,)
            ).fetchall()
            told = [row[0] for row in said if "duplicate of" not in row[0]]
            assert told == [f"{word} {key}" for key in self.sent for word in ("said", "noted")]
            assert len(said) - len(told) == (len(self.sent) if ticket == self.tickets[0] else 0)
            notes = conn.execute(
                "SELECT resolution_note, cycle FROM resolutions WHERE ticket_id = %s ORDER BY cycle", (ticket,)
            ).fetchall()
            assert notes == [(key, n) for n, key in enumerate(self.sent, 1)]
            events = conn.execute(
                "SELECT type FROM events WHERE ticket_id = %s ORDER BY position", (ticket,)
            ).fetchall()
            each = ["commented", "closed", "reopened", "commented"]
            if ticket == self.tickets[0]:  # its comments point to the original
                each.insert(1, "commented")
            assert [row[0] for row in events] == ["ticket.created"] + [f"ticket.{kind}" for kind in each] * len(
                self.sent
            )


def open_desks(server: Served, api_key: str) -> list[Desk]:
    with server.client(api_key) as client:

        def opened() -> str:
            return str(client.post("/v1/tickets", json=TICKET).json()["data"]["id"])

        return [Desk(f"desk {n}", [opened() for _ in range(TICKETS)], opened()) for n in range(THREADS)]


def test_everything_killed_in_the_middle_of_bulks(start: Any, folder: Path) -> None:
    """Server and database die at one moment, twice; each time the retry completes what was begun."""
    words = ("--data-dir", str(folder / "data"))
    server = start(*words).ready()
    api_key = server.key()
    desks = open_desks(server, api_key)
    half_done = 0
    for _ in range(2):
        over, answered = threading.Event(), sum(len(desk.answers) for desk in desks)
        threads = [threading.Thread(target=desk.work, args=(server, api_key, over)) for desk in desks]
        for thread in threads:
            thread.start()
        assert eventually(lambda: sum(len(d.answers) for d in desks) >= answered + THREADS, 60)  # noqa: B023
        kill(server.process.pid, *postgres_of(folder / "data"))
        over.set()
        for thread in threads:
            thread.join()
        server = start(*words).ready()
        with psycopg.connect(embedded_url(folder / "data")) as conn:
            open_keys = [desk.sent[-1] for desk in desks if desk.sent[-1] not in desk.answers]
            row = conn.execute(HALF_DONE, (open_keys, TICKETS * 4)).fetchone()
            assert row is not None
            half_done += row[0]
        with server.client(api_key) as client:
            for desk in desks:
                desk.retry(client)
        with psycopg.connect(embedded_url(folder / "data")) as conn:
            for desk in desks:
                desk.check(conn)
    assert half_done, "no bulk was killed half-way: the test shows nothing"
