"""Mails that machines send: kept, seen, never answered, and never a reason to reopen. And our own that come back."""

from typing import Any

import pytest
from conftest import House
from kit import close

from ticketry.mail.receiving import rules
from ticketry.mail.receiving.reading.read_mail import ReadMail

from . import mails
from .post import comments, counted, handed_in, reference, ticket_of

ANSWERS = [
    "Auto-Submitted: auto-replied", "Auto-Submitted: Auto-Replied (vacation)", "X-Autoreply: yes",
    "X-Autorespond: Re: x", "Precedence: auto_reply",
]  # fmt: skip
OTHERS = [
    "Auto-Submitted: auto-generated", "Auto-Submitted: auto-notified; owner-email=x", "Precedence: bulk",
    "Precedence: junk", "Precedence: List", "X-Auto-Response-Suppress: All", "X-Auto-Response-Suppress: OOF, AutoReply",
    "Return-Path: <>",
]  # fmt: skip
PEOPLE = [
    "Auto-Submitted: no",
    "X-Auto-Response-Suppress: None",
    "Precedence: first-class",
    "Return-Path: <sam@example.com>",
]


@pytest.mark.parametrize("line", [*ANSWERS, *OTHERS])
def test_on_a_ticket_it_is_a_note_that_wakes_nobody(house: House, line: str) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    close(house, ticket)
    closed = ticket_of(house, ticket["id"])
    raw = mails.simple("I am away.", line, f"In-Reply-To: {reference(house, ticket['id'])}", message_id=mails.fresh())
    told = handed_in(house, raw)
    assert (told["outcome"], told["ticket_id"], told["matched_by"]) == ("stored", ticket["id"], "references")
    assert told["automatic"]
    [note] = comments(house, ticket["id"])
    assert note["id"] == told["comment_id"]
    assert (note["visibility"], note["author"]["type"]) == ("internal", "system")
    assert "I am away." in note["body"]
    after = ticket_of(house, ticket["id"])
    assert (after["status"], after["closed_at"], after["reopen_count"]) == ("closed", closed["closed_at"], 0)


@pytest.mark.parametrize("line", ANSWERS)
def test_an_answer_to_nothing_is_stored_and_no_more(house: House, line: str) -> None:
    before = counted(house)
    told = handed_in(house, mails.simple("I am away.", line, sender="new@else.example", message_id=mails.fresh()))
    assert (told["outcome"], told["ticket_id"], told["contact_id"]) == ("stored", None, None)
    assert counted(house) == before
    entry = house.client(house.cast.admin).get(f"/v1/inbound/emails/{told['mail_id']}").json()["data"]
    assert entry["text"] == "I am away."


@pytest.mark.parametrize("line", OTHERS)
def test_a_report_of_a_machine_is_a_ticket(house: House, line: str) -> None:
    told = handed_in(house, mails.simple("Disk full", line, sender="robot@shop.example", message_id=mails.fresh()))
    assert told["outcome"] == "ticket"
    assert told["automatic"]


@pytest.mark.parametrize("line", PEOPLE)
def test_people_are_no_machines(house: House, line: str) -> None:
    told = handed_in(house, mails.simple("Hello", line, message_id=mails.fresh()))
    assert (told["outcome"], told["automatic"]) == ("ticket", None)


def test_a_bounce_is_a_note_on_the_ticket_whose_mail_it_reports(house: House) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    told = handed_in(house, mails.bounce(reference(house, ticket["id"])))
    assert (told["outcome"], told["ticket_id"]) == ("stored", ticket["id"])
    [note] = comments(house, ticket["id"])
    assert "Undelivered Mail" in note["body"]
    assert note["visibility"] == "internal"


def test_a_bounce_of_nothing_of_ours_is_stored(house: House) -> None:
    before = counted(house)
    told = handed_in(house, mails.bounce("<other@mail.example>"))
    assert (told["outcome"], told["ticket_id"]) == ("stored", None)
    assert counted(house) == before


