"""Promises over HTTP: what is stored after each change, what is shown, and what applying a policy does."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from conftest import House
from kit import close, forbidden, get, listed, missing_ticket, problem, reopen, wrong_fields

from ticketry.tickets.promises.models import ExplanationObject

from .promised import answer, apply, call, edit, explained, iso, promise, promised, replayed, told

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def replay_equals_stored(house: House) -> Iterator[None]:
    """Whatever a test does: what is stored is what the events give."""
    yield
    assert replayed(house) == []


def sla(house: House, ticket: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = get(house, ticket)["sla"]
    return found


def breached(house: House, ticket: dict[str, Any]) -> bool:
    """Whether the list shows it as breached; both filters and the ticket itself must agree."""
    client = house.client(house.cast.admin)
    found = {}
    for flag in ("true", "false"):
        page = client.get("/v1/tickets", params={"sla_breach": flag, "per_page": 100}).json()["data"]
        found[flag] = ticket["id"] in {item["id"] for item in page}
    assert found["true"] is not found["false"]
    assert sla(house, ticket)["breached"] is found["true"]
    return found["true"]


# ---- stored results


def test_a_ticket_gets_its_due_moments_when_it_is_made(house: House) -> None:
    ticket = promised(house, promise(house, 60, 480))
    assert ticket["sla"] == {
        "response_met": None,
        "resolution_met": None,
        "response_due_at": iso(house.clock() + 60 * MINUTE),
        "resolution_due_at": iso(house.clock() + 480 * MINUTE),
        "first_response_at": None,
        "breached": False,
        "paused": False,
    }


def test_each_change_that_matters_keeps_the_results_right(house: House) -> None:
    ticket = promised(house, promise(house, 60, 480))
    begun = house.clock()
    house.clock.advance(minutes=30)
    answer(house, ticket)
    assert sla(house, ticket)["response_met"] is True
    assert sla(house, ticket)["first_response_at"] == iso(house.clock())
    edit(house, ticket, status="waiting_on_customer")
    assert sla(house, ticket) | {"response_due_at": None} == sla(house, ticket) | {
        "resolution_due_at": None,
        "paused": True,
        "response_due_at": None,
    }
    house.clock.advance(minutes=100)
    call(
        house,
        "POST",
        f"/v1/tickets/{ticket['id']}/comments",
        {"body": "Here it is", "contact_id": house.cast.customer_id},
    )
    shown = sla(house, ticket)
    assert (shown["paused"], shown["resolution_due_at"]) == (False, iso(begun + 580 * MINUTE))
    edit(house, ticket, status="resolved")
    assert sla(house, ticket)["resolution_met"] is True
    closed = close(house, ticket)["sla"]
    assert (closed["response_met"], closed["resolution_met"], closed["breached"]) == (True, True, False)


def test_nothing_of_a_refused_change_is_stored(house: House) -> None:
    ticket = promised(house, promise(house, 60, 480))
    house.clock.advance(minutes=5)
    client = house.client(house.cast.admin)
    answered = client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "resolved", "assigned_to": "user_nobody"})
    assert wrong_fields(answered) == {"assigned_to"}
    assert get(house, ticket) == ticket


def test_a_combined_change_counts_the_time_before_it_first(house: House) -> None:
    policy = promise(house, None, None, targets={"1": {"resolution": 60}, "3": {"resolution": 600}})
    ticket = promised(house, policy)
    house.clock.advance(minutes=50)
    edit(house, ticket, priority=1, status="waiting_on_customer")
    house.clock.advance(minutes=500)
    edit(house, ticket, status="open")
    assert sla(house, ticket)["resolution_due_at"] == iso(house.clock() + 10 * MINUTE)
    house.clock.advance(minutes=10)
    edit(house, ticket, priority=3, status="resolved")
    assert sla(house, ticket)["resolution_met"] is True


def test_only_a_users_public_comment_is_a_response(house: House) -> None:
    """frappe/helpdesk: a status change counted as a first response spoils the figures."""
    ticket = promised(house, promise(house, 60, 480), contact_id=house.cast.customer_id)
    edit(house, ticket, status="in_progress", assigned_to=house.cast.agent_id, internal_note="I am on it.")
    answer(house, ticket, visibility="internal")
    call(house, "POST", f"/v1/tickets/{ticket['id']}/comments", {"body": "By a key"})
    answer(house, ticket, user_id=None, contact_id=house.cast.customer_id)
    assert (sla(house, ticket)["first_response_at"], sla(house, ticket)["response_met"]) == (None, None)
    house.clock.advance(minutes=60)
    path = f"/v1/tickets/{ticket['id']}/comments"
    call(house, "POST", path, {"body": "By the agent's key"}, house.cast.agent_key)
    assert (sla(house, ticket)["first_response_at"], sla(house, ticket)["response_met"]) == (iso(house.clock()), True)
    house.clock.advance(minutes=60)
    answer(house, ticket)
    assert sla(house, ticket)["first_response_at"] == iso(house.clock() - 60 * MINUTE)


def test_a_close_is_the_response_if_there_was_none(house: House) -> None:
    ticket = promised(house, promise(house, 60, 480))
    house.clock.advance(minutes=61)
    closed = close(house, ticket)["sla"]
    assert (closed["response_met"], closed["resolution_met"], closed["first_response_at"]) == (False, True, None)


# ---- in breach from the second after


@pytest.mark.parametrize("target", ["response", "resolution"])
def test_breached_from_the_second_after_without_any_job(house: House, target: str) -> None:
    """frappe/helpdesk: breaches are found by a due-time index in seconds, not by an hourly scan."""
    ticket = promised(house, promise(house, *((60, None) if target == "response" else (None, 60))))
    house.clock.advance(minutes=60)
    assert not breached(house, ticket)
    assert sla(house, ticket)[f"{target}_met"] is None
    house.clock.advance(seconds=1)
    assert breached(house, ticket)
    assert sla(house, ticket)[f"{target}_met"] is False
    assert told(house, ticket) == []


def test_a_paused_or_resting_ticket_does_not_come_into_breach(house: House) -> None:
    policy = promise(house, None, 60)
    paused, resolved, closed = (promised(house, policy) for _ in range(3))
    edit(house, paused, status="waiting_on_customer")
    edit(house, resolved, status="resolved")
    close(house, closed)
    house.clock.advance(days=30)
    assert not any(breached(house, ticket) for ticket in (paused, resolved, closed))


def test_a_third_party_pauses_by_choice(house: House) -> None:
    for choice in (True, False):
        ticket = promised(house, promise(house, None, 60, pause_on_third_party=choice))
        edit(house, ticket, status="waiting_on_third_party")
        house.clock.advance(minutes=61)
        assert breached(house, ticket) is not choice
        assert sla(house, ticket)["paused"] is choice


# ---- final at the close


def test_a_close_is_final_whatever_happens_to_its_policy(house: House) -> None:
    policy = promise(house, 60, 480)
    met, missed = promised(house, policy), promised(house, policy)
    house.clock.advance(minutes=30)
    closed = close(house, met)
    house.clock.advance(minutes=700)
    closed_late = close(house, missed)
    records = [listed(house, ticket, "resolutions") for ticket in (met, missed)]
    path = f"/v1/sla/policies/{policy['id']}"
    call(house, "PATCH", path, {"targets": {"3": {"response": 1, "resolution": 1}}, "pause_on_third_party": True})
    assert apply(house, policy)["moved"] == {"count": 0, "tickets": []}
    call(house, "PATCH", path, {"targets": {"3": {"response": 9999, "resolution": 9999}}})
    apply(house, policy)
    house.clock.advance(days=30)
    assert [get(house, ticket) for ticket in (met, missed)] == [closed, closed_late]
    assert [listed(house, ticket, "resolutions") for ticket in (met, missed)] == records
    assert records[0][0]["sla"]["resolution_met"] is True
    assert records[1][0]["sla"]["resolution_met"] is False


def test_a_reopened_ticket_may_move_and_what_its_close_decided_stays(house: House) -> None:
    policy = promise(house, 60, 480)
    ticket = promised(house, policy)
    house.clock.advance(minutes=100)
    first = close(house, ticket)["sla"]
    record = listed(house, ticket, "resolutions")
    assert (first["response_met"], first["resolution_met"]) == (False, True)
    house.clock.advance(days=1)
    reopen(house, ticket)
    house.clock.advance(minutes=50)
    call(
        house,
        "PATCH",
        f"/v1/sla/policies/{policy['id']}",
        {"targets": {"3": {"response": 999, "resolution": 120}}},
    )
    applied = apply(house, policy)
    assert applied["moved"]["tickets"] == [ticket["number"]]
    assert (applied["newly_breached"]["count"], applied["saved"]["count"]) == (0, 0)  # late with its response all along
    shown = sla(house, ticket)
    assert (shown["response_met"], shown["response_due_at"]) == (False, first["response_due_at"])
    assert shown["resolution_met"] is False
    assert listed(house, ticket, "resolutions") == record
    cycles = explained(house, ticket)["cycles"]
    assert [cycle["policy_version"] for cycle in cycles] == [1, 2]
    assert (cycles[0]["resolution"]["met"], cycles[0]["resolution"]["target_seconds"]) == (True, 480 * 60)
    assert (cycles[1]["resolution"]["met"], cycles[1]["resolution"]["target_seconds"]) == (False, 120 * 60)
    assert cycles[1]["resolution"]["elapsed_seconds"] == 150 * 60
    close(house, ticket)
    assert listed(house, ticket, "resolutions")[0] == record[0]
    assert listed(house, ticket, "resolutions")[1]["sla"]["resolution_met"] is False


# ---- explain


def sums(explanation: dict[str, Any]) -> tuple[int, int]:
    """Seconds that counted for response and resolution, over all cycles."""
    found = [interval for cycle in explanation["cycles"] for interval in cycle["intervals"]]
    first, second = (
        sum(it["seconds"] for it in found if name in it["counts_for"]) for name in ("response", "resolution")
    )
    return first, second


def a_busy_life(house: House) -> dict[str, Any]:
    """A ticket under office hours with pauses, a new priority, a close and a reopening."""
    hours = {
        "name": "Office",
        "opening_hours": 'Mo-Fr 09:00-12:00,13:00-17:00; PH off "holiday"',
        "time_zone": "Europe/Berlin",
        "country": "DE",
        "closed_days": ["2025-04-22"],
    }
    calendar = call(house, "POST", "/v1/sla/calendars", hours)
    targets = {"2": {"response": 120, "resolution": 960}, "3": {"response": 240, "resolution": 1920}}
    policy = promise(house, None, None, targets=targets, calendar_id=calendar["id"], pause_on_third_party=True)
    house.clock.now = house.clock.now.replace(year=house.clock.now.year + 1, month=4, day=1, hour=7, minute=13)
    ticket = promised(house, policy)
    for seconds, fields in (
        (7201, {"status": "open"}),
        (86_411, {"status": "waiting_on_customer", "priority": 2}),
        (99_999, {"status": "in_progress"}),
        (3_601, {"status": "waiting_on_third_party"}),
        (500_003, {"status": "open", "priority": 3}),
    ):
        house.clock.advance(seconds=seconds)
        edit(house, ticket, **fields)
    house.clock.advance(seconds=12_345)
    answer(house, ticket)
    close(house, ticket)
    house.clock.advance(days=3)
    reopen(house, ticket)
    house.clock.advance(seconds=54_321)
    return ticket


def test_the_sums_equal_the_stored_results_to_the_second(house: House) -> None:
    ticket = a_busy_life(house)
    first, second = explained(house, ticket)["cycles"]
    query = "SELECT response_spent, resolution_spent FROM tickets WHERE id = %s"
    edit(house, ticket, internal_note="The stored figures are as of the last change.")
    assert house.sql(query, (ticket["id"],)) == [sums(explained(house, ticket))]
    assert second["resolution"]["elapsed_seconds"] == sums(explained(house, ticket))[1]
    shown, record = sla(house, ticket), listed(house, ticket, "resolutions")[0]["sla"]
    assert first["resolution"]["due_at"] == record["resolution_due_at"]
    assert (first["response"]["met"], first["resolution"]["met"]) == (record["response_met"], record["resolution_met"])
    assert second["resolution"]["due_at"] == shown["resolution_due_at"]
    reasons = {interval["reason"] for cycle in (first, second) for interval in cycle["intervals"]}
    assert {"open_hours", "closed_hours", "paused", "closed"} <= reasons


def test_the_intervals_are_gapless_from_creation_on(house: House) -> None:
    ticket = a_busy_life(house)
    intervals = [interval for cycle in explained(house, ticket)["cycles"] for interval in cycle["intervals"]]
    assert intervals[0]["from"] == ticket["created_at"]
    assert intervals[-1]["to"] == iso(house.clock())
    for earlier, later in pairwise(intervals):
        assert earlier["to"] == later["from"]


def test_at_an_instant_it_shows_what_it_showed_then(house: House) -> None:
    """Taken down after each step, and asked for later: the two are the same, also after a policy was applied."""
    policy = promise(house, 60, 480)
    ticket = promised(house, policy)
    seen: dict[datetime, dict[str, Any]] = {}

    def look() -> None:
        house.clock.advance(minutes=45)
        seen[house.clock()] = explained(house, ticket)
        house.clock.advance(seconds=7)

    look()
    edit(house, ticket, status="waiting_on_customer")
    look()
    answer(house, ticket)
    look()
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {"3": {"response": 1, "resolution": 100}}})
    apply(house, policy)
    look()
    close(house, ticket)
    look()
    reopen(house, ticket)
    look()
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {"3": {"resolution": 2000}}})
    apply(house, policy)
    look()
    assert [it["policy_version"] for it in seen.values()] == [1, 1, 1, 2, 2, 2, 3]
    for at, shown in seen.items():
        assert explained(house, ticket, at) == shown


def test_an_instant_outside_the_tickets_life_is_refused(house: House) -> None:
    """Also because the years until 9999 would have to be computed."""
    ticket = promised(house, promise(house, 60, 480))
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}/sla"
    for at in ("2025-01-01T00:00:00Z", iso(house.clock() + timedelta(seconds=1)), "9999-12-31T23:59:59Z"):
        assert wrong_fields(client.get(path, params={"at": at})) == {"at"}
    for at in ("2025-01-15T09:00:00", "yesterday", ""):
        assert wrong_fields(client.get(path, params={"at": at})) == {"at"}
    assert client.get(path, params={"at": "2025-01-15T10:00:00+01:00"}).status_code in {200, 422}
    assert client.get(path, params={"at": ticket["created_at"]}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/plain", "text/plain"),
        ("TEXT/PLAIN; charset=utf-8", "text/plain"),
        ("text/plain, */*;q=0.1", "text/plain"),
        ("text/plain, application/json;q=0.5", "text/plain"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/plain;q=0.2, application/json", "application/json"),
        ("text/plain;q=0", "application/json"),
        ("text/plain;q=inf, application/json", "application/json"),
        ("", "application/json"),
    ],
)
def test_text_is_for_those_who_ask_for_it(house: House, accept: str, kind: str) -> None:
    """axios names text/plain beside JSON in every request, and must get JSON."""
    ticket = promised(house, promise(house, 60, 480))
    found = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/sla", headers={"Accept": accept})
    assert found.status_code == 200
    assert found.headers["content-type"].split(";")[0] == kind
    if kind == "text/plain":
        assert found.text.startswith("Policy promise ")
        assert "Response:   in time so far" in found.text


def test_explaining_needs_the_read_scope_and_ones_own_ticket(house: House) -> None:
    ticket = promised(house, promise(house, 60, 480))
    path = f"/v1/tickets/{ticket['id']}/sla"
    writer = call(house, "POST", "/v1/keys", {"name": "w", "scopes": ["tickets:write", "sla:read"]})["key"]
    forbidden(house.client(writer).get(path), "tickets:read")
    for key in (house.cast.stranger, house.cast.test_key):
        missing_ticket(house.client(key).get(path))
    assert explained(house, {"id": ticket["number"]}) == explained(house, ticket)


# ---- apply


@pytest.fixture
def stock(house: House) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A policy of 60 and 480 minutes and tickets of all kinds under it, 100 minutes old."""
    policy = promise(house, 60, 480)
    made = {name: promised(house, policy) for name in ("plain", "answered", "paused", "resolved", "closed", "other")}
    answer(house, made["answered"])
    edit(house, made["paused"], status="waiting_on_customer")
    edit(house, made["resolved"], status="resolved")
    close(house, made["closed"])
    edit(house, made["other"], category="something else")
    house.clock.advance(minutes=100)
    return policy, made


