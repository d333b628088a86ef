"""Any history of a ticket: what is stored after each step is what its events give, and what a close stored stays."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from conftest import START, House, MovedClock
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

from ticketry.core.actor import Actor, system
from ticketry.core.errors import Conflict
from ticketry.db.pool import Pool, Tx, make_pool, unit
from ticketry.sla import rules as sla
from ticketry.sla.policies import service as policies
from ticketry.sla.policies.models import CalendarIn, CalendarPatch, Conditions, Escalation, PolicyIn, PolicyPatch
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.comments import service as comments
from ticketry.tickets.comments.models import CommentIn
from ticketry.tickets.models import CloseIn, ReopenIn, Ticket, TicketIn, TicketPatch
from ticketry.tickets.promises import jobs, service, store

ANCHORS = (
    START,
    datetime(2025, 3, 28, 20, tzinfo=UTC),
    datetime(2025, 10, 25, 6, tzinfo=UTC),
    datetime(2024, 2, 28, tzinfo=UTC),
)
HOURS = (
    ("24/7", "UTC", None),
    ("Mo-Fr 09:00-12:00,13:00-18:00; PH off", "Europe/Berlin", "DE"),
    ("22:00-06:00", "America/New_York", None),
    ("Mo-Su 00:00-24:00", "Australia/Lord_Howe", None),
    ("Sa 10:00-11:00", "Asia/Kolkata", None),
    ("off", "UTC", None),
)
STATUSES = (
    "open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "resolved", "closed", "reopened",
)  # fmt: skip
minutes = st.none() | st.sampled_from([1, 30, 60, 480, 1440]) | st.integers(1, 5000)
target = st.fixed_dictionaries({"response": minutes, "resolution": minutes})
targets = st.fixed_dictionaries({}, optional=dict.fromkeys("1234", target)) | st.fixed_dictionaries(
    dict.fromkeys("1234", target)
)
hours = st.sampled_from(HOURS)
closed_days = st.lists(st.dates(date(2025, 1, 1), date(2025, 12, 31)), max_size=3)
escalations = st.lists(
    st.builds(
        Escalation,
        on=st.sampled_from(["warning", "breach"]),
        target=st.sampled_from([None, "response", "resolution"]),
        raise_priority=st.booleans(),
        add_tag=st.sampled_from([None, "late"]),
        note=st.sampled_from([None, "Hurry."]),
    ),
    max_size=2,
)
jumps = st.one_of(
    st.integers(0, 4000),
    st.integers(0, 5 * 86_400),
    st.sampled_from([0, 1, 48 * 60, 60 * 60, 60 * 60 + 1, 8 * 3600, 86_400, 90 * 86_400]),
)
patches = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(STATUSES),
        "priority": st.integers(1, 4),
        "internal_note": st.just("A note."),
        "tags": st.lists(st.sampled_from(["a", "b"]), unique=True),
        "assigned_to": st.sampled_from([None, "user_jane_smith", "user_bob_jones"]),
    },
)


class Story(RuleBasedStateMachine):
    """One ticket, worked on by services, each call in a unit of its own."""

    house: House
    pool: Pool
    loop: Any

    def __init__(self) -> None:
        super().__init__()
        self.clock = MovedClock()
        self.workspace_id = self.house.cast.workspace_id
        self.actor = Actor(self.workspace_id, "user", "user_jane_smith", "Jane Smith", user_id="user_jane_smith")
        self.finals: dict[str, Any] = {}
        self.spent = (0, 0)

    def do(self, work: Any) -> Any:
        async def inside() -> Any:
            async with unit(self.pool, self.clock()) as tx:
                return await work(tx)

        return self.loop.run_until_complete(inside())

    def attempt(self, work: Any) -> None:
        """A call that the ticket's state may refuse."""
        try:
            self.do(work)
        except Conflict as error:
            if error.code not in {"invalid_transition", "ticket_closed", "ticket_already_closed", "ticket_not_closed"}:
                raise

    @initialize(
        anchor=st.sampled_from(ANCHORS), hours=hours, closed=closed_days, promises=targets, pauses=st.booleans(),
        escalations=escalations, priority=st.integers(1, 4), status=st.sampled_from(["new", "open", "in_progress"]),
        assigned=st.booleans(),
    )  # fmt: skip
    def begin(self, anchor: datetime, hours: Any, closed: Any, promises: Any, pauses: bool, escalations: Any,
              priority: int, status: Any, assigned: bool) -> None:  # fmt: skip
        self.clock.now = anchor
        expression, zone, country = hours

        calendar_in = CalendarIn(
            name="Random", opening_hours=expression, time_zone=zone, country=country, closed_days=closed
        )

        async def make(tx: Tx) -> tuple[str, str, Ticket]:
            calendar = await policies.create_calendar(tx, self.workspace_id, calendar_in)
            policy_in = PolicyIn(
                name="Random",
                calendar_id=calendar.id,
                targets=promises,
                pause_on_third_party=pauses,
                conditions=Conditions(category=[calendar.id]),
                escalations=escalations,
            )
            policy = await policies.create(tx, self.workspace_id, policy_in)
            person = "user_jane_smith" if assigned else None
            given = {"priority": priority, "status": status, "assigned_to": person, "category": calendar.id}
            ticket = await tickets.create(tx, self.actor, TicketIn(subject="a", description="b", **given))
            return calendar.id, policy.id, ticket

        self.calendar_id, self.policy_id, ticket = self.do(make)
        self.ticket_id = ticket.id

    @rule(seconds=jumps)
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(seconds=st.integers(1, 30))
    def another_machine_is_behind(self, seconds: int) -> None:
        self.clock.advance(seconds=-seconds)

    @rule(by=st.sampled_from(["user", "contact", "key", "internal"]))
    def comment(self, by: str) -> None:
        body = CommentIn(
            body="Hello",
            contact_id="contact_sam_taylor" if by == "contact" else None,
            visibility="internal" if by == "internal" else "public",
        )
        actor = system(self.workspace_id) if by == "key" else self.actor
        self.attempt(lambda tx: comments.add(tx, actor, self.ticket_id, body))

    @rule(fields=patches)
    def patch(self, fields: dict[str, Any]) -> None:
        self.attempt(lambda tx: tickets.update(tx, self.actor, self.ticket_id, TicketPatch(**fields)))

    @rule()
    def close(self) -> None:
        self.attempt(lambda tx: tickets.close(tx, self.actor, self.ticket_id, CloseIn()))

    @rule()
    def reopen(self) -> None:
        self.attempt(lambda tx: tickets.reopen(tx, self.actor, self.ticket_id, ReopenIn()))

    @rule(seconds=jumps)
    def close_and_reopen(self, seconds: int) -> None:
        self.close()
        self.clock.advance(seconds=seconds)
        self.reopen()

    @rule()
    def ring(self) -> None:
        self.loop.run_until_complete(jobs.ring_alarms(self.pool, self.clock))
        self.do(self._nothing_is_due)

    async def _nothing_is_due(self, tx: Tx) -> None:
        """But a breach that an escalation has made itself is told in the next second."""
        for _, ticket_id in await store.ringing(tx, 10):
            assert ticket_id != self.ticket_id

    @rule(promises=targets, pauses=st.booleans(), apply=st.booleans())
    def edit_the_policy(self, promises: Any, pauses: bool, apply: bool) -> None:
        body = PolicyPatch(targets=promises, pause_on_third_party=pauses)
        self.do(lambda tx: policies.update(tx, self.workspace_id, self.policy_id, body))
        if apply:
            self._apply()

    @rule(hours=hours, apply=st.booleans())
    def edit_the_calendar(self, hours: Any, apply: bool) -> None:
        body = CalendarPatch(opening_hours=hours[0], time_zone=hours[1], country=hours[2])
        self.do(lambda tx: policies.update_calendar(tx, self.workspace_id, self.calendar_id, body))
        if apply:
            self._apply()

    def _apply(self) -> None:
        foreseen = self.do(lambda tx: service.apply(tx, self.actor, self.policy_id, True))
        done = self.do(lambda tx: service.apply(tx, self.actor, self.policy_id, False))
        assert done.model_copy(update={"dry_run": True}) == foreseen
        self.spent = (0, 0)  # it is counted anew, maybe by other hours

    @precondition(lambda self: hasattr(self, "ticket_id"))
    @invariant()
    def stored_is_replayed_and_finals_stay(self) -> None:
        async def look(tx: Tx) -> tuple[Ticket, list[str], Any, Any]:
            ticket = await tickets.get(tx, self.actor, self.ticket_id)
            wrong = await service.replay(tx, self.workspace_id, [ticket])
            closings = await store.closings(tx, self.workspace_id, [ticket.id])
            return ticket, wrong, closings, await service.explain(tx, self.actor, ticket.id, None)

        ticket, wrong, closings, explanation = self.do(look)
        assert wrong == []
        assert {f"{one.cycle}": one for one in closings}.items() >= self.finals.items()
        self.finals = {f"{one.cycle}": one for one in closings}
        spent = (ticket.response_spent, ticket.resolution_spent)
        assert spent[0] >= self.spent[0]
        assert spent[1] >= self.spent[1]
        self.spent = spent
        self._check_explanation(ticket, explanation)
        if ticket.status in {"resolved", "closed"}:
            assert ticket.next_alarm_at is None

    def _check_explanation(self, ticket: Ticket, explanation: Any) -> None:
        """It adds up, and what it says of closed cycles is what their closes stored."""
        intervals = [interval for cycle in explanation.cycles for interval in cycle.intervals]
        for name in ("response", "resolution"):
            promise = getattr(explanation.cycles[-1], name)
            assert promise.elapsed_seconds == sum(it.seconds for it in intervals if name in it.counts_for)
        assert len(explanation.cycles) == ticket.reopen_count + 1
        seen, last = sla.seen(ticket_rules.clock_of(ticket), explanation.at), explanation.cycles[-1]
        assert (last.response.met, last.resolution.met) == (seen.response_met, seen.resolution_met)
        for cycle in explanation.cycles:
            if final := self.finals.get(f"{cycle.cycle}"):
                assert (cycle.resolution.met, cycle.resolution.due_at) == (
                    final.resolution_met,
                    final.resolution_due_at,
                )
                assert (cycle.response.met, cycle.response.due_at) == (final.response_met, final.response_due_at)

    def teardown(self) -> None:
        """Nothing is told twice, and the ticket is out of the others' way."""
        if not hasattr(self, "ticket_id"):
            return
        query = """SELECT type, data ->> 'target', data ->> 'cycle', count(*) FROM events
                   WHERE ticket_id = %s AND type LIKE 'ticket.sla%%' GROUP BY 1, 2, 3 HAVING count(*) > 1"""
        assert self.house.sql(query, (self.ticket_id,)) == []
        self.attempt(lambda tx: tickets.close(tx, self.actor, self.ticket_id, CloseIn()))


@pytest.mark.timeout(400)
def test_any_history_is_replayed_to_what_is_stored(house: House) -> None:
    import asyncio

    class Here(Story):
        pass

    with asyncio.Runner() as runner:
        Here.house, Here.loop = house, runner.get_loop()
        Here.pool = make_pool(house.database_url, 4)
        runner.run(Here.pool.open())
        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=60,
                    stateful_step_count=18,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Here.pool.close())
