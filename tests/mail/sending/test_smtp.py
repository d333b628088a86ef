"""Handing mail to an SMTP server: encrypted or not, signed in or not, and every way in which it can go wrong."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from conftest import House
from mail.sending.post import SENDER, Answer, Office, free_port, hang, hang_up, message, messages, office, work

from ticketry.mail.sending import jobs, rules, service
from ticketry.settings import load
from ticketry.web.resources import make_resources

SAM = "sam@example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, path


@pytest.fixture
def context(authority: tuple[trustme.CA, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture(autouse=True)
def nothing_due(house: House) -> Iterator[None]:
    """Each test begins and ends without mail that waits."""
    yield
    house.sql("UPDATE mail_messages SET status = 'skipped', next_attempt_at = NULL WHERE status = 'pending'")
    house.clock.advance(hours=2)


def one_mail(house: House) -> None:
    """Something for Sam to hear."""
    ticket = house.ticket()
    house.client(house.cast.admin).patch(f"/v1/tickets/{ticket['id']}", json={"contact_id": house.cast.customer_id})
    answer = house.client(house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Done.\n.\nBye"})
    assert answer.status_code == 201


def round_of(house: House, post: Office, lanes: int = jobs.LANES) -> tuple[int, bool]:
    """One round of sending."""

    async def inside() -> tuple[int, bool]:
        resources = make_resources(load({"database_url": house.database_url, **post.settings}, {}), house.clock)
        async with resources.pool:
            return await jobs.send_due(resources.pool, house.clock, resources.settings, lanes)

    return asyncio.run(inside())


def newest(house: House) -> dict[str, Any]:
    return message(house, messages(house)[-1]["id"])


def test_plain(house: House, post: Office) -> None:
    one_mail(house)
    work(house, post)
    assert [(sender, to) for sender, to, _ in post.got] == [(SENDER, [SAM])]
    mail = newest(house)
    assert mail["status"] == "sent"
    assert mail["reason"] is None
    (attempt,) = mail["tries"]
    assert (attempt["outcome"], attempt["code"], attempt["words"]) == ("sent", 250, "Accepted as 4711")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_encrypted_and_signed_in(
    house: House, context: ssl.SSLContext, authority: tuple[trustme.CA, Path], tls: str
) -> None:
    one_mail(house)
    with office(tls, context, login="sesame") as post:
        work(house, post, smtp_ca_file=str(authority[1]), smtp_user="robot", smtp_password="sesame")
        assert post.secured == [True]
        assert post.logins
        assert set(post.logins) == {b"robot"}
    assert newest(house)["status"] == "sent"


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_stranger_with_a_certificate_of_his_own_gets_nothing(house: House, context: ssl.SSLContext, tls: str) -> None:
    one_mail(house)
    with office(tls, context, login="sesame") as post:
        work(house, post, smtp_user="robot", smtp_password="sesame")
        assert (post.got, post.logins) == ([], [])
    mail = newest(house)
    assert mail["status"] == "pending"
    assert "certificate" in mail["tries"][0]["words"].lower()


def test_encryption_that_the_server_does_not_offer_is_not_left_out(house: House, post: Office) -> None:
    one_mail(house)
    work(house, post, smtp_tls="starttls", smtp_user="robot", smtp_password="sesame")
    assert (post.got, post.logins) == ([], [])
    assert "STARTTLS" in newest(house)["tries"][0]["words"]


def test_a_wrong_password_is_ours_to_mend(
    house: House, context: ssl.SSLContext, authority: tuple[trustme.CA, Path]
) -> None:
    """The mail is not to blame: it waits until somebody has mended the settings."""
    one_mail(house)
    with office("starttls", context, login="sesame") as post:
        work(house, post, smtp_ca_file=str(authority[1]), smtp_user="robot", smtp_password="wrong")
        assert post.got == []
        mail = newest(house)
        assert (mail["status"], mail["tries"][0]["code"]) == ("pending", 535)
        house.clock.advance(minutes=2)
        work(house, post, smtp_ca_file=str(authority[1]), smtp_user="robot", smtp_password="sesame")
        assert len(post.got) == 1
    assert newest(house)["status"] == "sent"


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_a_permanent_refusal_fails_at_once_with_the_servers_words(house: House, post: Office, command: str) -> None:
    one_mail(house)
    post.answers = {command: ["550 5.1.1 No such person here"]}
    work(house, post)
    mail = newest(house)
    assert (mail["status"], mail["reason"]) == ("failed", "5.1.1 No such person here")
    assert [(one["outcome"], one["code"]) for one in mail["tries"]] == [("failed", 550)]
    house.clock.advance(days=1)
    work(house, post)
    assert post.got == []


@pytest.mark.parametrize(
    ("command", "answer", "tried"),
    [
        ("MAIL", "553 5.7.1 You may not send as this sender", 1),
        ("MAIL", "550 No", 1),
        ("DATA", "550 5.4.5 Daily sending limit exceeded", 1),
        ("DATA", "550 5.7.60 Client does not have permission to send as this sender", 5),
    ],
)
def test_what_is_for_us_to_mend_costs_no_mail(
    house: House, post: Office, command: str, answer: str, tried: int
) -> None:
    """And where no mail would fare better, the others are not tried."""
    for _ in range(5):
        one_mail(house)
    work(house)
    house.sql("UPDATE mail_messages SET status = 'skipped' WHERE status = 'outbox' AND kind <> 'replied'")
    house.sql(
        "UPDATE mail_messages SET status = 'pending', next_attempt_at = %s WHERE status = 'outbox'", (house.clock(),)
    )
    post.answers = {command: [answer] * 5}
    assert round_of(house, post, lanes=1) == (tried, tried == 5)
    house.clock.advance(minutes=2)
    post.answers = {}
    work(house, post)
    assert len(post.got) == 5


def test_a_sender_that_one_workspace_has_set_stops_no_other(house: House, post: Office) -> None:
    house.client(house.cast.admin).put("/v1/mail/settings", json={"sender_address": "help@globex.example"})
    try:
        one_mail(house)
        work(house)
        house.sql(
            "UPDATE mail_messages SET status = 'pending', next_attempt_at = %s WHERE id = %s",
            (house.clock(), newest(house)["id"]),
        )
        post.answers = {"MAIL": ["553 5.1.8 Not yours"]}
        assert round_of(house, post) == (1, True)
        assert newest(house)["status"] == "pending"
    finally:
        house.client(house.cast.admin).put("/v1/mail/settings", json={"sender_address": None})


def test_a_server_that_cannot_be_worked_with_is_left_alone_ever_longer() -> None:
    pauses = [rules.LOOK]
    while pauses[-1] < rules.LONGEST_PAUSE:
        pauses.append(rules.pause(pauses[-1], healthy=False))
        assert pauses[-1] > pauses[-2]
    assert len(pauses) < 12
    assert rules.pause(pauses[-1], healthy=False) == rules.LONGEST_PAUSE
    assert rules.pause(pauses[-1], healthy=True) == rules.LOOK


def test_the_worker_asks_a_sick_server_rarely(house: House, post: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail that comes all the time does not hammer a server that refuses us."""
    monkeypatch.setattr(rules, "LOOK", 0.05)
    for _ in range(12):
        one_mail(house)
    work(house)
    house.sql(
        "UPDATE mail_messages SET status = 'pending', next_attempt_at = %s WHERE status = 'outbox'", (house.clock(),)
    )
    post.answers = {"MAIL": ["535 5.7.8 Who are you?"] * 50}

    async def inside() -> None:
        resources = make_resources(load({"database_url": house.database_url, **post.settings}, {}), house.clock)
        async with resources.pool:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(jobs.deliver(resources), 1)

    asyncio.run(inside())
    # Four at once, then one after 0.1, 0.2 and 0.4 seconds.
    assert 50 - len(post.answers["MAIL"]) <= 4 + 3