def stored(house: House) -> list[tuple[Any, ...]]:
    """All that applying could change."""
    return house.sql("SELECT t.* FROM tickets t ORDER BY id") + house.sql("SELECT id FROM events ORDER BY id")


def test_a_dry_run_tells_and_changes_nothing(
    house: House, stock: tuple[dict[str, Any], dict[str, dict[str, Any]]]
) -> None:
    policy, made = stock
    targets = {"3": {"response": 120, "resolution": 90}}
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": targets})
    before = stored(house)
    foreseen = apply(house, policy, dry_run=True)
    assert stored(house) == before
    numbers = {name: ticket["number"] for name, ticket in made.items()}
    assert foreseen["dry_run"] is True
    assert (foreseen["policy_id"], foreseen["version"]) == (policy["id"], 2)
    assert foreseen["moved"]["tickets"] == [numbers[name] for name in ("plain", "answered", "paused", "resolved")]
    # `plain` was late with its response and is now late with its resolution.
    assert foreseen["newly_breached"] == {"count": 1, "tickets": [numbers["answered"]]}
    assert foreseen["saved"] == {"count": 1, "tickets": [numbers["paused"]]}
    done = apply(house, policy)
    assert {**done, "dry_run": True} == foreseen
    assert [explained(house, made[name])["policy_version"] for name in numbers] == [2, 2, 2, 2, 1, 1]
    assert breached(house, made["answered"])
    assert not breached(house, made["paused"])
    events = listed(house, made["answered"], "events")
    changes = [event["data"]["changes"] for event in events if event["event_type"] == "ticket.updated"]
    assert changes == [{"sla_policy_version": {"from": 1, "to": 2}}]
    assert apply(house, policy)["moved"]["count"] == 0


