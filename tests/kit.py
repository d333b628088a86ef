"""What many tests say: errors in the published shape, tables of good and bad values, bodies that are none."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from conftest import House
from psycopg.conninfo import make_conninfo

from ticketry.core.actor import system
from ticketry.db.pool import Tx
from ticketry.events import service as events
from ticketry.sla.models import DEFAULT_POLICY
from ticketry.tickets import rules, store
from ticketry.tickets.models import Status

# A crash that a test provokes is logged with a plain traceback: a rich one shows every local and takes seconds.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])

JSON = {"Content-Type": "application/json"}
TICKET_NOT_FOUND = {"error": {"type": "not_found", "message": "Ticket not found", "code": "ticket_not_found"}}
EMOJI = "😀"
BODY_LIMIT = 1_048_576
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
TICKET_FIELDS = {
    "id", "number", "subject", "description", "priority", "priority_label", "status", "category", "contact_id",
    "conversation_id", "assigned_to", "assigned_name", "due_date", "tags", "custom_fields", "metadata",
    "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time", "root_cause", "sla",
    "reopen_count", "created_at", "updated_at", "resolved_at", "closed_at",
}  # fmt: skip
SLA_FIELDS = {
    "response_met", "resolution_met", "response_due_at", "resolution_due_at", "first_response_at", "breached", "paused",
}  # fmt: skip
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check_edge(answer: httpx.Response) -> None:
    """Every answer carries a request id, the rate-limit headers and the security headers."""
    headers = answer.headers
    assert headers["x-request-id"]
    for name in RATE_HEADERS:
        assert headers[name].isdecimal(), (answer.request.url, name)
    assert {name: headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert len(headers.get_list("x-request-id")) == len(headers.get_list("x-ratelimit-limit")) == 1


def problem(answer: httpx.Response, status: int, kind: str, code: str) -> dict[str, Any]:
    """The error of an answer, which has the published shape and exactly this status, type and code."""
    told = f"{answer.request.method} {answer.request.url} -> {answer.status_code} {answer.text[:500]}"
    assert answer.status_code == status, told
    assert answer.headers["content-type"] == "application/json", told
    body = answer.json()
    assert list(body) == ["error"], told
    error: dict[str, Any] = body["error"]
    assert (error["type"], error["code"]) == (kind, code), told
    assert isinstance(error["message"], str), told
    assert error["message"], told
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    check_edge(answer)
    return error


def wrong_fields(answer: httpx.Response) -> set[str]:
    """The fields that a 422 names, each entry complete."""
    error = problem(answer, 422, "validation_error", "invalid_parameters")
    assert error["errors"]
    for entry in error["errors"]:
        assert set(entry) == {"field", "code", "message"}
        assert all(isinstance(text, str) and text for text in entry.values())
    return {entry["field"] for entry in error["errors"]}


def forbidden(answer: httpx.Response, scope: str) -> None:
    """The answer is 403 and names the scope that is missing."""
    assert problem(answer, 403, "permission_error", "insufficient_scope")["required_scope"] == scope


def missing_ticket(answer: httpx.Response) -> None:
    """The published 404, to the letter: no extras."""
    problem(answer, 404, "not_found", "ticket_not_found")
    assert answer.json() == TICKET_NOT_FOUND


def fresh_database(server_url: str) -> str:
    """The URL of a new copy of the migrated template, beside the one of the module."""
    name = f"extra_{uuid.uuid4().hex}"
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE ticketry")  # type: ignore[arg-type]
    return make_conninfo(server_url, dbname=name)


def raw(value: Any) -> str:
    """JSON text in ASCII, so that it may hold lone surrogates."""
    return json.dumps(value)


def mint(house: House, *scopes: str, **fields: Any) -> str:
    """A new key of the home workspace with just these scopes."""
    body = {"name": "+".join(scopes), "scopes": list(scopes), **fields}
    answer = house.client(house.cast.admin).post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["data"]["key"]
    return secret


def close(house: House, ticket: dict[str, Any], **body: Any) -> dict[str, Any]:
    """The ticket closed."""
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", json=body)
    assert answer.status_code == 200, answer.text
    closed: dict[str, Any] = answer.json()["data"]
    return closed


def reopen(house: House, ticket: dict[str, Any], **body: Any) -> dict[str, Any]:
    """The ticket reopened."""
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/reopen", json=body)
    assert answer.status_code == 200, answer.text
    reopened: dict[str, Any] = answer.json()["data"]
    return reopened


def get(house: House, ticket: dict[str, Any]) -> dict[str, Any]:
    """The ticket as it stands."""
    answer = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def listed(house: House, ticket: dict[str, Any], what: str) -> list[dict[str, Any]]:
    """All `resolutions` or `events` of a ticket."""
    answer = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/{what}", params={"per_page": 100})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["meta"]["total"] == len(body["data"])
    items: list[dict[str, Any]] = body["data"]
    return items


def force_status(house: House, ticket: dict[str, Any], status: Status) -> None:
    """Moves a ticket into a state that no call of this capability leads to, its clock and history with it."""

    async def move(tx: Tx) -> None:
        old = await store.get(tx, house.cast.workspace_id, ticket["id"])
        assert old is not None
        if old.status == status:
            return
        resolved_at = tx.now if status == "resolved" else None
        new = rules.change(old, DEFAULT_POLICY, tx.now, status=status, resolved_at=resolved_at)
        actor = system(house.cast.workspace_id)
        as_json = rules.as_json(new, tx.now)
        changes = rules.history(old, new)
        fact = events.fact("ticket.status_changed", actor, new.id, tx.now, as_json, changes=changes)
        assert await store.change(tx, old, rules.columns_changed(old, new), [fact])

    house.run(move)


def stored(house: House) -> dict[str, int]:
    """How many rows each table of the tickets room holds, and the sum of all versions."""
    counts = {table: house.sql(f"SELECT count(*) FROM {table}")[0][0] for table in ("tickets", "resolutions", "events")}
    return {**counts, "versions": house.sql("SELECT coalesce(sum(version), 0) FROM tickets")[0][0]}


def complete_ticket(ticket: dict[str, Any]) -> None:
    """A ticket object holds every published field and speaks of instants in one way."""
    assert set(ticket) >= TICKET_FIELDS
    assert set(ticket["sla"]) >= SLA_FIELDS
    for name in ("created_at", "updated_at", "resolved_at", "closed_at", "due_date"):
        assert ticket[name] is None or _INSTANT.fullmatch(ticket[name]), (name, ticket[name])
    for name in ("response_due_at", "resolution_due_at", "first_response_at"):
        assert ticket["sla"][name] is None or _INSTANT.fullmatch(ticket["sla"][name])


def in_chunks(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    """The content in pieces: a client that is given an iterator sends it chunked, without a Content-Length."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