@pytest.mark.parametrize(
    ("command", "code", "words", "verdict"),
    [
        ("RCPT", 550, "5.1.1 No such user", (False, True)),
        ("RCPT", 550, "No such user", (False, True)),
        ("RCPT", 550, "5.4.1 Recipient address rejected: Access denied", (False, True)),
        ("RCPT", 554, "5.7.1 <a@b.example>: Recipient address rejected: Access denied", (False, True)),
        ("RCPT", 554, "5.7.1 <a@b.example>: Relay access denied", (True, True)),
        ("RCPT", 550, "Relaying denied", (True, True)),
        ("RCPT", 550, "5.7.1 Client host blocked", (True, True)),
        ("RCPT", 553, "5.1.8 Sender address rejected", (True, True)),
        ("RCPT", 530, "5.7.0 Authentication required", (True, False)),
        ("RCPT", 550, "5.4.5 Daily limit exceeded", (True, False)),
        ("MAIL", 552, "5.3.4 Message too big", (False, True)),
        ("MAIL", 552, "Message too big", (False, True)),
        ("MAIL", 553, "5.1.7 Bad sender", (True, False)),
        ("DATA", 554, "5.6.0 Malformed", (False, True)),
        ("DATA", 554, "Transaction failed", (False, True)),
        ("DATA", 554, "5.7.1 Rejected as spam", (False, True)),
        ("DATA", 554, "5.3.0 Out of order", (True, False)),
        ("DATA", 450, "4.2.0 Greylisted", (True, True)),
        ("DATA", 421, "4.3.2 Shutting down", (True, False)),
    ],
)
def test_what_a_refusal_means(command: str, code: int, words: str, verdict: tuple[bool, bool]) -> None:
    assert rules.refusal(command, code, words) == verdict


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_temporary_refusal_is_tried_again(house: House, post: Office, command: str) -> None:
    one_mail(house)
    post.answers = {command: ["451 4.7.1 Greylisted"]}
    work(house, post)
    mail = newest(house)
    assert (mail["status"], mail["tries"][0]["outcome"], mail["tries"][0]["code"]) == ("pending", "deferred", 451)
    work(house, post)
    assert post.got == []
    house.clock.advance(seconds=70)
    work(house, post)
    assert len(post.got) == 1
    assert [one["outcome"] for one in newest(house)["tries"]] == ["deferred", "sent"]


