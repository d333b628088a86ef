"""Warnings and breaches told, what escalations do about them, and tickets that close by themselves."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import House
from kit import close, get, listed, reopen

from .promised import answer, apply, auto_close, call, edit, iso, promise, promised, replayed, ring, told

RESPONSE = [("warning", "response", 1), ("breached", "response", 1)]
RESOLUTION = [("warning", "resolution", 1), ("breached", "resolution", 1)]


@pytest.fixture(autouse=True)
def all_told_and_replay_equals_stored(house: House) -> Iterator[None]:
    """Before a test all of the others' is told; after it, what is stored is what the events give."""
    house.clock.advance(days=400)
    ring(house)
    yield
    assert replayed(house) == []


def alarm_events(house: House, ticket: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in listed(house, ticket, "events") if event["event_type"].startswith("ticket.sla_")]


# ---- when


def test_a_warning_at_four_fifths_and_a_breach_in_the_second_after(house: House) -> None:
    ticket = promised(house, promise(house, 10, 100))
    begun = house.clock()
    for seconds, expected in (
        (479, []),
        (480, RESPONSE[:1]),
        (600, RESPONSE[:1]),
        (601, RESPONSE),
        (4799, RESPONSE),
        (4800, [*RESPONSE, RESOLUTION[0]]),
        (6000, [*RESPONSE, RESOLUTION[0]]),
        (6001, [*RESPONSE, *RESOLUTION]),
        (9999, [*RESPONSE, *RESOLUTION]),
    ):
        house.clock.now = begun + timedelta(seconds=seconds)
        ring(house)
        assert told(house, ticket) == expected, seconds
    assert ring(house) == 0


def test_an_alarm_says_what_it_is_about(house: House) -> None:
    ticket = promised(house, promise(house, 10, None))
    house.clock.advance(minutes=11)
    assert ring(house) == 1
    warning, breach = alarm_events(house, ticket)
    for event in (warning, breach):
        assert event["timestamp"] == iso(house.clock())
        assert event["actor"] == {"type": "system", "id": "system", "name": "SLA"}
        assert event["data"]["target"] == "response"
        assert event["data"]["due_at"] == ticket["sla"]["response_due_at"]
        assert event["data"]["cycle"] == 1
        assert event["data"]["changes"] == {}
        assert event["data"]["ticket"] == get(house, ticket)
    assert breach["data"]["ticket"]["sla"]["breached"] is True


def test_an_alarm_is_told_in_business_time(house: House) -> None:
    hours = call(house, "POST", "/v1/sla/calendars", {"name": "Days", "opening_hours": "Mo-Su 09:00-17:00"})
    house.clock.now = house.clock.now.replace(hour=16, minute=0, second=0)
    ticket = promised(house, promise(house, None, 120, calendar_id=hours["id"]))
    house.clock.advance(hours=17, minutes=35)
    assert ring(house) == 0
    house.clock.advance(minutes=1)
    ring(house)
    assert told(house, ticket) == RESOLUTION[:1]


def test_what_was_due_while_no_worker_ran_is_told_late_and_once(house: House) -> None:
    ticket = promised(house, promise(house, 10, 100))
    house.clock.advance(days=3)
    assert ring(house) == 1
    assert sorted(told(house, ticket)) == sorted([*RESPONSE, *RESOLUTION])
    assert ring(house) == 0


def test_a_change_tells_what_was_due_before_it(house: House) -> None:
    """No worker is needed: the close, the pause or the new target cannot make an alarm be forgotten."""
    policy = promise(house, None, 60)
    made = [promised(house, policy) for _ in range(5)]
    house.clock.advance(minutes=61)
    closed, paused, resolved, raised, answered = made
    close(house, closed)
    edit(house, paused, status="waiting_on_customer")
    edit(house, resolved, status="resolved")
    edit(house, raised, internal_note="Just looking.")
    answer(house, answered)
    for ticket in made:
        assert told(house, ticket) == RESOLUTION, ticket
        types = [event["event_type"] for event in listed(house, ticket, "events")]
        assert types[1:3] == ["ticket.sla_warning", "ticket.sla_breached"]
    assert ring(house) == 3  # escalations are looked at, of what is not at rest
    assert [told(house, ticket) for ticket in made] == [RESOLUTION] * 5


