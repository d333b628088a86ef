"""What users of other ticket systems reported about promises, each a test here."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import House
from kit import close, get, listed, reopen, wrong_fields

from .promised import answer, auto_close, call, edit, explained, iso, promise, promised, replayed, ring, told

PACKAGE = Path(__file__).parents[2] / "ticketry"


def test_a_status_change_is_no_first_response(house: House) -> None:
    """The figures are spoilt if it is: https://github.com/frappe/helpdesk (the first response of its SLA)."""
    ticket = promised(house, promise(house, 60, 480), contact_id=house.cast.customer_id)
    for status in ("open", "in_progress", "waiting_on_customer"):
        edit(house, ticket, status=status, internal_note="Noted.")
    answer(house, ticket, user_id=None, contact_id=house.cast.customer_id)
    assert get(house, ticket)["sla"]["first_response_at"] is None
    answer(house, ticket)
    assert get(house, ticket)["sla"]["first_response_at"] == iso(house.clock())


def test_pause_time_is_set_before_the_resolution_is_computed(house: House) -> None:
    """One change ends a pause and resolves: https://github.com/frappe/helpdesk/pull/3776."""
    ticket = promised(house, promise(house, None, 60))
    house.clock.advance(minutes=50)
    edit(house, ticket, status="waiting_on_customer")
    house.clock.advance(days=7)
    assert edit(house, ticket, status="resolved", priority=2)["sla"]["resolution_met"] is True
    (cycle,) = explained(house, ticket)["cycles"]
    assert cycle["resolution"]["elapsed_seconds"] == 50 * 60


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_every_clock_stops_on_resolve(house: House, status: str) -> None:
    """https://github.com/chatwoot/chatwoot/issues/10178, https://github.com/zammad/zammad/issues/904."""
    ticket = promised(house, promise(house, 60, 120))
    house.clock.advance(minutes=30)
    edit(house, ticket, status=status)
    house.clock.advance(days=30)
    shown = get(house, ticket)["sla"]
    assert (shown["breached"], shown["resolution_met"]) == (False, True)
    assert [cycle["resolution"]["elapsed_seconds"] for cycle in explained(house, ticket)["cycles"]] == [1800]


def test_a_ticket_that_is_done_leaves_escalation(house: House) -> None:
    """https://github.com/zammad/zammad/issues/4353."""
    policy = promise(house, 60, 120, escalations=[{"on": "breach", "raise_priority": True}])
    ticket = promised(house, policy)
    close(house, ticket)
    house.clock.advance(days=30)
    ring(house)
    assert (told(house, ticket), get(house, ticket)["priority"]) == ([], 3)
    assert house.sql("SELECT next_alarm_at FROM tickets WHERE id = %s", (ticket["id"],)) == [(None,)]


def test_reopening_right_after_a_close_fires_no_overdue_alarm(house: House) -> None:
    """https://github.com/osTicket/osTicket/issues/5955."""
    ticket = promised(house, promise(house, None, 60))
    house.clock.advance(minutes=30)
    close(house, ticket)
    house.clock.advance(days=30)
    reopen(house, ticket)
    ring(house)
    assert told(house, ticket) == []
    assert get(house, ticket)["sla"]["breached"] is False


def test_what_is_due_is_found_by_an_index_and_to_the_second(house: House) -> None:
    """Not by an hourly scan of all open tickets, as https://github.com/frappe/helpdesk does."""
    ticket = promised(house, promise(house, None, 60))
    house.clock.advance(minutes=60)
    assert get(house, ticket)["sla"]["breached"] is False
    house.clock.advance(seconds=1)
    assert get(house, ticket)["sla"]["breached"] is True
    with psycopg.connect(house.database_url, options="-c enable_seqscan=off") as conn:
        query = """EXPLAIN SELECT id FROM tickets WHERE workspace_id = %s AND next_alarm_at <= %s
                   ORDER BY next_alarm_at LIMIT 200"""
        plan = str(conn.execute(query, (house.cast.workspace_id, house.clock())).fetchall())
    assert "tickets_alarm" in plan
    assert "Sort" not in plan


