"""POST /v1/inbound/email, and looking at what came."""

import contextlib
import socket
import threading
import time
from collections import Counter
from email.header import Header
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import House, serve
from kit import check_edge, close, forbidden, force_status, in_chunks, mint, problem, wrong_fields

from ticketry.mail.receiving import rules
from ticketry.web import streams

from . import mails
from .post import HEADERS, comments, counted, files_of, handed_in, post, reference, ticket_of


def unique(number: int) -> str:
    return f"<unique-{number}@mail.example>"


def test_a_mail_becomes_a_ticket_of_its_sender(house: House) -> None:
    answer = post(house, mails.simple("My order is lost.\n", sender="Ann New <Ann@New.example>", message_id="<n1@x>"))
    assert answer.status_code == 201
    check_edge(answer)
    told = answer.json()["data"]
    assert told["outcome"] == "ticket"
    assert answer.headers["location"] == f"/v1/inbound/emails/{told['mail_id']}"
    ticket = ticket_of(house, told["ticket_id"])
    assert (ticket["subject"], ticket["description"]) == ("It does not work", "My order is lost.")
    assert ticket["number"] == told["number"]
    assert (ticket["status"], ticket["contact_id"]) == ("new", told["contact_id"])
    contact = house.client(house.cast.admin).get(f"/v1/contacts/{told['contact_id']}").json()["data"]
    assert (contact["name"], contact["email"]) == ("Ann New", "Ann@New.example")
    [event] = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/events").json()["data"]
    assert event["actor"] == {"type": "contact", "id": contact["id"], "name": "Ann New"}


def test_a_known_sender_is_known_without_case(house: House) -> None:
    first = handed_in(house, mails.simple(sender="ANN@new.EXAMPLE", message_id="<n2@x>"))
    again = handed_in(house, mails.simple(sender="Other Name <ann@NEW.example>", message_id="<n3@x>"))
    assert first["contact_id"] == again["contact_id"]


def test_the_same_mail_twice_is_one_ticket(house: House) -> None:
    raw = mails.simple(message_id="<twice@x>")
    first = handed_in(house, raw)
    before = counted(house)
    again = handed_in(house, b"Received: from elsewhere by here;\r\n\tWed, 15 Jan 2025 10:00:00 +0000\r\n" + raw)
    assert again == {**first, "outcome": "duplicate"}
    assert counted(house) == before


def test_another_text_under_the_same_message_id_is_another_mail(house: House) -> None:
    first = handed_in(house, mails.simple("One\n", message_id="<same@x>"))
    other = handed_in(house, mails.simple("Two\n", message_id="<same@x>"))
    assert other["outcome"] == "ticket"
    assert other["ticket_id"] != first["ticket_id"]


def test_without_a_message_id_every_header_counts(house: House) -> None:
    raw = mails.simple(message_id=None)
    first = handed_in(house, raw)
    assert handed_in(house, raw)["outcome"] == "duplicate"
    assert handed_in(house, b"Received: a\r\n" + raw)["ticket_id"] != first["ticket_id"]


