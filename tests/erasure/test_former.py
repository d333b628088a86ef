"""What is the person's though it does not bear their id any more, or never did."""

from pathlib import Path

import psycopg
import pytest
from conftest import House
from erasure.person import call, erase, left_of, put_file
from kit import problem
from psycopg.types.json import Jsonb

from ticketry.core.actor import system
from ticketry.erasure import service
from ticketry.erasure.rules import Eraser, Sought

MARK = "quirlibatz"
MAIL = """INSERT INTO inbound_mails (workspace_id, id, fingerprint, source, outcome, automatic, ticket_id, comment_id,
              contact_id, from_name, from_address, subject, headers, full_text, size, received_at)
          VALUES (%s, %s, %s, 'api', %s, 'a machine', %s, %s, %s, %s, %s, %s, %s, %s, 5, now())"""


def contact(house: House, email: str | None = None, **more: str) -> str:
    made: str = call(house, "POST", "/v1/contacts", {"name": f"Ida {MARK}", "email": email, **more})["id"]
    return made


def mail(
    house: House, n: int, outcome: str, ticket: str | None, address: str, comment: str | None = None,
    person: str | None = None,
) -> None:  # fmt: skip
    """A mail that came."""
    w = house.cast.workspace_id
    words = (f"I. {MARK}", address, MARK, Jsonb([["Subject", MARK]]), MARK)
    house.sql(MAIL, (w, f"{MARK[:4]}_{n}", bytes([n] * 32), outcome, ticket, comment, person, *words))


def test_mails_that_named_nobody_and_what_was_made_of_them(house: House, files: Path) -> None:
    address = f"ida@{MARK}.example"
    person = contact(house, address)
    misfit = house.ticket(subject=f"Mail of {MARK}", description=f"{MARK} says")
    put_file(house, files, f"{MARK}.eml", MARK.encode(), None, misfit["id"])
    other = house.ticket(contact_id=house.cast.customer_id)
    note = call(house, "POST", f"/v1/tickets/{other['id']}/comments", {"body": MARK, "visibility": "internal"})
    mail(house, 1, "ticket", misfit["id"], address.upper())
    mail(house, 2, "stored", other["id"], address, note["id"])
    mail(house, 3, "stored", None, address)
    w = house.cast.workspace_id
    (files / w / f"{MARK[:4]}_3").write_bytes(MARK.encode())
    house.sql("INSERT INTO inbound_raws VALUES (%s, %s, now())", (w, f"{MARK[:4]}_3"))
    assert erase(house, person)["counts"]["files"] == 1
    assert left_of(house, files, (MARK,)) == []
    assert call(house, "GET", f"/v1/tickets/{other['id']}")["subject"] == other["subject"]


def test_an_address_of_former_times(house: House, files: Path) -> None:
    person = contact(house)
    mail(house, 4, "stored", None, f"old@{MARK}.example", person=person)
    other = house.ticket(description=f"I wrote to old@{MARK}.example")
    erase(house, person)
    assert call(house, "GET", f"/v1/tickets/{other['id']}")["description"] == "I wrote to [erased]"
    assert left_of(house, files, (MARK,)) == []


def test_what_the_contact_was_called_before(house: House, files: Path) -> None:
    """It stands in what the team wrote at that time."""
    first = {"email": f"one@{MARK}.example", "phone": "+4930555000111", "external_id": f"{MARK}-0815"}
    person = contact(house, company=f"Former {MARK} GmbH", **first)
    path = f"/v1/contacts/{person}"
    call(house, "PATCH", path, {"name": "Ida Zwischenquirl", "phone": None, "company": None, "external_id": None})
    last = call(house, "PATCH", path, {"name": "Ida Plain", "email": "ida@example.org"})
    assert "former" not in last
    said = f"Ida {MARK} or Zwischenquirl of Former {MARK} GmbH, 030 555000111, {first['email']}, {first['external_id']}"
    ticket = house.ticket(contact_id=person)
    call(house, "POST", f"/v1/tickets/{ticket['id']}/comments", {"body": said, "user_id": house.cast.agent_id})
    other = house.ticket(description=f"{first['email']}, {first['phone']}")
    erase(house, person)
    assert call(house, "GET", f"/v1/tickets/{other['id']}")["description"] == "[erased], [erased]"
    (comment,) = call(house, "GET", f"/v1/tickets/{ticket['id']}/comments")
    assert comment["body"] == "[erased] or [erased] of [erased], [erased], [erased], [erased]"
    assert left_of(house, files, (MARK, "zwischenquirl", "555000111")) == []