def test_elapsed_time_is_whole_seconds_and_rounded_nowhere(house: House) -> None:
    """https://github.com/chatwoot/chatwoot/issues/14141."""
    ticket = promised(house, promise(house, 60, 480))
    house.clock.advance(seconds=3601)
    shown = explained(house, ticket)["cycles"][0]
    assert shown["response"]["elapsed_seconds"] == 3601
    assert shown["response"]["met"] is False
    seconds = re.findall(r'"(?:seconds|\w+_seconds)": ?([^,}]+)', str(shown).replace("'", '"'))
    assert all(re.fullmatch(r"\d+|None", text) for text in seconds)
    path = f"/v1/tickets/{ticket['id']}/sla"
    text = house.client(house.cast.admin).get(path, headers={"Accept": "text/plain"}).text
    assert "1 h 1 s of 1 h spent" in text


def test_a_string_without_a_zone_neither_comes_in_nor_goes_out(house: House) -> None:
    """https://github.com/zammad/zammad/issues/2697."""
    ticket = promised(house, promise(house, 60, 480))
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}/sla"
    assert wrong_fields(client.get(path, params={"at": iso(house.clock())[:-1]})) == {"at"}
    instants = re.findall(r"\d{4}-\d\d-\d\dT[^\"]*", client.get(path).text)
    assert instants
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", instant) for instant in instants)
    lines = client.get(path, headers={"Accept": "text/plain"}).text
    assert len(re.findall(r"\d\d:\d\d:\d\d", lines)) == len(re.findall(r"\d\d:\d\d:\d\d [+-]\d{4}", lines))


def places_that_set(name: str) -> Iterator[str]:
    """The functions that change a ticket by giving this field a value."""
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) in {"change", "rules.change", "replace"}:
                        given = {it.arg for it in call.keywords if ast.unparse(it.value) != "None"}
                        if name in given:
                            yield f"{path.relative_to(PACKAGE)} {function.name}"


def test_closed_at_is_set_by_one_function_only(house: House) -> None:
    """Whichever way it closes: https://github.com/freescout-help-desk/freescout/issues/5078,
    https://github.com/zammad/zammad/issues/4198, https://github.com/osTicket/osTicket/issues/2061."""
    assert set(places_that_set("closed_at")) == {"tickets/rules.py close"}
    call(house, "PATCH", f"/v1/workspaces/{house.cast.workspace_id}", {"auto_close_days": 1})
    tickets = [promised(house, promise(house, 60, 480)) for _ in range(3)]
    by_call, by_patch, by_timer = tickets
    edit(house, by_timer, status="resolved")
    house.clock.advance(days=1)
    close(house, by_call)
    edit(house, by_patch, status="closed")
    auto_close(house)
    call(house, "PATCH", f"/v1/workspaces/{house.cast.workspace_id}", {"auto_close_days": None})
    found: list[Any] = [get(house, ticket)["closed_at"] for ticket in tickets]
    assert found == [iso(house.clock())] * 3
    for ticket in tickets:
        assert [event["event_type"] for event in listed(house, ticket, "events")].count("ticket.closed") == 1


def test_a_clock_that_runs_behind_does_not_turn_time_back(house: House) -> None:
    """Two machines never agree to the second."""
    ticket = promised(house, promise(house, 60, 480))
    house.clock.advance(minutes=30)
    edit(house, ticket, status="in_progress")
    at = house.clock()
    house.clock.now -= timedelta(seconds=20)
    edit(house, ticket, status="resolved")
    assert explained(house, ticket)["at"] == iso(at)
    house.clock.now = at
    assert get(house, ticket)["updated_at"] == iso(at)
    assert replayed(house) == []
