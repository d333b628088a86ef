"""When a failed mail is tried again, and what a batch of events calls for, as tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketry.mail.sending import rules
from ticketry.mail.sending.models import News

AT = datetime(2025, 1, 15, 9, tzinfo=UTC)
NEWS = News(
    workspace_id="ws_1", event_id="evt_1", type="ticket.resolved", change="1", at=AT, actor_type="user",
    actor_id="user_jane", ticket_id="ticket_1", contact_id="contact_sam", assigned_to="user_jane", comment_id=None,
    visibility=None, author_type=None, from_status="open", note=None, target=None, silent=False,
    contact_reachable=True, agent_reachable=True, enabled=True, kinds_off=[],
)  # fmt: skip


def test_the_gaps_grow_and_make_three_days() -> None:
    gaps = []
    for attempt in range(1, len(rules.GAPS_MINUTES) + 1):
        again = rules.next_attempt(attempt, AT, 0.5)
        assert again is not None
        gaps.append(again - AT)
    assert gaps == sorted(gaps)
    assert timedelta(days=2.9) < sum(gaps, timedelta()) < timedelta(days=3.1)
    assert rules.next_attempt(len(gaps) + 1, AT, 0.5) is None


@given(attempt=st.integers(1, len(rules.GAPS_MINUTES)), luck=st.floats(0, 1))
def test_the_jitter_stays_within_a_tenth(attempt: int, luck: float) -> None:
    again = rules.next_attempt(attempt, AT, luck)
    assert again is not None
    minutes = (again - AT).total_seconds() / 60
    assert 0.89 <= minutes / rules.GAPS_MINUTES[attempt - 1] <= 1.11


def kinds(*news: News) -> list[tuple[str, str]]:
    return [(mail.kind, mail.recipient_id) for mail in rules.wanted(news, {"ws_1": ["user_boss"]}, AT)]


def test_resolved_and_closed_in_one_change_is_told_once() -> None:
    closed = replace(NEWS, event_id="evt_2", type="ticket.closed", note="Done", from_status="resolved")
    assert kinds(NEWS, closed) == [("resolved", "contact_sam")]


def test_of_opposites_in_one_change_the_last_is_told() -> None:
    assert kinds(NEWS, replace(NEWS, event_id="evt_2", type="ticket.reopened")) == [("reopened", "contact_sam")]


def test_two_replies_in_one_change_are_two_mails() -> None:
    reply = replace(NEWS, type="ticket.commented", visibility="public", author_type="user", comment_id="comment_1")
    assert kinds(reply, replace(reply, event_id="evt_2", comment_id="comment_2")) == [("replied", "contact_sam")] * 2


def test_a_breach_takes_the_place_of_its_warning() -> None:
    warning = replace(NEWS, type="ticket.sla_warning", actor_type="system", actor_id="system", target="response")
    breach = replace(warning, event_id="evt_2", type="ticket.sla_breached")
    other = replace(warning, event_id="evt_3", target="resolution")
    assert kinds(warning, breach, other) == [("sla_breached", "user_jane"), ("sla_warning", "user_jane")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"silent": True}, []),
        ({"enabled": False}, []),
        ({"kinds_off": ["resolved"]}, []),
        ({"contact_reachable": False}, []),
        ({"contact_id": None}, []),
        ({"actor_type": "contact", "actor_id": "contact_sam"}, []),
        ({"actor_type": "contact", "actor_id": "contact_other"}, [("resolved", "contact_sam")]),
        ({"at": AT - timedelta(days=3, seconds=1)}, []),
        ({"type": "ticket.closed", "actor_type": "system", "from_status": "resolved"}, []),
        ({"type": "ticket.closed", "actor_type": "system", "from_status": "open"}, [("resolved", "contact_sam")]),
        ({"type": "ticket.created", "actor_type": "system"}, []),
        ({"type": "ticket.created", "actor_type": "contact", "actor_id": "contact_sam"}, [("received", "contact_sam")]),
        ({"type": "ticket.assigned"}, []),
        ({"type": "ticket.assigned", "actor_id": "user_bob"}, [("assigned", "user_jane")]),
        ({"type": "ticket.assigned", "actor_id": "user_bob", "agent_reachable": False}, []),
        ({"type": "ticket.sla_breached", "target": "response", "assigned_to": None}, [("sla_breached", "user_boss")]),
        ({"type": "ticket.updated"}, []),
        ({"type": "ticket.rated"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_who_is_told(change: dict[str, object], told: list[tuple[str, str]]) -> None:
    assert kinds(replace(NEWS, **change)) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "robot"),
    [
        ("sam@example.com", False),
        ("bounce@x.example", True),
        ("BOUNCES+1@x.example", True),
        ("bouncer@x.example", False),
    ],
)
def test_robots(address: str, robot: bool) -> None:
    assert rules.is_robot(address) is robot
