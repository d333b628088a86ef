"""Who is called when there are more endpoints than places, by the dispatcher's own words, without a network."""

from datetime import UTC, datetime, timedelta

import pytest

from ticketry.webhooks.deliveries.rules import SILENCE
from ticketry.webhooks.dispatch.budget import MOST_SLOW, Budget
from ticketry.webhooks.dispatch.lanes import FEW, SLOW, SUSPECT, Target
from ticketry.webhooks.dispatch.models import Config, Key
from ticketry.webhooks.endpoints.models import Secrets

NOW = datetime(2025, 1, 15, tzinfo=UTC)


def target(since: datetime | None = None, success: datetime | None = NOW, failure: datetime | None = None) -> Target:
    secrets = Secrets("https://example.com", "whsec_", None, None)
    return Target(Config(Key("ws", "webhook"), secrets, since, success, failure), 0.0)


def test_one_failure_after_successes_is_forgiven() -> None:
    one = target()
    assert (one.line, one.at_once(8)) == ("good", 8)
    one.learn(False, NOW, 0.1)
    assert (one.line, one.at_once(8)) == ("good", FEW)
    one.learn(True, NOW, 0.1)
    for _ in range(SUSPECT):
        one.learn(False, NOW, 0.1)
    assert one.line == "bad"
    one.learn(True, NOW, 0.1)
    assert one.line == "good"


def test_who_answers_well_but_late_is_on_the_line_of_the_bad_until_it_is_fast() -> None:
    one = target()
    one.learn(True, NOW, SLOW)
    assert (one.line, one.at_once(8)) == ("bad", FEW)
    one.learn(True, NOW, SLOW - 0.1)
    assert one.line == "good"
    new = target(success=None)
    new.learn(False, NOW, 0.1)
    assert new.line == "bad"


def test_slow_calls_leave_places_to_newcomers_and_to_the_good(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget()
    monkeypatch.setattr(budget, "_slow", MOST_SLOW["bad"])
    assert [budget.allows(line) for line in ("good", "new", "bad")] == [True, True, False]
    monkeypatch.setattr(budget, "_slow", MOST_SLOW["new"])
    assert [budget.allows(line) for line in ("good", "new", "bad")] == [True, False, False]


def test_trouble_after_a_long_silence_is_a_new_trouble() -> None:
    long_ago = NOW - timedelta(days=6)
    silent = target(long_ago, None, long_ago).health([False], NOW)
    assert silent is not None
    assert (silent.failing_since, silent.last_failure_at) == (NOW, NOW)
    lasting = target(long_ago, None, NOW - SILENCE).health([False], NOW)
    assert lasting is not None
    assert (lasting.failing_since, lasting.last_failure_at) == (long_ago, NOW)
