"""Headers: right for mail programs, and never broken by what people write into names and subjects."""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any

import pytest
from conftest import House
from hypothesis import example, given
from hypothesis import strategies as st
from mail.sending.post import SENDER, Office, text_of, work

from ticketry.mail import threads
from ticketry.mail.sending.messages import address_text, needs_utf8, wire
from ticketry.mail.store import secret
from ticketry.mail.wording.templates import one_line

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300)
IDS = [f"<{letter * 90}@example.com>" for letter in "abc"]
NASTY = 'Sam\r\nBcc: all@example.com\r\n\r\nHello \x85\u2028 "<evil@example.com>", =?utf-8?q?a?= '


def decoded(value: str) -> str:
    """A header's text as a reader of RFC 2047 decodes it."""
    return str(make_header(decode_header(re.sub(r"\r?\n", "", value))))


@given(name=TEXTS, subject=TEXTS)
@example(name=NASTY, subject=NASTY)
@example(name="x" * 300, subject="=?utf-8?b?SGk=?=")
def test_any_name_and_subject_gives_valid_headers(name: str, subject: str) -> None:
    headers = [
        ["From", address_text(name, "desk@example.com")],
        ["To", address_text(name, "sam+x@müller.example")],
        ["Subject", one_line(subject)],
        ["References", " ".join(IDS)],
        ["Message-ID", IDS[0]],
    ]
    raw = wire(headers, f"Hello\n.\n{subject}", f"<p>{name}", "=_frontier")
    head, _, _ = raw.partition(b"\r\n\r\n")
    assert head.isascii()
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    names = ["From", "To", "Subject", "References", "Message-ID", "Content-Type", "MIME-Version"]
    mail = message_from_bytes(raw, policy=policy.default)
    assert list(mail.keys()) == names
    assert [one.addr_spec for one in mail["From"].addresses] == ["desk@example.com"]
    assert [one.addr_spec for one in mail["To"].addresses] == ["sam+x@xn--mller-kva.example"]
    assert mail["References"].split() == IDS
    plain = message_from_bytes(raw, policy=policy.compat32)
    assert decoded(plain["Subject"]) == one_line(subject)
    shown, address = parseaddr(re.sub(r"\r?\n", "", plain["From"]))
    assert address == "desk@example.com"
    assert decoded(shown) == re.sub(r'[<>"\\]', "", one_line(name)).strip()


@given(text=TEXTS, html=TEXTS)
def test_any_text_arrives_as_it_was(text: str, html: str) -> None:
    raw = wire([["Subject", "x"]], text, html, "=_frontier")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    mail: Any = message_from_bytes(raw, policy=policy.default)
    for kind, sent in (("plain", text), ("html", html)):
        got = mail.get_body((kind,)).get_payload(decode=True).decode()
        assert re.sub("\r\n|\r|\n", "\n", got).rstrip("\n") == re.sub("\r\n|\r|\n", "\n", sent).rstrip("\n")


def test_addresses_beyond_ascii_ask_for_smtputf8_only_where_they_must() -> None:
    assert not needs_utf8("sam@müller.example")
    assert needs_utf8("sämi@example.com")
    raw = wire([["To", address_text("Sämi", "sämi@example.com")]], "", "", "=_x")
    assert "<sämi@example.com>".encode() in raw


@pytest.fixture
def settled(house: House) -> Any:
    """A workspace with addresses of its own."""
    settings = {
        "sender_address": "help@globex.example",
        "sender_name": "Globex Help",
        "reply_to": "people@globex.example",
    }
    client = house.client(house.cast.admin)
    assert client.put("/v1/mail/settings", json=settings).status_code == 200
    yield settings
    client.put("/v1/mail/settings", json={**dict.fromkeys(settings), "inbound_address": None})


def say(house: House, ticket: dict[str, Any], body: str) -> None:
    answer = house.client(house.cast.agent_key).post(f"/v1/tickets/{ticket['id']}/comments", json={"body": body})
    assert answer.status_code == 201