def test_a_body_is_not_needed_and_checked(house: House) -> None:
    policy = promise(house, 60, 480)
    client, path = house.client(house.cast.admin), f"/v1/sla/policies/{policy['id']}/apply"
    for body in (None, {}, {"dry_run": None}, {"dry_run": False}):
        assert client.post(path, json=body).json()["data"]["dry_run"] is False
    assert wrong_fields(client.post(path, json={"dry_run": 1, "force": True})) == {"dry_run", "force"}
    problem(client.post("/v1/sla/policies/sla_nobody/apply"), 404, "not_found", "policy_not_found")


def test_applying_gives_open_tickets_the_policy_that_they_would_get_now(house: House) -> None:
    policy = promise(house, 60, 480)
    ticket = promised(house, policy)
    first = promise(house, 5, 10, position=1, conditions={"tags": [policy["name"]]})
    assert apply(house, first)["moved"]["count"] == 0
    edit(house, ticket, tags=[policy["name"]])
    assert apply(house, policy)["moved"]["count"] == 0
    assert apply(house, first)["moved"]["tickets"] == [ticket["number"]]
    assert explained(house, ticket)["policy_id"] == first["id"]
    call(house, "PATCH", f"/v1/sla/policies/{first['id']}", {"active": False})
    assert apply(house, first)["moved"]["count"] == 0
    assert apply(house, policy)["moved"]["tickets"] == [ticket["number"]]


