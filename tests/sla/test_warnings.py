"""When a warning is due: at four fifths of a target, while it runs."""

from datetime import timedelta

import pytest

from ticketry.sla.rules import advance, start, warning_moments

from .test_rules import POLICY, T0, after, f, story


def test_warnings_come_at_four_fifths() -> None:
    clock = start(POLICY, T0, 2, "open")
    assert warning_moments(POLICY, clock) == (after(48), after(96))
    paused = advance(POLICY, clock, after(50), status="waiting_on_customer")
    assert warning_moments(POLICY, paused) == (None, None)
    again = advance(POLICY, paused, after(100), status="open", responded=True)
    assert warning_moments(POLICY, again) == (None, after(146))


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_nothing_is_announced_at_rest(status: str) -> None:
    assert warning_moments(POLICY, story(f(10, status))) == (None, None)
    assert warning_moments(POLICY, start(POLICY, T0, 4, "open")) == (None, None)


def test_a_warning_moment_is_told_until_it_has_come() -> None:
    before = story(f(48 - 1 / 60))
    assert warning_moments(POLICY, before) == (after(48), after(96))
    assert warning_moments(POLICY, advance(POLICY, before, after(48))) == (None, after(96))
    assert warning_moments(POLICY, story(f(61))) == (None, after(96))
    assert warning_moments(POLICY, story(f(121))) == (None, None)


def test_a_reopened_ticket_past_its_warning_is_not_warned_again() -> None:
    clock = story(f(100, "closed"), f(5000, "reopened"))
    assert clock.since == T0 + timedelta(minutes=5000)
    assert warning_moments(POLICY, clock) == (None, None)