@pytest.mark.parametrize("trouble", [hang_up, hang], ids=["drops the connection", "hangs"])
@pytest.mark.parametrize("command", ["MAIL", "DATA"])
def test_a_server_that_breaks_off_is_tried_again(house: House, post: Office, command: str, trouble: Answer) -> None:
    one_mail(house)
    post.answers = {command: [trouble]}
    work(house, post, smtp_timeout=1)
    mail = newest(house)
    assert (mail["status"], mail["tries"][0]["outcome"]) == ("pending", "deferred")
    house.clock.advance(seconds=70)
    work(house, post)
    assert newest(house)["status"] == "sent"


def test_every_attempt_sends_the_same(house: House, post: Office) -> None:
    """A mail that was taken although nobody heard it is recognised as a double by its Message-ID."""

    async def take_and_hang_up(server: Any) -> str:
        post.got.append(("", [], server.envelope.original_content))
        return await hang_up(server)

    one_mail(house)
    post.answers = {"DATA": [take_and_hang_up]}
    work(house, post)
    house.clock.advance(minutes=2)
    work(house, post)
    (_, _, first), (_, _, second) = post.got
    assert first == second


def test_nobody_listens(house: House) -> None:
    one_mail(house)
    settings = {"smtp_host": "127.0.0.1", "smtp_port": free_port(), "smtp_tls": "none", "mail_sender": SENDER}
    work(house, **settings)
    mail = newest(house)
    assert mail["status"] == "pending"
    assert "connect" in mail["tries"][0]["words"].lower()


def test_it_ends_after_three_days(house: House) -> None:
    one_mail(house)
    settings = {"smtp_host": "127.0.0.1", "smtp_port": free_port(), "smtp_tls": "none", "mail_sender": SENDER}
    began = house.clock()
    work(house, **settings)
    while messages(house)[-1]["status"] == "pending":
        work(house, **settings)
        if due := messages(house)[-1]["next_attempt_at"]:
            house.clock.now = max(house.clock.now, house.clock.now.fromisoformat(due))
    mail = newest(house)
    assert mail["status"] == "failed"
    assert len(mail["tries"]) == 13
    assert 2.7 <= (house.clock() - began).total_seconds() / 86_400 <= 3.3


def test_one_bad_address_does_not_hold_up_the_others(house: House, post: Office) -> None:
    for _ in range(3):
        one_mail(house)
    post.answers = {"RCPT": ["550 no", "451 later"]}
    work(house, post)
    assert len(post.got) == 1


def test_a_mail_is_taken_by_one_worker_at_a_time(house: House, post: Office) -> None:
    """The lease of one that died runs out, and then the mail is sent. It goes by the database's clock alone."""
    one_mail(house)
    work(house, smtp_host="127.0.0.1", smtp_port=free_port(), smtp_tls="none", mail_sender=SENDER)
    house.clock.advance(minutes=2)
    lease = "UPDATE mail_messages SET attempts = attempts + 1, leased_until = now() + %s WHERE status = 'pending'"
    house.sql(lease, (timedelta(minutes=3),))
    house.clock.advance(hours=2)
    work(house, post)
    assert post.got == []
    house.sql(lease, (timedelta(seconds=-1),))
    work(house, post)
    assert len(post.got) == 1


