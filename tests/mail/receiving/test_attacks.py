"""Who may write into which ticket: forged references, addresses, numbers and senders."""

from typing import Any

import pytest
from conftest import House

from ticketry.mail import threads
from ticketry.mail.receiving import service

from . import mails
from .post import comments, files_of, handed_in, reference, secret, ticket_of

SAM = "Sam Taylor <sam@example.com>"


@pytest.fixture
def ticket(house: House) -> dict[str, Any]:
    return house.ticket(contact_id=house.cast.customer_id)


def address(house: House, ticket_id: str, workspace_id: str | None = None) -> str:
    return threads.reply_address(
        secret(house), workspace_id or house.cast.workspace_id, ticket_id, "support@acme.example"
    )


def untouched(house: House, ticket: dict[str, Any], told: dict[str, Any]) -> None:
    """The mail became a ticket of its own."""
    assert (told["outcome"], told["matched_by"]) == ("ticket", None)
    assert told["ticket_id"] != ticket["id"]
    assert comments(house, ticket["id"]) == []


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_a_signed_reference_is_found(house: House, ticket: dict[str, Any], header: str) -> None:
    raw = mails.simple(
        "x", f"{header}: <other@mail.example>\r\n {reference(house, ticket['id'])}", message_id=f"<{header}@x>"
    )
    told = handed_in(house, raw)
    assert (told["ticket_id"], told["matched_by"]) == (ticket["id"], "references")


@pytest.mark.parametrize("header", ["To", "Cc", "Delivered-To", "X-Original-To"])
def test_a_signed_address_is_found(house: House, ticket: dict[str, Any], header: str) -> None:
    raw = mails.raw(f"From: {SAM}", f"{header}: Support <{address(house, ticket['id'])}>", f"Message-ID: <a{header}@x>")
    told = handed_in(house, raw)
    assert (told["ticket_id"], told["matched_by"]) == (ticket["id"], "address")


def test_the_order_is_references_then_address_then_subject(house: House) -> None:
    first, second, third = (house.ticket(contact_id=house.cast.customer_id) for _ in range(3))
    lines = [f"In-Reply-To: {reference(house, first['id'])}", f"Cc: {address(house, second['id'])}"]
    subject = f"Re: [{third['number']}] x"
    for n, (more, expected, by) in enumerate(
        [(lines, first, "references"), (lines[1:], second, "address"), ([], third, "subject")]
    ):
        told = handed_in(house, mails.simple("x", *more, subject=subject, message_id=f"<order{n}@x>"))
        assert (told["ticket_id"], told["matched_by"]) == (expected["id"], by)


def tampered(text: str) -> list[str]:
    """The same name with its ticket or its signature changed."""
    dot = text.rindex(".", 0, text.index("@"))
    flipped = "b" if text[dot + 1] != "b" else "c"
    return [
        text[: dot + 1] + flipped + text[dot + 2 :],
        text.replace("ticket_", "ticket_0", 1) if "ticket_" in text else text.replace("+", "+0", 1),
        text[:dot] + text[text.index("@") :],
    ]


def test_a_tampered_signature_is_worth_nothing(house: House, ticket: dict[str, Any]) -> None:
    for n, name in enumerate(tampered(reference(house, ticket["id"]))):
        untouched(house, ticket, handed_in(house, mails.simple("x", f"In-Reply-To: {name}", message_id=f"<tr{n}@x>")))
    for n, name in enumerate(tampered(address(house, ticket["id"]))):
        untouched(house, ticket, handed_in(house, mails.simple("x", to=name, message_id=f"<ta{n}@x>")))


def test_another_workspaces_signature_is_worth_nothing(house: House, ticket: dict[str, Any]) -> None:
    theirs = house.cast.stranger_workspace_id
    name = reference(house, ticket["id"], theirs)
    untouched(house, ticket, handed_in(house, mails.simple("x", f"References: {name}", message_id="<w1@x>")))
    name = address(house, ticket["id"], theirs)
    untouched(house, ticket, handed_in(house, mails.simple("x", to=name, message_id="<w2@x>")))


def test_our_signature_handed_in_elsewhere_reaches_nothing(house: House, ticket: dict[str, Any]) -> None:
    raw = mails.simple("x", f"References: {reference(house, ticket['id'])}", message_id="<w3@x>")
    told = handed_in(house, raw, house.cast.stranger)
    assert told["outcome"] == "ticket"
    assert comments(house, ticket["id"]) == []


def test_a_guessed_number_lets_no_stranger_in(house: House, ticket: dict[str, Any]) -> None:
    raw = mails.simple("Let me in", subject=f"[{ticket['number']}]", sender="mallory@evil.example", message_id="<g1@x>")
    untouched(house, ticket, handed_in(house, raw))
    assert handed_in(house, raw)["outcome"] == "duplicate"
    known = mails.simple(
        "Let me in", subject=f"[{ticket['number']}]", sender="mallory@evil.example", message_id="<g2@x>"
    )
    untouched(house, ticket, handed_in(house, known))


