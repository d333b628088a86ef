"""What PostgreSQL writes of a ticket is what the program writes: the items of a list are the tickets that GET shows."""

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from conftest import House
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import close, reopen

from ticketry.db.pool import compiled
from ticketry.tickets.models import TicketObject
from ticketry.tickets.search.models import TicketPage
from ticketry.tickets.written.store import TICKET_JSON

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30)
NUMBERS = st.integers(-(10**40), 10**40) | st.floats(1e-9, 1e20) | st.just(-0.0)
VALUES = st.recursive(st.none() | st.booleans() | NUMBERS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6)  # fmt: skip  # noqa: E501


def listed(house: House) -> dict[str, dict[str, Any]]:
    """The first page of the list, checked against the published model."""
    answer = house.client(house.cast.reader).get("/v1/tickets", params={"per_page": 100})
    assert answer.headers["content-type"] == "application/json"
    TicketPage.model_validate_json(answer.content)
    return {item["id"]: item for item in answer.json()["data"]}


def shown(house: House, ticket: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = house.client(house.cast.reader).get(f"/v1/tickets/{ticket['id']}").json()["data"]
    return found


def written(house: House, ticket: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The whole ticket as PostgreSQL writes it."""
    query = f"SELECT {TICKET_JSON} FROM tickets t WHERE t.workspace_id = %(ws)s AND t.id = %(id)s"
    text, places, _ = compiled(query)
    values = {"ws": house.cast.workspace_id, "id": ticket["id"], "now": now}
    with psycopg.connect(house.database_url) as conn:
        conn.execute("SET timezone = 'Asia/Tokyo'")
        row = psycopg.RawCursor(conn).execute(text, [values[str(place)] for place in places]).fetchone()  # type: ignore[arg-type]
    assert row is not None
    found: dict[str, Any] = TicketObject.model_validate_json(row[0]).model_dump(mode="json")
    assert found == json.loads(row[0])
    return found


def check(house: House, ticket: dict[str, Any]) -> None:
    expected = shown(house, ticket)
    assert written(house, ticket, house.clock()) == expected
    del expected["description"]
    item = listed(house)[ticket["id"]]
    assert item == expected
    assert list(item) == [name for name in shown(house, ticket) if name != "description"]


@pytest.mark.parametrize("priority", [1, 2, 3, 4])
def test_a_ticket_in_every_stage_of_its_life(house: House, priority: int) -> None:
    ticket = house.ticket(
        priority=priority, category="billing", contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id,
        conversation_id="conv_abc123", due_date="2025-02-28T23:59:59Z", tags=["a b", 'quo"te', "null", "{}"],
    )  # fmt: skip
    check(house, ticket)
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    for change in ({"status": "waiting_on_customer"}, {"status": "in_progress", "assigned_to": None}):
        assert client.patch(path, json=change).status_code == 200
        house.clock.advance(minutes=61)
        check(house, ticket)
    close(house, ticket, resolution_note="Done.\n\t\\", customer_satisfaction=9, resolution_time=0, root_cause="x")
    check(house, ticket)
    reopen(house, ticket)
    check(house, ticket)
    house.clock.advance(days=30)
    check(house, ticket)


@pytest.mark.parametrize("seconds", [3600, 3601, 8 * 3600, 8 * 3600 + 1])
def test_promises_are_seen_broken_in_the_second_after_they_were_due(house: House, seconds: int) -> None:
    ticket = house.ticket(priority=1)
    assert shown(house, ticket)["sla"]["breached"] is False
    house.clock.advance(seconds=seconds)
    check(house, ticket)
    assert shown(house, ticket)["sla"]["breached"] is (seconds > 3600)


def test_early_and_late_instants(house: House) -> None:
    for due in ("0001-01-01T00:00:00Z", "0987-06-05T04:03:02Z", "9999-12-31T23:59:59Z"):
        check(house, house.ticket(due_date=due))
    assert datetime(1, 1, 1, tzinfo=UTC) in {
        item.due_date
        for item in TicketPage.model_validate_json(
            house.client(house.cast.reader).get("/v1/tickets?sort_by=due_date&sort_order=asc").content
        ).data
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    subject=WORDS, category=WORDS | st.none(), tags=st.lists(WORDS, max_size=4, unique=True),
    custom_fields=st.dictionaries(WORDS, VALUES, max_size=4),
    metadata=st.dictionaries(WORDS, st.none() | st.booleans() | NUMBERS | WORDS, max_size=4),
)  # fmt: skip
def test_any_content(house: House, **fields: Any) -> None:
    check(house, house.ticket(**fields))