def test_the_headers_of_a_conversation(house: House, post: Office, settled: dict[str, Any]) -> None:
    """Mail programs show the mails of a ticket as one conversation; two tickets are two."""
    tickets = [house.ticket(contact_id=house.cast.customer_id, subject=f"Matter {n}") for n in range(2)]
    work(house, post)
    for ticket in tickets:
        say(house, ticket, "First answer.")
    work(house, post)
    say(house, tickets[0], "Second answer.")
    work(house, post)
    mails = [mail for mail in post.to("sam@example.com") if mail["Subject"].startswith(f"[{tickets[0]['number']}]")]
    received, first, second = mails
    assert received["Subject"] == f"[{tickets[0]['number']}] We have received your request: Matter 0"
    assert first["Subject"] == f"[{tickets[0]['number']}] Matter 0"
    assert {str(mail["From"]) for mail in mails} == {"Globex Help <help@globex.example>"}
    assert {str(mail["To"]) for mail in mails} == {"Sam Taylor <sam@example.com>"}
    assert {str(mail["Reply-To"]) for mail in mails} == {"people@globex.example"}
    assert first["In-Reply-To"] == received["Message-ID"]
    assert second["References"].split()[1:] == [received["Message-ID"], first["Message-ID"]]
    assert len({mail["References"].split()[0] for mail in mails}) == 1
    assert [mail["Auto-Submitted"] for mail in mails] == ["auto-replied", None, None]
    assert {mail["List-Unsubscribe"] for mail in mails} == {None}
    assert {parsedate_to_datetime(mail["Date"]) for mail in mails} == {house.clock()}
    assert {mail.get_content_type() for mail in mails} == {"multipart/alternative"}
    other = next(mail for mail in post.mails() if mail["Subject"].endswith("Matter 1"))
    assert other["References"].split()[0] != first["References"].split()[0]
    assert {sender for sender, _, _ in post.got} == {"help@globex.example"}
    key = house.run(secret)
    for mail in mails:
        named = threads.ticket_named_by_references(key, house.cast.workspace_id, [str(mail["Message-ID"])])
        assert named == tickets[0]["id"]


def test_answers_go_to_the_address_that_is_read_and_name_the_ticket(
    house: House, post: Office, settled: dict[str, Any]
) -> None:
    house.client(house.cast.admin).put("/v1/mail/settings", json={"inbound_address": "in@globex.example"})
    ticket = house.ticket(contact_id=house.cast.customer_id)
    work(house, post)
    (mail,) = post.mails()
    key = house.run(secret)
    assert re.fullmatch(r"in\+\S+@globex\.example", str(mail["Reply-To"]))
    assert threads.ticket_named_by_address(key, house.cast.workspace_id, [str(mail["Reply-To"])]) == ticket["id"]


def test_agents_can_ask_to_be_left_alone(house: House, post: Office) -> None:
    house.ticket(assigned_to=house.cast.agent_id)
    work(house, post)
    (mail,) = post.mails()
    assert mail["List-Unsubscribe"] == f"<mailto:{SENDER}?subject=Unsubscribe>"
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"


def test_names_and_subjects_cannot_add_headers_or_recipients(house: House, post: Office) -> None:
    client = house.client(house.cast.admin)
    body = {"name": NASTY, "email": "nasty@example.com"}
    contact = client.post("/v1/contacts", json=body).json()["data"]["id"]
    house.ticket(contact_id=contact, subject=NASTY)
    work(house, post)
    ((_, to, _),) = post.got
    (mail,) = post.mails()
    assert to == ["nasty@example.com"]
    assert mail["Bcc"] is None
    assert [one.addr_spec for one in mail["To"].addresses] == ["nasty@example.com"]
    assert len(mail.get_all("Subject") or []) == 1
    assert "Bcc: all@example.com" in mail["Subject"]
    assert "&lt;evil@example.com&gt;" in text_of(mail, "html")
