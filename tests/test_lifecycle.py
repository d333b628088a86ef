"""The life of a ticket under any sequence of calls: what must hold, holds after every step."""

import itertools
from datetime import datetime
from typing import Any

import httpx
from conftest import House
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kit import complete_ticket, force_status, problem

MOVES = ("open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "resolved")
ACTIVE = ("new", "open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "reopened")
RECORD = ("resolution_note", "customer_satisfaction", "resolution_time", "root_cause")

storable = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
records = st.fixed_dictionaries(
    {},
    optional={
        "resolution_note": st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50),
        "customer_satisfaction": st.none() | st.integers(1, 10),
        "resolution_time": st.none() | st.integers(0, 5_256_000),
        "root_cause": st.none() | st.sampled_from(["bug", "System Error", "x" * 100]),
    },
)
seconds = st.integers(0, 5 * 86_400) | st.sampled_from([0, 1, 3600, 8 * 3600, 24 * 3600, 72 * 3600])


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Life(RuleBasedStateMachine):
    """One ticket, worked on over HTTP."""

    house: House

    def __init__(self) -> None:
        super().__init__()
        self.client = self.house.client(self.house.cast.admin)
        self.resolutions: list[dict[str, Any]] = []
        self.reopened = 0
        self.changes = 1
        self.status = "new"
        self.was_resolved = False

    @initialize(
        priority=st.integers(1, 4), status=st.sampled_from(["new", "open", "in_progress"]), assigned=st.booleans()
    )
    def create(self, priority: int, status: str, assigned: bool) -> None:
        agent = self.house.cast.agent_id if assigned else None
        self.ticket = self.house.ticket(priority=priority, status=status, assigned_to=agent)
        self.path = f"/v1/tickets/{self.ticket['id']}"
        self.status = "open" if assigned and status == "new" else status
        self.changes += assigned

    def read(self, path: str = "") -> Any:
        answer = self.client.get(self.path + path, params={"per_page": 100} if path else None)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def refused(self, answer: httpx.Response, code: str) -> None:
        before = self.ticket
        problem(answer, 409, "conflict", code)
        assert {**self.read(), "sla": None} == {**before, "sla": None}

    @rule(by=seconds)
    def wait(self, by: int) -> None:
        self.house.clock.advance(seconds=by)

    @precondition(lambda self: self.status != "closed")
    @rule(record=records)
    def close(self, record: dict[str, Any]) -> None:
        answer = self.client.put(f"{self.path}/close", json=record)
        assert answer.status_code == 200, answer.text
        self.ticket, self.status = answer.json()["data"], "closed"
        self.changes += 1
        assert {name: self.ticket[name] for name in RECORD} == {name: record.get(name) for name in RECORD}
        assert self.ticket["closed_at"] == self.ticket["resolved_at"] == iso(self.house.clock())
        (*earlier, latest) = self.read("/resolutions")
        assert earlier == self.resolutions
        assert {name: latest[name] for name in RECORD} == {name: self.ticket[name] for name in RECORD}
        assert latest["sla"]["resolution_met"] is self.ticket["sla"]["resolution_met"]
        self.resolutions.append(latest)

    @precondition(lambda self: self.status == "closed")
    @rule(record=records)
    def close_again(self, record: dict[str, Any]) -> None:
        self.refused(self.client.put(f"{self.path}/close", json=record), "ticket_already_closed")

    @precondition(lambda self: self.status in {"closed", "resolved"})
    @rule(reason=st.none() | st.just("It came back."))
    def reopen(self, reason: str | None) -> None:
        answer = self.client.put(f"{self.path}/reopen", json={"reason": reason})
        assert answer.status_code == 200, answer.text
        self.ticket, self.status = answer.json()["data"], "reopened"
        self.was_resolved = False
        self.reopened += 1
        self.changes += 1

    @precondition(lambda self: self.status in ACTIVE)
    @rule()
    def reopen_what_is_open(self) -> None:
        self.refused(self.client.put(f"{self.path}/reopen"), "ticket_not_closed")

    @precondition(lambda self: self.status != "closed")
    @rule(to=st.sampled_from(MOVES))
    def move(self, to: Any) -> None:
        self.changes += self.status != to
        force_status(self.house, self.ticket, to)
        self.ticket, self.status = self.read(), to
        self.was_resolved |= to == "resolved"

    @invariant()
    def the_ticket_is_whole(self) -> None:
        ticket = self.read()
        complete_ticket(ticket)
        assert ticket["status"] == self.status
        assert (ticket["closed_at"] is not None) == (ticket["status"] == "closed")
        assert (ticket["resolved_at"] is not None) == (ticket["status"] in {"resolved", "closed"})
        assert ticket["reopen_count"] == self.reopened
        assert ticket["created_at"] <= ticket["updated_at"] <= iso(self.house.clock())
        assert (ticket["customer_satisfaction"] is None) == (ticket["satisfaction_source"] is None)
        if ticket["status"] != "closed":
            assert {ticket[name] for name in RECORD} == {None}
        assert {**ticket, "sla": None} == {**self.ticket, "sla": None}

    @invariant()
    def sla_results_are_booleans_and_final_once_closed(self) -> None:
        sla = self.read()["sla"]
        if self.status == "closed":
            assert sla == self.ticket["sla"]
            assert None not in (sla["response_met"], sla["resolution_met"])
            assert sla["breached"] is (False in (sla["response_met"], sla["resolution_met"]))
        if self.status == "waiting_on_customer" and not self.was_resolved:
            assert sla["paused"] is True
        if self.ticket["sla"]["response_met"] is not None:
            assert sla["response_met"] is self.ticket["sla"]["response_met"]

    @invariant()
    def every_close_left_one_resolution_that_stays(self) -> None:
        resolutions = self.read("/resolutions")
        assert resolutions == self.resolutions
        cycles = [entry["cycle"] for entry in resolutions]
        assert cycles == sorted(set(cycles))
        assert [entry["closed_at"] for entry in resolutions] == sorted(entry["closed_at"] for entry in resolutions)

    @invariant()
    def the_history_is_complete_and_in_order(self) -> None:
        events = [event for event in self.read("/events") if not event["event_type"].startswith("ticket.sla")]
        assert len(events) == self.changes
        assert events[0]["event_type"] == "ticket.created"
        assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
        steps = [event["data"]["changes"]["status"] for event in events if "status" in event["data"].get("changes", {})]
        for earlier, later in itertools.pairwise(steps):
            assert earlier["to"] == later["from"]
        assert events[0]["data"]["ticket"]["status"] == (steps[0]["from"] if steps else self.status)
        assert not steps or steps[-1]["to"] == self.status
        assert sum(event["event_type"] == "ticket.closed" for event in events) == len(self.resolutions)
        assert sum(event["event_type"] == "ticket.reopened" for event in events) == self.reopened
        assert {**events[-1]["data"]["ticket"], "sla": None} == {**self.ticket, "sla": None}


def test_any_sequence_of_calls_keeps_what_must_hold(house: House) -> None:
    class LifeHere(Life):
        pass

    LifeHere.house = house
    limits = settings(
        max_examples=40,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a sequence of calls takes minutes to shrink
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(LifeHere, settings=limits)