BODIES_THAT_ARE_NO_JSON = [
    pytest.param(b"{", id="unfinished"),
    pytest.param(b"{'a': 1}", id="single quotes"),
    pytest.param(b'{"a": 1,}', id="trailing comma"),
    pytest.param(b"{} {}", id="two values"),
    pytest.param(b"subject=a", id="form"),
    pytest.param(b'{"a": NaN}', id="NaN"),
    pytest.param(b'{"a": Infinity}', id="Infinity"),
    pytest.param(b'{"a": -Infinity}', id="-Infinity"),
    pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
    pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b"[" * 100_000, id="deep and unfinished"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep"),
    pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep objects"),
    pytest.param(b" ", id="blank"),
    pytest.param(b"\x00", id="NUL"),
]
BODIES_THAT_ARE_NO_OBJECT = [
    pytest.param(b"[]", id="array"),
    pytest.param(b'[{"resolution_note": "x"}]', id="array of objects"),
    pytest.param(b'"text"', id="string"),
    pytest.param(b"1", id="number"),
    pytest.param(b"true", id="true"),
]
OTHER_MEDIA_TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a", ""]


def strings_between(minimum: int, maximum: int) -> tuple[list[str], list[Any]]:
    """Values that a string of these lengths accepts, and values that it refuses."""
    good = ["x" * maximum, EMOJI * maximum, "x" * max(minimum, 1), "e\u0301", "\n\t\u2028", '<b>"&amp;</b>']
    bad = [
        "x" * (maximum + 1),
        EMOJI * (maximum + 1),
        1,
        1.5,
        True,
        [],
        ["x"],
        {},
        "a\x00b",
        "\x00",
        "\ud800",
        "a\udfff",
    ]
    return ([*good, ""], bad) if minimum == 0 else (good, [*bad, ""])


def integers_between(minimum: int, maximum: int) -> tuple[list[int], list[Any]]:
    """Values that an integer in these bounds accepts, and values that it refuses."""
    wrong = [minimum - 1, maximum + 1, -1, 1.5, 9.5, 9.0, "9", "", True, False, [], [9], {}, 10**30, -(10**30), 2**63]
    return [minimum, maximum], [value for value in wrong if value is not minimum]