def test_a_former_number_that_somebody_else_has_stays_with_them(house: House) -> None:
    person = contact(house, phone="+4930555000222")
    call(house, "PATCH", f"/v1/contacts/{person}", {"phone": None})
    call(house, "POST", "/v1/contacts", {"name": "Uwe", "phone": "+4930555000222"})
    other = house.ticket(description="+4930555000222")
    erase(house, person)
    assert call(house, "GET", f"/v1/tickets/{other['id']}")["description"] == "+4930555000222"


def test_former_values_are_bounded(house: House) -> None:
    person = call(house, "POST", "/v1/contacts", {"name": "Uwe"})["id"]
    for n in range(30):
        call(house, "PATCH", f"/v1/contacts/{person}", {"name": f"Name {n % 25}"})
    (former,) = house.sql("SELECT former FROM contacts WHERE id = %s", (person,))[0]
    assert list(former) == ["name"]
    assert former["name"] == [f"Name {n}" for n in (3, 2, 1, 0, *range(24, 8, -1))]
    for odd in ('["a"]', '{"name": "a"}', '{"name": [1]}', '{"name": ["%s"]}' % ("x" * 200_000)):
        with pytest.raises(psycopg.IntegrityError):
            house.sql("UPDATE contacts SET former = %s WHERE id = %s", (odd, person))


def test_a_ticket_that_somebody_else_has_now(house: House, files: Path) -> None:
    person = contact(house)
    ticket = house.ticket(subject=MARK, description=MARK, contact_id=person)
    path = f"/v1/tickets/{ticket['id']}"
    call(house, "PATCH", path, {"subject": f"{MARK} edited"})
    call(house, "PATCH", path, {"contact_id": house.cast.customer_id, "subject": "plain"})
    erase(house, person)
    assert left_of(house, files, (MARK,)) == []


def test_a_retry_tells_nothing_of_a_ticket_that_changed_hands(house: House, files: Path) -> None:
    person = contact(house)
    ticket = house.ticket(subject=MARK, description=MARK, contact_id=person)
    moved = {"contact_id": house.cast.customer_id}
    path, headers = f"/v1/tickets/{ticket['id']}", {"Idempotency-Key": "handed over"}
    assert call(house, "PATCH", path, moved, headers=headers)["subject"] == MARK
    erase(house, person)
    again = house.client(house.cast.admin).patch(path, json=moved, headers=headers)
    problem(again, 409, "conflict", "answer_erased")
    assert left_of(house, files, (MARK,)) == []


def test_words_edited_away_before(house: House, files: Path) -> None:
    person = contact(house)
    ticket = house.ticket(subject=f"{MARK}edited", category="formerkind", contact_id=person)
    call(house, "PATCH", f"/v1/tickets/{ticket['id']}", {"subject": "plain", "category": "plain"})
    erase(house, person)
    assert house.sql("SELECT word FROM vocabulary WHERE word LIKE %s", (f"{MARK}%",)) == []
    assert house.sql("SELECT 1 FROM ticket_counts WHERE category = 'formerkind'") == []


def test_an_erased_contacts_ticket_can_be_moved(house: House) -> None:
    person = contact(house)
    ticket = house.ticket(contact_id=person)
    path = f"/v1/tickets/{ticket['id']}"
    house.run(lambda tx: service.begin(tx, system(house.cast.workspace_id, "Test"), person))
    refused = house.client(house.cast.admin).patch(path, json={"contact_id": house.cast.customer_id})
    problem(refused, 409, "conflict", "contact_erased")
    erase(house, person)
    assert call(house, "PATCH", path, {"contact_id": house.cast.customer_id})["contact_id"] == house.cast.customer_id


def test_the_teams_addresses_stay(house: House) -> None:
    """Whoever may write contacts must not wipe an agent's address from all tickets."""
    address = house.sql("SELECT email FROM users WHERE id = %s", (house.cast.agent_id,))[0][0]
    person = contact(house, address.upper())
    ticket = house.ticket(description=f"Ask {address}")
    erase(house, person)
    assert call(house, "GET", f"/v1/tickets/{ticket['id']}")["description"] == f"Ask {address}"


def test_one_erased_in_another_installation_is_erased_here(house: House, files: Path) -> None:
    """It came empty; what others say about its id is looked through again."""
    person = contact(house)
    house.ticket(subject=MARK, contact_id=person)
    house.sql("UPDATE contacts SET name = '[erased]', erased_at = now() WHERE id = %s", (person,))
    done = erase(house, person)
    assert done["counts"]["tickets"] == 1
    assert erase(house, person) == done
    assert left_of(house, files, (MARK,)) == []


@pytest.mark.parametrize(("email", "goes"), [("a@b.example", True), ("c@b.example", True), ("d@b.example", False)])
def test_which_mails_are_theirs(email: str, goes: bool) -> None:
    sought = Sought(
        "contact_z", email="a@b.example", former=("C@b.example", "d@b.example"), others_emails=("d@b.example",)
    )
    assert Eraser(sought).wrote(email.upper()) is goes