def test_nothing_is_told_of_what_was_paused_resolved_or_closed_by_then(house: House) -> None:
    """chatwoot #10178, zammad #904 and #4353: what rests leaves escalation."""
    policy = promise(house, None, 100)
    made = {status: promised(house, policy) for status in ("waiting_on_customer", "resolved", "closed")}
    at_the_moment = {status: promised(house, policy) for status in made}
    house.clock.advance(minutes=79)
    for status, ticket in made.items():
        edit(house, ticket, status=status)
    house.clock.advance(minutes=1)
    for status, ticket in at_the_moment.items():
        edit(house, ticket, status=status)
    house.clock.advance(days=30)
    assert ring(house) == 0
    for ticket in (*made.values(), *at_the_moment.values()):
        assert told(house, ticket) == []


def test_an_answer_or_a_resolve_in_time_is_told_of_nothing_else(house: House) -> None:
    ticket = promised(house, promise(house, 10, 100))
    house.clock.advance(minutes=5)
    answer(house, ticket)
    house.clock.advance(minutes=70)
    edit(house, ticket, status="resolved")
    house.clock.advance(days=1)
    assert ring(house) == 0
    assert told(house, ticket) == []


def test_a_pause_puts_the_alarm_off(house: House) -> None:
    ticket = promised(house, promise(house, None, 100))
    house.clock.advance(minutes=70)
    edit(house, ticket, status="waiting_on_customer")
    house.clock.advance(minutes=500)
    edit(house, ticket, status="open")
    house.clock.advance(minutes=9)
    assert ring(house) == 0
    house.clock.advance(minutes=1)
    ring(house)
    assert told(house, ticket) == RESOLUTION[:1]
    edit(house, ticket, status="waiting_on_customer")
    house.clock.advance(minutes=500)
    edit(house, ticket, status="open")
    house.clock.advance(minutes=20)
    assert ring(house) == 0
    house.clock.advance(seconds=1)
    ring(house)
    assert told(house, ticket) == RESOLUTION


def test_the_response_is_not_paused(house: House) -> None:
    ticket = promised(house, promise(house, 10, 100))
    edit(house, ticket, status="waiting_on_customer")
    house.clock.advance(minutes=11)
    ring(house)
    assert told(house, ticket) == RESPONSE


def test_reopening_right_after_a_close_tells_nothing(house: House) -> None:
    """osTicket #5955: also of a ticket that was late already."""
    policy = promise(house, 10, 100)
    in_time, late = promised(house, policy), promised(house, policy)
    for ticket in (in_time, late):
        answer(house, ticket)
    house.clock.advance(minutes=50)
    close(house, in_time)
    house.clock.advance(minutes=100)
    close(house, late)
    assert told(house, late) == RESOLUTION
    house.clock.advance(days=10)
    for ticket in (in_time, late):
        reopen(house, ticket)
    assert ring(house) == 0
    assert get(house, late)["sla"]["breached"] is True
    assert (told(house, in_time), told(house, late)) == ([], RESOLUTION)
    house.clock.advance(minutes=51)
    ring(house)
    assert told(house, in_time) == [("warning", "resolution", 2), ("breached", "resolution", 2)]
    assert told(house, late) == RESOLUTION


def test_each_cycle_is_told_anew(house: House) -> None:
    ticket = promised(house, promise(house, None, 100))
    house.clock.advance(minutes=90)
    ring(house)
    close(house, ticket)
    reopen(house, ticket)
    house.clock.advance(minutes=11)
    ring(house)
    assert told(house, ticket) == [RESOLUTION[0], ("breached", "resolution", 2)]


def test_a_target_that_is_shorter_is_told_once_missed(house: House) -> None:
    policy = promise(house, None, None, targets={"1": {"resolution": 60}, "3": {"resolution": 600}})
    ticket = promised(house, policy)
    house.clock.advance(minutes=120)
    changed = edit(house, ticket, priority=1)
    assert (changed["sla"]["resolution_met"], changed["sla"]["resolution_due_at"]) == (False, iso(house.clock()))
    assert told(house, ticket) == []
    house.clock.advance(seconds=1)
    ring(house)
    (breach,) = alarm_events(house, ticket)
    assert (breach["event_type"], breach["data"]["due_at"]) == (
        "ticket.sla_breached",
        iso(house.clock() - timedelta(seconds=1)),
    )
    edit(house, ticket, priority=3)
    house.clock.advance(minutes=600)
    edit(house, ticket, priority=1)
    house.clock.advance(minutes=1)
    ring(house)
    assert [kind for kind, _, _ in told(house, ticket)].count("breached") == 1