def test_the_same_mail_many_times_at_once_is_one_ticket(house: House) -> None:
    raw = mails.with_files(2, subject="All at once")
    told: list[dict[str, Any]] = []

    def send() -> None:
        answer = httpx.post(f"{house.url}/v1/inbound/email", content=raw, timeout=60,
                            headers={**HEADERS, "Authorization": f"Bearer {house.cast.admin}"})  # fmt: skip
        told.append(answer.json()["data"])

    before = counted(house)[0]
    crowd = [threading.Thread(target=send) for _ in range(6)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert Counter(one["outcome"] for one in told) == {"ticket": 1, "duplicate": 5}
    assert len({one["ticket_id"] for one in told}) == 1
    assert counted(house)[0] == before + 1


def test_workspaces_do_not_share_what_came(house: House) -> None:
    raw = mails.simple(message_id="<both@x>")
    ours, theirs = handed_in(house, raw), handed_in(house, raw, house.cast.stranger)
    assert theirs["outcome"] == "ticket"
    assert theirs["ticket_id"] != ours["ticket_id"]
    stranger = house.client(house.cast.stranger)
    for path in (f"/v1/inbound/emails/{ours['mail_id']}", f"/v1/inbound/emails/{ours['mail_id']}/raw"):
        problem(stranger.get(path), 404, "not_found", "mail_not_found")
    seen = stranger.get("/v1/inbound/emails", params={"ticket_id": ours["ticket_id"]}).json()
    assert seen["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("headers", "subject"),
    [
        (["Subject: " + Header("返金の件", "iso-2022-jp").encode()], "返金の件"),
        (["Subject: " + "word " * 100], ("word " * 100)[:199].rstrip() + "…"),
        (["Subject: " + "x" * 200], "x" * 200),
        (["Subject: " + "x" * 201], "x" * 199 + "…"),
        (["Subject:   "], rules.NO_SUBJECT),
        ([], rules.NO_SUBJECT),
    ],
    ids=["encoded", "long", "just fits", "one too long", "blank", "none"],
)
def test_subjects(house: House, headers: list[str], subject: str) -> None:
    told = handed_in(house, mails.raw("From: sam@example.com", *headers, f"X-Test: {subject[:20]!r}"))
    assert ticket_of(house, told["ticket_id"])["subject"] == subject


def test_a_mail_without_text(house: House) -> None:
    told = handed_in(house, mails.simple("", message_id="<empty@x>"))
    assert ticket_of(house, told["ticket_id"])["description"] == rules.NO_TEXT


@pytest.mark.parametrize("length", [8_999, 9_000, 9_001, 10_000, 10_001, 50_000])
def test_a_long_mail_is_cut_and_its_whole_text_kept(house: House, length: int) -> None:
    text = ("0123456789" * (length // 10 + 1))[:length]
    told = handed_in(house, mails.simple(text, message_id=f"<long-{length}@x>"))
    description = ticket_of(house, told["ticket_id"])["description"]
    assert len(description) <= 10_000
    files = files_of(house, told["ticket_id"])
    if length <= 10_000:
        assert description == text
    else:
        assert description.startswith(text[:9_000])
        assert "attached as message.txt" in description
        assert files["message.txt"].decode() == text
    detail = house.client(house.cast.admin).get(f"/v1/inbound/emails/{told['mail_id']}").json()["data"]
    assert detail["text"] == text


def test_files_are_kept_also_those_in_the_text_and_in_a_winmail(house: House) -> None:
    told = handed_in(house, mails.exchange())
    assert files_of(house, told["ticket_id"]) == {"bill.pdf": mails.PDF}
    told = handed_in(house, mails.apple_mail())
    assert files_of(house, told["ticket_id"]) == {"Bildschirmfoto.png": mails.PNG}


def test_many_files_are_kept_with_the_mail_itself(house: House) -> None:
    raw = mails.with_files(40)
    told = handed_in(house, raw)
    files = files_of(house, told["ticket_id"])
    assert len(files) == 18
    assert files["mail.eml"] == raw
    assert "mail.eml" in ticket_of(house, told["ticket_id"])["description"]


def test_a_reply_becomes_the_customers_comment_without_what_it_quotes(house: House) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    force_status(house, ticket, "waiting_on_customer")
    raw = mails.gmail().replace(b"<a@acme.example>", reference(house, ticket["id"]).encode())
    told = handed_in(house, raw)
    assert (told["outcome"], told["matched_by"], told["ticket_id"]) == ("comment", "references", ticket["id"])
    [comment] = comments(house, ticket["id"])
    assert comment["id"] == told["comment_id"]
    assert comment["body"] == "It works now, thank you!"
    assert (comment["visibility"], comment["author"]["type"]) == ("public", "contact")
    assert ticket_of(house, ticket["id"])["status"] == "open"
    detail = house.client(house.cast.admin).get(f"/v1/inbound/emails/{told['mail_id']}").json()["data"]
    assert "Please try again." in detail["text"]


def test_a_reply_reopens_what_was_resolved_or_closed(house: House) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    close(house, ticket)
    sent = mails.simple("Still broken\n", f"In-Reply-To: {reference(house, ticket['id'])}", message_id="<re1@x>")
    assert handed_in(house, sent)["outcome"] == "comment"
    assert ticket_of(house, ticket["id"])["status"] == "reopened"


def test_a_reply_to_a_ticket_closed_long_ago_opens_a_follow_up(house: House) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    close(house, ticket)
    house.sql("UPDATE tickets SET closed_at = closed_at - interval '100 days' WHERE id = %s", (ticket["id"],))
    sent = mails.simple("Again\n", f"In-Reply-To: {reference(house, ticket['id'])}", message_id="<fu@x>")
    told = handed_in(house, sent)
    assert told["outcome"] == "follow_up"
    assert told["ticket_id"] != ticket["id"]
    assert ticket_of(house, told["ticket_id"])["follow_up_of"] == ticket["id"]
    assert handed_in(house, sent) == {**told, "outcome": "duplicate"}


def test_what_cannot_be_understood_becomes_a_ticket_that_says_so(house: House) -> None:
    raw = b"\x89PNG this is no mail at all \xff\xfe"
    told = handed_in(house, raw)
    assert (told["outcome"], told["problem"]) == ("ticket", "it has no header")
    ticket = ticket_of(house, told["ticket_id"])
    assert ticket["subject"] == "Mail that could not be understood"
    assert "it has no header" in ticket["description"]
    assert ticket["contact_id"] is None
    assert files_of(house, told["ticket_id"]) == {"mail.eml": raw}


@pytest.mark.parametrize("raw", [mails.outlook(), b"", mails.with_files(1, 300_000)], ids=["small", "empty", "large"])
def test_the_mail_as_it_came_can_be_had(house: House, raw: bytes) -> None:
    told = handed_in(house, raw)
    answer = house.client(house.cast.admin).get(f"/v1/inbound/emails/{told['mail_id']}/raw")
    assert answer.status_code == 200
    assert answer.content == raw
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_the_list_tells_what_became_of_each(house: House) -> None:
    client = house.client(house.cast.reader)
    told = handed_in(house, mails.simple(message_id="<listed@x>"))
    page = client.get("/v1/inbound/emails", params={"ticket_id": told["number"]}).json()
    [entry] = page["data"]
    assert page["meta"]["total"] == 1
    assert (entry["id"], entry["outcome"], entry["ticket_id"]) == (told["mail_id"], "ticket", told["ticket_id"])
    assert (entry["from_address"], entry["subject"], entry["source"]) == ("sam@example.com", "It does not work", "api")
    every = client.get("/v1/inbound/emails", params={"per_page": 100}).json()
    assert every["data"][0]["id"] == told["mail_id"], "the newest first"
    by_outcome = client.get("/v1/inbound/emails", params={"outcome": "follow_up", "per_page": 100}).json()
    assert {one["outcome"] for one in by_outcome["data"]} <= {"follow_up"}
    assert wrong_fields(client.get("/v1/inbound/emails", params={"outcome": "lost"})) == {"outcome"}
    assert wrong_fields(client.get("/v1/inbound/emails", params={"form": "x"})) == {"form"}


def test_scopes(house: House) -> None:
    forbidden(post(house, mails.simple(), mint(house, "tickets:read")), "tickets:write")
    writer = house.client(mint(house, "tickets:write"))
    forbidden(writer.get("/v1/inbound/emails"), "tickets:read")
    forbidden(writer.get("/v1/inbound/emails/x"), "tickets:read")
    forbidden(writer.get("/v1/inbound/emails/x/raw"), "tickets:read")


def test_only_mail_is_taken(house: House) -> None:
    client = house.client(house.cast.admin)
    for kind in ("application/json", "text/plain", "message/rfc8222", ""):
        answer = client.post("/v1/inbound/email", content=b"x", headers={"Content-Type": kind})
        problem(answer, 415, "invalid_request", "unsupported_media_type")
    assert post(house, mails.simple(message_id="<k@x>"), **{"Content-Type": "Message/RFC822; x=y"}).status_code == 201


def test_a_mail_beyond_the_limit_is_refused_and_one_below_is_not(database_url: str, house: House) -> None:
    limit = 70_000
    for url in serve(database_url, house.clock, mail_limit=limit, files_dir=house.files):
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {house.cast.admin}", **HEADERS}) as client:
            whole = mails.simple("x" * limit, message_id="<limit@x>")[:limit]
            assert client.post("/v1/inbound/email", content=whole).status_code == 201
            for content in (whole + b"y", in_chunks(whole + b"y")):
                error = problem(
                    client.post("/v1/inbound/email", content=content), 413, "invalid_request", "body_too_large"
                )
                assert error["limit"] == limit


def test_without_a_database_the_sender_is_told_to_come_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.sql("ALTER TABLE inbound_mails RENAME TO inbound_mails_away")
    try:
        assert post(house, mails.simple(message_id="<later@x>")).status_code == 500
    finally:
        house.sql("ALTER TABLE inbound_mails_away RENAME TO inbound_mails")
    assert handed_in(house, mails.simple(message_id="<later@x>"))["outcome"] == "ticket"


def test_a_fault_of_ours_still_keeps_the_mail(house: House) -> None:
    """A rule of the database that no mail should meet: acting fails, and the mail is stored as it came."""
    house.sql("ALTER TABLE tickets ADD CONSTRAINT no_frogs CHECK (description NOT LIKE '%frogs%')")
    try:
        told = handed_in(house, mails.simple("About frogs.\n", message_id="<frogs@x>"))
    finally:
        house.sql("ALTER TABLE tickets DROP CONSTRAINT no_frogs")
    assert told["outcome"] == "ticket"
    assert told["problem"] == "acting on it failed (CheckViolation)"
    assert b"About frogs." in files_of(house, told["ticket_id"])["mail.eml"]


@pytest.mark.parametrize("pieces", [1, 200], ids=["silent", "slow"])
def test_a_sender_that_does_not_keep_pace_is_answered(
    house: House, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "LEAST_SENT", 1e12)
    before = counted(house)
    place = urlsplit(house.url)
    told = {"Host": "x", "Authorization": f"Bearer {house.cast.admin}", **HEADERS, "Content-Length": "400000"}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    with socket.create_connection((place.hostname, place.port), timeout=30) as line:
        line.sendall(f"POST /v1/inbound/email HTTP/1.1\r\n{head}\r\n".encode())
        with contextlib.suppress(OSError):
            for _ in range(pieces):
                line.sendall(b"x")
                time.sleep(0.02)
        answer = line.recv(100_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in answer
    assert counted(house) == before
