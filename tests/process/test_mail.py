"""Mail with real processes: a newcomer sees it without an SMTP server, and none is lost when a server is killed."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mail.sending.post import Office, office
from process.program import embedded_url, eventually, ticketry

pytestmark = pytest.mark.process


def ticket_of_a_customer(client: Any, subject: str, email: str) -> str:
    contact = client.post("/v1/contacts", json={"name": "Sam Taylor", "email": email}).json()["data"]["id"]
    body = {"subject": subject, "description": "Please help.", "contact_id": contact}
    answer = client.post("/v1/tickets", json=body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["data"]["id"]
    return found


def test_a_newcomer_sees_the_mail_of_a_close(start: Any, folder: Path) -> None:
    data = str(folder / "data")
    server = start("--data-dir", data).ready()
    with server.client(server.key()) as client:
        ticket = ticket_of_a_customer(client, "Refund not received", "sam@example.com")
        closed = client.put(f"/v1/tickets/{ticket}/close", json={"resolution_note": "Refund processed."})
        assert closed.status_code == 200

    def listed() -> list[list[str]]:
        done = ticketry("mail", "list", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()[1:]]

    assert eventually(lambda: [row[1:3] for row in listed()] == [["received", "outbox"], ["resolved", "outbox"]], 20)
    row = listed()[-1]
    assert row[3:5] == ["sam@example.com", "[TICK-1] Solved: Refund not received"]
    shown = ticketry("mail", "show", row[0], "--data-dir", data)
    assert shown.returncode == 0
    assert 'To: "Sam Taylor" <sam@example.com>' in shown.stdout
    assert "Refund processed." in shown.stdout
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
    assert "rror" not in server.told().replace("system_error", "")


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An SMTP server that the started processes send through."""
    with office() as one:
        yield one


def environment_of(post: Office) -> dict[str, str]:
    return {f"TICKETRY_{name.upper()}": str(value) for name, value in post.settings.items()}


def test_no_mail_is_lost_when_the_server_is_killed(
    start: Any, folder: Path, post: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while tickets are opened and mail is sent: what was answered with 201 is mailed after the next start."""
    monkeypatch.setattr("process.program.environment", lambda: {**os.environ, **environment_of(post)})
    data = str(folder / "data")
    server = start("--data-dir", data).ready()
    key = server.key()
    wanted = set()
    with server.client(key) as client:
        for n in range(40):
            address = f"customer{n}@example.com"
            ticket_of_a_customer(client, f"Matter {n}", address)
            wanted.add(address)
            if n == 20:
                assert eventually(lambda: len(post.got) > 2, 20)
    server.signal(signal.SIGKILL)
    server.process.wait(20)
    got_before = len(post.got)
    time.sleep(0.5)
    server = start("--data-dir", data).ready()
    # What was in the air at the kill is leased to the dead process, for longer than a test may wait.
    with psycopg.connect(embedded_url(folder / "data"), autocommit=True) as conn:
        conn.execute("UPDATE mail_messages SET leased_until = now() WHERE status = 'pending' AND attempts > 0")
    assert eventually(lambda: {to[0] for _, to, _ in post.got} == wanted, 30), got_before
    by_address: dict[str, set[str]] = {}
    for mail, (_, to, _) in zip(post.mails(), post.got, strict=True):
        by_address.setdefault(to[0], set()).add(str(mail["Message-ID"]))
    assert {len(ids) for ids in by_address.values()} == {1}  # a double would have the same Message-ID
    assert len(post.got) <= len(wanted) + 4  # one for each connection at the most
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
