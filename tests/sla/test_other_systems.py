"""Examples and rules other systems publish, as far as ours are meant to agree with theirs.

Each case names the page it comes from; where a page states a rule without figures, the figures are ours.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ticketry.sla.models import Calendar, Clock, Fact, Policy, Target
from ticketry.sla.rules import fold, seen

OFFICE = "Mo-Fr 09:00-17:00"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def clock(calendar: Calendar, target: Target, *facts: tuple[str, str | None, bool]) -> Clock:
    policy = Policy("p", 1, "Theirs", {3: target}, calendar, False)
    told = [Fact(at(when), status, None, responded) for when, status, responded in facts]
    return fold(policy, told)


# Jira Service Management, "How teams see SLAs" (confluence.atlassian.com/servicemanagementserver0417/
# how-teams-see-slas-1072468255.html): a goal of 16 hours from Monday 11:00, working Monday 9-17, Tuesday 9-16,
# Thursday 8-17. Six hours on Monday, seven on Tuesday, so three are left for Thursday.
def test_jira_service_management_request_a() -> None:
    hours = Calendar("Mo 09:00-17:00; Tu 09:00-16:00; Th 08:00-17:00")
    asked = clock(hours, Target(None, 16 * 60), ("2025-06-09T11:00", "open", False))
    assert asked.resolution_due_at == at("2025-06-12T11:00")


# Jira Service Management, "Example SLA configurations" (confluence.atlassian.com/servicemanagementserver0512/
# example-sla-configurations-1319246988.html): the same goal of 24 hours once on the 24/7 calendar and once on
# the sample 9-5 calendar, for which it is three working days.
@pytest.mark.parametrize(("hours", "due"), [("24/7", "2025-06-13T09:00"), (OFFICE, "2025-06-16T17:00")])
def test_jira_service_management_24_hours_by_two_calendars(hours: str, due: str) -> None:
    asked = clock(Calendar(hours), Target(None, 24 * 60), ("2025-06-12T09:00", "open", False))
    assert asked.resolution_due_at == at(due)


# Same page, "SLA that doesn't track continuous time": 40 hours, paused in "Waiting for customer".
def test_jira_service_management_waiting_does_not_count_against_40_hours() -> None:
    asked = clock(
        Calendar(),
        Target(None, 40 * 60),
        ("2025-06-09T09:00", "open", False),
        ("2025-06-09T19:00", "waiting_on_customer", False),
        ("2025-06-12T19:00", "open", False),
    )
    assert asked.resolution_spent == 10 * 3600
    assert asked.resolution_due_at == at("2025-06-14T01:00")


# Plain, "Tiers and SLAs" (plain.com/docs/tiers): with business hours Monday to Friday 9-17 the timer is paused
# outside of them; their ticket comes on a Friday at 16:30. Also there: 24/7 unless business hours are asked for,
# and a warning may come before the breach.
@pytest.mark.parametrize(("hours", "due"), [(OFFICE, "2025-06-16T09:30"), ("24/7", "2025-06-13T17:30")])
def test_plain_friday_half_past_four(hours: str, due: str) -> None:
    asked = clock(Calendar(hours), Target(60, None), ("2025-06-13T16:30", "new", False))
    assert asked.response_due_at == at(due)


# Plain, API reference, FirstResolutionTimeServiceLevelAgreement (plain.com/docs/graphql-reference/types/…): from
# creation to the first time it is done; the clock pauses in chosen statuses, by default waiting for the customer.
def test_plain_first_resolution_pauses_while_waiting_for_the_customer() -> None:
    asked = clock(
        Calendar(),
        Target(None, 120),
        ("2025-06-09T09:00", "open", False),
        ("2025-06-09T10:00", "waiting_on_customer", False),
        ("2025-06-10T10:00", "open", False),
        ("2025-06-10T11:00", "resolved", False),
    )
    assert (asked.resolution_met, asked.resolution_spent) == (True, 7200)


# Freshdesk, "What are business hours and calendar hours?" (support.freshdesk.com/support/solutions/articles/37627):
# a ticket due in six hours on a Friday evening can wait till Monday by business hours, not by calendar hours.
@pytest.mark.parametrize(("hours", "on_monday"), [(OFFICE, None), ("24/7", False)])
def test_freshdesk_six_hours_on_a_friday_evening(hours: str, on_monday: bool | None) -> None:
    asked = clock(Calendar(hours), Target(None, 360), ("2025-06-13T18:00", "open", False))
    assert seen(asked, at("2025-06-16T09:00")).resolution_met is on_monday


# Freshdesk, "Does the timer start right away?" (support.freshdesk.com/support/solutions/articles/229718): it starts
# at creation, and can be switched off for "pending" and for "waiting on third party".
@pytest.mark.parametrize(("status", "pauses"), [("waiting_on_customer", True), ("waiting_on_third_party", False)])
def test_freshdesk_timer_runs_from_creation_and_is_off_by_status(status: str, pauses: bool) -> None:
    asked = clock(Calendar(), Target(60, 60), ("2025-06-09T09:00", "new", False), ("2025-06-09T09:30", status, False))
    assert asked.paused is pauses
    assert seen(asked, at("2025-06-10T09:00")).resolution_met is (None if pauses else False)


# Zendesk, "About native Support time duration metrics" (support.zendesk.com/hc/en-us/articles/4408834848154): the
# first reply is the first public comment of an agent after creation; the first resolution is the first time it is
# solved, or the closing if that comes first.
def test_zendesk_first_reply_and_first_resolution() -> None:
    asked = clock(
        Calendar(),
        Target(60, 600),
        ("2025-06-09T09:00", "new", False),
        ("2025-06-09T09:10", "open", False),
        ("2025-06-09T09:40", None, True),
        ("2025-06-09T11:00", "resolved", False),
        ("2025-06-09T12:00", "open", False),
        ("2025-06-09T13:00", "resolved", False),
    )
    assert asked.first_response_at == at("2025-06-09T09:40")
    assert asked.resolution_completed_at == at("2025-06-09T11:00")


def test_zendesk_closed_unsolved_is_the_first_resolution() -> None:
    asked = clock(
        Calendar(), Target(60, 600), ("2025-06-09T09:00", "new", False), ("2025-06-09T10:00", "closed", False)
    )
    assert asked.resolution_completed_at == at("2025-06-09T10:00")


# Zendesk, as summed up in GitLab's handbook ("Metrics definitions" of Customer Support Operations): requester wait
# time is the time in new, open and on-hold, not in pending.
def test_zendesk_requester_wait_time_leaves_out_pending() -> None:
    asked = clock(
        Calendar(),
        Target(None, 6000),
        ("2025-06-09T09:00", "new", False),
        ("2025-06-09T10:00", "open", False),
        ("2025-06-09T12:00", "waiting_on_customer", False),
        ("2025-06-09T18:00", "waiting_on_third_party", False),
        ("2025-06-09T21:00", "resolved", False),
    )
    assert asked.resolution_spent == (1 + 2 + 3) * 3600