@pytest.mark.parametrize("status", ["closed", "resolved", "waiting_on_customer"])
def test_a_target_missed_by_the_change_that_ends_the_work_is_not_told(house: House, status: str) -> None:
    policy = promise(house, None, None, targets={"1": {"resolution": 60}, "3": {"resolution": 600}})
    ticket = promised(house, policy)
    house.clock.advance(minutes=120)
    assert edit(house, ticket, priority=1, status=status)["sla"]["resolution_met"] is False
    house.clock.advance(minutes=1)
    assert ring(house) == 0
    assert told(house, ticket) == []
    if status == "waiting_on_customer":
        edit(house, ticket, status="open")
        house.clock.advance(minutes=1)
        assert ring(house) == 1
        assert told(house, ticket) == [("breached", "resolution", 1)]
    else:
        reopen(house, ticket)
        house.clock.advance(minutes=1)
        assert ring(house) == 0


def test_a_longer_target_puts_the_alarm_off_and_what_was_due_is_told(house: House) -> None:
    policy = promise(house, None, None, targets={"1": {"resolution": 60}, "3": {"resolution": 600}})
    early, late = promised(house, policy, priority=1), promised(house, policy, priority=1)
    due = early["sla"]["resolution_due_at"]
    house.clock.advance(minutes=30)
    edit(house, early, priority=3)
    house.clock.advance(minutes=40)
    edit(house, late, priority=3)
    assert told(house, early) == []
    assert told(house, late) == RESOLUTION
    assert {event["data"]["due_at"] for event in alarm_events(house, late)} == {due}
    assert get(house, late)["sla"]["breached"] is False


def test_without_targets_nothing_is_told(house: House) -> None:
    ticket = promised(house, promise(house, None, None))
    house.clock.advance(days=400)
    ring(house)
    assert told(house, ticket) == []


def test_applying_a_policy_tells_what_it_breaches(house: House) -> None:
    policy = promise(house, None, 600)
    running, resolved, paused = (promised(house, policy) for _ in range(3))
    house.clock.advance(minutes=120)
    edit(house, resolved, status="resolved")
    edit(house, paused, status="waiting_on_customer")
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {"3": {"resolution": 60}}})
    assert apply(house, policy)["newly_breached"]["count"] == 3
    assert ring(house) == 1
    assert told(house, running) == [("breached", "resolution", 1)]
    assert (told(house, resolved), told(house, paused)) == ([], [])
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"targets": {"3": {"resolution": 6000}}})
    assert apply(house, policy)["saved"]["count"] == 3
    house.clock.advance(days=30)
    ring(house)
    assert sorted(told(house, running)) == sorted(RESOLUTION)


def test_many_at_once_are_all_told(house: House) -> None:
    policy = promise(house, None, 10)
    made = [promised(house, policy) for _ in range(230)]
    house.clock.advance(hours=1)
    assert ring(house) == 230
    assert told(house, made[0]) == told(house, made[-1]) == RESOLUTION


