"""What tells of the person elsewhere than in texts of their tickets: echoes, file names, labels, words of programs."""

from pathlib import Path
from typing import Any

import pytest
from conftest import House
from erasure.person import call, erase, left_of, put_file

MARK = "zwiebelfink"


@pytest.fixture
def person(house: House) -> str:
    given = {"name": f"Ida {MARK.capitalize()}", "email": f"ida@{MARK}.example"}
    made: str = call(house, "POST", "/v1/contacts", given)["id"]
    return made


@pytest.fixture
def other(house: House) -> dict[str, Any]:
    """Another customer's ticket."""
    return house.ticket(contact_id=house.cast.customer_id)


def names(house: House, ticket: dict[str, Any]) -> list[str]:
    return sorted(one["name"] for one in call(house, "GET", f"/v1/tickets/{ticket['id']}/attachments"))


def tag(house: House, ticket: dict[str, Any]) -> str:
    answer = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}")
    return answer.headers["etag"]


def echo(house: House, ticket: dict[str, Any], kind: str, said: str) -> None:
    """A receiver of webhooks that answers what it was told."""
    w, hook = house.cast.workspace_id, f"hook_{ticket['id'][-6:]}"
    house.sql(
        """INSERT INTO webhook_endpoints (workspace_id, id, url, secret, created_at, updated_at)
           VALUES (%s, %s, 'https://example.com', 's', now(), now()) ON CONFLICT DO NOTHING""",
        (w, hook),
    )
    (delivery,) = house.sql(
        """INSERT INTO webhook_deliveries (workspace_id, id, endpoint_id, event_id, event_type, ticket_id, position,
               status, attempts, tries, round_at, event_at, created_at, settled_at)
           SELECT workspace_id, 'del_' || substr(id, 5), %s, id, type, ticket_id, 1, 'dead', 1, 1, now(), now(), now(),
               now()
           FROM events WHERE workspace_id = %s AND ticket_id = %s AND type = %s RETURNING id""",
        (hook, w, ticket["id"], kind),
    )  # fmt: skip
    house.sql(
        """INSERT INTO webhook_attempts (workspace_id, delivery_id, number, started_at, duration_ms, answer, error)
           VALUES (%s, %s, 1, now(), 5, %s, %s)""",
        (w, delivery[0], said, said),
    )


def test_what_a_receiver_repeated_of_their_words_on_anothers_ticket(
    house: House, files: Path, person: str, other: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{other['id']}"
    call(house, "POST", f"{path}/comments", {"body": "Flusenquirl for me too", "contact_id": person})
    call(house, "PATCH", path, {"priority": 1})
    echo(house, other, "ticket.commented", "OK: Flusenquirl for me too")
    echo(house, other, "ticket.updated", "noted: urgent")
    counts = erase(house, person)["counts"]
    assert left_of(house, files, ("flusenquirl", MARK)) == []
    answers = house.sql(
        """SELECT answer, error FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id
           WHERE ticket_id = %s ORDER BY event_type""",
        (other["id"],),
    )
    assert answers == [("[erased]", "[erased]"), ("noted: urgent", "noted: urgent")]
    assert counts["deliveries"] == 1


def test_names_of_files_that_the_team_put_on_others_tickets(
    house: House, files: Path, person: str, other: dict[str, Any]
) -> None:
    spoken = house.ticket(contact_id=house.cast.customer_id)
    call(house, "POST", f"/v1/tickets/{spoken['id']}/comments", {"body": "Me too", "contact_id": person})
    for ticket, name in ((other, f"for ida@{MARK}.example.pdf"), (spoken, f"Ida_{MARK}.pdf"), (other, "plain.pdf")):
        put_file(house, files, name, b"%PDF", None, ticket["id"])
    before = [tag(house, one) for one in (other, spoken)]
    counts = erase(house, person)["counts"]
    assert (counts["file_names"], counts["files"]) == (2, 0)
    assert (names(house, other), names(house, spoken)) == (["for [erased].pdf", "plain.pdf"], ["[erased].pdf"])
    assert left_of(house, files, (MARK,)) == []
    for one, was in zip((other, spoken), before, strict=True):
        assert tag(house, one) != was


def test_a_label_that_is_a_word_of_their_name_goes_if_nobody_else_has_it(house: House, files: Path) -> None:
    name = {"name": "Billing Zwiebelmeise", "company": "Quarzlicht"}
    person = call(house, "POST", "/v1/contacts", name)["id"]
    house.ticket(category="billing")
    mine = [
        house.ticket(contact_id=person, category=category) for category in ("billing", "Zwiebelmeise", "zwiebelmeise 2")
    ]
    path = f"/v1/tickets/{mine[0]['id']}"
    call(house, "PUT", f"{path}/close", {"root_cause": "Quarzlicht's wish"})
    call(house, "PUT", f"{path}/reopen")
    call(house, "PATCH", f"/v1/tickets/{mine[2]['id']}", {"category": "plain"})
    erase(house, person)
    shown = [call(house, "GET", f"/v1/tickets/{one['id']}")["category"] for one in mine]
    assert shown == ["billing", "[erased]", "plain"]
    assert left_of(house, files, ("zwiebelmeise", "quarzlicht")) == []


@pytest.mark.parametrize("key", ["{}20261127", "orderFor{}Now", "7{}", "for_{}_1"])
def test_a_programs_word_for_a_request(house: House, files: Path, person: str, other: dict[str, Any], key: str) -> None:
    headers = {"Idempotency-Key": key.format(MARK.capitalize())}
    call(house, "PATCH", f"/v1/tickets/{other['id']}", {"priority": 1}, headers=headers)
    erase(house, person)
    assert left_of(house, files, (MARK,)) == []


def test_what_another_contact_was_called_by_mistake(house: House, files: Path, person: str) -> None:
    address = f"ida@{MARK}.example"
    call(house, "PATCH", f"/v1/contacts/{person}", {"email": None})
    uwe = call(house, "POST", "/v1/contacts", {"name": f"Ida {MARK.capitalize()}", "email": address})["id"]
    call(house, "PATCH", f"/v1/contacts/{uwe}", {"name": "Uwe", "email": "uwe@old.example"})
    call(house, "PATCH", f"/v1/contacts/{uwe}", {"email": None})
    erase(house, person)
    assert left_of(house, files, (MARK,)) == []
    assert house.sql("SELECT former FROM contacts WHERE id = %s", (uwe,)) == [({"email": ["uwe@old.example"]},)]


def test_names_of_files_on_a_ticket_that_was_theirs(house: House, files: Path, person: str) -> None:
    ticket = house.ticket(contact_id=person)
    put_file(house, files, f"{MARK}-2.pdf", b"%PDF", None, ticket["id"])
    call(house, "PATCH", f"/v1/tickets/{ticket['id']}", {"contact_id": house.cast.customer_id})
    erase(house, person)
    assert names(house, ticket) == ["[erased]-2.pdf"]
    assert left_of(house, files, (MARK,)) == []
