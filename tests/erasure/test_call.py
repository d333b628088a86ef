"""`DELETE /v1/contacts/{id}`: who may, what it asks for, and what it says."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import House
from erasure.person import call, erase, left_of
from kit import forbidden, mint, problem

from ticketry.erasure import runs, service


def contact(house: House, **fields: Any) -> str:
    made: str = call(house, "POST", "/v1/contacts", {"name": "Ida", **fields})["id"]
    return made


@pytest.mark.parametrize("query", ["", "?confirm", "?confirm=false", "?confirm=1", "?confirm=TRUE", "?confirmed=true"])
def test_it_must_be_confirmed(house: House, query: str) -> None:
    person = contact(house)
    answer = house.client(house.cast.admin).delete(f"/v1/contacts/{person}{query}")
    error = problem(answer, 422, "validation_error", "invalid_parameters")
    assert [(one["field"], one["code"]) for one in error["errors"]] == [("confirm", "not_confirmed")]
    assert "irreversible" in error["message"]
    assert call(house, "GET", f"/v1/contacts/{person}")["erased_at"] is None


def test_the_scope(house: House) -> None:
    person = contact(house)
    answer = house.client(mint(house, "contacts:read", "tickets:write")).delete(f"/v1/contacts/{person}?confirm=true")
    forbidden(answer, "contacts:write")
    assert erase(house, person, mint(house, "contacts:write"))["contact_id"] == person


def test_a_stranger_finds_nothing(house: House) -> None:
    person = contact(house)
    for key, path in ((house.cast.stranger, person), (house.cast.admin, "contact_nobody")):
        answer = house.client(key).delete(f"/v1/contacts/{path}?confirm=true")
        problem(answer, 404, "not_found", "contact_not_found")
    assert call(house, "GET", f"/v1/contacts/{person}")["erased_at"] is None


def test_the_answer(house: House) -> None:
    person = contact(house, email="answer@example.com")
    house.ticket(contact_id=person)
    done = erase(house, person)
    assert done["started_at"] == done["finished_at"] == "2025-01-15T09:00:00Z"
    assert done["counts"] == {
        "tickets": 1, "comments": 0, "resolutions": 0, "events": 1, "mails": 0, "deliveries": 0, "files": 0,
        "file_names": 0, "answers": 0,
    }  # fmt: skip
    listed = house.client(house.cast.admin).get("/v1/contacts", params={"search": "[erased]"}).json()["data"]
    assert person in {one["id"] for one in listed}


def test_another_workspace_keeps_the_same_person(house: House) -> None:
    """The same mail address, name and words elsewhere are another customer's of another client."""
    body = {"name": "Twin Person", "email": "twin@example.com"}
    mine, theirs = (
        call(house, "POST", "/v1/contacts", body),
        call(house, "POST", "/v1/contacts", body, key=house.cast.stranger),
    )
    house.ticket(contact_id=mine["id"])
    ticket = {"subject": "twin@example.com", "description": "Twin Person", "contact_id": theirs["id"]}
    theirs_ticket = call(house, "POST", "/v1/tickets", ticket, key=house.cast.stranger)
    erase(house, mine["id"])
    for path, was in ((f"/v1/contacts/{theirs['id']}", theirs), (f"/v1/tickets/{theirs_ticket['id']}", theirs_ticket)):
        assert call(house, "GET", path, key=house.cast.stranger) == was


def test_names_in_others_tickets_are_words(house: House) -> None:
    """Who is called May does not take the word may out of others' tickets; nor does an address that is a part."""
    person = contact(house, name="May", email="may@example.com", phone="+4915112345678")
    other = house.ticket(
        subject="May I?", description="dismay@example.com, may@example.com.au, +49151123456789, may@example.com."
    )
    own = house.ticket(subject="x", contact_id=person)
    path = f"/v1/tickets/{own['id']}/comments"
    call(house, "POST", path, {"body": "Hello May, maybe: 0151 1234 5678", "user_id": house.cast.agent_id})
    erase(house, person)
    left = call(house, "GET", f"/v1/tickets/{other['id']}")
    assert left["subject"] == "May I?"
    assert left["description"] == "dismay@example.com, may@example.com.au, +49151123456789, [erased]."
    assert call(house, "GET", path)[0]["body"] == "Hello [erased], maybe: [erased]"


def test_a_number_that_two_people_share_stays_the_others(house: House) -> None:
    person, other = contact(house, phone="+15550100200"), contact(house, phone="+15550100200")
    ticket = house.ticket(description="Call +15550100200", contact_id=other)
    erase(house, person)
    assert call(house, "GET", f"/v1/tickets/{ticket['id']}")["description"] == "Call +15550100200"
    assert call(house, "GET", f"/v1/contacts/{other}")["phone"] == "+15550100200"


def test_a_closed_ticket_of_an_erased_contact_can_be_followed_up(house: House) -> None:
    """Another customer's late comment opens a follow-up of their own."""
    person = contact(house)
    ticket = house.ticket(contact_id=person)
    call(house, "PUT", f"/v1/tickets/{ticket['id']}/close")
    erase(house, person)
    house.clock.advance(days=100)
    body = {"body": "And now?", "contact_id": house.cast.customer_id}
    comment = call(house, "POST", f"/v1/tickets/{ticket['id']}/comments", body)
    follow_up = call(house, "GET", f"/v1/tickets/{comment['ticket_id']}")
    assert follow_up["contact_id"] == house.cast.customer_id
    assert follow_up["follow_up_of"] == ticket["id"]


def test_a_long_erasure_says_that_it_goes_on(house: House, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody holds a ticket it cannot end; the same call tells how far it is, and brings it to its end."""
    person = contact(house, name="Ida Klammersack", email="klammersack@example.com")
    tickets = [house.ticket(subject=f"Klammersack {n}", contact_id=person)["id"] for n in range(5)]
    monkeypatch.setattr(runs, "PATIENCE", 0.3)
    monkeypatch.setattr(service, "TICKETS_AT_ONCE", 2)
    with psycopg.connect(house.database_url) as conn:
        conn.execute("SELECT 1 FROM tickets WHERE id = %s FOR UPDATE", (max(tickets),))
        answer = house.client(house.cast.admin).delete(f"/v1/contacts/{person}?confirm=true")
        assert answer.status_code == 202, answer.text
        running = answer.json()["data"]
        assert (running["status"], running["finished_at"]) == ("running", None)
        assert call(house, "GET", f"/v1/contacts/{person}")["name"] == "[erased]"
    monkeypatch.setattr(runs, "PATIENCE", 60)
    done = erase(house, person)
    assert done["id"] == running["id"]
    assert done["counts"]["tickets"] == 5
    assert left_of(house, files, ("klammersack",)) == []