def test_a_mail_that_kills_its_process_again_and_again_is_given_up(house: House, post: Office) -> None:
    one_mail(house)
    work(house)
    house.sql(
        """UPDATE mail_messages SET status = 'pending', attempts = 100, next_attempt_at = %s WHERE status = 'outbox'
           AND id = %s""",
        (house.clock(), newest(house)["id"]),
    )
    work(house, post)
    mail = newest(house)
    assert (mail["status"], mail["reason"]) == ("failed", "given up: no attempt came to its end")
    assert post.got == []


def test_several_workers_send_each_mail_once(house: House, post: Office) -> None:
    for _ in range(25):
        one_mail(house)
    work(house)  # plans, and keeps
    house.sql(
        "UPDATE mail_messages SET status = 'pending', next_attempt_at = %s WHERE status = 'outbox'", (house.clock(),)
    )

    async def inside() -> None:
        resources = make_resources(load({"database_url": house.database_url, **post.settings}, {}), house.clock)
        async with resources.pool:
            one = [jobs.send_due(resources.pool, house.clock, resources.settings) for _ in range(3)]
            assert sum(tried for tried, _ in await asyncio.gather(*one)) == len(post.got)

    asyncio.run(inside())
    ids = [str(mail["Message-ID"]) for mail in post.mails()]
    assert len(ids) >= 20
    assert len(set(ids)) == len(ids)


def test_who_is_asked_to_end_hears_the_servers_answer_first(house: House, post: Office) -> None:
    """A worker that is stopped while the server thinks would send the mail a second time after its next start."""
    asked = threading.Event()

    async def think(server: Any) -> str:
        asked.set()
        await asyncio.sleep(1)
        return ""

    one_mail(house)
    work(house)
    house.sql(
        "UPDATE mail_messages SET status = 'pending', next_attempt_at = %s WHERE status = 'outbox'", (house.clock(),)
    )
    post.answers = {"DATA": [think]}

    async def inside() -> None:
        resources = make_resources(load({"database_url": house.database_url, **post.settings}, {}), house.clock)
        async with resources.pool:
            sending = asyncio.create_task(jobs.send_due(resources.pool, house.clock, resources.settings))
            await asyncio.to_thread(asked.wait, 10)
            sending.cancel()
            await asyncio.wait({sending})
            assert sending.cancelled()

    asyncio.run(inside())
    assert newest(house)["status"] == "sent"


@pytest.mark.parametrize("again", [False, True], ids=["tried again", "asked for again"])
def test_a_ticket_that_has_another_customer_by_now_is_not_told_to_the_first(
    house: House, post: Office, again: bool
) -> None:
    one_mail(house)
    post.answers = {} if again else {"RCPT": ["451 later"] * 3}
    work(house, post)
    post.clear()
    mail = newest(house)
    client = house.client(house.cast.admin)
    assert client.patch(f"/v1/tickets/{mail['ticket_id']}", json={"contact_id": None}).status_code == 200
    if again:
        house.run(lambda tx: service.send_again(tx, house.cast.workspace_id, mail["id"], smtp=True))
    house.clock.advance(minutes=3)
    work(house, post)
    assert post.got == []
    mail = message(house, mail["id"])
    assert (mail["status"], mail["reason"]) == ("skipped", "the ticket is no longer this customer's")


def test_a_mail_that_is_tried_again_goes_to_the_address_of_now(house: House, post: Office) -> None:
    one_mail(house)
    post.answers = {"RCPT": ["451 later"] * 3}
    work(house, post)
    client = house.client(house.cast.admin)
    contact = f"/v1/contacts/{house.cast.customer_id}"
    client.patch(contact, json={"email": "new@example.com"})
    try:
        post.clear()
        house.clock.advance(minutes=3)
        work(house, post)
        assert {to for _, [to], _ in post.got} == {"new@example.com"}
    finally:
        client.patch(contact, json={"email": SAM})


def test_mails_that_ended_long_ago_are_forgotten_and_the_outbox_is_kept(house: House, post: Office) -> None:
    one_mail(house)
    work(house)  # into the outbox
    kept = newest(house)["id"]
    one_mail(house)
    work(house, post)
    sent = newest(house)["id"]

    def purge(days: int) -> int:
        async def inside() -> int:
            settings = load({"database_url": house.database_url, "mail_sent_keep_days": days}, {})
            resources = make_resources(settings, house.clock)
            async with resources.pool:
                return await jobs.purge(resources.pool, house.clock, resources.settings)

        return asyncio.run(inside())

    house.clock.advance(days=10)
    purge(days=11)
    assert message(house, sent)["tries"]
    assert purge(days=9) > 0
    assert house.client(house.cast.admin).get(f"/v1/mail/messages/{sent}").status_code == 404
    assert message(house, kept)["status"] == "outbox"
