"""Whatever is written while a person is being erased either goes too or is refused."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House
from erasure.person import call, erase, left_of
from kit import problem
from process.program import eventually

MARK = "zwirbelfratz"


def contact(house: House, n: str = "") -> str:
    """A new contact with the mark in every field."""
    body = {"name": f"Ida {MARK}{n}", "email": f"{MARK}{n}@example.com", "company": MARK}
    made: str = call(house, "POST", "/v1/contacts", body)["id"]
    return made


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """The work in a thread, and where its result will be."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def stage(house: House, contact_id: str) -> str | None:
    found = house.sql("SELECT stage FROM erasures WHERE contact_id = %s AND settled IS NOT NULL", (contact_id,))
    return found[0][0] if found else None


def test_writers_in_a_crowd(house: House, files: Path) -> None:
    """Eight write in the person's name and about them, until they are refused; nothing of it is left."""
    person, shared = contact(house), [house.ticket(contact_id=house.cast.customer_id)["id"] for _ in range(3)]
    stored: list[str] = []
    refused: list[httpx.Response] = []

    def write(n: int) -> None:
        with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
            for turn in range(10_000):
                what = (n + turn) % 4
                if what == 0:
                    body: dict[str, Any] = {"subject": MARK, "description": MARK, "contact_id": person}
                    answer = client.post("/v1/tickets", json=body, headers={"Idempotency-Key": f"race-{n}-{turn}"})
                elif what == 1:
                    body = {"body": f"{MARK} says", "contact_id": person}
                    answer = client.post(f"/v1/tickets/{shared[n % 3]}/comments", json=body)
                elif what == 2:
                    answer = client.patch(f"/v1/contacts/{person}", json={"company": f"{MARK} {turn}"})
                else:
                    answer = client.patch(f"/v1/tickets/{shared[n % 3]}", json={"contact_id": person, "tags": [MARK]})
                    if answer.status_code == 200:
                        client.patch(
                            f"/v1/tickets/{shared[n % 3]}", json={"contact_id": house.cast.customer_id, "tags": []}
                        )
                assert answer.status_code in {200, 201, 409, 422}, answer.text
                if answer.status_code < 300:
                    stored.append(answer.request.url.path)
                elif answer.json()["error"]["code"] != "ticket_busy":
                    refused.append(answer)
                    return

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(stored) > 60, 20)
    answer = house.client(house.cast.admin).delete(f"/v1/contacts/{person}?confirm=true")
    assert answer.status_code == 200, answer.text
    for thread in threads:
        thread.join()
    assert len(refused) == 8
    for one in refused:
        assert "contact_erased" in one.text
    assert left_of(house, files, (MARK,)) == []


@pytest.fixture
def other(house: House) -> str:
    """Another's ticket."""
    made: str = house.ticket(contact_id=house.cast.customer_id)["id"]
    return made


COMMENT = """INSERT INTO comments (workspace_id, id, ticket_id, body, visibility, author_type, author_id, author_name,
                 created_at) VALUES (%s, %s, %s, %s, 'public', %s, %s, %s, now())"""


def test_what_is_just_being_written_is_waited_for(house: House, files: Path, other: str) -> None:
    """A comment that mentions the person, not yet committed when the erasure begins."""
    person = contact(house, "2")
    with psycopg.connect(house.database_url) as conn:
        body = f"write to {MARK}2@example.com"
        conn.execute(COMMENT, (house.cast.workspace_id, "comment_late", other, body, "user", "user_x", "X"))
        thread, results = in_thread(
            lambda: house.client(house.cast.admin).delete(f"/v1/contacts/{person}?confirm=true")
        )
        assert eventually(lambda: stage(house, person) == "settling")
        time.sleep(0.2)
        assert stage(house, person) == "settling"
        conn.commit()
    thread.join()
    assert results[0].status_code == 200
    assert house.sql("SELECT body FROM comments WHERE id = 'comment_late'") == [("write to [erased]",)]
    assert left_of(house, files, (f"{MARK}2",)) == []


def test_one_who_writes_in_the_persons_name_comes_first_or_not_at_all(house: House, files: Path, other: str) -> None:
    """The erasure waits for a comment that is not yet committed; one that comes after its beginning is refused."""
    person = contact(house, "3")
    with psycopg.connect(house.database_url) as conn:
        conn.execute(COMMENT, (house.cast.workspace_id, "comment_3", other, MARK + "3", "contact", person, MARK + "3"))
        thread, results = in_thread(
            lambda: house.client(house.cast.admin).delete(f"/v1/contacts/{person}?confirm=true")
        )
        time.sleep(0.3)
        assert house.sql("SELECT count(*) FROM erasures WHERE contact_id = %s", (person,)) == [(0,)]
        conn.commit()
    thread.join()
    assert results[0].status_code == 200
    assert left_of(house, files, (f"{MARK}3",)) == []
    with (
        psycopg.connect(house.database_url) as conn,
        pytest.raises(psycopg.DatabaseError, match="contact_erased") as refusal,
    ):
        conn.execute(COMMENT, (house.cast.workspace_id, "comment_4", other, MARK, "contact", person, MARK))
    assert refusal.value.sqlstate == "TK409"


def test_an_old_snapshot_does_not_slip_past(house: House, files: Path, other: str) -> None:
    """A transaction that saw the contact before and writes after is refused, also with a snapshot of its own."""
    person = contact(house, "5")
    with psycopg.connect(house.database_url) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert conn.execute("SELECT erased_at FROM contacts WHERE id = %s", (person,)).fetchone() == (None,)
        erase(house, person)
        with pytest.raises(psycopg.DatabaseError):
            conn.execute(COMMENT, (house.cast.workspace_id, "comment_5", other, MARK, "contact", person, MARK))
    assert left_of(house, files, (f"{MARK}5",)) == []


def test_a_refusal_of_the_database_is_an_answer(house: House, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check in front of it lets somebody through who was quicker than the erasure: the table refuses."""
    from ticketry.contacts import service

    person = contact(house, "6")
    erase(house, person)
    real = service.store.get

    async def before(tx: Any, workspace_id: str, contact_id: str) -> Any:
        found = await real(tx, workspace_id, contact_id)
        return found.model_copy(update={"erased_at": None}) if found else None

    monkeypatch.setattr(service.store, "get", before)
    monkeypatch.setattr("ticketry.tickets.store.LIVES", "true")
    client = house.client(house.cast.admin)
    for path, body in (
        ("/v1/tickets", {"subject": "a", "description": "b", "contact_id": person}),
        (f"/v1/tickets/{other}/comments", {"body": "a", "contact_id": person}),
    ):
        problem(client.post(path, json=body), 409, "conflict", "contact_erased")
    problem(client.patch(f"/v1/tickets/{other}", json={"contact_id": person}), 409, "conflict", "contact_erased")


def test_a_change_that_has_read_the_old_text_reads_again(house: House, files: Path) -> None:
    """Each erased ticket has a new version, so that nobody writes what they read before."""
    person = contact(house, "7")
    ticket = house.ticket(subject=f"{MARK}7", contact_id=person)
    path = f"/v1/tickets/{ticket['id']}"
    etag = house.client(house.cast.admin).get(path).headers["etag"]
    erase(house, person)
    late = house.client(house.cast.admin).put(f"{path}/close", headers={"If-Match": etag})
    problem(late, 412, "precondition_failed", "stale_ticket")
    assert call(house, "PUT", f"{path}/close")["subject"] == "[erased]"
    assert left_of(house, files, (f"{MARK}7",)) == []
