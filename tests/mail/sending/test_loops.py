"""No machine is kept talking: our own addresses, robots, answers of machines, and limits."""

import hashlib
from typing import Any

import pytest
from conftest import House
from mail.sending.post import SENDER, Office, messages, work

from ticketry.mail.sending import rules


@pytest.fixture(autouse=True)
def quiet(house: House, post: Office) -> None:
    work(house, post)
    house.clock.advance(hours=2)
    post.clear()


def contact(house: House, email: str) -> str:
    answer = house.client(house.cast.admin).post("/v1/contacts", json={"name": "Somebody", "email": email})
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["data"]["id"]
    return found


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (SENDER, "an address of our own"),
        (SENDER.upper().replace("@", "+tag@"), "an address of our own"),
        ("in+01abc.signature@globex.example", "an address of our own"),
        ("Mailer-Daemon@example.com", "nobody reads"),
        ("bounces+sam=example.com@lists.example.com", "nobody reads"),
        ("no-reply@example.com", "nobody reads"),
    ],
)
def test_nothing_goes_to_ourselves_or_to_robots(house: House, post: Office, address: str, why: str) -> None:
    """The address that another workspace reads is ours too."""
    house.client(house.cast.stranger).put("/v1/mail/settings", json={"inbound_address": "in@globex.example"})
    house.ticket(contact_id=contact(house, address))
    work(house, post)
    assert post.got == []
    mail = messages(house)[-1]
    assert mail["status"] == "skipped"
    assert why in mail["reason"]


def test_what_a_machine_sent_tells_nobody(house: House, post: Office) -> None:
    """Neither that it came, nor the agent who has it: the agent's machine might answer."""
    ticket = house.ticket(contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id)
    client = house.client(house.cast.agent_key)
    body = {"body": "I am on holiday.", "contact_id": house.cast.customer_id}
    comment = client.post(f"/v1/tickets/{ticket['id']}/comments", json=body).json()["data"]
    for n, (outcome, said) in enumerate([("ticket", None), ("comment", comment["id"])]):
        house.sql(
            """INSERT INTO inbound_mails (workspace_id, id, fingerprint, source, outcome, automatic, ticket_id,
                   comment_id, size, received_at)
               VALUES (%s, %s, %s, 'api', %s, 'Auto-Submitted', %s, %s, 10, now())""",
            (
                house.cast.workspace_id,
                f"inmail_{n}",
                hashlib.sha256(bytes([n])).digest(),
                outcome,
                ticket["id"],
                said,
            ),
        )
    work(house, post)
    assert {mail["kind"] for mail in messages(house, ticket_id=ticket["id"])} == {"assigned"}
    client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "A person answers."})
    work(house, post)
    assert messages(house, ticket_id=ticket["id"])[-1]["kind"] == "replied"


def test_a_person_gets_so_many_mails_about_a_ticket_an_hour(house: House, post: Office) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    client = house.client(house.cast.agent_key)
    for n in range(rules.MOST_ABOUT_A_TICKET + 2):
        client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": f"Answer {n}"})
        work(house, post)
    assert len(post.got) == rules.MOST_ABOUT_A_TICKET
    last = messages(house)[-1]
    assert last["status"] == "skipped"
    assert "within the hour" in last["reason"]
    house.clock.advance(minutes=61)
    client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "An hour later"})
    work(house, post)
    assert len(post.got) == rules.MOST_ABOUT_A_TICKET + 1


def test_a_machine_that_opens_tickets_is_not_confirmed_for_ever(house: House, post: Office) -> None:
    machine = contact(house, "machine@example.com")
    tickets: list[dict[str, Any]] = [house.ticket(contact_id=machine) for _ in range(rules.MOST_RECEIPTS + 3)]
    for _ in tickets:
        work(house, post)
    assert len(post.got) <= rules.MOST_RECEIPTS + 3
    work(house, post)
    before = len(post.got)
    house.ticket(contact_id=machine)
    work(house, post)
    assert len(post.got) == before