def test_a_number_lets_in_who_takes_part(house: House, ticket: dict[str, Any]) -> None:
    subject = f"AW: [{ticket['number'].lower()}] x"
    told = handed_in(house, mails.simple("x", subject=subject, sender="SAM@example.com", message_id="<p1@x>"))
    assert (told["outcome"], told["matched_by"]) == ("comment", "subject")
    colleague = mails.simple(
        "x", f"In-Reply-To: {reference(house, ticket['id'])}", sender="c@x.example", message_id="<p2@x>"
    )
    assert handed_in(house, colleague)["outcome"] == "comment"
    told = handed_in(house, mails.simple("y", subject=subject, sender="c@x.example", message_id="<p3@x>"))
    assert (told["outcome"], told["matched_by"], told["ticket_id"]) == ("comment", "subject", ticket["id"])


def test_an_agent_with_a_signature_speaks_as_an_agent(house: House, ticket: dict[str, Any]) -> None:
    agent = house.client(house.cast.admin).get(f"/v1/users/{house.cast.agent_id}").json()["data"]
    line = f"In-Reply-To: {reference(house, ticket['id'])}"
    told = handed_in(house, mails.simple("We are on it.", line, sender=agent["email"].upper(), message_id="<ag1@x>"))
    [comment] = comments(house, ticket["id"])
    assert (told["outcome"], told["contact_id"]) == ("comment", None)
    assert comment["author"] == {"type": "user", "id": agent["id"], "name": agent["name"]}
    assert comment["visibility"] == "public"
    assert ticket_of(house, ticket["id"])["sla"]["first_response_at"] is not None


@pytest.mark.parametrize("quoted", ["> The SLA is broken.\n> Cause: secret", "> secret\n" * 7_000], ids=["all", "long"])
def test_what_an_agent_quotes_is_not_published_by_a_reply_that_says_nothing(
    house: House, ticket: dict[str, Any], quoted: str
) -> None:
    agent = house.client(house.cast.admin).get(f"/v1/users/{house.cast.agent_id}").json()["data"]
    line = f"In-Reply-To: {reference(house, ticket['id'])}"
    before = comments(house, ticket["id"])
    told = handed_in(house, mails.simple(quoted, line, sender=agent["email"], message_id=mails.fresh()))
    assert told["outcome"] == "comment"
    [comment] = [one for one in comments(house, ticket["id"]) if one not in before]
    assert comment["visibility"] == "internal"
    assert comment["author"]["id"] == agent["id"]
    assert "secret" in comment["body"]
    assert service.UNTOLD in comment["body"]


def test_a_forged_agent_with_a_number_only_is_a_customer_with_a_ticket_of_their_own(
    house: House, ticket: dict[str, Any]
) -> None:
    agent = house.client(house.cast.admin).get(f"/v1/users/{house.cast.agent_id}").json()["data"]
    raw = mails.simple("Send money", subject=f"[{ticket['number']}]", sender=agent["email"], message_id="<ag2@x>")
    told = handed_in(house, raw)
    untouched(house, ticket, told)
    assert ticket_of(house, told["ticket_id"])["contact_id"] == told["contact_id"] is not None


def test_a_deactivated_agent_is_a_customer(house: House, ticket: dict[str, Any]) -> None:
    client = house.client(house.cast.admin)
    gone = client.post("/v1/users", json={"name": "Gone", "email": "gone@acme.example"}).json()["data"]
    assert client.patch(f"/v1/users/{gone['id']}", json={"active": False}).status_code == 200
    line = f"In-Reply-To: {reference(house, ticket['id'])}"
    handed_in(house, mails.simple("x", line, sender="gone@acme.example", message_id="<ag3@x>"))
    [comment] = comments(house, ticket["id"])
    assert comment["author"]["type"] == "contact"


def test_a_reference_to_a_ticket_that_is_not_there_opens_one(house: House) -> None:
    told = handed_in(
        house, mails.simple("x", f"In-Reply-To: {reference(house, 'ticket_nowhere')}", message_id="<nw@x>")
    )
    assert told["outcome"] == "ticket"


def test_a_sender_without_an_address_that_can_be_kept_speaks_unseen_by_customers(
    house: House, ticket: dict[str, Any]
) -> None:
    raw = mails.simple(
        "x", f"In-Reply-To: {reference(house, ticket['id'])}", sender="nobody at all", message_id="<na@x>"
    )
    assert handed_in(house, raw)["outcome"] == "comment"
    [comment] = comments(house, ticket["id"])
    assert (comment["visibility"], comment["author"]["type"]) == ("internal", "system")


def test_dangerous_file_names_are_harmless(house: House) -> None:
    names = ["../../../etc/passwd", "..\\..\\boot.ini", "a\x00.exe", "C:\\Windows\\x.dll", "/abs.txt", "\u202egpj.exe"]
    parts = [
        mails.part("application/octet-stream", b"x%d" % n, f'Content-Disposition: attachment; filename="{name}"')
        for n, name in enumerate(names)
    ]
    header, body = mails.multipart("mixed", "m", [mails.part("text/plain", b"see"), *parts])
    told = handed_in(house, mails.raw(f"From: {SAM}", "Message-ID: <names@x>", header, body=body))
    kept = files_of(house, told["ticket_id"])
    assert len(kept) == len(names)
    for name in kept:
        assert not set(name) & set("/\\\x00\u202e"), name
        assert not name.startswith(".")


def test_html_is_told_as_text(house: House) -> None:
    html = "<script>steal()</script><p onclick='x()'>Hi</p><iframe src='https://evil'></iframe>"
    raw = mails.raw(f"From: {SAM}", "Message-ID: <html@x>", "Content-Type: text/html; charset=utf-8", body=html)
    assert ticket_of(house, handed_in(house, raw)["ticket_id"])["description"] == "Hi"
