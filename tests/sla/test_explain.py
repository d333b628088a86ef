"""The explanation: reasons, shape, and the same for people."""

from datetime import UTC, date, datetime, timedelta

from ticketry.sla.explain import Explanation, as_json, as_text, duration, explain
from ticketry.sla.models import Calendar, Fact, Policy, Target

T0 = datetime(2025, 12, 22, 8, 0, tzinfo=UTC)  # Monday, 09:00 in Berlin
CALENDAR = Calendar('Mo-Fr 09:00-17:00; PH off "at home"', "Europe/Berlin", "DE", (date(2025, 12, 24),))
POLICY = Policy("sla_1", 3, "Gold", {2: Target(240, 1440), 1: Target(30, 60)}, CALENDAR, False)
FACTS = (
    Fact(T0, "new", 2),
    Fact(T0 + timedelta(hours=1), responded=True),
    Fact(T0 + timedelta(hours=2), "waiting_on_customer"),
    Fact(T0 + timedelta(hours=3), "open"),
    Fact(T0 + timedelta(days=7, hours=1), "resolved"),
    Fact(T0 + timedelta(days=7, hours=2), "closed"),
    Fact(T0 + timedelta(days=7, hours=3), "reopened", 1),
)
END = T0 + timedelta(days=7, hours=4)


def reasons(explanation: Explanation, cycle: int = 0) -> list[tuple[str, str | None, float]]:
    return [(it.reason, it.detail, it.seconds / 3600) for it in explanation.cycles[cycle].intervals]


def test_every_stretch_has_its_reason() -> None:
    assert reasons(explain(POLICY, FACTS, END)) == [
        ("open_hours", None, 1),
        ("open_hours", None, 1),
        ("paused", "waiting_on_customer", 1),
        ("open_hours", None, 5),
        ("closed_hours", None, 16),
        ("open_hours", None, 8),
        ("closed_hours", None, 7),
        ("closed_day", None, 24),
        ("public_holiday", "at home", 48),
        ("closed_hours", None, 57),
        ("open_hours", None, 1),
        ("resolved", None, 1),
        ("closed", None, 1),
    ]
    assert reasons(explain(POLICY, FACTS, END), 1) == [("open_hours", None, 1)]


def test_the_response_counts_on_while_the_resolution_is_paused() -> None:
    facts = (Fact(T0, "new", 2), Fact(T0 + timedelta(hours=1), "waiting_on_customer"))
    counted = explain(POLICY, facts, T0 + timedelta(hours=9)).cycles[0].intervals
    assert [(it.counts_for, it.reason) for it in counted] == [
        (("response", "resolution"), "open_hours"),
        (("response",), "paused"),
        ((), "closed_hours"),
    ]


def test_open_again_after_a_resolve_is_told_apart_from_running() -> None:
    facts = (Fact(T0, "new", 2), Fact(T0, "resolved"), Fact(T0, "open", responded=True))
    assert reasons(explain(POLICY, facts, T0 + timedelta(hours=1))) == [("completed", None, 1)]


def test_a_completed_promise_shows_the_target_it_was_judged_by() -> None:
    first, second = explain(POLICY, FACTS, END).cycles
    assert (first.response.target_seconds, first.resolution.target_seconds) == (14_400, 86_400)
    assert (second.response.target_seconds, second.resolution.target_seconds) == (14_400, 3_600)
    assert (first.resolution.met, second.resolution.met) == (True, False)


def test_an_earlier_instant_shows_the_ticket_as_it_stood() -> None:
    (cycle,) = explain(POLICY, FACTS, T0 + timedelta(hours=2, minutes=30)).cycles
    assert (cycle.response.met, cycle.resolution.met, cycle.resolution.due_at) == (True, None, None)
    assert cycle.resolution.elapsed_seconds == 7200
    assert cycle.resolution.remaining_seconds == 86_400 - 7200
    assert explain(POLICY, FACTS, T0 - timedelta(seconds=1)).cycles == ()


def test_a_close_that_was_the_response_is_reported_as_its_completion() -> None:
    facts = (Fact(T0, "new", 2), Fact(T0 + timedelta(hours=1), "closed"))
    (cycle,) = explain(POLICY, facts, END).cycles
    assert cycle.response.completed_at == cycle.resolution.completed_at == T0 + timedelta(hours=1)


def test_a_holiday_is_one_only_where_it_takes_hours_away() -> None:
    saturday = datetime(2025, 12, 27, 0, 0, tzinfo=UTC)
    plain = Policy("p", 1, "No holidays", POLICY.targets, Calendar("Mo-Fr 09:00-17:00", "UTC", "DE"))
    christmas = explain(plain, (Fact(T0, "new", 2),), saturday)
    assert "public_holiday" not in {reason for reason, _, _ in reasons(christmas)}
    nights = Policy("n", 1, "Nights", POLICY.targets, Calendar("22:00-06:00; PH off", "Europe/Berlin", "DE"))
    (cycle,) = explain(nights, (Fact(T0 + timedelta(days=3), "new", 2),), saturday).cycles
    assert [(it.reason, it.detail, it.seconds / 3600) for it in cycle.intervals] == [
        ("public_holiday", "Christmas Day", 15),
        ("public_holiday", "Second Day of Christmas", 24),
        ("open_hours", None, 1),
    ]


def test_the_json_has_the_published_shape() -> None:
    body = as_json(explain(POLICY, FACTS, END))
    assert {"policy_id", "policy_version", "calendar", "cycles"} <= body.keys()
    assert (body["policy_id"], body["policy_version"]) == ("sla_1", 3)
    assert {"opening_hours", "time_zone", "country"} <= body["calendar"].keys()
    assert [cycle["cycle"] for cycle in body["cycles"]] == [1, 2]
    promise = body["cycles"][0]["resolution"]
    assert promise == {
        "target_seconds": 86_400,
        "due_at": "2025-12-30T09:00:00Z",
        "completed_at": "2025-12-29T09:00:00Z",
        "elapsed_seconds": 57_600,
        "remaining_seconds": None,
        "met": True,
    }
    assert body["cycles"][0]["intervals"][0] == {
        "from": "2025-12-22T08:00:00Z",
        "to": "2025-12-22T09:00:00Z",
        "seconds": 3600,
        "counts_for": ["response", "resolution"],
        "reason": "open_hours",
        "detail": None,
    }


def test_the_text_tells_it_in_local_time() -> None:
    text = as_text(explain(POLICY, FACTS, END))
    assert "Policy Gold, version 3" in text
    assert "holidays of DE" in text
    assert "Mon 2025-12-22 09:00:00 +0100 to Mon 2025-12-22 10:00:00 +0100" in text
    assert "counts for nothing: public holiday (at home)" in text
    assert "resolution paused (waiting_on_customer)" in text
    assert "Response:   met, 1 h of 4 h spent" in text
    assert text.endswith("\n")


def test_text_without_targets() -> None:
    facts = (Fact(T0, "new", 4), Fact(T0 + timedelta(minutes=90), "closed"))
    assert "Response:   no target, 1 h 30 min spent" in as_text(explain(POLICY, facts, END))


def test_durations_are_rounded_nowhere() -> None:
    assert [duration(n) for n in (0, 59, 60, 3600, 3661, 360_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h",
        "1 h 1 min 1 s",
        "100 h",
    ]