def test_a_mail_of_ours_that_comes_back_does_nothing(house: House) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    before = counted(house)
    told = handed_in(house, mails.simple("We are on it.", message_id=reference(house, ticket["id"])))
    assert (told["outcome"], told["ticket_id"], told["comment_id"]) == ("stored", ticket["id"], None)
    assert counted(house) == before


@pytest.fixture
def our_address(house: House) -> Any:
    client = house.client(house.cast.admin)
    answer = client.put(
        "/v1/mail/settings", json={"inbound_address": "help@acme.example", "sender_address": "us@acme.example"}
    )
    assert answer.status_code == 200, answer.text
    yield "help@acme.example"
    client.put("/v1/mail/settings", json={"inbound_address": None, "sender_address": None})


@pytest.mark.parametrize("sender", ["help@acme.example", "US@acme.example", "help+ticket_x.abc@acme.example"])
def test_a_mail_from_our_own_address_makes_no_customer_of_us(house: House, our_address: str, sender: str) -> None:
    contacts = counted(house)[2]
    told = handed_in(house, mails.simple("x", sender=sender, message_id=f"<{sender}>"))
    assert (told["outcome"], told["contact_id"]) == ("ticket", None)
    assert told["automatic"] == "it comes from an address of ours"
    assert ticket_of(house, told["ticket_id"])["contact_id"] is None
    assert counted(house)[2] == contacts


def test_two_ticket_systems_do_not_write_to_each_other_for_ever(house: House, our_address: str) -> None:
    """The other side answers everything. What we send back is worked out from what became of its mails."""
    other = "desk@other.example"
    handed_in(house, mails.simple("Order", sender=other, message_id="<loop0@other.example>"))
    tickets, outcomes = counted(house)[0], []
    for n in range(1, 6):
        raw = mails.simple(
            "Thank you for your mail", "Auto-Submitted: auto-replied", sender=other, message_id=f"<loop{n}@o>"
        )
        outcomes.append(handed_in(house, raw)["outcome"])
    assert outcomes == ["stored"] * 5
    assert counted(house)[0] == tickets


@pytest.mark.parametrize(
    "line",
    ["List-Id: Help <help.acme.example>", "List-Post: <mailto:help@acme.example>", "X-BeenThere: help@acme.example"],
)
def test_a_group_that_is_our_own_address_is_no_machine(house: House, our_address: str, line: str) -> None:
    told = handed_in(house, mails.simple("Hello", "Precedence: list", line, message_id=mails.fresh()))
    assert (told["outcome"], told["automatic"]) == ("ticket", None)


def of(*headers: tuple[str, str], address: str = "sam@example.com", media_type: str = "text/plain") -> ReadMail:
    return ReadMail(headers=list(headers), from_address=address, media_type=media_type)


@pytest.mark.parametrize(
    ("mail", "kind"),
    [
        (of(), None),
        (of(("auto-submitted", " NO ")), None),
        (of(("Auto-Submitted", "")), None),
        (of(("Auto-Submitted", "auto-replied")), "answer"),
        (of(("Auto-Submitted", "anything")), "other"),
        (of(address="MAILER-DAEMON@x.example"), "answer"),
        (of(address="mailer-daemons@x.example"), None),
        (of(media_type="multipart/report"), "answer"),
        (of(("Return-Path", "<>"), ("Return-Path", "<a@b>")), "other"),
        (of(("Precedence", "list"), ("List-Id", "<other.example>")), "other"),
    ],
)
def test_what_is_automatic(mail: ReadMail, kind: str | None) -> None:
    found = rules.automatic(mail, ["support@acme.example"])
    assert (found and found.kind) == kind


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 60), (1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (99, 3600)]
)
def test_how_long_a_failed_mail_waits(failures: int, seconds: int) -> None:
    assert rules.patience(failures) == seconds