def test_one_ticket_that_fails_does_not_hold_up_the_others(house: House) -> None:
    policy = promise(house, None, 10)
    broken, sound = promised(house, policy), promised(house, policy)
    house.clock.advance(hours=1)
    house.sql(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF new.ticket_id = TG_ARGV[0] THEN RAISE EXCEPTION 'broken'; END IF; RETURN new; END $$"""
    )
    house.sql(f"CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse('{broken['id']}')")
    try:
        assert ring(house) == 1
        assert told(house, sound) == RESOLUTION
    finally:
        house.sql("DROP TRIGGER refuse ON events")
        house.sql("DROP FUNCTION refuse()")
    assert ring(house) == 1
    assert told(house, broken) == RESOLUTION


def test_another_workspaces_tickets_are_told_too(house: House) -> None:
    body = {"subject": "a", "description": "b", "priority": 1}
    ticket = call(house, "POST", "/v1/tickets", body, house.cast.stranger)
    house.clock.advance(hours=2)
    ring(house)
    events = call(house, "GET", f"/v1/tickets/{ticket['id']}/events", key=house.cast.stranger)
    assert [event["event_type"] for event in events[1:]] == ["ticket.sla_warning", "ticket.sla_breached"]


# ---- escalations


def escalating(house: House, *escalations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return promise(house, None, 100, escalations=list(escalations), **fields)


def test_each_kind_of_escalation(house: House) -> None:
    everything = {
        "on": "breach",
        "raise_priority": True,
        "assign_to": house.cast.other_agent_id,
        "add_tag": "late",
        "note": "The promise is broken.",
    }
    ticket = promised(house, escalating(house, {"on": "warning", "add_tag": "soon"}, everything), tags=["vip"])
    house.clock.advance(minutes=80)
    ring(house)
    warned = get(house, ticket)
    assert (warned["tags"], warned["priority"], warned["assigned_to"]) == (["vip", "soon"], 3, None)
    house.clock.advance(minutes=21)
    ring(house)
    late = get(house, ticket)
    assert (late["tags"], late["priority"], late["status"]) == (["vip", "soon", "late"], 2, "open")
    assert late["assigned_to"] == house.cast.other_agent_id
    (note,) = call(house, "GET", f"/v1/tickets/{ticket['id']}/comments")
    assert (note["body"], note["visibility"], note["author"]["name"]) == (
        "The promise is broken.",
        "internal",
        "Escalation",
    )
    assert ring(house) == 0
    assert get(house, ticket) == late


def test_an_escalation_is_for_its_target_or_for_either(house: House) -> None:
    rules = [
        {"on": "breach", "target": "response", "add_tag": "no answer"},
        {"on": "breach", "target": "resolution", "add_tag": "no solution"},
        {"on": "breach", "add_tag": "late"},
    ]
    ticket = promised(house, promise(house, 10, 100, escalations=rules))
    house.clock.advance(minutes=11)
    ring(house)
    assert get(house, ticket)["tags"] == ["no answer", "late"]
    house.clock.advance(minutes=100)
    ring(house)
    assert get(house, ticket)["tags"] == ["no answer", "late", "no solution"]


def test_what_a_change_told_is_escalated_too(house: House) -> None:
    """Somebody touches the ticket between the breach and the timer: the escalation must not be lost."""
    ticket = promised(house, escalating(house, {"on": "breach", "add_tag": "late"}))
    house.clock.advance(minutes=101)
    edit(house, ticket, internal_note="Looking into it.")
    edit(house, ticket, status="waiting_on_customer")
    assert told(house, ticket) == RESOLUTION
    assert ring(house) == 1
    assert get(house, ticket)["tags"] == ["late"]
    assert told(house, ticket) == RESOLUTION


@pytest.mark.parametrize("ends", [close, lambda house, ticket: edit(house, ticket, status="resolved")])
def test_a_ticket_at_rest_is_not_escalated(house: House, ends: Any) -> None:
    ticket = promised(house, escalating(house, {"on": "breach", "add_tag": "late", "raise_priority": True}))
    house.clock.advance(minutes=101)
    ends(house, ticket)
    assert told(house, ticket) == RESOLUTION
    assert ring(house) == 0
    reopen(house, ticket)
    assert ring(house) == 0
    assert get(house, ticket)["tags"] == []


def test_raising_stops_at_critical(house: House) -> None:
    ticket = promised(house, escalating(house, {"on": "breach", "raise_priority": True}), priority=1)
    house.clock.advance(minutes=101)
    ring(house)
    assert get(house, ticket)["priority"] == 1


def test_raising_the_priority_may_break_the_new_promise_but_ends(house: House) -> None:
    targets = {str(priority): {"resolution": 100 * priority, "response": 50 * priority} for priority in (1, 2, 3, 4)}
    escalations = [{"on": "warning", "raise_priority": True}, {"on": "breach", "raise_priority": True}]
    ticket = promised(house, promise(house, None, None, targets=targets, escalations=escalations), priority=4)
    for _ in range(500):
        house.clock.advance(minutes=1)
        ring(house)
    assert get(house, ticket)["priority"] == 1
    assert sorted(told(house, ticket)) == sorted(set(told(house, ticket)))
    assert {("breached", "response", 1), ("breached", "resolution", 1)} <= set(told(house, ticket))


def test_somebody_who_left_is_not_given_the_ticket_and_the_rest_is_done(house: House) -> None:
    leaver = call(house, "POST", "/v1/users", {"name": "Leo", "email": "leo@example.com", "role": "agent"})["id"]
    rule = {"on": "breach", "assign_to": leaver, "add_tag": "late", "raise_priority": True, "note": "Late."}
    policy = escalating(house, rule, {"on": "breach", "assign_to": leaver})
    ticket = promised(house, policy, assigned_to=house.cast.agent_id)
    call(house, "PATCH", f"/v1/users/{leaver}", {"active": False})
    house.clock.advance(minutes=101)
    assert ring(house) == 1
    found = get(house, ticket)
    assert (found["assigned_to"], found["tags"], found["priority"]) == (house.cast.agent_id, ["late"], 2)
    assert len(call(house, "GET", f"/v1/tickets/{ticket['id']}/comments")) == 1


def test_the_escalations_are_those_of_the_version_that_the_ticket_has(house: House) -> None:
    policy = escalating(house, {"on": "breach", "add_tag": "old"})
    ticket = promised(house, policy)
    call(house, "PATCH", f"/v1/sla/policies/{policy['id']}", {"escalations": [{"on": "breach", "add_tag": "new"}]})
    house.clock.advance(minutes=101)
    ring(house)
    assert get(house, ticket)["tags"] == ["old"]


def test_a_tag_that_is_there_or_has_no_room_is_not_added(house: House) -> None:
    policy = escalating(house, {"on": "breach", "add_tag": "late"})
    there, full = promised(house, policy, tags=["late"]), promised(house, policy, tags=[str(n) for n in range(50)])
    house.clock.advance(minutes=101)
    ring(house)
    assert get(house, there)["tags"] == ["late"]
    assert len(get(house, full)["tags"]) == 50


# ---- closed by themselves


@pytest.fixture
def after_three_days(house: House) -> Iterator[None]:
    path = f"/v1/workspaces/{house.cast.workspace_id}"
    call(house, "PATCH", path, {"auto_close_days": 3})
    yield
    call(house, "PATCH", path, {"auto_close_days": None})


def resolved(house: House) -> dict[str, Any]:
    return edit(house, house.ticket(assigned_to=house.cast.agent_id), status="resolved")


def test_by_default_nothing_closes_by_itself(house: House) -> None:
    resolved(house)
    house.clock.advance(days=4000)
    assert auto_close(house) == 0


@pytest.mark.usefixtures("after_three_days")
def test_resolved_tickets_close_after_their_days_by_the_one_close(house: House) -> None:
    auto_close(house)
    ticket = resolved(house)
    at = house.clock()
    house.clock.advance(days=3, seconds=-1)
    assert auto_close(house) == 0
    house.clock.advance(seconds=1)
    assert auto_close(house) == 1
    closed = get(house, ticket)
    assert (closed["status"], closed["closed_at"], closed["resolved_at"]) == (
        "closed",
        iso(house.clock()),
        iso(house.clock()),
    )
    (record,) = listed(house, ticket, "resolutions")
    assert (record["closed_by"]["type"], record["closed_by"]["name"]) == ("system", "Auto-close")
    assert (record["resolved_at"], record["agent_id"]) == (iso(at), house.cast.agent_id)
    assert record["sla"]["resolution_met"] is True
    assert listed(house, ticket, "events")[-1]["event_type"] == "ticket.closed"
    assert auto_close(house) == 0


@pytest.mark.usefixtures("after_three_days")
def test_others_than_resolved_do_not_close_by_themselves(house: House) -> None:
    auto_close(house)
    waiting = edit(house, house.ticket(), status="waiting_on_customer")
    again = resolved(house)
    taken_back = resolved(house)
    house.clock.advance(days=2)
    reopen(house, again)
    edit(house, again, status="resolved")
    edit(house, taken_back, status="open")
    house.clock.advance(days=2)
    assert auto_close(house) == 0
    house.clock.advance(days=1)
    assert auto_close(house) == 1
    statuses = [get(house, ticket)["status"] for ticket in (waiting, again, taken_back)]
    assert statuses == ["waiting_on_customer", "closed", "open"]


@pytest.mark.usefixtures("after_three_days")
def test_a_ticket_reopened_meanwhile_is_left_alone(house: House) -> None:
    """Between the look and the close: the close is for the version that was looked at."""
    from ticketry.tickets.promises import service, store

    auto_close(house)
    ticket = resolved(house)
    house.clock.advance(days=3)
    due = house.run(lambda tx: store.long_resolved(tx, 10))
    assert [ticket_id for _, ticket_id, _ in due] == [ticket["id"]]
    reopen(house, ticket)
    edit(house, ticket, status="resolved")
    assert house.run(lambda tx: service.auto_close(tx, *due[0])) is False
    assert get(house, ticket)["status"] == "resolved"
    assert listed(house, ticket, "resolutions") == []


@pytest.mark.usefixtures("after_three_days")
def test_only_where_the_workspace_wants_it(house: House) -> None:
    ticket = call(house, "POST", "/v1/tickets", {"subject": "a", "description": "b"}, house.cast.stranger)
    call(house, "PATCH", f"/v1/tickets/{ticket['id']}", {"status": "resolved"}, house.cast.stranger)
    house.clock.advance(days=30)
    auto_close(house)
    assert call(house, "GET", f"/v1/tickets/{ticket['id']}", key=house.cast.stranger)["status"] == "resolved"
