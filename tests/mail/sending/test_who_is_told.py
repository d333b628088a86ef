"""Who is told of what: each change by the API, relayed and sent, and the mail that arrives."""

import asyncio
from typing import Any

import pytest
from conftest import House
from kit import close, reopen
from mail.sending.post import Office, messages, text_of, work

from ticketry.db.pool import make_pool
from ticketry.tickets.promises import jobs

SAM = "sam@example.com"
JANE = "jane_smith@example.com"
BOB = "bob_jones@example.com"


@pytest.fixture(autouse=True)
def quiet(house: House, post: Office) -> None:
    """Whatever other tests have left is sent, and the hour in which mails are counted is over."""
    work(house, post)
    house.clock.advance(hours=2)
    post.clear()


def told(house: House, post: Office) -> list[tuple[str, str]]:
    """Who gets which kind of mail now."""
    before = {mail["id"] for mail in messages(house)}
    post.clear()
    work(house, post)
    new = [mail for mail in messages(house) if mail["id"] not in before]
    assert all(mail["status"] == "sent" for mail in new), new
    assert sorted(mail["address"] for mail in new) == sorted(to[0] for _, to, _ in post.got)
    return sorted((mail["kind"], mail["address"]) for mail in new)


def comment(house: House, ticket: dict[str, Any], body: str, key: str | None = None, **more: Any) -> None:
    answer = house.client(key or house.cast.agent_key).post(
        f"/v1/tickets/{ticket['id']}/comments", json={"body": body, **more}
    )
    assert answer.status_code == 201, answer.text


def patch(house: House, ticket: dict[str, Any], key: str | None = None, **fields: Any) -> None:
    answer = house.client(key or house.cast.agent_key).patch(f"/v1/tickets/{ticket['id']}", json=fields)
    assert answer.status_code == 200, answer.text


def ring(house: House) -> None:
    """One round of the SLA timer."""

    async def inside() -> None:
        async with make_pool(house.database_url, 2) as pool:
            await jobs.ring_alarms(pool, house.clock)

    asyncio.run(inside())


@pytest.fixture
def ticket(house: House, post: Office) -> dict[str, Any]:
    """A ticket of Sam's that Jane has; what it took to get there is told already."""
    made = house.ticket(contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id)
    work(house, post)
    post.clear()
    return made


def test_a_new_ticket_is_confirmed_to_the_customer_and_told_to_the_agent(house: House, post: Office) -> None:
    house.ticket(contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id)
    assert told(house, post) == [("assigned", JANE), ("received", SAM)]
    (mail,) = post.to(SAM)
    assert mail["Auto-Submitted"] == "auto-replied"
    assert "I was charged twice" not in text_of(mail)
    assert "I was charged twice" in text_of(post.to(JANE)[0])


def test_a_ticket_of_nobody_tells_nobody(house: House, post: Office) -> None:
    house.ticket()
    assert told(house, post) == []


def test_a_contact_without_an_address_is_no_error(house: House, post: Office) -> None:
    client = house.client(house.cast.admin)
    contact = client.post("/v1/contacts", json={"name": "No Mail"}).json()["data"]["id"]
    close(house, house.ticket(contact_id=contact))
    assert told(house, post) == []


def test_a_public_reply_reaches_the_customer(house: House, post: Office, ticket: dict[str, Any]) -> None:
    comment(house, ticket, "Your refund is **on its way**.")
    assert told(house, post) == [("replied", SAM)]
    (mail,) = post.mails()
    assert "Your refund is **on its way**." in text_of(mail)
    assert "<strong>on its way</strong>" in text_of(mail, "html")
    assert "Jane Smith has answered" in text_of(mail, "html")


def test_an_internal_note_reaches_nobody(house: House, post: Office, ticket: dict[str, Any]) -> None:
    comment(house, ticket, "He is lying.", visibility="internal")
    patch(house, ticket, internal_note="Really.", priority=1)
    assert told(house, post) == []


def test_the_customers_word_reaches_the_agent_alone(house: House, post: Office, ticket: dict[str, Any]) -> None:
    comment(house, ticket, "Any news?", contact_id=house.cast.customer_id)
    assert told(house, post) == [("customer_replied", JANE)]
    assert "Any news?" in text_of(post.mails()[0])


def test_the_word_of_another_customer_does_not_reach_the_tickets_customer(
    house: House, post: Office, ticket: dict[str, Any]
) -> None:
    client = house.client(house.cast.admin)
    other = client.post("/v1/contacts", json={"name": "Olga Other", "email": "olga@example.com"}).json()["data"]["id"]
    comment(house, ticket, "I am her boss.", contact_id=other)
    assert told(house, post) == [("customer_replied", JANE)]


def test_an_integrations_reply_reaches_the_customer(house: House, post: Office, ticket: dict[str, Any]) -> None:
    """A key that acts for nobody: its name is an affair of the house."""
    comment(house, ticket, "It was shipped.", key=house.cast.admin)
    assert told(house, post) == [("replied", SAM)]
    whole = post.got[0][2].decode()
    assert "admin" not in whole.lower().replace("administrat", "")
    assert "Acme Agency has answered" in text_of(post.mails()[0], "html")


