"""Looking at mail by API and command line, sending again, notices to admins, and forgetting."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import House, serve
from kit import problem, wrong_fields
from mail.sending.post import Office, message, messages, text_of, work
from typer.testing import CliRunner

from ticketry.cli import app
from ticketry.mail.sending import service


@pytest.fixture
def kept(house: House) -> dict[str, Any]:
    """A ticket whose mail to Sam is in the outbox."""
    ticket = house.ticket(contact_id=house.cast.customer_id)
    work(house)
    return ticket


@pytest.fixture
def with_smtp(house: House, post: Office) -> Iterator[httpx.Client]:
    """A server that has an SMTP server to send through, on the same database."""
    for url in serve(house.database_url, house.clock, **post.settings):
        headers = {"Authorization": f"Bearer {house.cast.admin}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield client


def test_without_smtp_mail_is_kept_and_shown(house: House, kept: dict[str, Any]) -> None:
    (item,) = messages(house, ticket_id=kept["number"])
    assert (item["kind"], item["status"], item["reason"]) == ("received", "outbox", "no SMTP server is set")
    assert (item["address"], item["attempts"], item["next_attempt_at"]) == ("sam@example.com", 0, None)
    whole = message(house, item["id"])
    assert item.items() <= whole.items()
    names = dict(whole["headers"])
    assert names["From"] == '"Acme Agency" <support@localhost>'
    assert names["To"] == '"Sam Taylor" <sam@example.com>'
    assert kept["number"] in whole["subject"]
    assert "Hello Sam Taylor" in whole["text"]
    assert "<html>" in whole["html"]
    assert whole["tries"] == []


def test_the_list_is_filtered(house: House, kept: dict[str, Any]) -> None:
    client = house.client(house.cast.admin)
    assert {mail["status"] for mail in messages(house, status="outbox")} == {"outbox"}
    assert messages(house, status="failed") == []
    assert messages(house, ticket_id="TICK-999999") == []
    assert wrong_fields(client.get("/v1/mail/messages", params={"status": "lost"})) == {"status"}
    assert wrong_fields(client.get("/v1/mail/messages", params={"kind": "received"})) == {"kind"}
    assert messages(house, key=house.cast.stranger) == []


def test_a_message_of_nobody_is_not_found(house: House) -> None:
    client = house.client(house.cast.admin)
    problem(client.get("/v1/mail/messages/mail_none"), 404, "not_found", "message_not_found")
    problem(client.post("/v1/mail/messages/mail_none/resend"), 404, "not_found", "message_not_found")


def test_what_was_kept_is_sent_only_when_somebody_asks(
    house: House, post: Office, kept: dict[str, Any], with_smtp: httpx.Client
) -> None:
    assert with_smtp.get("/v1/mail/settings").json()["data"]["delivery"] == "smtp"
    (item,) = messages(house, ticket_id=kept["id"])
    work(house, post)
    assert post.got == []
    path = f"/v1/mail/messages/{item['id']}/resend"
    problem(house.client(house.cast.admin).post(path), 409, "conflict", "mail_not_configured")
    assert with_smtp.post(path).json()["data"]["status"] == "pending"
    problem(with_smtp.post(path), 409, "conflict", "mail_pending")
    work(house, post)
    assert len(post.got) == 1
    assert message(house, item["id"])["status"] == "sent"
    with_smtp.post(path)  # and once more, because it got lost behind the server
    work(house, post)
    first, second = post.mails()
    assert first["Message-ID"] != second["Message-ID"]
    assert text_of(first) == text_of(second)
    assert len(message(house, item["id"])["tries"]) == 2


def test_a_mail_whose_sender_is_refused_waits_and_goes_out_from_the_new_one(
    house: House, post: Office, kept: dict[str, Any], with_smtp: httpx.Client
) -> None:
    (item,) = messages(house, ticket_id=kept["id"])
    path = f"/v1/mail/messages/{item['id']}/resend"
    post.answers = {"MAIL": ["553 5.7.1 Sender not allowed"]}
    with_smtp.post(path)
    work(house, post)
    assert message(house, item["id"])["status"] == "pending"
    with_smtp.put("/v1/mail/settings", json={"sender_address": "good@globex.example"})
    house.clock.advance(minutes=2)
    work(house, post)
    assert [sender for sender, _, _ in post.got] == ["good@globex.example"]
    with_smtp.put("/v1/mail/settings", json={"sender_address": None})


def test_mail_of_a_test_workspace_is_kept(house: House, post: Office) -> None:
    client = house.client(house.cast.test_key)
    contact = client.post("/v1/contacts", json={"name": "Real", "email": "real@example.com"}).json()["data"]["id"]
    client.post("/v1/tickets", json={"subject": "A test", "description": "A test", "contact_id": contact})
    work(house, post)
    assert post.got == []
    (item,) = messages(house, key=house.cast.test_key)
    assert (item["status"], item["reason"]) == ("outbox", "mail of a test workspace is kept")


def test_a_notice_reaches_the_admins(house: House, post: Office) -> None:
    client = house.client(house.cast.admin)
    client.post("/v1/users", json={"name": "The Boss", "email": "boss@example.com", "role": "admin"})
    gone = {"name": "Old Boss", "email": "old@example.com", "role": "admin"}
    gone_id = client.post("/v1/users", json=gone).json()["data"]["id"]
    client.patch(f"/v1/users/{gone_id}", json={"active": False})
    subject, text = "An endpoint\r\nwas switched off", "`https://x.example` failed for **five days**."
    told = house.run(lambda tx: service.to_admins(tx, house.cast.workspace_id, subject, text))
    assert told == 1
    work(house, post)
    (mail,) = post.to("boss@example.com")
    assert mail["Subject"] == "An endpoint was switched off"
    assert "five days" in text_of(mail)
    assert "<strong>five days</strong>" in text_of(mail, "html")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert house.run(lambda tx: service.to_admins(tx, house.cast.stranger_workspace_id, subject, text)) == 0


def test_the_figures_tell_what_waits(house: House, post: Office, kept: dict[str, Any]) -> None:
    work(house, post)
    house.sql(
        "UPDATE mail_messages SET status = 'pending', next_attempt_at = now() WHERE ticket_id = %s", (kept["id"],)
    )
    house.clock.advance(seconds=90)
    for url in serve(house.database_url, house.clock):  # a process that has not told any figures yet
        told = httpx.get(f"{url}/metrics").text.splitlines()
    assert "ticketry_mail_pending 1.0" in told
    assert "ticketry_mail_oldest_pending_seconds 90.0" in told
    assert any(line.startswith('ticketry_mail_attempts_total{outcome="sent"}') for line in told)


def command(house: House, *words: str) -> str:
    result = CliRunner().invoke(app, ["mail", *words, "--database-url", house.database_url], env={})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_show_what_is_kept(house: House, kept: dict[str, Any]) -> None:
    (item,) = messages(house, ticket_id=kept["id"])
    listed = command(house, "list", "--status", "outbox", "--ticket", kept["number"]).splitlines()
    assert listed[0].split("\t") == ["id", "kind", "status", "address", "subject", "created", "reason"]
    assert listed[1].split("\t")[:4] == [item["id"], "received", "outbox", "sam@example.com"]
    shown = command(house, "show", item["id"])
    assert f"Subject: {item['subject']}\n" in shown
    assert "Auto-Submitted: auto-replied\n" in shown
    assert "Message-ID: <" in shown
    assert "Hello Sam Taylor,\n" in shown
    assert f"{item['id']}: outbox, no SMTP server is set" in shown
    wrong = CliRunner().invoke(app, ["mail", "show", "mail_none", "--database-url", house.database_url], env={})
    assert wrong.exit_code == 1
    assert "Mail not found" in wrong.output