def test_pauses_are_kept_when_a_policy_is_applied(house: House) -> None:
    policy = promise(house, None, 60)
    ticket = promised(house, policy)
    house.clock.advance(minutes=10)
    edit(house, ticket, status="waiting_on_customer")
    house.clock.advance(minutes=500)
    edit(house, ticket, status="open")
    house.clock.advance(minutes=10)
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {"3": {"resolution": 30}}})
    assert apply(house, policy)["newly_breached"]["count"] == 0
    assert sla(house, ticket)["resolution_due_at"] == iso(house.clock() + 10 * MINUTE)


def test_a_stale_reader_is_told_after_applying(house: House) -> None:
    policy = promise(house, 60, 480)
    ticket = promised(house, policy)
    client = house.client(house.cast.admin)
    etag = client.get(f"/v1/tickets/{ticket['id']}").headers["etag"]
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {}})
    apply(house, policy)
    stale = client.put(f"/v1/tickets/{ticket['id']}/close", headers={"If-Match": etag})
    problem(stale, 412, "precondition_failed", "stale_ticket")


def test_the_answer_is_as_openapi_describes_it(house: House) -> None:
    """Each object of it has the fields described, and no others."""
    shown = explained(house, a_busy_life(house))
    assert ExplanationObject.model_validate(shown).model_dump(mode="json", by_alias=True) == shown