def test_a_close_is_told_with_its_note(house: House, post: Office, ticket: dict[str, Any]) -> None:
    close(house, ticket, resolution_note="Refund of $99.99 processed.", root_cause="system_error")
    assert told(house, post) == [("resolved", SAM)]
    assert "Refund of $99.99 processed." in text_of(post.mails()[0])
    assert "system_error" not in text_of(post.mails()[0])


def test_resolved_and_then_closed_is_told_once(house: House, post: Office, ticket: dict[str, Any]) -> None:
    patch(house, ticket, status="resolved")
    assert told(house, post) == [("resolved", SAM)]
    close(house, ticket)
    assert told(house, post) == []


def test_a_close_with_news_after_resolved_is_told(house: House, post: Office, ticket: dict[str, Any]) -> None:
    patch(house, ticket, status="resolved")
    told(house, post)
    close(house, ticket, resolution_note="Here is what it was.")
    assert told(house, post) == [("resolved", SAM)]


def test_reopened_by_an_agent_is_told_without_the_reason(house: House, post: Office, ticket: dict[str, Any]) -> None:
    close(house, ticket)
    told(house, post)
    reopen(house, ticket, reason="The customer shouted at me.")
    assert told(house, post) == [("reopened", SAM)]
    assert "shouted" not in post.got[0][2].decode()


def test_reopened_by_the_customers_own_word_is_told_to_the_agent(
    house: House, post: Office, ticket: dict[str, Any]
) -> None:
    close(house, ticket)
    told(house, post)
    comment(house, ticket, "It happened again.", contact_id=house.cast.customer_id)
    assert told(house, post) == [("customer_replied", JANE)]


def test_a_late_word_opens_a_follow_up_that_is_confirmed(house: House, post: Office, ticket: dict[str, Any]) -> None:
    close(house, ticket)
    told(house, post)
    house.clock.advance(days=40)
    comment(house, ticket, "And again.", contact_id=house.cast.customer_id)
    assert told(house, post) == [("received", SAM)]


def test_an_agent_is_not_told_of_what_they_did(house: House, post: Office) -> None:
    ticket = house.ticket()
    patch(house, ticket, assigned_to=house.cast.agent_id)
    assert told(house, post) == []
    patch(house, ticket, assigned_to=house.cast.other_agent_id)
    assert told(house, post) == [("assigned", BOB)]


def test_who_is_gone_is_told_nothing(house: House, post: Office) -> None:
    client = house.client(house.cast.admin)
    user = client.post("/v1/users", json={"name": "Left Early", "email": "left@example.com"}).json()["data"]["id"]
    house.ticket(assigned_to=user)
    client.patch(f"/v1/users/{user}", json={"active": False})
    assert told(house, post) == []


def test_many_changes_in_one_tell_each_once(house: House, post: Office, ticket: dict[str, Any]) -> None:
    patch(house, ticket, key=house.cast.admin, assigned_to=house.cast.other_agent_id, priority=2, status="closed")
    assert told(house, post) == [("assigned", BOB), ("resolved", SAM)]


def test_switches_and_the_main_switch(house: House, post: Office, ticket: dict[str, Any]) -> None:
    client = house.client(house.cast.admin)
    client.put("/v1/mail/settings", json={"switches": {"replied": False, "assigned": False}})
    comment(house, ticket, "Nobody hears this.")
    patch(house, ticket, key=house.cast.admin, assigned_to=house.cast.other_agent_id)
    assert told(house, post) == []
    client.put("/v1/mail/settings", json={"switches": {"replied": True, "assigned": True}, "enabled": False})
    comment(house, ticket, "Nor this.")
    assert told(house, post) == []
    client.put("/v1/mail/settings", json={"enabled": True})
    comment(house, ticket, "But this.")
    assert told(house, post) == [("replied", SAM)]


def test_promises_are_told_to_the_agent_else_to_the_admins(house: House, post: Office) -> None:
    ring(house)
    told(house, post)  # of the tickets that other tests have left
    client = house.client(house.cast.admin)
    boss = client.post("/v1/users", json={"name": "The Boss", "email": "boss@example.com", "role": "admin"})
    house.ticket(priority=1, assigned_to=house.cast.agent_id)
    orphan = house.ticket(priority=1)
    told(house, post)

    house.clock.advance(minutes=50)
    ring(house)
    assert told(house, post) == [("sla_warning", "boss@example.com"), ("sla_warning", JANE)]
    house.clock.advance(minutes=15)
    ring(house)
    assert told(house, post) == [("sla_breached", "boss@example.com"), ("sla_breached", JANE)]
    mail = post.to("boss@example.com")[0]
    assert mail["Subject"] == f"[{orphan['number']}] Overdue: Refund not received"
    assert "The response of" in text_of(mail)
    assert " UTC." in text_of(mail)
    client.patch(f"/v1/users/{boss.json()['data']['id']}", json={"active": False})


def test_old_events_are_nobodys_news(house: House, post: Office, ticket: dict[str, Any]) -> None:
    comment(house, ticket, "Said long ago.")
    house.clock.advance(days=4)
    assert told(house, post) == []


def test_an_event_handed_over_twice_is_mailed_once(house: House, post: Office, ticket: dict[str, Any]) -> None:
    comment(house, ticket, "Once.")
    assert told(house, post) == [("replied", SAM)]
    house.sql("UPDATE feed_cursors SET transaction_id = 0, position = 0")
    assert told(house, post) == []
